"""`ration batch`: results in order whatever the provider does, what it refuses and prints."""
import json
import random
import re
import resource
import subprocess
import threading
import time

import pytest

from batch_run import (  # noqa: F401 (fixtures)
    FAST, NAMES, Batch, body, check_order, provider, read_lines, request, server, write_lines,
)  # fmt: skip
from configs import POOL, WIDE, config, limit
from processes import program
from strict_provider import StrictProvider
from waiting import wait_until
from wire import as_fields


# ---- Results -------------------------------------------------------------------------------------


def test_order_is_kept_whatever_the_latencies(lab, server, provider):
    draw = random.Random(5)
    delays = [draw.random() * 0.2 for _ in range(200)]
    never = threading.Event()

    def behave(handler, call):
        never.wait(delays[call.n])
        handler.well(call)

    upstream = provider(behave)
    batch = Batch(lab, server, upstream.url, [request(n) for n in range(200)], "--in-flight", 32)
    summary, _ = batch.run()
    results = batch.results()
    check_order(results, 200)
    assert [row["response"]["body"]["n"] for row in results] == list(range(200))
    assert [call.n for call in upstream.calls] != sorted(call.n for call in upstream.calls) or len(upstream.calls) == 200
    row = results[7]
    assert set(row) == {"id", "custom_id", "response", "error"}
    assert set(row["response"]) == {"status_code", "request_id", "body"}
    assert row["response"]["request_id"] == "req-of-the-test"
    assert "123456789012345678901234567890" in batch.output.read_text(), "numbers are kept as they came"
    assert summary["input_tokens"] == 1400 and summary["output_tokens"] == 600
    assert summary["outcomes"]["answered"] == {"requests": 200, "tries": 200, "tried_again": 0}


def test_plain_bodies_and_a_pipe(lab, server, provider):
    upstream = provider(lambda handler, call: handler.error(400, "bad_request") if call.n == 2 else handler.well(call))
    text = "\n".join(json.dumps(body(n)) for n in range(4)).replace("\n", "\n\n", 1)  # an empty line, no last line end
    batch = Batch(lab, server, upstream.url, None)
    path = lab.folder / "piped"
    path.write_text(text)
    for _ in range(2):
        with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as cat:
            done = subprocess.run([str(arg) for arg in batch.args], stdin=cat.stdout, capture_output=True, text=True,
                                  timeout=60, env={**dict(PATH="/usr/bin:/bin"), **batch.env})  # fmt: skip
        assert done.returncode == 1, done  # one failed, and the second run finds everything done
    assert len(upstream.calls) == 4
    results = batch.results()
    assert [row["line"] for row in results] == [1, 3, 4, 5]
    assert [row["status_code"] for row in results] == [200, 200, 400, 200]
    assert results[0]["body"]["n"] == 0 and results[0]["error"] is None
    assert results[2]["error"]["code"] == "refused" and "bad_request" in results[2]["error"]["message"]
    assert results[2]["body"]["error"]["code"] == "bad_request"


def test_each_failure_is_in_the_output_and_in_the_summary(lab, provider):
    server = lab.ration(config(lab.redis(), pools={POOL: {"limits": WIDE, "breaker": None}}))
    never = threading.Event()
    lab.on_close(never.set)

    def behave(handler, call):
        if call.n == 0:
            handler.error(400, "bad_request")
        elif call.n == 1:
            handler.error(500)
        elif call.n == 2:
            handler.error(529, "overloaded_error")
        elif call.n == 3:
            handler.reset()
        elif call.n == 4:
            never.wait(60)
        elif call.n == 5:
            handler.error(429, "rate_limit_exceeded", retry_after_ms="1")
        elif call.n == 6 and call.attempt < 3:
            handler.error(503)
        elif call.n == 7:
            handler.answer(502, b"<html>Bad \xff gateway</html>\n")
        else:
            handler.well(call)

    upstream = provider(behave)
    batch = Batch(lab, server, upstream.url, [request(n) for n in range(10)], *FAST, "--tries", 3, "--call-timeout", 1000)
    summary, done = batch.run(status=1)
    outcomes = {name: (o["requests"], o["tries"], o["tried_again"]) for name, o in summary["outcomes"].items()}
    assert outcomes["answered"] == (3, 3, 0)
    assert outcomes["refused"] == (1, 1, 0)
    assert outcomes["failed"] == (2, 6, 4)
    assert outcomes["limited"] == (1, 3, 2)
    assert outcomes["timed_out"] == (1, 3, 2)
    assert outcomes["unreached"] == (1, 3, 2)
    assert outcomes["overloaded"] == (1, 5, 4)
    assert "7 failed" in done.stderr and "--retry-failed" in done.stderr
    results = batch.results()
    check_order(results, 10)
    status = [row["response"] and row["response"]["status_code"] for row in results]
    assert status == [400, 500, 529, None, None, 429, 200, 502, 200, 200]
    assert [row["error"] and row["error"]["code"] for row in results] == [
        "refused", "failed", "overloaded", "unreached", "timed_out", "limited", None, "failed", None, None]  # fmt: skip
    assert "bad_request" in results[0]["error"]["message"] and results[0]["response"]["body"]["error"]["code"] == "bad_request"
    assert results[7]["response"]["body"] == "<html>Bad \ufffd gateway</html>\n"
    assert upstream.tries[0] == 1 and upstream.tries[6] == 3
    # Failed requests count as done unless a retry is asked for.
    before = len(upstream.calls)
    batch.run(status=1)
    assert len(upstream.calls) == before
    upstream.behave = lambda handler, call: handler.well(call)
    summary, _ = batch.run("--retry-failed")
    assert summary["done_before"] == 3 and summary["calls"] == 7
    assert all(row["response"]["status_code"] == 200 for row in batch.results())
    assert not batch.journal.exists()


def test_a_failure_that_all_would_meet_stops_the_batch(lab, server, provider):
    """A wrong key and an exhausted quota: the remaining requests are not wasted and stay open."""
    upstream = provider()
    batch = Batch(lab, server, upstream.url, [request(n) for n in range(30)], "--in-flight", 1)
    upstream.behave = lambda handler, call: handler.error(401, "invalid_api_key") if call.n == 5 else handler.well(call)
    summary, done = batch.run(status=2)
    assert summary["stopped"] == "unauthorized" and summary["done"] == 5 and len(upstream.calls) == 6
    assert "--key-variable" in done.stderr and "invalid_api_key" in done.stderr
    upstream.behave = lambda handler, call: handler.error(429, "insufficient_quota") if call.n == 9 else handler.well(call)
    summary, done = batch.run(status=2)
    assert summary["stopped"] == "exhausted" and summary["done"] == 9 and "insufficient_quota" in done.stderr
    # All hosts know: nothing is sent until an operator opens the pool.
    upstream.behave = lambda handler, call: handler.well(call)
    before = len(upstream.calls)
    summary, done = batch.run(status=2)
    assert summary["stopped"] == "exhausted" and len(upstream.calls) == before
    assert "closed (insufficient_quota)" in done.stderr and f"ration pool open {POOL}" in done.stderr
    with server.wire() as wire:
        wire.call("POOL", "OPEN", POOL)
    summary, _ = batch.run()
    assert summary["done"] == 30
    check_order(batch.results(), 30)


SOON = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 5 * 86_400))


def error_of(code, message="as asked"):
    return json.dumps({"error": {"message": message, "type": code, "code": code}})


@pytest.mark.parametrize(
    "args, status, answer, words",
    [
        ((), 402, "", ["402"]),
        ((), 429, error_of("insufficient_quota"), ["insufficient_quota"]),
        ((), 429, error_of("billing_hard_limit_reached"), ["billing_hard_limit_reached"]),
        ((), 400, error_of("billing_not_active"), ["billing_not_active"]),
        ((), 403, error_of("account_deactivated"), ["account_deactivated"]),
        ((), 200, error_of("insufficient_quota"), ["insufficient_quota"]),
        ((), 200, error_of(402), ["as asked"]),
        (("--provider", "anthropic"), 400,
         json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message":
                     f"You have reached your specified API usage limits. You will regain access on {SOON} at 00:00 UTC."}}),
         ["specified API usage limits", f"it ends by itself at {SOON}T00:00:00Z"]),
    ],
)  # fmt: skip
def test_money_that_is_gone_stops_the_batch(lab, server, provider, args, status, answer, words):
    upstream = provider(lambda handler, call: handler.answer(status, answer) if call.n == 2 else handler.well(call))
    one = {"content": [], "usage": {"input_tokens": 1, "output_tokens": 1}}
    if args:
        upstream.behave = lambda handler, call: handler.answer(*((status, answer) if call.n == 2 else (200, json.dumps(one))))
    batch = Batch(lab, server, upstream.url, [body(n) for n in range(10)], "--in-flight", 1, *args,
                  env={"ANTHROPIC_API_KEY": "key"})  # fmt: skip
    summary, done = batch.run(status=2)
    assert summary["stopped"] == "exhausted" and summary["done"] == 2 and len(upstream.calls) == 3
    assert all(word in done.stderr for word in words), done.stderr
    # The next run is denied by Ration and does not ask the provider.
    _, done = batch.run(status=2)
    assert "is closed (" in done.stderr and len(upstream.calls) == 3


def close_at(server, n, wait_ms):
    """While our call is at the provider, another host's reports that the money is gone."""

    def behave(handler, call):
        if call.n == n:
            with server.wire() as wire:
                granted = as_fields(wire.call("ACQUIRE", POOL, "other", "TOKENS", 1))
                wait = ("RETRY_AFTER", wait_ms) if wait_ms else ()
                wire.call("REPORT", granted["id"], "STATUS", 429, "EXHAUSTED", "spend_limit", *wait)
        handler.well(call)

    return behave


@pytest.mark.parametrize(
    "wait_ms, words",
    [
        (0, r"closed \(spend_limit\): no wait will help"),
        (3 * 86_400_000, r"closed \(spend_limit\) until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ, in (72 h 0|71 h 59) min"),
    ],
)
def test_a_pool_that_another_host_closes_stops_the_batch(lab, server, provider, wait_ms, words):
    upstream = provider(close_at(server, 4, wait_ms))
    batch = Batch(lab, server, upstream.url, [request(n) for n in range(20)], "--in-flight", 1)
    summary, done = batch.run(status=2)
    assert summary["stopped"] == "exhausted" and summary["done"] == 5 == len(upstream.calls)
    assert re.search(words, done.stderr) and f"ration pool open {POOL}" in done.stderr, done.stderr


def test_a_pool_that_opens_soon_is_waited_for(lab, server, provider):
    upstream = provider(close_at(server, 4, 1500))
    batch = Batch(lab, server, upstream.url, [request(n) for n in range(10)], "--in-flight", 1)
    summary, _ = batch.run()
    times = [call.at for call in upstream.calls]
    assert len(times) == 10 and times[5] - times[4] >= 1.4 and summary["waited_ms"] >= 1400
    upstream.behave = close_at(server, 4, 1500)
    batch.run("--overwrite", "--patience", 1, status=2)
    assert len(upstream.calls) == 15


def test_a_provider_that_fails_for_a_while(lab, provider):
    """The circuit opens, one probe at a time gets through, an answered one resumes the batch."""
    breaker = {"failures": 0.5, "at_least": 4, "window_ms": 5000, "cool_down_ms": 300}
    server = lab.ration(config(lab.redis(), pools={POOL: {"limits": WIDE, "breaker": breaker}}))
    upstream = provider(lambda handler, call: handler.error(500) if len(upstream.calls) < 8 else handler.well(call))
    log = lab.folder / "rate.jsonl"
    batch = Batch(lab, server, upstream.url, [request(n) for n in range(60)], *FAST, "--tries", 20, "--rate-log", log,
                  "--in-flight", 4)  # fmt: skip
    summary, _ = batch.run()
    assert summary["outcomes"]["failed"] == {"requests": 0, "tries": 7, "tried_again": 7}
    assert any(row["by"] == f"pool:{POOL} circuit" for row in read_lines(log) if row["who"] == "ration")
    check_order(batch.results(), 60)


def test_other_providers(lab, server, provider):
    """The profile covers the differences: the path, the key, where the usage and the model are."""
    answers = {
        "anthropic": {"content": [], "usage": {"input_tokens": 11, "output_tokens": 4}},
        "gemini": {"candidates": [{"content": {}}], "usageMetadata": {"promptTokenCount": 11, "candidatesTokenCount": 4, "totalTokenCount": 15}},
    }
    seen = []

    def behave(handler, call):
        name = "anthropic" if handler.headers.get("x-api-key") else "gemini"
        seen.append((name, handler.path, handler.headers.get("x-api-key") or handler.headers.get("x-goog-api-key")))
        handler.answer(200, json.dumps(answers[name]))

    upstream = provider(behave)
    bodies = {
        "anthropic": {"model": "claude-x", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]},
        "gemini": {"model": "gemini-x", "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
                   "generationConfig": {"maxOutputTokens": 5}},
    }  # fmt: skip
    for name, one in bodies.items():
        batch = Batch(lab, server, upstream.url, [one] * 3, "--provider", name, "--overwrite",
                      env={"ANTHROPIC_API_KEY": "key-a", "GEMINI_API_KEY": "key-g"})  # fmt: skip
        summary, _ = batch.run()
        assert summary["input_tokens"] == 33 and summary["output_tokens"] == 12
        assert [row["body"] for row in batch.results()] == [answers[name]] * 3
    assert set(seen) == {("anthropic", "/v1/messages", "key-a"),
                         ("gemini", "/v1beta/models/gemini-x:generateContent", "key-g")}  # fmt: skip


# ---- Limits --------------------------------------------------------------------------------------


def test_the_wait_of_a_429_is_kept(lab, server, provider):
    def behave(handler, call):
        if call.n == 3 and call.attempt <= 2:
            handler.error(429, "rate_limit_exceeded", retry_after="2.6")  # longer than the longest computed wait
        else:
            handler.well(call)

    upstream = provider(behave)
    log = lab.folder / "rate.jsonl"
    batch = Batch(lab, server, upstream.url, [request(n) for n in range(8)], "--in-flight", 1, "--rate-log", log)
    summary, _ = batch.run()
    tries = [call.at for call in upstream.calls if call.n == 3]
    assert len(tries) == 3 and all(2.6 <= b - a < 7 for a, b in zip(tries, tries[1:]))
    others = [call.at for call in upstream.calls if call.n != 3]
    assert not any(a < at < a + 2.59 for at in others for a in tries[:2]), "nobody calls meanwhile"
    assert summary["outcomes"]["limited"] == {"requests": 0, "tries": 2, "tried_again": 2}
    logged = [row for row in read_lines(log) if row["who"] == "provider"]
    assert len(logged) == 2 and all(row["event"] == "limited" and row["status_code"] == 429 for row in logged)
    assert all(row["wait_ms"] == 2600 and row["line"] == 4 and row["pool"] == POOL for row in logged)


def test_waiting_costs_nothing(lab, server, provider):
    """One request to retry, and no free slot for it: the loop sleeps."""
    never = threading.Event()

    def behave(handler, call):
        if call.n == 0 and call.attempt == 1:
            handler.error(500)
        else:
            never.wait(2)
            handler.well(call)

    upstream = provider(behave)
    batch = Batch(lab, server, upstream.url, [request(n) for n in range(3)], "--in-flight", 1, *FAST)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    batch.run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1
    check_order(batch.results(), 3)


def test_denials_hold_the_queue_and_are_logged(lab, provider):
    server = lab.ration(config(lab.redis(), pool=[limit("requests", 5, "second")]))
    upstream = provider()
    log = lab.folder / "rate.jsonl"
    batch = Batch(lab, server, upstream.url, [request(n) for n in range(17)], "--rate-log", log)
    summary, _ = batch.run()
    times = sorted(call.at for call in upstream.calls)
    assert all(b - a >= 0.95 for a, b in zip(times, times[5:])), "never more than 5 in a second"
    check_order(batch.results(), 17)
    rows = read_lines(log)
    denied = [row for row in rows if row["event"] == "denied"]
    assert len(denied) == summary["denials"] >= 3 and summary["waited_ms"] > 1500
    assert all(row["who"] == "ration" and row["tenant"] == "acme" and row["wait_ms"] > 0 for row in denied)
    assert all("requests/second" in row["by"] for row in denied)
    # A denial asks again when it is time or when something came back, not in between.
    assert summary["denials"] <= 60
    info = server.info()
    assert int(info["granted"]) == int(info["settled"]) == 17


def test_the_quota_of_a_strict_provider_is_kept(lab):
    """The same limits on both sides: it never answers 429 and is always busy."""
    provider = StrictProvider(lab, rpm=1000, tpm=3000, window_ms=1000, latency_ms=30)
    server = lab.ration(config(lab.redis(), pool=[limit("requests", 1000, "second"), limit("tokens", 3000, "second")]))
    lines = [request(n, max_tokens=100, metadata={"output_tokens": "60"}) for n in range(200)]
    batch = Batch(lab, server, provider.url, lines)
    summary, _ = batch.run()
    seen = provider.report()
    assert seen["status_429"] == 0 and seen["completed"] == 200 == summary["outcomes"]["answered"]["requests"]
    assert summary["denials"] > 0 and summary["elapsed_ms"] < 12_000, "200 x 63 tokens at 3000 a second take 4 s"
    assert summary["output_tokens"] == 12_000 and summary["input_tokens"] == seen["input_tokens"]


def test_unused_tokens_let_the_next_call_go(lab, provider):
    """The limit holds one estimate at a time: settlements free it long before it refills."""
    server = lab.ration(config(lab.redis(), pool=[limit("tokens", 1010, "day")]))
    upstream = provider(lambda handler, call: handler.well(call, (1, 1)))
    lines = [request(n, max_tokens=900) for n in range(20)]
    batch = Batch(lab, server, upstream.url, lines)
    summary, _ = batch.run(timeout=30)
    assert summary["done"] == 20 and summary["denials"] > 0
    assert server.audit(POOL)["tokens"]["used"] == 40


def test_what_can_never_fit_is_a_result(lab, provider):
    server = lab.ration(config(lab.redis(), pool=[limit("tokens", 500, "minute")]))
    upstream = provider()
    lines = [request(n, max_tokens=10_000 if n == 1 else 5) for n in range(4)]
    batch = Batch(lab, server, upstream.url, lines)
    summary, _ = batch.run(status=1)
    assert summary["outcomes"]["denied"]["requests"] == 1 and upstream.tries[1] == 0
    row = batch.results()[1]
    assert row["response"] is None and row["error"]["code"] == "denied" and "tokens/minute" in row["error"]["message"]


def test_long_calls_are_renewed(lab, provider):
    server = lab.ration(config(lab.redis(), pool=[limit("tokens", 10**6, "day"), limit("concurrent", 2)]))
    never = threading.Event()

    def behave(handler, call):
        never.wait(1.5)
        handler.well(call)

    upstream = provider(behave)
    batch = Batch(lab, server, upstream.url, [request(n) for n in range(4)], "--ttl", 400)
    batch.run()
    ledger = server.audit(POOL)["tokens"]
    assert ledger["expired"] == 0 and ledger["outstanding"] == 0 and ledger["used"] == 40
    times = sorted(call.at for call in upstream.calls)
    assert times[2] - times[0] >= 1.4, "their concurrent slots were held all the time"


def test_a_server_that_is_away_for_a_while(lab, provider):
    redis = lab.redis()
    settings = config(redis)
    server = lab.ration(settings)
    port = server.port
    upstream = provider()
    batch = Batch(lab, server, upstream.url, [request(n) for n in range(40)], "--in-flight", 1, "--timeout", 300)
    gone = threading.Event()
    back = threading.Event()

    def behave(handler, call):
        if call.n == 10:
            gone.set()
            back.wait(30)
        handler.well(call)

    upstream.behave = behave
    run = batch.start()
    assert gone.wait(30)
    server.kill()
    back.set()
    wait_until(lambda: batch.journaled() == 11, "the result of the call in flight", 30)
    again = lab.ration(config(redis, listen={"resp": f"127.0.0.1:{port}", "http": None}))
    assert run.child.wait(60) == 0, run.log()
    check_order(batch.results(), 40)
    assert max(upstream.tries.values()) == 1
    # The call that ended while there was no server was reported to the next one.
    assert int(again.info()["granted"]) == 29 and int(again.info()["settled"]) == 30


def test_a_server_that_stays_away(lab, provider):
    """The batch does not wait forever, and keeps what was done meanwhile."""
    redis = lab.redis()
    server = lab.ration(config(redis))
    gone = threading.Event()

    def behave(handler, call):
        if call.n == 4:
            server.kill()
            gone.set()
        handler.well(call)

    upstream = provider(behave)
    batch = Batch(lab, server, upstream.url, [request(n) for n in range(20)], "--in-flight", 1, "--timeout", 300)
    summary, done = batch.run("--patience", 0.5, status=2)
    assert gone.is_set() and summary["stopped"] == "server" and summary["done"] == 5 and summary["server_errors"] >= 2
    assert "no server could be reached" in done.stderr and "they are charged as estimated" in done.stderr
    again = lab.ration(config(redis))
    summary, _ = batch.run("--server", f"127.0.0.1:{again.port}")
    assert summary["done_before"] == 5 and max(upstream.tries.values()) == 1
    check_order(batch.results(), 20)


# ---- What is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines, words",
    [
        ([request(0), "{", request(2)], ["line 2", "JSON"]),
        ([request(0), '{"custom_id": "a"} x'], ["line 2"]),
        (["[1]"], ["line 1", "not a JSON object"]),
        (["7"], ["line 1", "not a JSON object"]),
        ([b"\xff".decode("latin-1") + "{}"], ["line 1"]),
        ([request(0), request(1), request(0)], ["line 3", '"request-0"', "line 1"]),
        ([request(0), body(1)], ["line 2", "a plain body", "OpenAI's batch format"]),
        (["{", request(1), body(2)], ["line 1", "line 3", "the first request is in OpenAI's"]),
        ([dict(request(0), custom_id="")], ["line 1", "custom_id"]),
        ([dict(request(0), custom_id=5)], ["line 1", "custom_id"]),
        ([dict(request(0), method="GET")], ["line 1", "POST"]),
        ([dict(request(0), url="/v1/embeddings")], ["line 1", "/v1/embeddings", "--provider"]),
        ([dict(request(0), body=[])], ["line 1", '"body"']),
        ([request(0, stream=True)], ["line 1", "stream"]),
        ([], ["no requests"]),
        (["", "  "], ["no requests"]),
        ([request(0), *["{"] * 20], ["line 2", "line 11", "20 problems"]),
    ],
)
def test_bad_input_is_refused_by_line_before_anything_is_sent(lab, server, provider, lines, words):
    upstream = provider()
    batch = Batch(lab, server, upstream.url, lines)
    _, done = batch.run(status=2)
    assert all(word in done.stderr for word in words), done.stderr
    assert not upstream.calls and not batch.journal.exists() and not batch.output.exists()
    assert "line 12" not in done.stderr


def test_a_line_that_is_too_long_is_not_read_into_memory(lab, server, provider):
    upstream = provider()
    batch = Batch(lab, server, upstream.url, [request(0)])
    with open(batch.input, "ab") as file:
        file.truncate(3 << 30)  # zeros without a newline
    _, done = batch.run(status=2)
    assert "line 2" in done.stderr and "64 MiB" in done.stderr and not upstream.calls


def test_another_input_is_refused(lab, server, provider):
    upstream = provider()
    lines = [request(n) for n in range(10)]
    batch = Batch(lab, server, upstream.url, lines, "--in-flight", 1)
    upstream.behave = lambda handler, call: handler.error(401) if call.n == 5 else handler.well(call)
    batch.run(status=2)
    journal = batch.journal.read_bytes()
    write_lines(batch.input, lines[:-1] + [request(9, temperature=1)])
    _, done = batch.run(status=2)
    assert "about another input" in done.stderr and "--output" in done.stderr
    assert batch.journal.read_bytes() == journal and len(upstream.calls) == 6
    batch.journal.write_text("something else\n" * 5)
    _, done = batch.run(status=2)
    assert "is not a journal of" in done.stderr and batch.journal.read_text() == "something else\n" * 5


def test_an_input_that_changes_while_it_is_sent(lab, server, provider):
    upstream = provider()
    lines = [request(n) for n in range(10)]
    batch = Batch(lab, server, upstream.url, lines, "--in-flight", 1)
    data = batch.input.read_bytes()

    def behave(handler, call):
        if call.n == 2:
            with open(batch.input, "r+b") as file:
                file.write(data.replace(b"Question", b"Ansering"))
        handler.well(call)

    upstream.behave = behave
    _, done = batch.run(status=2)
    assert "changed while the batch ran" in done.stderr and len(upstream.calls) == 3


def test_no_room_for_the_journal(lab, server, provider):
    """A limit on file size stands for a full disk: finished requests are kept, the rest follow."""
    upstream = provider()
    batch = Batch(lab, server, upstream.url, [request(n) for n in range(60)], "--in-flight", 2)
    room = 8192
    summary, done = batch.run(status=2, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)))
    assert summary["stopped"] == "trouble" and "make room" in done.stderr and "results.jsonl.journal" in done.stderr
    kept = summary["done"]
    assert 5 < kept < 40 and batch.journaled() == kept and batch.journal.stat().st_size <= room
    assert batch.journal.read_bytes().endswith(b"\n")
    summary, _ = batch.run()
    assert summary["done_before"] == kept and max(upstream.tries.values()) <= 2
    assert len(upstream.calls) <= 60 + 2
    check_order(batch.results(), 60)


def test_wrong_use(lab, server, provider):
    upstream = provider()
    batch = Batch(lab, server, upstream.url, [request(0)])
    for more, words in (
        (("--output", lab.folder / "nosuch" / "out"), ("nosuch", "No such file")),
        (("--output", lab.folder), ("not a regular file",)),
        (("--output", "-"), ("--output takes a file",)),
        (("--pool", "nosuch/pool"), ("nosuch/pool",)),
        (("--provider", "nosuch"), ("nosuch", "openai", "anthropic")),
        (("--server", "127.0.0.1:1", "--timeout", 300), ("rationd",)),
        (("--in-flight", 0), ("--in-flight",)),
        (("--key-variable", "NO_SUCH_KEY"), ("NO_SUCH_KEY is not set",)),
        (("--header", "no colon"), ("--header", "Name: value")),
        (("--header", "Host: elsewhere"), ("--header", "Host")),
        (("--query", "=x"), ("--query", "name=value")),
        (("--retry-min", 100, "--retry-max", 10), ("--retry-max",)),
        (("--rate-log", lab.folder / "nosuch" / "log"), ("--rate-log",)),
        (("another",), ("another",)),
    ):
        done = lab.run(*batch.args, *more, env=batch.env)
        assert done.returncode == 2 and not upstream.calls, (more, done)
        assert all(word in done.stderr for word in words), (more, done.stderr)
        assert not batch.journal.exists(), "a corrected input is not a different input"
    done = lab.run(program("ration"), "batch", lab.folder / "nosuch", "--output", "x", *NAMES, env=batch.env)
    assert done.returncode == 2 and "No such file" in done.stderr
    assert "needs --tenant" in lab.run(program("ration"), "batch", "x", "--output", "y", "--pool", POOL).stderr
    text = lab.run(program("ration"), "batch", "--help").stdout
    assert "exit status: 0" in text and "OUTPUT.journal" in text and "custom_id" in text


# ---- What it prints ------------------------------------------------------------------------------


def test_progress_and_summary_for_people(lab, server, provider):
    upstream = provider()
    batch = Batch(lab, server, upstream.url, [request(n) for n in range(30)])
    batch.args.remove("--json")
    done = lab.run(*batch.args, env=batch.env)
    assert done.returncode == 0 and "30/30" in done.stderr and "tokens/s" in done.stderr, done
    assert "answered" in done.stdout and "30 of 30 done" in done.stdout and "210 tokens in" in done.stdout
    batch.output.unlink()
    done = lab.run(*batch.args, "--quiet", env=batch.env)
    assert done.returncode == 0 and done.stderr == "" and "answered" in done.stdout


def test_a_terminal_gets_one_line(lab, server, provider):
    never = threading.Event()

    def behave(handler, call):
        never.wait(0.05)
        handler.well(call)

    upstream = provider(behave)
    batch = Batch(lab, server, upstream.url, [request(n) for n in range(40)], "--in-flight", 2)
    command = " ".join(str(arg) for arg in batch.args)
    done = lab.run("script", "-qec", command, "/dev/null", env=batch.env)
    assert done.returncode == 0, done
    assert done.stdout.count("\x1b[K") >= 3 and "40/40" in done.stdout and "100 %" in done.stdout
