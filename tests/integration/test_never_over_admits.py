"""Nothing is admitted beyond a limit, whatever the concurrency.

RATION_HAMMER_SECONDS (default 3) is how long the crowds hammer; use 10 for a long run.
"""
import os
import threading

import pytest

from configs import POOL, config, limit
from crowd import Crowd
from waiting import wait_until

HAMMER_SECONDS = float(os.environ.get("RATION_HAMMER_SECONDS", "3"))
CAPACITY = 10_000
DAY = 86_400_000


@pytest.fixture
def crowd(lab):
    def start(*args, **more):
        made = Crowd(*args, **more)
        lab.on_close(made.kill)
        return made.start()

    return start


def hammer_for(seconds):
    threading.Event().wait(seconds)  # the duration of the load, not a wait for an event


def two_servers(lab, store, **settings):
    made = config(store, **settings)
    return lab.ration(made), lab.ration(made)


def test_concurrent_acquires_admit_exactly_the_limit(lab, crowd):
    """Elsewhere 5 parallel calls got 663 tokens through a limit of 100; here 32 get exactly 100."""
    clock = lab.clock()
    a, b = two_servers(lab, lab.redis(clock=clock), tier=[limit("tokens", 100, "minute")])
    for n in range(5):
        tenant = f"tenant{n}"
        load = crowd([a.port, b.port], POOL, tenant, costs=(1, 3, 7), processes=4, connections=8, pipeline=1)
        wait_until(lambda: a.remaining(POOL, tenant, "tenant", "tokens") == 0, "the limit to be used up")
        total = load.stop()
        assert not total["errors"], total["errors"][:3]
        assert total["sum"] == 100


def test_promise_hammered_by_8_clients_of_16_connections(lab, crowd):
    clock = lab.clock()
    a, b = two_servers(lab, lab.redis(clock=clock), tier=[limit("tokens", CAPACITY, "day")])
    load = crowd([a.port, b.port], POOL, costs=(1, 1, 2, 3, 5))
    hammer_for(HAMMER_SECONDS)
    wait_until(lambda: a.remaining(POOL, "acme", "tenant", "tokens") == 0, "the limit to be used up", 60)
    total = load.stop()
    assert not total["errors"], total["errors"][:3]
    assert total["sum"] == CAPACITY
    assert total["denied"] > 0, "the load exceeded the limit"
    ledger = b.audit(POOL)["tokens"]
    assert (ledger["granted"], ledger["outstanding"], ledger["scanned"], ledger["balanced"]) == (
        CAPACITY, CAPACITY, CAPACITY, 1,
    )  # fmt: skip


def test_promise_with_refill_to_the_token(lab, crowd):
    """The store's clock advances under load: admitted + remaining = capacity + refill, exactly."""
    clock = lab.clock()
    a, b = two_servers(lab, lab.redis(clock=clock), tier=[limit("tokens", 999, "7s", burst=CAPACITY)])
    load = crowd([a.port, b.port], POOL, costs=(1, 2))
    wait_until(lambda: a.remaining(POOL, "acme", "tenant", "tokens") == 0, "the burst to be used up", 60)
    start = clock.ms
    over = threading.Event()
    mover = threading.Thread(target=lambda: [clock.advance(17) for _ in iter(lambda: over.wait(0.005), True)])
    mover.start()
    hammer_for(HAMMER_SECONDS)
    over.set()
    mover.join()
    total = load.stop()
    assert not total["errors"], total["errors"][:3]
    refilled = (clock.ms - start) * 999 // 7000
    assert refilled > 500
    assert total["sum"] + b.remaining(POOL, "acme", "tenant", "tokens") == CAPACITY + refilled


def test_promise_with_the_real_clock(lab, crowd):
    """The same in real time: within what the store's own time allows between first and last."""
    store = lab.redis()
    a, b = two_servers(lab, store, tier=[limit("tokens", 1000, "second", burst=CAPACITY)])
    first = store.time_ms()
    load = crowd([a.port, b.port], POOL, costs=(1, 2, 3))
    hammer_for(HAMMER_SECONDS)
    total = load.stop()
    remaining = a.remaining(POOL, "acme", "tenant", "tokens")
    last = store.time_ms()
    assert not total["errors"], total["errors"][:3]
    assert total["sum"] <= CAPACITY + (last - first)
    assert remaining >= CAPACITY or total["sum"] + remaining <= CAPACITY + (last - first)


def test_promise_kill_9_of_one_server_in_the_middle(lab, crowd):
    """Clients move on and retry with the same ids: distinct grants are still exactly the limit."""
    clock = lab.clock()
    a, b = two_servers(lab, lab.redis(clock=clock), tier=[limit("tokens", CAPACITY, "day")])
    load = crowd([a.port, b.port], POOL, costs=(1, 1, 2))
    wait_until(lambda: b.remaining(POOL, "acme", "tenant", "tokens") < CAPACITY * 0.7, "the middle", 60)
    a.kill()
    hammer_for(HAMMER_SECONDS)
    wait_until(lambda: b.remaining(POOL, "acme", "tenant", "tokens") == 0, "the limit to be used up", 60)
    total = load.stop()
    assert not total["errors"], total["errors"][:3]
    assert total["moved"] > 0, "clients of the killed server continued at the other"
    assert total["sum"] == CAPACITY
    ledger = b.audit(POOL)["tokens"]
    assert (ledger["granted"], ledger["scanned"], ledger["balanced"]) == (CAPACITY, CAPACITY, 1)
    assert b.audit(POOL)["requests"]["granted"] == len(total["granted"])


def test_promise_kill_9_of_the_store_in_the_middle(lab, crowd):
    """A Redis that fsyncs before each answer comes back with everything it had answered."""
    store = lab.redis("--appendonly", "yes", "--appendfsync", "always")
    settings = config(store, tier=[limit("tokens", CAPACITY, "30d")])
    settings["store"]["timeout_ms"] = 20_000
    a, b = lab.ration(settings), lab.ration(settings)
    load = crowd([a.port, b.port], POOL, costs=(1, 1, 2))
    wait_until(lambda: b.remaining(POOL, "acme", "tenant", "tokens") < CAPACITY * 0.7, "the middle", 60)
    store.kill()
    store.restart()
    wait_until(lambda: b.remaining(POOL, "acme", "tenant", "tokens") <= 0, "the limit to be used up", 60)
    total = load.stop()
    assert not total["errors"], total["errors"][:3]
    assert total["sum"] - CAPACITY in (0, 1), "one token in 260 s comes back"
    assert b.audit(POOL)["tokens"]["granted"] == total["sum"]


def test_promise_on_pools_of_every_algorithm(lab, crowd):
    """Four limits of four algorithms in one decision; each in turn stops the crowd."""
    clock = lab.clock()
    store = lab.redis(clock=clock)
    amounts = {"requests": 1000, "tokens": 4000, "input_tokens": 3000, "concurrent": 700}
    for tight, amount in amounts.items():
        of = {name: (amount if name == tight else 10**6) for name in amounts}
        pools = {tight: {"limits": [
            limit("requests", of["requests"], "minute"),
            limit("tokens", of["tokens"], "day", algorithm="calendar"),
            limit("input_tokens", of["input_tokens"], "hour", algorithm="bucket"),
            limit("concurrent", of["concurrent"]),
        ]}}  # fmt: skip
        a, b = two_servers(lab, store, pools=pools)
        unit = "tokens" if tight in ("tokens", "input_tokens") else tight
        load = crowd([a.port, b.port], tight, unit=unit, costs=(1,), processes=4, connections=8)
        wait_until(lambda: a.remaining(tight, "acme", "pool", tight) == 0, f"{tight} to be used up", 60)
        total = load.stop()
        assert not total["errors"], total["errors"][:3]
        assert total["sum"] == amount, tight


def test_a_cost_that_can_never_fit_is_told_so_at_once(lab):
    clock = lab.clock()
    store = lab.redis(clock=clock)
    server = lab.ration(
        config(store, pools={POOL: {"limits": [limit("tokens", 1000, "minute")], "hold_back": [0, 0.1, 0.5]},
                             "end": {"limits": [limit("output_tokens", 100, "minute", counted="end")]},
                             "slots": {"limits": [limit("concurrent", 2)]}},
               tier=[limit("usd", 7, "day", algorithm="calendar")])
    )  # fmt: skip
    with server.wire() as wire:
        for command, by in (
            (("ACQUIRE", POOL, "a", "tokens", 901), f"pool:{POOL} tokens/minute"),
            (("ACQUIRE", POOL, "a", "tokens", 501, "PRIORITY", 2), f"pool:{POOL} tokens/minute"),
            (("ACQUIRE", "end", "a", "output_tokens", 101), "pool:end output_tokens/minute"),
            (("ACQUIRE", "slots", "a", "concurrent", 3), "pool:slots concurrent"),
            (("ACQUIRE", "slots", "a", "usd", 8), "tenant:a usd/day"),
        ):
            before = store.digest()
            answer = wire.fields(*command)
            assert (answer["status"], answer["retry_after_ms"], answer["limited_by"]) == ("denied", -1, by)
            assert store.digest() == before
        assert wire.fields("ACQUIRE", POOL, "a", "tokens", 900)["status"] == "granted"
        assert wire.fields("ACQUIRE", POOL, "a", "tokens", 901)["retry_after_ms"] == -1, "even when it is used up"


def test_small_limits_are_usable(lab):
    """Elsewhere any limit below a default estimate refuses all; here only stated amounts count."""
    clock = lab.clock()
    server = lab.ration(
        config(lab.redis(clock=clock), pool=[limit("tokens", 3, "day")],
               tier=[limit("requests", 1, "month"), limit("tokens", 1, "second", burst=1)])
    )  # fmt: skip
    with server.wire() as wire:
        assert wire.fields("ACQUIRE", POOL, "a")["status"] == "granted"
        assert wire.fields("ACQUIRE", POOL, "a")["status"] == "denied"
        for tenant in ("b", "c", "d"):
            assert wire.fields("ACQUIRE", POOL, tenant, "tokens", 1)["status"] == "granted"
        assert wire.fields("ACQUIRE", POOL, "e", "tokens", 1)["limited_by"] == f"pool:{POOL} tokens/day"
        assert wire.fields("ACQUIRE", POOL, "e")["status"] == "granted"


def test_a_burst_after_idling_admits_the_amount_and_no_more(lab, crowd):
    clock = lab.clock()
    a, b = two_servers(lab, lab.redis(clock=clock), pool=[limit("tokens", 600, "minute")])
    with a.wire() as wire:
        assert wire.fields("ACQUIRE", POOL, "acme", "tokens", 600)["status"] == "granted"
        clock.advance(10 * 60_000 + 499)  # after a long idle time, at the very end of a slot
        for second in range(61):
            load = crowd([a.port, b.port], POOL, costs=(1, 5, 9), processes=1, connections=8) if second < 2 else None
            if load is not None:
                if second == 0:
                    wait_until(lambda: b.remaining(POOL, "acme", "pool", "tokens") == 0, "the burst")
                total = load.stop()
                assert not total["errors"]
                assert total["sum"] == (600 if second == 0 else 0)
            assert wire.fields("ACQUIRE", POOL, "acme", "tokens", 1)["status"] == "denied", second
            clock.advance(1000 if second < 60 else 0)
        clock.advance(250)
        assert wire.fields("ACQUIRE", POOL, "acme", "tokens", 1)["retry_after_ms"] == 1
        clock.advance(1)
        assert wire.fields("ACQUIRE", POOL, "acme", "tokens", 600)["status"] == "granted"
