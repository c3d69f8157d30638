"""A rolling limit: no window of one period ever holds more than the amount, and a steady load gets
at least 98 %.

The test controls the store's clock, so that minutes pass in no time and each grant's time is known
to the millisecond.
"""
import bisect
import itertools
import random

import pytest

from configs import POOL, config, limit
from wire import as_fields

MINUTE = 60_000


def most_in_any_window(grants, period):
    """grants: (ms, amount) by time. The most in any [t, t + period], both ends included."""
    times = [ms for ms, _ in grants]
    sums = [0, *itertools.accumulate(amount for _, amount in grants)]
    most = 0
    for first, ms in enumerate(times):
        most = max(most, sums[bisect.bisect_right(times, ms + period)] - sums[first])
    return most


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("per, period, slack", [("minute", MINUTE, 250), ("7s", 7000, 0), ("hour", 60 * MINUTE, 999)])
def test_random_bursts_never_fill_any_window_beyond_the_amount(lab, seed, per, period, slack):
    """Random bursts, settled at or below the estimate; it holds with slack_ms added, too."""
    amount = 1000
    rng = random.Random(f"{seed} {per}")
    clock = lab.clock()
    settings = config(lab.redis(clock=clock), pool=[limit("tokens", amount, per, slack_ms=slack)])
    servers = [lab.ration(settings), lab.ration(settings)]
    wires = [server.wire() for server in servers]
    grants, denied, reporter = [], 0, servers[0].wire()
    for _ in range(150):
        clock.advance(rng.choice([0, 1, rng.randrange(period // 100), rng.randrange(period // 5), rng.randrange(period)]))
        costs = [rng.randrange(1, rng.choice([5, 200, amount])) for _ in range(rng.randrange(1, 25))]
        wire = rng.choice(wires)
        for cost in costs:
            wire.send("ACQUIRE", POOL, "acme", "tokens", cost)
        for cost in costs:
            answer = as_fields(wire.read())
            if answer["status"] == "denied":
                denied += 1
                continue
            used = cost
            if rng.random() < 0.3:
                used = rng.randrange(cost + 1)
                reporter.call("REPORT", answer["id"], "tokens", used)
            grants.append((clock.ms, used))
    assert denied > 100 and len(grants) > 100
    assert most_in_any_window(grants, period + slack) <= amount


def test_what_has_passed_is_free_again_whatever_was_refunded_meanwhile(lab):
    """A fully refunded slot is not merged into the older ones when the next opens, which would keep
    them as long as itself."""
    clock = lab.clock()
    server = lab.ration(config(lab.redis(clock=clock), pool=[limit("tokens", 1000, "hour")]))
    with server.wire() as wire:
        wire.fields("ACQUIRE", POOL, "acme", "tokens", 33)
        clock.advance(MINUTE)
        answer = wire.fields("ACQUIRE", POOL, "acme", "tokens", 2)
        wire.call("REPORT", answer["id"], "tokens", 0)
        clock.advance(36 * MINUTE)
        wire.fields("ACQUIRE", POOL, "acme", "tokens", 900)
        clock.advance(52 * MINUTE)
        assert server.remaining(POOL, "acme", "pool", "tokens") == 100
        refused = wire.fields("ACQUIRE", POOL, "acme", "tokens", 101)
        assert refused["status"] == "denied" and 0 < int(refused["retry_after_ms"]) <= 10 * MINUTE
        clock.advance(int(refused["retry_after_ms"]))
        assert wire.fields("ACQUIRE", POOL, "acme", "tokens", 101)["status"] == "granted"


def test_reports_counted_at_the_end_never_fill_any_window_beyond_the_amount(lab):
    """If the provider counts when a call ends, no window's ends may exceed the amount."""
    rng = random.Random(98)
    clock = lab.clock()
    server = lab.ration(config(lab.redis(clock=clock), pool=[limit("output_tokens", 500, "minute", counted="end")]))
    ends, open_ = [], []
    with server.wire() as wire:
        for _ in range(3000):
            estimate = rng.randrange(1, 60)
            answer = wire.fields("ACQUIRE", POOL, "acme", "output_tokens", estimate, "TTL", 30 * MINUTE)
            if answer["status"] == "granted":
                open_.append((answer["id"], estimate))
            rng.shuffle(open_)
            while open_ and rng.random() < 0.4:
                id_, estimate = open_.pop()
                used = rng.randrange(estimate + 1)
                assert wire.fields("REPORT", id_, "output_tokens", used) == {"status": "settled"}
                ends.append((clock.ms, used))
            clock.advance(rng.randrange(900))
    assert 250 < most_in_any_window(ends, MINUTE) <= 500


@pytest.mark.parametrize("per, period, least", [("minute", MINUTE, 0.98), ("hour", 60 * MINUTE, 0.98)])
def test_a_steady_load_uses_at_least_98_percent(lab, per, period, least):
    """A demand slightly above the amount, spread evenly over eight periods; the first, which begins
    empty, is ignored."""
    amount = 3000
    clock = lab.clock()
    server = lab.ration(config(lab.redis(clock=clock), pool=[limit("tokens", amount, per)]))
    start, steps = clock.ms, 1000
    grants = []
    with server.wire() as wire:
        for n in range(8 * steps):
            clock.set(start + n * period // steps)
            for _ in range(2):
                answer = wire.fields("ACQUIRE", POOL, "acme", "tokens", 3)
                if answer["status"] == "granted":
                    grants.append((clock.ms, 3))
                else:
                    break
    assert most_in_any_window(grants, period) <= amount
    steady = sum(cost for ms, cost in grants if ms >= start + period)
    assert steady >= least * amount * 7, f"{steady / amount / 7:.4f} of the limit"


def test_a_greedy_load_uses_at_least_98_percent(lab):
    """Callers come back exactly when told to: the first burst echoes, nothing is lost."""
    amount = 600
    clock = lab.clock()
    server = lab.ration(config(lab.redis(clock=clock), pool=[limit("tokens", amount, "minute")]))
    start, grants = clock.ms, []
    with server.wire() as wire:
        while clock.ms < start + 20 * MINUTE:
            answer = wire.fields("ACQUIRE", POOL, "acme", "tokens", 60)
            if answer["status"] == "granted":
                grants.append((clock.ms, 60))
            else:
                clock.advance(answer["retry_after_ms"])
    assert most_in_any_window(grants, MINUTE) <= amount
    assert sum(cost for _, cost in grants) >= 0.98 * amount * 20
