"""The quick way and the long way are the same decision: the same batches leave the same bytes in the store."""

import random

import packing
import pytest
from packing import ACQUIRE, BUCKET, RENEW, REPORT, ROLLING, Breaker, Bucket, Limit, News, Op

NOON = 2_300_000_000_000
BATCHES = 300


def make_buckets(r, healthy):
    """Pools and tenants as lua/quick.lua wants them, some so small that they refuse now and then; healthy ones never do."""
    def limits(algorithm, kept):
        amounts = [r.choice((600, 50_000, 10**8)), r.choice((60_000, 10**7, 10**12)), r.choice((10**4, 10**9))]
        amounts = [r.choice((10**5, 10**8)), r.choice((10**9, 10**12)), 10**9] if healthy else amounts
        pers = (60_000, 60_000, r.choice((60_000, 86_400_000)))
        some = [Limit(unit, algorithm, amount, per, kept_back=(0, amount // 10, amount // 5) if kept else (0, 0, 0),
                      settle=r.random() < 0.8)
                for unit, amount, per in zip((0, 1, 2), amounts, pers)]
        return some[:r.randint(1, 3)]
    buckets = {f"p{i}": Bucket(f"{{q}}p{i}", limits(ROLLING, True), books=True, breaker=Breaker()) for i in range(2)}
    buckets.update({f"t{i}": Bucket(f"{{q}}t{i}", limits(BUCKET, False)) for i in range(6)})
    return buckets


def some_headers(r, pool, healthy):
    """What a provider's headers say: that nothing is used, or now and then a good part of it."""
    limit = r.choice(pool.limits)
    if r.random() < 0.3:
        used = r.choice((10, 1000)) if r.random() < (0.03 if healthy else 0.1) else limit.amount + 1
        return News(seen=((limit.unit, r.choice((0, limit.per)), r.choice((0, limit.amount, limit.amount, r.choice(pool.limits).amount, 77)), limit.amount - limit.amount // used),))
    return r.choice((None, News()))


def some_acquires(r, i, healthy):
    """Half of them ask for what the one before asked of the same pool, as most do in a real batch."""
    def one(before):
        tenant, member = f"t{r.randrange(6)}", {"nonce": r.randbytes(8), "check": r.randrange(2**48), "priority": r.randrange(3)}
        if before and r.random() < 0.5:
            return before.change(buckets=[before.buckets[0], tenant], n=r.choice((1, 1, 3)), again=r.random() < 0.3, **member)
        ttl = r.choice((60_000,) * 4 + (60_150,)) if healthy else r.choice((60_000,) * 9 + (900,))
        cost = (1, r.choice((0, 7, 500, 7000, 90_000, 10**6)), r.choice((0, 30, 300, 4000)), 0, 0, 1)
        learned = {"estimates": "{q}e", "stated": r.choice((4, 8, 12))} if r.random() < (0.01 if healthy else 0.1) else {}
        return Op(ACQUIRE, [f"p{r.randrange(2)}", tenant], cost, **learned, split_unknown=r.random() < 0.3, again=r.random() < 0.3,
                  n=r.choice((1, 1, 1, 3)), ttl=ttl, slice=f"{{q}}r{i // 20}.{r.randrange(2)}", **member)
    ops = []  # such as learn are none for the quick way, but their reports meet it
    for _ in range(r.choice((1, 1, 5, 40))):
        ops.append(one(ops[-1] if ops else None))
    return ops


def some_reports(r, live, buckets, healthy):
    """Of members of `live`, which are then gone from it; some of them come twice, with another check, or cut short."""
    def used(o):
        return (1, *(r.choice((0, c, c // 3, c + 1, 2 * c, r.randint(0, 900))) for c in o.cost[1:4]), r.choice((0, 0, 5)), 0)
    taken = [live.pop(r.randrange(len(live))) for _ in range(min(len(live), r.choice((1, 1, 2, 5, 12))))]
    reports = [Op(REPORT, o.buckets, used(o), stated=r.choice((0, 2, 2, 4, 6, 8, 12, 14, 15, 31)), slice=o.slice, member=member, nonce=o.nonce,
                  check=o.check, estimates="{q}e" if r.random() < 0.5 else None, news=some_headers(r, buckets[o.buckets[0]], healthy)) for o, member in taken]
    if r.random() < (0.02 if healthy else 0.1):
        reports.append(r.choice(reports).change(**r.choice(({}, {"partial": True}, {"again": True}, {"check": 1}, {"nonce": b"not there"[:8]}))))
    return reports


def make_batches(seed):
    """(clock, buckets, operations) of each batch: acquires, reports of those that were granted a while ago, or both."""
    r, clock, live, batches, healthy = random.Random(seed), NOON, [], [], seed % 2 == 1
    buckets = make_buckets(r, healthy)
    for i in range(BATCHES):
        clock += r.choice((300, 700, 2500, 70_000)) if r.random() < 0.08 else r.choice((0, 0, 1, 3, 7, 15, 40))
        reports = some_reports(r, live, buckets, healthy) if live and r.random() < 0.4 else []
        ops = some_acquires(r, i, healthy) if not reports or r.random() < 0.4 else []
        if live and r.random() < 0.05:  # one of a group leaves it
            o, member = r.choice(live)
            ops.append(Op(RENEW, o.buckets, slice=o.slice, nonce=o.nonce, member=member, check=o.check))
        live += [(o, member) for o in ops if o.kind == ACQUIRE for member in range(o.n)]
        if ops and r.random() < 0.1:  # sent twice: at once, or again later
            ops += [o.change(again=True) for o in ops[:1] + [o for o, _ in r.sample(live, min(len(live), 2))] if o.n == 1]
        batches.append((clock, buckets, ops + reports if r.random() < 0.2 else reports + ops))
    return batches


def everything(store):
    """Values and expiries; those of slices follow the real clock, too, and differ between runs."""
    def one(key):
        value = store.hgetall(key) if store.type(key) == b"hash" else store.get(key)
        return value, None if b"}r" in key else store.execute_command("PEXPIRETIME", key)
    return {key: one(key) for key in sorted(store.keys("*"))}


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
    both = [{o.kind for o in ops} for (_, _, ops), way in zip(batches, ways) if way == packing.DECIDED_QUICKLY]
    for kinds in ({ACQUIRE}, {REPORT}, {ACQUIRE, REPORT}) if seed % 2 == 1 else ({ACQUIRE},):
        assert both.count(kinds) > 1, f"{kinds}: {both.count(kinds)} of {BATCHES}"
    for i, (one, other) in enumerate(zip(quick, slow)):
        assert one == other, f"batch {i}: {batches[i][2]}"


def in_the_pool(kind, number, tokens, headers=None, n=1, member=0):
    return Op(kind, ["p", "t"], (1, tokens, 0, 0, 0, 1 if kind == ACQUIRE else 0), stated=2 if kind == REPORT else 0, slice="{q}r1",
              nonce=bytes([number]) * 8, news=headers, n=n, member=member)


def says(counted):
    return News(seen=((1, 60_000, 0, 10**6 - counted),))


STORIES = {
    # It was written when its call was let in, and knows nothing of the 600,000 that came after it.
    "too little to be of now": [
        (0, ACQUIRE, 1, 10_000), (5, REPORT, 1, 10_000, says(0)), (600, ACQUIRE, 2, 100_000), (1500, ACQUIRE, 3, 600_000),
        (2900, ACQUIRE, 4, 1), (2950, REPORT, 2, 100_000, says(150_000)),
    ],
    # 500,000 were in use, but not any more when its call began.
    "more than since its grant": [
        (0, ACQUIRE, 1, 10_000), (5, REPORT, 1, 10_000, says(0)), (10, ACQUIRE, 2, 500_000), (300, REPORT, 2, 0), (2000, ACQUIRE, 3, 100_000),
        (2250, ACQUIRE, 4, 1), (2300, REPORT, 3, 100_000, says(300_000)),
    ],
    "one of a group has left it": [
        (0, ACQUIRE, 1, 10_000, None, 2), (5, RENEW, 1, 0, None, 1, 0), (10, REPORT, 1, 9_000, None, 1, 1),
    ],
    "nothing new": [
        (0, ACQUIRE, 1, 10_000), (5, REPORT, 1, 10_000, says(0)), (10, ACQUIRE, 2, 500_000), (30, REPORT, 2, 500_000, says(510_000)),
    ],
}


@pytest.mark.parametrize("story", STORIES)
def test_reports_are_judged_alike(store, story):
    # The acquire before the last report opens its slot and its second, so that the quick way is there for it.
    buckets = {"p": Bucket("{q}p", [Limit(1, ROLLING, 10**6, 60_000)], books=True, breaker=Breaker(0.5)),
               "t": Bucket("{q}t", [Limit(1, BUCKET, 10**9, 60_000)])}
    batches = [(NOON + at, buckets, [in_the_pool(*what)]) for at, *what in STORIES[story]]
    batches.append((batches[-1][0] + 5, buckets, [in_the_pool(ACQUIRE, 9, 1)]))
    quick, ways = run(store, batches, False)
    slow, _ = run(store, batches, True)
    assert quick == slow
    assert ways[-1] == packing.DECIDED_QUICKLY


HEADERS = ((0, 60_000, 100, 40), (0, 86_400_000, 5000, 3000), (0, 0, 100, 30), (0, 0, 5000, 2000), (0, 0, 0, 5), (0, 0, 77, 5),
           (0, 60_000, 5000, 5), (0, 86_400_000, 100, 5), (0, 60_000, 200, 20), (1, 0, 0, 900), (1, 0, 77, 5), (0, 1000, 0, 5))


@pytest.mark.parametrize("header", HEADERS)
def test_headers_find_the_same_limit(store, header):
    limits = [Limit(0, ROLLING, 100, 60_000), Limit(0, ROLLING, 5000, 86_400_000), Limit(1, ROLLING, 1000, 60_000)]
    buckets = {"p": Bucket("{q}p", limits, books=True, breaker=Breaker(0.5)), "t": Bucket("{q}t", [Limit(1, BUCKET, 10**9, 60_000)])}

    def told(*seen):
        return News(seen=seen)

    batches = [(NOON + at, buckets, [in_the_pool(*what)]) for at, *what in (
        (0, ACQUIRE, 1, 1), (5, REPORT, 1, 1, told((1, 0, 0, 1000))), (10, ACQUIRE, 2, 1), (20, REPORT, 2, 1, told(header)))]
    quick, ways = run(store, batches, False)
    slow, _ = run(store, batches, True)
    assert quick == slow
    assert ways[-1] == packing.DECIDED_QUICKLY


def test_a_debt_that_outlasts_what_the_store_can_count_is_kept(store):
    """A million million, where one in a year is allowed."""
    buckets = {"p": Bucket("{q}p", [Limit(1, ROLLING, 10**13, 60_000)], books=True, breaker=Breaker(0.5)),
               "t": Bucket("{q}t", [Limit(1, BUCKET, 1, 366 * 86_400_000)])}
    batches = [(NOON + at, buckets, [in_the_pool(*what)]) for at, *what in ((0, ACQUIRE, 1, 1), (5, REPORT, 1, 10**12))]
    quick, ways = run(store, batches, False)
    slow, _ = run(store, batches, True)
    assert quick == slow
    assert ways[-1] == packing.DECIDED_QUICKLY
    left, expires = quick[-1][1][b"{q}t"]
    assert expires >= NOON + 2**50


def test_each_priority_has_its_own_room(store):
    """What is charged at once for a run of equal acquires is held against the room of the one that has least."""
    buckets = {"p": Bucket("{q}p", [Limit(0, ROLLING, 100, 60_000, kept_back=(0, 10, 20))], books=True, breaker=Breaker(0.5)),
               "t": Bucket("{q}t", [Limit(0, BUCKET, 10**9, 60_000)])}

    def ask(number, *priorities):
        return [Op(ACQUIRE, ["p", "t"], (1, 0, 0, 0, 0, 1), slice="{q}r1", nonce=bytes([number, i]) * 4, priority=priority)
                for i, priority in enumerate(priorities)]

    batches = [(NOON + i, buckets, ops) for i, ops in enumerate((ask(1, *[0] * 77), ask(2, 0, 1, 2), ask(3, 1, 2), ask(4, 0, 1, 1), ask(5, 0)))]
    quick, ways = run(store, batches, False)
    slow, _ = run(store, batches, True)
    assert quick == slow
    assert [way == packing.DECIDED_QUICKLY for way in ways] == [False, True, False, True, True]
