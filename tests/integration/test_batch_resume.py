"""`ration batch`, killed or stopped at any moment and rerun: each request is in the output once."""
import signal
import threading

import pytest

from batch_run import (  # noqa: F401 (fixtures)
    IN_FLIGHT, Batch, body, check_order, provider, request, server,
)  # fmt: skip
from configs import POOL, config, limit
from strict_provider import StrictProvider
from waiting import wait_until


def test_a_batch_of_500_survives_kills(lab, server):
    """SIGKILL in the middle: each request is in the output once; at most calls in flight repeat."""
    provider = StrictProvider(lab, rpm=1_000_000, tpm=1_000_000_000, latency_ms=40)
    lines = [request(n, metadata={"n": str(n), "input_tokens": str(n + 1), "output_tokens": "5"}) for n in range(500)]
    batch = Batch(lab, server, provider.url, lines)
    kills = (90, 200, 333)
    for done in kills:
        run = batch.start()
        wait_until(lambda run=run, done=done: batch.journaled() >= done or run.child.poll() is not None, "some results", 60)
        run.kill()
        assert not batch.output.exists(), "the output appears only as a whole"
    done_before = batch.journaled()
    summary, _ = batch.run()
    assert summary["complete"] and summary["done"] == 500 and summary["done_before"] in (done_before, done_before - 1)
    results = batch.results()
    check_order(results, 500)
    for n, row in enumerate(results):
        assert row["error"] is None and row["response"]["status_code"] == 200
        assert row["response"]["body"]["usage"]["prompt_tokens"] == n + 1, "each has its own answer"
    seen = provider.report()
    assert 500 <= seen["requests"] <= 500 + len(kills) * IN_FLIGHT
    assert summary["calls"] == 500 - summary["done_before"], "finished requests are not repeated"
    assert not batch.journal.exists()
    assert list(lab.folder.glob("results.jsonl*")) == [batch.output]


def test_a_second_run_calls_only_what_was_in_flight(lab, server, provider):
    """The same, counted per request."""
    held = threading.Event()
    lab.on_close(held.set)

    def behave(handler, call):
        if call.n >= 20 and call.attempt == 1:
            held.wait(60)  # in flight when it is killed
        else:
            handler.well(call)

    upstream = provider(behave)
    batch = Batch(lab, server, upstream.url, [request(n) for n in range(60)], "--in-flight", 8)
    run = batch.start()
    wait_until(lambda: batch.journaled() == 20 and len(upstream.calls) == 28, "20 results and 8 calls", 30)
    run.kill()
    assert batch.journaled() == 20
    upstream.behave = lambda handler, call: handler.well(call)
    summary, done = batch.run()
    assert summary["done_before"] == 20 and summary["calls"] == 40
    assert "20 of 60 are done already" in done.stderr
    again = {n for n, count in upstream.tries.items() if count > 1}
    assert again == set(range(20, 28)) and max(upstream.tries.values()) == 2 and len(upstream.tries) == 60
    check_order(batch.results(), 60)


@pytest.mark.parametrize("damage", ["torn", "torn at its end", "garbage", "zeros", "middle", "head"])
def test_a_damaged_journal_loses_only_what_is_damaged(lab, server, provider, damage):
    upstream = provider()
    upstream.behave = lambda handler, call: handler.error(401) if call.n == 30 else handler.well(call)
    batch = Batch(lab, server, upstream.url, [request(n) for n in range(40)], "--in-flight", 1)
    batch.run(status=2)
    assert batch.journaled() == 30
    data = batch.journal.read_bytes()
    lines = data.splitlines(keepends=True)
    lost = 1
    if damage == "torn":
        data = data[: len(data) - len(lines[-1]) // 2]
    elif damage == "torn at its end":
        data = data[:-1]
    elif damage == "garbage":
        data, lost = data + b"\xff\x00 garbage", 0
    elif damage == "zeros":
        data = data[: -len(lines[-1])] + b"\0" * len(lines[-1])
    elif damage == "middle":
        data = b"".join(lines[:10] + [lines[10].replace(b"Question", b"Anwering").replace(b"answer", b"ANSWER")] + lines[11:])
    else:
        data, lost = lines[0][:20], 30
    batch.journal.write_bytes(data)
    before = len(upstream.calls)
    upstream.behave = lambda handler, call: handler.well(call)
    summary, _ = batch.run()
    assert summary["done_before"] == 30 - lost and len(upstream.calls) - before == 10 + lost
    results = batch.results()
    check_order(results, 40)
    assert [row["response"]["body"]["n"] for row in results] == list(range(40))


def test_killed_while_the_output_is_written(lab, server, provider):
    """Whatever remains of a half-written output, the journal restores it."""
    upstream = provider()
    lines = [request(n) for n in range(20)]
    batch = Batch(lab, server, upstream.url, lines)
    (lab.folder / "results.jsonl.new").mkdir()  # it cannot be written
    (lab.folder / "results.jsonl.new" / "x").write_text("")
    summary, done = batch.run(status=2)
    assert summary["done"] == 20 and "the same command writes the output" in done.stderr and not batch.output.exists()
    (lab.folder / "results.jsonl.new" / "x").unlink()
    (lab.folder / "results.jsonl.new").rmdir()
    (lab.folder / "results.jsonl.new").write_text("half of an")
    summary, _ = batch.run()
    assert summary["calls"] == 0 and summary["done_before"] == 20
    check_order(batch.results(), 20)
    assert max(upstream.tries.values()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_calls_in_flight_end(lab, server, provider, number):
    go = threading.Event()
    lab.on_close(go.set)

    def behave(handler, call):
        if call.n >= 10:
            go.wait(60)
        handler.well(call)

    upstream = provider(behave)
    batch = Batch(lab, server, upstream.url, [request(n) for n in range(50)], "--in-flight", 4)
    run = batch.start()
    wait_until(lambda: len(upstream.calls) == 14 and batch.journaled() == 10, "calls in flight", 30)
    run.signal(number)
    run.wait_for_log("stopping")
    go.set()
    assert run.child.wait(30) == 3, run.log()
    assert "the same command goes on from there" in run.log() and "14 of 50" in run.log()
    assert len(upstream.calls) == 14 and not batch.output.exists()
    summary, _ = batch.run()
    assert summary["done_before"] == 14 and max(upstream.tries.values()) == 1
    check_order(batch.results(), 50)


def test_a_second_signal_and_the_grace_break_calls_off(lab, provider):
    server = lab.ration(config(lab.redis(), pool=[limit("tokens", 10**6, "day"), limit("concurrent", 100)]))
    go = threading.Event()
    lab.on_close(go.set)

    def behave(handler, call):
        go.wait(60)
        handler.well(call)

    upstream = provider(behave)
    batch = Batch(lab, server, upstream.url, [request(n) for n in range(10)], "--in-flight", 3)
    for more in ((), ("--grace", 0)):
        before = len(upstream.calls)
        run = batch.start(*more)
        wait_until(lambda before=before: len(upstream.calls) == before + 3, "calls in flight", 30)
        run.signal(signal.SIGTERM)
        if not more:
            run.wait_for_log("a second signal breaks them off")
            run.signal(signal.SIGTERM)
        assert run.child.wait(30) == 3, run.log()
    ledger = server.audit(POOL)["tokens"]
    assert ledger["outstanding"] == 0 and ledger["reported"] > 0, "calls that were broken off are settled"
    go.set()
    batch.run()
    check_order(batch.results(), 10)


def test_two_runs_do_not_share_an_output(lab, server, provider):
    go = threading.Event()
    lab.on_close(go.set)

    def behave(handler, call):
        go.wait(60)
        handler.well(call)

    upstream = provider(behave)
    batch = Batch(lab, server, upstream.url, [request(n) for n in range(5)])
    run = batch.start()
    wait_until(lambda: len(upstream.calls) == 5, "calls in flight", 30)
    _, done = batch.run(status=2)
    assert "another 'ration batch'" in done.stderr and len(upstream.calls) == 5
    go.set()
    assert run.child.wait(30) == 0, run.log()
    _, done = batch.run(status=2)
    assert "--overwrite" in done.stderr and len(upstream.calls) == 5
    batch.run("--overwrite")
    assert len(upstream.calls) == 10
