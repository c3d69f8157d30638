"""Every answer of tests/upstream/forms.json, in every shape, streamed and not, to `ration call` and
`ration batch`: what the caller gets, and what both sides count.

The expectations are stated here, form by form, from the documentation of providers and of servers
that imitate them, not from what the program does. Two things hold for all: the answer proves
success, and what a provider reports as used is never charged at less than the most that it
reported.

Without RATION_FORMS=full, shapes that only repeat another are left out.
"""
import concurrent.futures
import json
import os
import pathlib
import queue
import re
import time
import urllib.request

import pytest

from configs import config, limit
from processes import TOP, Lab
from strict_provider import StrictProvider
from waiting import wait_until
from wire import as_fields

FORMS = json.loads(re.sub(r"/\*.*?\*/", "", (TOP / "tests/upstream/forms.json").read_text(encoding="utf-8"), flags=re.S))
WORKERS = 8
AMOUNT = 10**12
DAY_UNITS = ("tokens", "input_tokens", "output_tokens")

# A call's prompt is estimated at 25 tokens and may be answered with 60; the request gives the
# provider the real usage.
PROMPT = "Say, in your own words, and taking the time that you need for it, what it is that you have been asked."[:100]
INPUT, OUTPUT, CACHED, WRITES, REASONING, VISIBLE = 40, 30, 4, 2, 5, 25
FRESH = INPUT - CACHED - WRITES
ESTIMATE, MOST = 25, 60
TOLD = {"input_tokens": INPUT, "output_tokens": OUTPUT, "cached_tokens": CACHED, "cache_write_tokens": WRITES,
        "reasoning_tokens": REASONING}  # fmt: skip
FILL, LONG = 700, 400  # characters to fill an answer with, and the most tokens that it may have
BIG = 3 << 20
PIECE, PIECES = "some more of the answer ", 20  # of a stream
COMPACTION = 98000 + 1276

MESSAGES = [{"role": "user", "content": PROMPT}]
CONTENTS = [{"role": "user", "parts": [{"text": PROMPT}]}]


class Shape:
    """profile, key, base, args: for the call; most: where its body limits the answer. How the
    provider counts: output: limit tokens per output token; cached: whether cache reads count; held:
    limit tokens held per token that may be answered."""

    def __init__(self, profile, key, family, body, most, base="", output=1, cached=True, held=1, args=()):
        self.profile, self.key, self.family, self.body, self.most = profile, key, family, body, most
        self.base, self.output, self.cached, self.held, self.args = base, output, cached, held, args

    def request(self, most, metadata):
        body = json.loads(json.dumps(self.body))
        at = body
        for member in self.most[:-1]:
            at = at.setdefault(member, {})
        if self.most:
            at[self.most[-1]] = most
        return {**body, **({"metadata": {k: str(v) for k, v in metadata.items()}} if metadata else {})}

    def used(self, input_=INPUT, output=OUTPUT, cached=CACHED):
        """What counts against a token limit."""
        return input_ - (0 if self.cached else cached) + output * self.output

    def estimate(self, most=MOST):
        return ESTIMATE + most * self.held


SHAPES = {
    "chat": Shape("openai", "OPENAI_API_KEY", "chat", {"model": "m", "messages": MESSAGES}, ["max_tokens"]),
    "groq": Shape("groq", "GROQ_API_KEY", "chat", {"model": "m", "messages": MESSAGES}, ["max_tokens"], "/openai", cached=False),
    "azure": Shape("azure", "AZURE_OPENAI_API_KEY", "chat", {"model": "m", "messages": MESSAGES}, ["max_tokens"],
                   args=("--model", "deployment")),
    "mistral": Shape("mistral", "MISTRAL_API_KEY", "chat", {"model": "m", "messages": MESSAGES}, ["max_tokens"], "/mistral"),
    "completions": Shape("openai-completions", "OPENAI_API_KEY", "completions", {"model": "m", "prompt": PROMPT}, ["max_tokens"]),
    "embeddings": Shape("openai-embeddings", "OPENAI_API_KEY", "embeddings", {"model": "m", "input": PROMPT}, [], held=0, output=0),
    "responses": Shape("openai-responses", "OPENAI_API_KEY", "responses", {"model": "m", "input": PROMPT}, ["max_output_tokens"]),
    "anthropic": Shape("anthropic", "ANTHROPIC_API_KEY", "anthropic", {"model": "m", "messages": MESSAGES}, ["max_tokens"],
                       cached=False),
    "gemini": Shape("gemini", "GEMINI_API_KEY", "gemini", {"model": "g", "contents": CONTENTS},
                    ["generationConfig", "maxOutputTokens"], output=0, held=0),
    "vertex": Shape("vertex", "VERTEX_ACCESS_TOKEN", "gemini", {"model": "g", "contents": CONTENTS},
                    ["generationConfig", "maxOutputTokens"], "/v1/projects/p-1/locations/us-central1", output=0, held=0),
    "cohere": Shape("cohere", "CO_API_KEY", "cohere", {"model": "m", "messages": MESSAGES}, ["max_tokens"]),
    "ollama": Shape("ollama", "OLLAMA_API_KEY", "ollama", {"model": "m", "messages": MESSAGES, "stream": False},
                    ["options", "num_predict"]),
    "bedrock": Shape("bedrock", "AWS_BEARER_TOKEN_BEDROCK", "bedrock",
                     {"model": "anthropic.claude-v1:0", "messages": [{"role": "user", "content": [{"text": PROMPT}]}]},
                     ["inferenceConfig", "maxTokens"], cached=False),
}  # fmt: skip
REPEATS = ("groq", "azure", "vertex")
CHATS = ("chat", "groq", "azure", "mistral")
OPENAIS = (*CHATS, "completions", "embeddings", "responses")  # errors in OpenAI's words


def form_of(name, shape):
    named = FORMS[name]
    return named.get(shape, named.get(SHAPES[shape].family, named.get("any")))


# ---- Expectations --------------------------------------------------------------------------------


class Right:
    """outcome; tries: how many of at most two calls were made; low, high: the tokens charged to the
    tenant, over all tries; text: what a stream prints (None: nothing, "any": something); more:
    fields of the result."""

    def __init__(self, outcome, low, high=None, tries=None, text="any", **more):
        self.outcome, self.low, self.high = outcome, low, low if high is None else high
        self.tries = tries or (1 if outcome in ("answered", "exhausted", "refused") else 2)
        self.text = text if outcome == "answered" else None
        self.more = more

    @property
    def status(self):
        return {"answered": 0, "exhausted": 4, "refused": 4}.get(self.outcome, 3)


def answered(shape, **more):
    return Right("answered", SHAPES[shape].used(), **more)


def nothing_came(shape, streamed):
    """Each try may have been counted in full: the estimates stay."""
    return Right("failed", 2 * SHAPES[shape].estimate())


def reported_failure(shape, streamed):
    """An error without a more specific code. If a stream reports it, at least its input counts."""
    return Right("failed", 2 * (ESTIMATE if streamed else SHAPES[shape].estimate()), 2 * SHAPES[shape].estimate())


def named(outcome, **more):
    """As if the status had said so: the request counts, no tokens do."""
    return Right(outcome, 0, **more)


def generated(shape, characters, tries, input_=ESTIMATE, outcome="answered", **more):
    """Its input and whatever was generated. If only input counts, the output of a broken stream is
    charged as well, since nobody reported what it was."""
    kind = SHAPES[shape]
    output = (characters + 3) // 4
    return Right(outcome, tries * (input_ + output * kind.output), tries * (input_ + output + 5), tries, **more)


def cut_short(shape):
    """Two pieces were shown. By then Gemini's have reported the usage of the whole."""
    if SHAPES[shape].family == "gemini":
        return Right("failed", INPUT, INPUT + OUTPUT, 1)
    return generated(shape, 2 * len(PIECE), 1, reported_input(shape), "failed")


def reported_input(shape):
    """The input as reported by the first events of a stream; with Gemini every event reports it."""
    return {"anthropic": FRESH + WRITES, "gemini": INPUT, "vertex": INPUT}.get(shape, ESTIMATE)


EMPTY = ("empty", "null", "html", "cut", "204", "base-resp", "no-answer", "nothing")
LABELS = ("whole", "whole-unlabelled", "stream-as-json", "stream-unlabelled", "bom", "keep-alive", "gzip", "gzip-unasked",
          "day-requests", "project-tokens", "input-images", "azure-reset-ms", "azure-renewalperiod", "hugging-face",
          "anthropic-fast", "usage-text", "usage-float", "usage-over", "usage-in-choice", "usage-x-groq", "usage-with-finish",
          "usage-delta-zero", "usage-delta-input", "usage-beside")  # fmt: skip
FIRST = {"chat": "overloaded", "completions": "overloaded", "anthropic": "overloaded", "gemini": "overloaded",
         "bedrock": "limited"}  # fmt: skip


def right(name, shape, streamed):
    """What to expect of a form; None: it does not exist."""
    kind = SHAPES[shape]
    family = kind.family
    if name in EMPTY or (name == "response-cancelled"):
        return nothing_came(shape, streamed)
    if name in LABELS and name.startswith("usage-") and family == "chat":  # they do not report cache reads
        return Right("answered", kind.used(cached=0))
    if name in LABELS:
        return answered(shape)
    # ---- Errors ----
    if name in ("error-200-bare", "error-as-stream", "response-failed"):
        return reported_failure(shape, streamed)
    if name in ("error-200-number", "error-200-text"):
        return named("limited")
    if name == "error-200-server":
        return named("overloaded")
    if name == "stream-error-top" and shape == "responses":
        return named("limited")
    if name.startswith("stream-error"):
        return reported_failure(shape, True)
    if name == "first-error":
        return named(FIRST[family]) if family in FIRST else reported_failure(shape, True)
    if name == "early-error":
        return named("overloaded") if shape == "anthropic" else reported_failure(shape, True)
    if name == "late-error":
        return cut_short(shape)
    # ---- Streams ----
    if name == "no-end":
        return cut_short(shape)
    if name == "no-begin":  # Anthropic reports the input only at the beginning
        return Right("answered", min(kind.used(), ESTIMATE + OUTPUT), kind.used())
    if name == "big-event":
        return Right("answered", ESTIMATE + MOST * kind.output, ESTIMATE + BIG // 4 * kind.output, text=BIG)
    if name == "content-parts":
        return answered(shape, text="In parts.")
    if name.startswith("break-"):
        shown = name in ("break-text", "break-tool", "break-refusal")
        return generated(shape, FILL, 1 if shown else 2, outcome="unreached")
    # ---- Usage ----
    if name == "usage-zero":
        return generated(shape, PIECES * len(PIECE), 1) if streamed else Right("answered", kind.estimate())
    if name == "usage-total-only":  # nobody says which part was cached or is output
        return Right("answered", INPUT + (0 if shape == "embeddings" else OUTPUT))
    if name == "usage-absurd":
        return Right("answered", kind.used(), 2_000_000 + 10 * MOST, usage_doubted=True)
    if name == "usage-tool":  # the parts are 38 and 30; the rest of the total is output
        return Right("answered", FRESH + CACHED)
    if name == "usage-compaction":
        return Right("answered", kind.used() + COMPACTION)
    if name == "usage-no-output":
        return Right("answered", INPUT if shape == "completions" else kind.used(cached=0))
    if name == "usage-output-only":
        return Right("answered", ESTIMATE, ESTIMATE + OUTPUT)
    if name == "usage-details":
        tier = {"chat": "flex", "responses": "priority", "anthropic": "priority", "gemini": "flex"}[family]
        return answered(shape, service_tier=tier)
    # ---- Refusals ----
    if name == "no-stream-options":
        right_ = generated(shape, PIECES * len(PIECE), 1)
        right_.tries = 2  # the first was refused and counts nothing
        return right_ if streamed and shape in (*CHATS[:-1], "completions") else None
    if name in ("billing_hard_limit_reached", "billing_hard_limit_reached-400", "billing_not_active", "account_deactivated"):
        return named("exhausted") if shape in OPENAIS else None
    if name in ("usage-limits", "monthly-cap", "credit-too-low"):
        return named("exhausted")
    if name == "capacity":
        return named("overloaded")
    if name == "403-retry-after":
        return named("limited", retry_after_ms=2000)
    if name == "retryinfo-list":
        return named("limited", retry_after_ms=2000)
    if name == "gzip-error":
        return named("limited", retry_after_ms=1000)
    if name == "azure-reset-ms-429":  # nobody says which others send such a number
        return named("limited", tries=1, retry_after_ms=60_000) if shape == "azure" else None
    raise AssertionError(f"there is no expectation for {name}")


NO_ANSWER_OF_THE_FORM = {
    ("keep-alive", "ollama"), ("keep-alive", "bedrock"),  # only server-sent events have comments
    ("bom", "bedrock"),  # binary
}  # fmt: skip


def means_something(name, shape, streamed):
    form = form_of(name, shape)
    if form is None or (streamed and shape == "embeddings") or (streamed and (name, shape) in NO_ANSWER_OF_THE_FORM):
        return False
    if not streamed and ("events" in form or form.get("unstreamed")) and "body" not in form and "patch" not in form:
        return False  # a plain answer
    return right(name, shape, streamed) is not None


def cases():
    for name in FORMS:
        for shape in SHAPES:
            if os.environ.get("RATION_FORMS") != "full" and shape in REPEATS and not name.startswith(("azure", "usage-details")):
                continue
            for streamed in (False, True):
                if means_something(name, shape, streamed):
                    yield name, shape, streamed


CASES = list(cases())
# fault, or the provider's answer; outcome; tries; the wait reported to an impatient caller; how
# long two tries take.
LIMITED = {"error": {"message": "Over the limit", "code": 429}}
WAITS = [
    ("429-epoch:5", "limited", 1, (3000, 5000), (0, 0)), ("429-epoch-ms:5", "limited", 1, (3000, 5000), (0, 0)),
    # nothing, or a moment in the past: the client's own wait, which is not just milliseconds
    ("500:0", "failed", 2, None, (200, 1500)), ("503:0", "overloaded", 2, None, (200, 1500)), ("529:0", "overloaded", 2, None, (200, 1500)),
    ("503-date:-5", "overloaded", 2, None, (200, 1500)), ("500-epoch:-500", "failed", 2, None, (200, 1500)),
    # an implausible wait is ignored
    ("503:172800", "overloaded", 2, None, (200, 1500)), ("500:soon", "failed", 2, None, (200, 1500)),
    ("503:1", "overloaded", 2, (1000, 1000), (1000, 3000)),
    *[(str(status), outcome, 2, None, (200, 1500)) for status, outcome in
      ((408, "failed"), (409, "failed"), (425, "failed"), (498, "overloaded"))],
    ("503-should:false", "overloaded", 1, None, (0, 0)), ("409-should:false", "failed", 1, None, (0, 0)),
    ("400-should:true", "refused", 2, None, (200, 1500)), ("404-should:true", "refused", 2, None, (200, 1500)),
    ({"status": 503, "headers": {"Retry-After": "2", "x-should-retry": "false"}, "body": ""}, "overloaded", 1, (2000, 2000), (0, 0)),
    ({"status": 503, "headers": {"Retry-After": "0", "retry-after-ms": "700"}, "body": ""}, "overloaded", 2, (700, 700), (700, 2000)),
    ({"status": 503, "headers": {"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, "body": ""}, "overloaded", 2, None, (200, 1500)),
    ({"status": 200, "headers": {"Retry-After": "2"}, "body": LIMITED}, "limited", 2, (2000, 2000), (2000, 4000)),
    ({"status": 200, "headers": {"x-should-retry": "false"}, "body": LIMITED}, "limited", 2, None, (900, 3000)),
    ({"status": 402, "headers": {"x-should-retry": "true", "Retry-After": "1"}, "body": ""}, "exhausted", 1, None, (0, 0)),
]  # fmt: skip


# What `ration batch` may get: only whole answers.
NO_ANSWERS = [*EMPTY, "error-200-number", "error-200-server", "error-200-text", "error-200-bare", "error-as-stream",
              "response-failed", "response-cancelled", "403-retry-after"]
NO_MONEY = ["billing_hard_limit_reached", "billing_hard_limit_reached-400", "billing_not_active", "account_deactivated",
            "usage-limits", "monthly-cap", "credit-too-low"]
BATCH_SHAPES = [shape for shape in SHAPES if shape in ("chat", "responses", "anthropic", "gemini", "embeddings", "bedrock", "ollama")
                or os.environ.get("RATION_FORMS") == "full"]
BATCHES = [(name, shape) for name in (*NO_ANSWERS, *NO_MONEY) for shape in BATCH_SHAPES if means_something(name, shape, False)]
NAMES = ["-".join((name, shape, "streamed" if streamed else "whole")) for name, shape, streamed in CASES]


# ---- Calling -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lab():
    place = Lab()
    try:
        yield place
    finally:
        place.close()


@pytest.fixture(scope="module")
def server(lab):
    limits = [limit(unit, AMOUNT, "month", algorithm="calendar") for unit in (*DAY_UNITS, "requests")]
    names = [f"call/{n}" for n in range(len(CASES))] + [f"batch/{n}" for n in range(len(BATCHES))]
    pools = {name: {"limits": [limit("requests", AMOUNT, "day")]} for name in (*names, *(f"wait/{n}" for n in range(len(WAITS))), "dated")}
    return lab.ration(config(lab.redis(), pools=pools, tier=limits))


class Provider(StrictProvider):
    def __init__(self, lab):
        super().__init__(lab, rpm=10**6, tpm=10**9, latency_ms=0)

    def reset(self):
        urllib.request.urlopen(urllib.request.Request(self.url + "/reset", b""), timeout=10).close()

    def fault(self, fault):
        request = urllib.request.Request(self.url + "/faults", json.dumps(fault).encode())
        urllib.request.urlopen(request, timeout=10).close()

    def settled(self):
        """Its report, once no call is in flight."""
        reports = []
        wait_until(lambda: reports.append(self.report()) or reports[-1]["in_flight"] == 0, "the provider to end its calls")
        return reports[-1]


class Came:
    """A call's result, the tenant's charges, the provider's report, and the pool's state."""

    def __init__(self, done, events, result, charged, report, state):
        self.done, self.events, self.result, self.charged, self.report, self.state = done, events, result, charged, report, state

    @property
    def waited_ms(self):
        return self.result["waited_ms"]


def is_settled(row):
    return row["balanced"] and row["outstanding"] == 0


def state_of(server, pool):
    with server.wire() as wire:
        return as_fields(wire.call("POOL", "GET", pool))


def run(lab, server, provider, n, pool):
    name, shape, streamed = CASES[n]
    kind, expected = SHAPES[shape], right(name, shape, streamed)
    filled = name.startswith(("break-", "big-"))
    length = f":{BIG}" if name == "big-event" else f":{FILL}" if filled else ""
    path = lab.folder / f"body-{n}.json"
    path.write_text(json.dumps(kind.request(LONG if name.startswith("break-") else MOST, None if filled else TOLD)))
    plain = streamed and expected.text is not None and not expected.more
    provider.reset()
    done = lab.tool(server, "call", "--pool", pool, "--tenant", f"tenant-{n}", "--provider", kind.profile, "--url",
                    provider.url + kind.base, "--body", path, "--header", f"x-fault: {name}{length}", "--tries", 2,
                    "--backoff-min", 1, "--backoff-max", 1, "--deadline", 12, *kind.args, *(["--stream"] if streamed else []),
                    *([] if plain else ["--json"]), env={kind.key: "any"})  # fmt: skip
    path.unlink()
    lines = [] if plain else [json.loads(line) for line in done.stdout.splitlines()]
    report = provider.settled()
    # The call does not wait for the server to take its last report.
    wait_until(lambda: is_settled(server.audit(pool)["requests"]), "the ledger to balance")
    rows = {row["unit"]: AMOUNT - row["remaining"] for row in server.peek(pool, f"tenant-{n}") if row["scope"].startswith("tenant")}
    return Came(done, lines[:-1], lines[-1] if lines else None, rows, report, state_of(server, pool))


def all_at_once(lab, request, parameter, one):
    """Makes the calls of all selected tests, several at a time because most of them wait, each with
    its own provider, whose report is then about that call."""
    here = [item for item in request.session.items if item.path == pathlib.Path(__file__) and hasattr(item, "callspec")]
    chosen = {item.callspec.params[parameter] for item in here if parameter in item.callspec.params}
    providers = queue.Queue()
    for _ in range(min(WORKERS, len(chosen))):
        providers.put(Provider(lab))

    def borrow(n):
        provider = providers.get()
        try:
            return n, one(provider, n)
        finally:
            providers.put(provider)

    with concurrent.futures.ThreadPoolExecutor(WORKERS) as crew:
        return dict(crew.map(borrow, sorted(chosen)))


@pytest.fixture(scope="module")
def came(lab, server, request):
    return all_at_once(lab, request, "n", lambda provider, n: run(lab, server, provider, n, f"call/{n}"))


# Answers that report less than the provider counted: then what was reported is charged.
SAYS_LESS = {"usage-zero", "usage-tool", "usage-output-only", ("usage-no-output", "completions"), ("no-begin", "anthropic")}


# ---- Calls ---------------------------------------------------------------------------------------


def text_is_right(came, expected, streamed):
    if expected.outcome != "answered":
        return True
    if came.result is not None:
        return bool(came.events if streamed else came.result["body"])
    text = came.done.stdout.strip()
    if expected.text == BIG:
        return len(text) in (BIG, BIG - 1)  # its last character may be a space
    return bool(re.fullmatch("[A-Za-z][A-Za-z ,.]+", text)) and expected.text in ("any", text)


@pytest.mark.parametrize("n", range(len(CASES)), ids=NAMES)
def test_each_form_is_what_it_is(came, n):
    name, shape, streamed = CASES[n]
    it, expected = came[n], right(name, shape, streamed)
    result = it.result or {"outcome": "answered", "tries": expected.tries}
    seen = (it.done.returncode, result["outcome"], result["tries"], it.charged["requests"], it.report["requests"])
    words = f"{seen} charged {it.charged} provider {it.report['tokens']} right {vars(expected)} {it.done.stderr}"
    assert seen == (expected.status, expected.outcome, *[expected.tries] * 3), words
    assert all(result[field] == value for field, value in expected.more.items()), f"{result}"
    assert text_is_right(it, expected, streamed), it.done.stdout[-200:]
    assert expected.low <= it.charged["tokens"] <= expected.high, words
    if expected.outcome == "answered" and (name, shape) not in SAYS_LESS and name not in SAYS_LESS:
        assert it.charged["tokens"] >= it.report["input_tokens"] + it.report["output_tokens"] * SHAPES[shape].output - (
            0 if SHAPES[shape].cached else CACHED), words
    assert (it.state["state"] == "closed") == (expected.outcome == "exhausted"), it.state
    if expected.outcome == "limited" and expected.tries == 2:
        assert it.waited_ms >= 900, "a limit pauses the pool"


# ---- Waits ---------------------------------------------------------------------------------------


def try_waits(lab, server, provider, n):
    fault = WAITS[n][0]
    provider.fault({"calls": 2, **({"fault": fault} if isinstance(fault, str) else {"fault": "body", **fault})})
    path = lab.folder / f"wait-{n}.json"
    path.write_text(json.dumps(SHAPES["chat"].request(MOST, TOLD)))
    done = lab.tool(server, "call", "--pool", f"wait/{n}", "--tenant", "acme", "--url", provider.url, "--body", path, "--tries", 2,
                    "--backoff-min", 300, "--backoff-max", 300, "--deadline", 4, "--json", env={"OPENAI_API_KEY": "any"})  # fmt: skip
    requests = provider.report()["requests"]
    urllib.request.urlopen(urllib.request.Request(provider.url + "/faults", method="DELETE"), timeout=10).close()
    provider.reset()
    return json.loads(done.stdout), requests


@pytest.fixture(scope="module")
def waits(lab, server, request):
    return all_at_once(lab, request, "wait", lambda provider, n: try_waits(lab, server, provider, n))


@pytest.mark.parametrize("wait", range(len(WAITS)), ids=[str(one[0]) for one in WAITS])
def test_a_wait_is_as_reported_and_at_least_the_minimum(waits, wait):
    _, outcome, tries, reported, (least, most) = WAITS[wait]
    came, requests = waits[wait]
    assert (came["outcome"], came["tries"], requests) == (outcome, tries, tries), came
    assert least <= came["waited_ms"] <= most, came
    if reported is not None:
        assert reported[0] <= came["retry_after_ms"] <= reported[1], came


# ---- Batches -------------------------------------------------------------------------------------


class Batch:
    """A batch of a number of lines in one shape."""

    def __init__(self, lab, server, provider, name, pool, shape, lines):
        kind = SHAPES[shape]
        self.lab, self.server, self.env = lab, server, {kind.key: "any"}
        self.output = lab.folder / f"{name}.out"
        path = lab.folder / f"{name}.in"
        path.write_text((json.dumps(kind.request(MOST, TOLD)) + "\n") * lines)
        self.args = ["batch", path, "--output", self.output, "--pool", pool, "--tenant", "batches", "--provider", kind.profile,
                     "--url", provider.url + kind.base, "--in-flight", 1, "--tries", 1, "--retry-min", 1, "--retry-max", 1,
                     "--json", *kind.args]  # fmt: skip

    def run(self, *more):
        done = self.lab.tool(self.server, *self.args, *more, env=self.env)
        return done, json.loads(done.stdout) if done.stdout else None

    def rows(self):
        return [json.loads(line) for line in self.output.read_text().splitlines()]


def try_batch(lab, server, provider, n):
    name, shape = BATCHES[n]
    provider.reset()
    batch = Batch(lab, server, provider, f"batch-{n}", f"batch/{n}", shape, 2)
    first = batch.run("--header", f"x-fault: {name}")
    came = {"first": first, "rows": batch.rows() if batch.output.exists() else [], "report": provider.settled(),
            "state": state_of(server, f"batch/{n}")}  # fmt: skip
    if name in NO_MONEY:
        came["closed"] = batch.run()
        came["asked"] = provider.report()["requests"]
        lab.tool(server, "pool", "open", f"batch/{n}")
        came["again"] = batch.run()
    else:
        came["again"] = batch.run("--retry-failed")
    return {**came, "well": batch.rows()}


@pytest.fixture(scope="module")
def batches(lab, server, request):
    return all_at_once(lab, request, "batch", lambda provider, n: try_batch(lab, server, provider, n))


@pytest.mark.parametrize("batch", range(len(BATCHES)), ids=["-".join(one) for one in BATCHES])
def test_a_batch_has_no_line_that_looks_answered_and_is_not(batches, batch):
    name, shape = BATCHES[batch]
    came = batches[batch]
    done, summary = came["first"]
    if name in NO_MONEY:
        assert done.returncode == 2 and summary["stopped"] == "exhausted" and summary["done"] == 0, done
        assert came["report"]["requests"] == came["asked"] == 1 and came["state"]["state"] == "closed"
        assert came["closed"][0].returncode == 2 and "is closed (" in came["closed"][0].stderr
    else:
        expected = right(name, shape, False)
        assert done.returncode == 1 and summary["outcomes"][expected.outcome]["requests"] == 2, done
        assert [row["error"]["code"] for row in came["rows"]] == [expected.outcome] * 2, came["rows"]
        assert all(row["error"]["message"] for row in came["rows"])
    assert came["again"][0].returncode == 0, came["again"]
    assert [row["error"] for row in came["well"]] == [None, None]


def test_a_pool_opens_at_the_date_that_an_error_in_a_batch_names(lab, server):
    provider = Provider(lab)
    at = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 5 * 86_400))
    message = f"You have reached your specified API usage limits. You will regain access on {at} at 00:00 UTC."
    provider.fault({"fault": "body", "calls": 1, "status": 400, "body": {
        "type": "error", "error": {"type": "invalid_request_error", "message": message}}})  # fmt: skip
    batch = Batch(lab, server, provider, "dated", "dated", "anthropic", 3)
    done, summary = batch.run()
    assert done.returncode == 2 and summary["stopped"] == "exhausted" and f"{at}T00:00:00Z" in done.stderr, done
    shown = json.loads(lab.tool(server, "pool", "show", "dated", "--json").stdout)
    assert shown["state"] == "closed" and 4 * 86_400_000 <= shown["until_ms"] <= 5 * 86_400_000, shown
    assert f"({at} 00:00 UTC)" in lab.tool(server, "pool", "show", "dated").stdout
