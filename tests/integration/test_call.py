"""`ration call`, and through it ration_call(): every class of failure, every form of wait, every
shape of usage, streamed or not, against the strict provider and a real server, whose ledger must
agree with the provider's report.
"""
import json
import os
import signal
import subprocess
import urllib.request

import pytest

from configs import POOL, config, limit
from processes import program
from waiting import wait_until

# The strict provider's README describes the shapes; each follows the provider's own reference.
SHAPES = {
    "openai": {"messages": [{"role": "user", "content": "Hello there, provider"}], "max_tokens": 60},
    "openai-responses": {"input": "Hello there, provider", "max_output_tokens": 60},
    "anthropic": {"messages": [{"role": "user", "content": "Hello there, provider"}], "max_tokens": 60},
    "gemini": {
        "contents": [{"role": "user", "parts": [{"text": "Hello there, provider"}]}],
        "generationConfig": {"maxOutputTokens": 60},
    },
    "groq": {"messages": [{"role": "user", "content": "Hello there, provider"}], "max_tokens": 60},
}
FAST = ("--backoff-min", "20", "--backoff-max", "100")


class Provider:
    def __init__(self, lab, **options):
        options = {"rpm": 10000, "tpm": 10_000_000, "latency_ms": 0, **options}
        args = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        self.process = lab.process("provider", program("strict-provider"), "--listen", "127.0.0.1:0", *args)
        port = self.process.wait_for_log(r"listening on 127\.0\.0\.1:(\d+)").group(1)
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, path, data=None):
        body = None if data is None else json.dumps(data).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + path, body), timeout=10) as answer:
            return json.load(answer)

    def fault(self, name, calls=1):
        self.ask("/faults", {"fault": name, "calls": calls})

    def report(self):
        return self.ask("/report")


@pytest.fixture
def server(lab):
    return lab.ration(config(lab.redis(), pool=[limit("requests", 1000, "day"), limit("tokens", 1_000_000, "day")]))


@pytest.fixture
def provider(lab):
    return Provider(lab)


def body_of(profile, **more):
    body = {"model": "some-model", **SHAPES[profile], **more}
    body.setdefault("metadata", {"input_tokens": "40", "output_tokens": "25"})
    return body


def call(lab, server, provider, profile="openai", *args, body=None, status=0, env=None, **more):
    path = lab.folder / f"body-{profile}.json"
    path.write_text(json.dumps(body or body_of(profile)))
    keys = {name: "any" for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GROQ_API_KEY")}
    done = lab.tool(server, "call", "--pool", POOL, "--tenant", "acme", "--provider", profile, "--url", provider.url,
                    "--body", path, *args, env={**keys, **(env or {})}, **more)  # fmt: skip
    assert done.returncode == status, done
    return done


def call_json(*args, **more):
    """Returns the result; the lines before it are a stream's events."""
    *events, result = [json.loads(line) for line in call(*args, "--json", **more).stdout.splitlines()]
    return dict(result, events=events)


def ledger(server, unit):
    row = server.audit(POOL)[unit]
    assert row["balanced"] and row["outstanding"] == 0, row
    return row


# ---- Answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", SHAPES)
@pytest.mark.parametrize("streamed", [False, True])
def test_what_was_used_is_reported(lab, server, provider, profile, streamed):
    came = call_json(lab, server, provider, profile, *(["--stream"] if streamed else []))
    assert came["outcome"] == "answered" and came["tries"] == 1 and came["used_known"], came
    seen = provider.report()
    assert seen["completed"] == 1 and seen["other_failures"] == 0
    output = 0 if profile == "gemini" else seen["output_tokens"]  # Gemini's limits count only input
    assert came["used"].get("input_tokens") == seen["input_tokens"]
    assert came["used"]["tokens"] == seen["input_tokens"] + output
    assert ledger(server, "tokens")["used"] == came["used"]["tokens"]
    assert bool(came["events"]) == streamed


@pytest.mark.parametrize("profile", SHAPES)
def test_a_stream_prints_its_text(lab, server, provider, profile):
    streamed = call(lab, server, provider, profile, "--stream").stdout.strip()
    assert streamed and "{" not in streamed


def test_the_body_comes_from_stdin_and_the_answer_is_on_stdout(lab, server, provider):
    done = subprocess.run(
        [program("ration"), "call", "--pool", POOL, "--tenant", "acme", "--url", provider.url],
        input=json.dumps(body_of("openai")), capture_output=True, text=True, timeout=60,
        env=dict(os.environ, OPENAI_API_KEY="any", RATION_SERVERS=f"127.0.0.1:{server.port}"),
    )  # fmt: skip
    assert done.returncode == 0 and not done.stderr, done
    assert json.loads(done.stdout)["usage"]["completion_tokens"] > 0


# ---- Each row of the retry table -----------------------------------------------------------------

RETRIED = ["500", "502", "503", "504", "529", "429-ms:50", "reset", "hang"]
REFUSED = ["400", "401", "403", "404", "422"]


@pytest.mark.parametrize("profile", ["openai", "anthropic", "gemini"])
@pytest.mark.parametrize("fault", ["500", "529", "429-ms:50"])
def test_each_provider_is_tried_again(lab, server, provider, profile, fault):
    provider.fault(fault)
    came = call_json(lab, server, provider, profile, *FAST)
    assert came["tries"] == 2 and came["http_status"] == 200
    assert ledger(server, "requests")["reported"] == 2, "a retry is another request"


@pytest.mark.parametrize("fault", RETRIED)
def test_what_passes_is_tried_again(lab, server, provider, fault):
    provider.fault(fault)
    args = ("--call-timeout", "300") if fault == "hang" else ()
    came = call_json(lab, server, provider, "openai", *FAST, *args, timeout=60)
    assert came["tries"] == 2 and came["outcome"] == "answered"
    tokens = ledger(server, "tokens")
    assert tokens["reported"] > 0 and tokens["used"] >= came["used"]["tokens"]
    if fault in ("reset", "hang"):  # the provider read it and may have counted it
        assert tokens["used"] > came["used"]["tokens"]
    else:
        assert tokens["used"] == came["used"]["tokens"]


@pytest.mark.parametrize("fault", REFUSED)
def test_what_is_refused_is_not_tried_again(lab, server, provider, fault):
    provider.fault(fault, calls=9)
    came = call_json(lab, server, provider, "openai", *FAST, status=4)
    assert came["tries"] == 1 and came["outcome"] == "refused" and came["http_status"] == int(fault)
    assert provider.report()["requests"] == 1
    assert ledger(server, "tokens")["used"] == 0 and ledger(server, "requests")["used"] == 1


@pytest.mark.parametrize("profile, fault", [("openai", "insufficient_quota"), ("anthropic", "enforced_spend_limit_reached")])
def test_a_quota_that_is_used_up_closes_the_pool_for_everybody(lab, server, provider, profile, fault):
    provider.fault(fault, calls=9)
    came = call_json(lab, server, provider, profile, *FAST, status=4)
    assert came["tries"] == 1 and came["outcome"] == "exhausted"
    denied = call(lab, server, provider, profile, status=1)
    assert f"closed:{fault}" in denied.stderr
    assert provider.report()["requests"] == 1


def test_the_tries_end(lab, server, provider):
    provider.fault("429-ms:20", calls=99)
    came = call_json(lab, server, provider, "openai", "--tries", "3", status=3)
    assert came["tries"] == 3 and came["outcome"] == "limited" and came["retry_after_ms"] == 20
    assert provider.report()["requests"] == 3
    assert ledger(server, "requests")["reported"] == 3


def test_nobody_is_there(lab, server):
    class Gone:
        url = "http://127.0.0.1:1"

    done = call(lab, server, Gone, "openai", "--tries", "1", status=3)
    assert "was not reached" in done.stderr and "come back in" in done.stderr
    assert ledger(server, "requests")["cancelled"] == 1


# ---- Each form of wait ---------------------------------------------------------------------------

WAITS = [
    ("openai", "429:1", 1000, 1000), ("openai", "429:0.25", 250, 250), ("openai", "429:1s", 1000, 1000),
    ("openai", "429:6m0s", 360_000, 360_000), ("openai", "429:17ms", 17, 17), ("openai", "429-ms:250", 250, 250),
    ("azure", "429-azure:250", 250, 250), ("openai", "429-date:5", 3900, 5000), ("anthropic", "429-rfc3339:5", 3900, 5000),
    ("gemini", "429-retryinfo:1.5", 1500, 1500), ("openai", "503:2", 2000, 2000), ("anthropic", "529:2", 2000, 2000),
    ("anthropic", "429:20", 20_000, 20_000),
]  # fmt: skip


@pytest.mark.parametrize("profile, fault, least, most", WAITS)
def test_every_form_of_wait_is_reported_to_an_impatient_caller(lab, server, provider, profile, fault, least, most):
    provider.fault(fault)
    args = ("--model", "deployment") if profile == "azure" else ()
    SHAPES.setdefault("azure", SHAPES["openai"])
    came = call_json(lab, server, provider, profile, "--fail-fast", *args, status=3, env={"AZURE_OPENAI_API_KEY": "any"})
    assert came["tries"] == 1 and came["waited_ms"] == 0
    assert least <= came["retry_after_ms"] <= most, came


def test_a_providers_wait_is_kept_and_pauses_everybody(lab, server, provider):
    provider.fault("429:1")
    came = call_json(lab, server, provider, "openai", *FAST)
    assert came["tries"] == 2 and came["waited_ms"] >= 1000
    provider.fault("429:30")
    call(lab, server, provider, "openai", "--fail-fast", status=3)
    assert "paused" in call(lab, server, provider, "openai", "--fail-fast", status=1).stderr
    assert provider.report()["requests"] == 3


# ---- Answers that end badly ----------------------------------------------------------------------


def test_a_stream_without_its_usage_is_not_free(lab, server, provider):
    provider.fault("nousage")
    came = call_json(lab, server, provider, "openai", "--stream")
    assert came["outcome"] == "answered" and not came["used_known"]
    assert ledger(server, "tokens")["used"] > 0


@pytest.mark.parametrize("fault", ["reset-body", "truncate", "stall"])
def test_a_stream_that_breaks_is_settled_for_what_came(lab, server, provider, fault):
    provider.fault(fault)
    came = call_json(lab, server, provider, "anthropic", "--stream", *FAST, "--call-timeout", "1000", status=3)
    assert came["tries"] == 1 and came["events"], "what was shown is not started over"
    used = ledger(server, "tokens")["used"]
    assert 0 < used <= 40 + 60


@pytest.mark.parametrize("fault", ["reset-body", "truncate"])
def test_an_answer_that_breaks_is_tried_again(lab, server, provider, fault):
    provider.fault(fault)
    assert call_json(lab, server, provider, "openai", *FAST, "--call-timeout", "1000")["tries"] == 2


def test_half_a_json_object_is_no_answer(lab, server, provider):
    """It is retried, and its estimate stays charged in addition to what the second try used."""
    provider.fault("badjson")
    came = call_json(lab, server, provider, "openai", *FAST)
    assert came["outcome"] == "answered" and came["tries"] == 2 and came["used_known"]
    assert ledger(server, "tokens")["used"] > came["used"]["tokens"]


def test_a_reader_that_leaves_ends_the_stream(lab, server):
    """Like `ration call --stream | head`: the provider stops, and what was sent is charged."""
    provider = Provider(lab, latency_ms=3000)
    path = lab.folder / "body.json"
    path.write_text(json.dumps(body_of("openai")))
    child = subprocess.Popen(
        [program("ration"), "call", "--pool", POOL, "--tenant", "acme", "--url", provider.url, "--body", path, "--stream"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN),
        env=dict(os.environ, OPENAI_API_KEY="any", RATION_SERVERS=f"127.0.0.1:{server.port}"),
    )  # fmt: skip
    lab.on_close(lambda: child.poll() is None and child.kill())
    assert child.stdout.read(1)
    child.stdout.close()
    assert child.wait(20) == 2
    assert "ended the stream" in child.stderr.read()
    child.stderr.close()
    assert 0 < ledger(server, "tokens")["used"] < 40 + 60


def test_a_long_stream_is_renewed(lab):
    """Its time to live is a third of the stream's; unless renewed, its slot would go to another."""
    server = lab.ration(config(lab.redis(), tier=[limit("concurrent", 1)]))
    provider = Provider(lab, latency_ms=3000)
    path = lab.folder / "body.json"
    path.write_text(json.dumps(body_of("openai")))
    child = lab.process("call", program("ration"), "call", "--pool", POOL, "--tenant", "acme", "--url", provider.url,
                        "--body", path, "--stream", "--ttl", "1000",
                        env={"OPENAI_API_KEY": "any", "RATION_SERVERS": f"127.0.0.1:{server.port}"})  # fmt: skip
    wait_until(lambda: provider.report()["in_flight"] == 1, "the stream to begin")
    seen = []

    def has_ended():
        left = server.remaining(POOL, "acme", "tenant", "concurrent")
        if provider.report()["in_flight"] == 1:
            seen.append(left)  # while the stream ran
        return child.child.poll() is not None

    wait_until(has_ended, "the stream to end", 30)
    assert child.child.returncode == 0, child.log()
    assert set(seen) == {0}, seen
    assert ledger(server, "requests")["reported"] == 1


def test_headers_that_say_less_bring_the_pool_down(lab):
    """Somebody else uses the same quota: what the provider says is left is left here, too."""
    provider = Provider(lab, rpm=50)
    server = lab.ration(config(lab.redis(), pool=[limit("requests", 500, "minute")]))
    call(lab, server, provider)
    assert server.remaining(POOL, "acme", "pool", "requests") <= 50


def test_the_command_line_is_checked(lab, server, provider):
    for wrong in (("call", "--pool", POOL), ("call", "--tenant", "acme"),
                  ("call", "--pool", POOL, "--tenant", "acme", "--body", "/nosuch"),
                  ("call", "--pool", POOL, "--tenant", "acme", "--tries", "0"),
                  ("call", "--pool", POOL, "--tenant", "acme", "--body", "/dev/null")):  # fmt: skip
        done = lab.tool(server, *wrong)
        assert done.returncode == 2 and done.stderr and not done.stdout, (wrong, done)
    nobody = call(lab, server, provider, "openai", "--provider", "nobody", status=2)
    assert "there are:" in nobody.stderr and "anthropic" in nobody.stderr
