"""How many reservations of a tenant may be outstanding: a bound that holds, and that refuses nobody for what is over."""

import random

import packing
import pytest
from model import deadline_of
from packing import (BUCKET, CONCURRENT, DENIED, GRANTED, IN_FLIGHT, NEVER, OUTSTANDING, REQUESTS, ROLLING,
                     SETTLED, TOKENS, Limit)
from test_script_cases import MINUTE, NOON, Bench

MOST = 5


class Bounded(Bench):
    def limits(self, tenant, pool=None):
        super().limits(tenant, pool)
        self.buckets = {name: self.buckets[name] for name in sorted(self.buckets)}  # the pool first
        self.buckets["t"].counts = True
        return self

    def batch(self, *ops):
        keys, argument = packing.pack_batch(self.buckets, ops, MOST)
        return packing.unpack_answer(self.client.fcall(self.name, len(keys), *keys, argument, self.at))[3]


@pytest.fixture
def bench(clean_store):
    return Bounded(clean_store)


def tokens(algorithm, amount=10**6):
    return Limit(TOKENS, algorithm, amount, MINUTE)


KINDS = [[], [tokens(BUCKET)], [tokens(ROLLING)], [tokens(BUCKET), Limit(REQUESTS, ROLLING, 1000), Limit(IN_FLIGHT, CONCURRENT, 99, 0)]]
POOL = [tokens(ROLLING)]


@pytest.mark.parametrize("limits", KINDS)
@pytest.mark.parametrize("pool", [None, POOL])
def test_one_more_is_denied_until_one_is_settled(bench, limits, pool):
    bench.limits(limits, pool)
    taken = [bench.acquire(tokens=1, concurrent=1) for _ in range(MOST)]
    assert [answer.outcome for _, answer in taken] == [GRANTED] * MOST
    before = bench.digest()
    o, refused = bench.acquire(tokens=1, concurrent=1)
    deadline, _ = deadline_of(60_000, NOON)
    assert (refused.outcome, refused.bucket, refused.limit, refused.wait) == (DENIED, list(bench.buckets).index("t"), OUTSTANDING, deadline - NOON)
    assert bench.acquire(resent=True)[1].limit == OUTSTANDING, "what costs nothing, too"
    assert bench.digest() == before
    assert bench.one(taken[0][0].change(resent=True)).outcome == GRANTED, "what is there is answered as ever"
    assert bench.renew(taken[0][0], tokens=1).outcome == GRANTED, "it may grow"
    assert bench.report(taken[0][0], tokens=1) == SETTLED
    assert bench.acquire(tokens=1, concurrent=1)[1].outcome == GRANTED
    assert bench.acquire(tokens=1, concurrent=1)[1].outcome == DENIED
    assert bench.cancel(taken[1][0]) == SETTLED
    assert bench.one(o.change(n=3)).granted == 1


@pytest.mark.parametrize("limits", KINDS)
def test_what_has_expired_makes_room_exactly_then(bench, limits):
    """At the latest when as much time again has passed; what lives for minutes does not keep what lives for seconds."""
    bench.limits(limits, POOL)
    for ttl in (600_000, 1000, 1000, 9000, 2000):
        bench.acquire(tokens=1, concurrent=1, ttl=ttl)
    waited = []
    while bench.at < NOON + 10_000:
        while (refused := bench.acquire(tokens=1, ttl=100)[1]).outcome == GRANTED:
            pass
        bench.at += refused.wait - 1
        assert bench.acquire(tokens=1)[1].wait == 1
        bench.at += 1
        waited.append(bench.at - NOON)
    assert waited[0] <= 1008 and len(waited) >= 3
    bench.at += 20_000
    assert [bench.acquire(tokens=1)[1].outcome for _ in range(5)] == [GRANTED] * 4 + [DENIED], "the long one is still there"


def test_the_longest_wait_is_named_and_never_stays_never(bench):
    bench.limits([tokens(BUCKET, 100)], POOL)
    for _ in range(MOST):
        bench.acquire(tokens=20, ttl=10_000)
    refused = bench.acquire(tokens=100)[1]
    assert (refused.limit, refused.wait) == (0, MINUTE), "the limit's is longer"
    assert bench.acquire(tokens=1)[1].limit == OUTSTANDING
    assert bench.acquire(tokens=101)[1].wait == NEVER


@pytest.mark.parametrize("seed", range(4))
def test_all_that_is_outstanding_counts_and_little_else(bench, seed, monkeypatch):
    """A tenth is never reported; some is renewed. Never more than the bound are out, and never is anybody refused who has few."""
    monkeypatch.setitem(globals(), "MOST", 100)
    bench.limits(KINDS[seed % len(KINDS)], POOL)
    r, live, refused = random.Random(seed), {}, 0
    ttls = (5000, 5000, 10_000, 600_000) if seed % 2 else (5000,)
    for _ in range(4000):
        bench.at += r.randrange(0, 200)
        live = {o: deadline for o, deadline in live.items() if deadline > bench.at}
        assert len(live) <= MOST
        if r.random() < 0.55:
            ttl = r.choice(ttls)
            o, answer = bench.acquire(tokens=1, ttl=ttl, n=r.choice((1, 1, 1, 5)))
            o = o.change(n=1)
            for member in range(answer.granted):
                live[o.change(member=member)] = deadline_of(ttl, bench.at)[0]
            refused += answer.outcome == DENIED
            if answer.outcome == DENIED:
                # Of what has expired unreported so much may count once more.
                assert len(live) > MOST // 4, len(live)
        elif live:
            o = r.choice(list(live))
            if r.random() < 0.3:
                ttl = r.choice(ttls)
                assert bench.renew(o, ttl=ttl, member=o.member).outcome == GRANTED
                live[o] = max(live[o], deadline_of(ttl, bench.at)[0])
            elif r.random() < 0.9:
                assert bench.report(o, tokens=1, member=o.member) == SETTLED
                del live[o]
    assert all(bench.client.pttl(key) > 0 for key in bench.client.keys("*"))


def test_the_count_lives_as_long_as_what_it_counts(bench):
    bench.limits([])
    bench.acquire(ttl=600_000, resent=True)
    deadline, _ = deadline_of(600_000, NOON)
    assert bench.client.pexpiretime("{b}t") >= deadline


def test_levels_of_format_3_counted_nothing(bench):
    """Their reservations leave as if they had never been counted."""
    bench.limits([tokens(BUCKET, 1000)], POOL)
    first, _ = bench.acquire(tokens=100)
    raw = bench.client.get("{b}t")
    bench.client.set("{b}t", b"\x03" + raw[1:37] + raw[65:], keepttl=True)
    assert bench.remaining("t") == [900]
    assert bench.report(first, tokens=50) == SETTLED
    assert [bench.acquire(tokens=1)[1].outcome for _ in range(MOST + 1)] == [GRANTED] * MOST + [DENIED]
    assert bench.remaining("t") == [945]
