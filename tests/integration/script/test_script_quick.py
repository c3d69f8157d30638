"""The quick way and the long way are the same decision: the same batches leave the same bytes in the store."""

import random

import packing
import pytest
from packing import ACQUIRE, BUCKET, REPORT, ROLLING, Breaker, Bucket, Limit, News, Op

NOON = 2_300_000_000_000
BATCHES = 300


def make_buckets(r):
    """Pools and tenants as lua/quick.lua wants them, some so small that they refuse now and then."""
    def limits(algorithm, kept):
        amounts = [r.choice((600, 50_000, 10**8)), r.choice((60_000, 10**7, 10**12)), r.choice((10**4, 10**9))]
        pers = (60_000, 60_000, r.choice((60_000, 86_400_000)))
        some = [Limit(unit, algorithm, amount, per, kept_back=(0, amount // 10, amount // 5) if kept else (0, 0, 0))
                for unit, amount, per in zip((0, 1, 2), amounts, pers)]
        return some[:r.randint(1, 3)]
    buckets = {f"p{i}": Bucket(f"{{q}}p{i}", limits(ROLLING, True), books=True, breaker=Breaker()) for i in range(2)}
    buckets.update({f"t{i}": Bucket(f"{{q}}t{i}", limits(BUCKET, False)) for i in range(6)})
    return buckets


def some_headers(r, pool):
    """What a provider's headers say now and then: that nothing is used, or half of it."""
    limit = r.choice(pool.limits)
    if r.random() < 0.3:
        return News(seen=((limit.unit, limit.per, limit.amount, r.choice((limit.amount, limit.amount // 2))),))
    return None


def make_batches(seed):
    """(clock, buckets, operations) of each batch: mostly acquires, and reports of some of them."""
    r, clock, live, batches = random.Random(seed), NOON, [], []
    buckets = make_buckets(r)
    for i in range(BATCHES):
        clock += r.choice((0, 0, 1, 7, 40, 300, 2500, 70_000 if r.random() < 0.1 else 20))
        if live and r.random() < 0.2:
            ops = [Op(REPORT, o.buckets, (0, r.randint(0, 900), 0, 0, 0, 0), stated=2, slice=o.slice, nonce=o.nonce, check=o.check,
                      news=some_headers(r, buckets[o.buckets[0]]))
                   for o in (live.pop(r.randrange(len(live))) for _ in range(min(len(live), 5)))]
        else:
            ops = [Op(ACQUIRE, [f"p{r.randrange(2)}", f"t{r.randrange(6)}"], (1, r.choice((0, 7, 500, 7000, 90_000, 10**6)), r.choice((0, 30, 300, 4000)), 0, 0, 1),
                      split_unknown=r.random() < 0.3, again=r.random() < 0.3, priority=r.randrange(3), n=r.choice((1, 1, 1, 3)), ttl=r.choice((60_000,) * 9 + (900,)),
                      slice=f"{{q}}r{i // 20}.{r.randrange(2)}", nonce=r.randbytes(8), check=r.randrange(2**48))
                   for _ in range(r.choice((1, 1, 5, 40)))]
            live += [o for o in ops if o.n == 1]
            if r.random() < 0.1:  # sent twice: at once, or again later
                ops += [o.change(again=True) for o in r.sample(ops, 1) + r.sample(live, min(len(live), 2)) if o.n == 1]
        batches.append((clock, buckets, ops))
    return batches


def everything(store):
    keys = sorted(store.keys("*"))
    return {key: store.hgetall(key) if store.type(key) == b"hash" else store.get(key) for key in keys}


def run(store, batches, long_way):
    store.flushall()
    sha = store.script_load(packing.decide_text_with_clock())
    left, ways = [], []
    for clock, buckets, ops in batches:
        keys, argument = packing.pack_batch(buckets, ops, long_way)
        answer = store.evalsha(sha, len(keys), *keys, argument, clock)
        ways.append(answer[0])
        left.append((answer[1:], everything(store)))
    return left, ways


@pytest.mark.parametrize("seed", range(8))
def test_both_ways_leave_the_same_bytes(store, seed):
    batches = make_batches(seed)
    quick, ways = run(store, batches, False)
    slow, all_long = run(store, batches, True)
    assert packing.DECIDED_QUICKLY not in all_long
    assert ways.count(packing.DECIDED_QUICKLY) > 4, f"{ways.count(packing.DECIDED_QUICKLY)} of {BATCHES}"
    for i, (one, other) in enumerate(zip(quick, slow)):
        assert one == other, f"batch {i}: {batches[i][2]}"
