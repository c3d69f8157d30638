"""retry_after is the truth: a lone caller that comes back exactly then is admitted, and 1 ms
earlier it is not. The slots of a dead client are free by then, too.
"""
import multiprocessing
import os
import random
import signal

import pytest

from configs import POOL, config, limit
from waiting import wait_until
from wire import Wire, WireError


def _hold_slots(port, n, ready):
    with Wire(port) as wire:
        for _ in range(n):
            assert wire.fields("ACQUIRE", POOL, "acme", "TTL", 2000)["status"] == "granted"
        ready.put("held")
        signal.pause()


@pytest.mark.parametrize("late_ms", [0, 333, 1700])
def test_kill_9_of_a_client_gives_its_slots_back_within_the_ttl(lab, late_ms):
    clock = lab.clock()
    clock.advance(late_ms)
    server = lab.ration(config(lab.redis(clock=clock), pool=[limit("concurrent", 10)]))
    context = multiprocessing.get_context("fork")
    ready = context.Queue()
    client = context.Process(target=_hold_slots, args=(server.port, 10, ready), daemon=True)
    client.start()
    lab.on_close(lambda: client.is_alive() and client.kill())
    assert ready.get(timeout=20) == "held"
    with server.wire() as wire:
        refused = wire.fields("ACQUIRE", POOL, "acme")
        assert refused["status"] == "denied"
        # A deadline is rounded up by less than a 64th of the time to live, so that deadlines share
        # time slots.
        assert 2000 <= refused["retry_after_ms"] < 2000 + 2000 // 64 + 1
        os.kill(client.pid, signal.SIGKILL)
        client.join(20)
        clock.advance(refused["retry_after_ms"] - 1)
        assert wire.fields("ACQUIRE", POOL, "acme")["status"] == "denied"
        clock.advance(1)
        assert server.remaining(POOL, "acme", "pool", "concurrent") == 10
        for _ in range(10):
            assert wire.fields("ACQUIRE", POOL, "acme")["status"] == "granted"
    assert all(row["balanced"] for row in server.audit().values())


def random_limits(rng, scope):
    units = ["requests", "tokens", "output_tokens", "concurrent"]
    out = []
    for unit in rng.sample(units, rng.randrange(1, 4)):
        if unit == "concurrent":
            out.append(limit(unit, rng.randrange(1, 4)))
            continue
        kind = rng.choice(["bucket", "rolling", "calendar"])
        more = {"algorithm": kind}
        if kind == "bucket" and rng.random() < 0.5:
            more["burst"] = rng.randrange(20, 300)
        if kind == "rolling":
            more["slack_ms"] = rng.choice([0, 250, 999])
        if unit == "output_tokens" and rng.random() < 0.6:
            more["counted"] = "end"
        amount = rng.randrange(3, 12) if unit == "requests" else rng.randrange(20, 200)
        out.append(limit(unit, amount, "day" if kind == "calendar" else rng.choice(["7s", "minute", "hour"]), **more))
    return out


def test_retry_after_is_the_truth(lab):
    """Random limits and history: exactly then a lone caller is admitted, 1 ms earlier not."""
    rng = random.Random(8)
    pools, tenants = {}, {}
    for n in range(60):
        pools[f"p{n}"] = {"limits": random_limits(rng, "pool"), "hold_back": rng.choice([[0, 0, 0], [0, 0.2, 0.4]])}
        tenants[f"t{n}"] = {"tier": "all", "limits": random_limits(rng, "tenant")}
    clock = lab.clock()
    server = lab.ration(config(lab.redis(clock=clock), pools=pools, tenants=tenants))
    counts = {"granted": 0, "never": 0, "later": 0}
    with server.wire() as wire:
        for n in range(60):
            open_ = []
            for _ in range(40):
                clock.advance(rng.choice([0, 1, 7, 400, 3000]))
                if open_ and rng.random() < 0.2:
                    wire.call("REPORT", open_.pop(0), "tokens", rng.randrange(80), "output_tokens", rng.randrange(60))
                command = ("ACQUIRE", f"p{n}", f"t{n}", "tokens", rng.randrange(60), "output_tokens", rng.randrange(40),
                           "TTL", rng.choice([100, 2000, 45_000]))  # fmt: skip
                answer = wire.fields(*command)
                assert not isinstance(answer, WireError), answer
                if answer["status"] == "denied" and answer["retry_after_ms"] > 0:
                    counts["later"] += 1
                    wait = answer["retry_after_ms"]
                    clock.advance(wait - 1)
                    early = wire.fields(*command)
                    assert (early["status"], early["retry_after_ms"]) == ("denied", 1), (n, command, answer, early)
                    clock.advance(1)
                    then = wire.fields(*command)
                    assert then["status"] == "granted", (n, command, answer, then)
                    answer = then
                elif answer["status"] == "denied":
                    assert answer["retry_after_ms"] == -1
                    counts["never"] += 1
                    continue
                counts["granted"] += 1
                open_.append(answer["id"])
    assert min(counts.values()) > 100, counts


def test_retry_after_by_the_real_clock(lab):
    """On a running clock: asked again once the store's clock says so, granted at the first try."""
    store = lab.redis()
    server = lab.ration(config(store, pool=[limit("requests", 4, "500ms", slack_ms=0)],
                               tier=[limit("tokens", 1000, "second", burst=100)]))  # fmt: skip
    command = ("ACQUIRE", POOL, "acme", "tokens", 60)
    denied = 0
    with server.wire() as wire:
        for _ in range(12):
            answer = wire.fields(*command)
            if answer["status"] == "denied":
                denied += 1
                then = store.time_ms() + answer["retry_after_ms"]
                wait_until(lambda: store.time_ms() >= then, "the reported time")
                assert wire.fields(*command)["status"] == "granted"
    assert denied > 3
