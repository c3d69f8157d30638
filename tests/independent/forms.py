"""The APIs that the servers offer, and how the tests run `ration call` and `ration batch`."""
import json

POOL = "independent/all"
PROMPT = "Say hello to everybody, please"
_CHAT = {"model": "mocked", "max_tokens": 50, "messages": [{"role": "user", "content": PROMPT}]}

# Profile: its body, the path to send it to, and where a whole answer has its usage.
FORMS = {
    "openai": (_CHAT, "/v1/chat/completions", ("usage", "prompt_tokens", "completion_tokens")),
    "openai-compatible": (_CHAT, "/v1/chat/completions", ("usage", "prompt_tokens", "completion_tokens")),
    "openai-responses": ({"model": "mocked", "max_output_tokens": 50, "input": PROMPT}, "/v1/responses",
                         ("usage", "input_tokens", "output_tokens")),
    "openai-embeddings": ({"model": "mocked", "input": [PROMPT, "and again"]}, "/v1/embeddings",
                          ("usage", "prompt_tokens", None)),
    "openai-completions": ({"model": "mocked", "max_tokens": 50, "prompt": PROMPT}, "/v1/completions",
                           ("usage", "prompt_tokens", "completion_tokens")),
    "anthropic": (_CHAT, "/v1/messages", ("usage", "input_tokens", "output_tokens")),
    "gemini": ({"contents": [{"role": "user", "parts": [{"text": PROMPT}]}], "generationConfig": {"maxOutputTokens": 50}},
               "/v1beta/models/mocked:generateContent", ("usageMetadata", "promptTokenCount", "candidatesTokenCount")),
}  # fmt: skip
WHOLE = list(FORMS)
STREAMED = [name for name in FORMS if name != "openai-embeddings"]


def usage_of(profile, body):
    at, into, out = FORMS[profile][2]
    return body[at][into], body[at][out] if out else 0


class Ours:
    """Ration's side."""

    def __init__(self, lab, server):
        self.lab, self.server, self.tenants = lab, server, 0
        self.env = {"INDEPENDENT_KEY": "sk-proxy"}

    def tenant(self):
        self.tenants += 1
        return f"tenant-{self.tenants}"

    def _body(self, body):
        path = self.lab.folder / "body.json"
        path.write_bytes(body if isinstance(body, bytes) else json.dumps(body).encode())
        return path

    def call(self, url, profile, *args, body=None, status=0, key="INDEPENDENT_KEY", env=None):
        """Returns the CompletedProcess."""
        model = ("--model", "mocked") if profile == "gemini" and "--model" not in args else ()
        done = self.lab.tool(self.server, "call", "--pool", POOL, "--tenant", self.tenant(), "--provider", profile, "--url", url,
                             "--body", self._body(FORMS[profile][0] if body is None else body), "--key-variable", key,
                             "--backoff-min", 1, "--backoff-max", 20, "--deadline", 30, *model, *args,
                             env={**self.env, **(env or {})}, timeout=120)  # fmt: skip
        assert status is None or done.returncode == status, (done.returncode, done.stdout[-600:], done.stderr[-600:])
        return done

    def call_json(self, *args, **more):
        *events, result = [json.loads(line) for line in self.call(*args, "--json", **more).stdout.splitlines()]
        return dict(result, events=events)

    def open_pool(self):
        """Reopens the pool after a failure that paused it."""
        assert self.lab.tool(self.server, "pool", "open", POOL).returncode == 0

    def batch(self, url, profile, bodies, path, *args):
        """Returns (summary, results)."""
        lines = [{"custom_id": f"r-{n}", "method": "POST", "url": path, "body": body} for n, body in enumerate(bodies)]
        folder = self.lab.folder / f"batch-{self.tenants}-{profile}"
        folder.mkdir(exist_ok=True)
        source, output = folder / "in.jsonl", folder / "out.jsonl"
        source.write_text("".join(json.dumps(line) + "\n" for line in lines))
        done = self.lab.tool(self.server, "batch", source, "--output", output, "--pool", POOL, "--tenant", self.tenant(),
                             "--provider", profile, "--url", url, "--key-variable", "INDEPENDENT_KEY", "--json", "--tries", 2, *args,
                             env=self.env, timeout=120)  # fmt: skip
        assert done.returncode == 0, (done.returncode, done.stdout[-600:], done.stderr[-600:])
        return json.loads(done.stdout), [json.loads(line) for line in output.read_text().splitlines()]
