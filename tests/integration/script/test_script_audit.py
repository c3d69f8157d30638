"""`audit` counts one by one what the ledger of a pool keep as a sum; at quiet moments both agree."""

import random
import struct

import packing
from packing import ACQUIRE, CANCEL, GRANTED, RENEW, REPORT, ROLLING, TOKENS, Bucket, Limit, Op

START = 2_300_000_000_000
SECOND = 1024


def audit_all(store, audit, pools, slices, second):
    """As the server asks: again and again for what a call did not reach. Returns the ledgers, the sums, and how many calls."""
    ledgers, sums, calls = [], {}, 0
    while pools or slices:
        keys = [k for b in pools for k in (b.key, b.slots_key)] or slices
        _, read, counted, some = packing.unpack_audit(
            store.fcall(audit, len(keys), *keys, struct.pack("<H", len(pools)) + second.to_bytes(6, "little")))
        assert len(read) + counted > 0, "a call that reaches nothing is asked for ever"
        ledgers, calls = ledgers + read, calls + 1
        pools, slices = pools[len(read):], slices[counted:]
        for pool, numbers in some.items():
            sums[pool] = [a + b for a, b in zip(sums.get(pool, [0] * 6), numbers)]
    return ledgers, sums, calls


def test_the_audit_agrees_with_the_books(clean_store):
    r, at, live = random.Random(5), START, []
    function = packing.load_with_clock(clean_store)
    audit = packing.load(clean_store) + "_audit"
    buckets = {p: Bucket("{a}" + p, [Limit(TOKENS, ROLLING, 10**9)], ledger=True) for p in "pq"}
    pool_of = {0x12345: "p", 0x54321: "q"}
    slices, compared = ["{a}r0", "{a}r1"], 0
    for turn in range(600):
        at += r.choice((0, 1, 50, 700, 5000))
        ops = []
        for _ in range(r.randint(1, 12)):
            if live and r.random() < 0.5:
                o = live.pop(r.randrange(len(live))) if r.random() < 0.7 else r.choice(live)
                kind = r.choice((REPORT, REPORT, CANCEL, RENEW))
                cost = (0, r.randrange(300), 7, 0, 1, 0)
                ops.append(o.change(kind=kind, n=1, cost=cost if kind != CANCEL else (0,) * 6, stated=2 * (kind == REPORT),
                                    member=r.randrange(o.n), ttl=r.choice((1000, 30_000))))
                if o.n > 1 or kind == RENEW:
                    live.append(o)
            else:
                pool = r.choice(list(pool_of))
                o = Op(ACQUIRE, [pool_of[pool]], tuple(r.randrange(500) for _ in range(5)) + (1,), n=r.choice((1, 1, 4)),
                       nonce=r.randbytes(8), slice=r.choice(slices), ttl=r.choice((500, 5000, 60_000)),
                       check=pool << 28 | r.randrange(2**28))
                ops.append(o)
                live.append(o)
        del live[:-60]
        keys, argument = packing.pack_batch(buckets, ops)
        answers = packing.unpack_answer(clean_store.fcall(function, len(keys), *keys, argument, at))[3]
        assert all(a.outcome == GRANTED for o, a in zip(ops, answers) if o.kind == ACQUIRE)
        if turn % 10 == 0:
            # A grant in both pools brings both ledger up to the same second.
            ops = [Op(ACQUIRE, ["p", "q"], (0,) * 6, nonce=r.randbytes(8), slice="{a}r9", ttl=1)]
            keys, argument = packing.pack_batch(buckets, ops)
            clean_store.fcall(function, len(keys), *keys, argument, at)
            # The script's ledger are as of its last write; audit takes those seconds for expired that have passed since.
            later = at // SECOND + r.choice((0, 0, 1, 20))
            pools, sums, _ = audit_all(clean_store, audit, list(buckets.values()), [*slices, "{a}r9"], later)
            for pool, name in pool_of.items():
                counted = sums.get(pool, [0] * 6)
                ledger = pools[list(buckets).index(name)]
                extra = sums.get(0, [0] * 6)[5]
                assert [*counted[:5], counted[5] + extra] == list(ledger["outstanding"]), (turn, name)
                for unit in range(6):
                    parts = ("reported", "expired", "cancelled", "outstanding")
                    assert ledger["granted"][unit] == sum(ledger[word][unit] for word in parts)
                compared += counted[5]
    assert compared > 1000


def test_the_audit_without_a_second_takes_the_store_s_own(clean_store):
    audit = packing.load(clean_store) + "_audit"
    before, _ = clean_store.time()
    second, _, slices, sums = packing.unpack_audit(clean_store.fcall(audit, 1, "{a}r0", bytes(8)))
    after, _ = clean_store.time()
    assert before * 1000 // SECOND <= second <= (after + 1) * 1000 // SECOND and (slices, sums) == (1, {})


def test_a_call_does_a_bounded_part_and_all_calls_together_everything(clean_store):
    """Pools that have been idle with reservations in many seconds, and slices of all sizes: no call reads them all."""
    r = random.Random(6)
    function, audit = packing.load_with_clock(clean_store), packing.load(clean_store) + "_audit"
    buckets = {f"p{i}": Bucket(f"{{a}}p{i}", [Limit(TOKENS, ROLLING, 10**9)], ledger=True) for i in range(8)}
    slices = [f"{{a}}r{i}" for i in range(8)]
    for name in buckets:
        for turn in range(5):
            ops = [Op(ACQUIRE, [name], (1, 10, 0, 0, 0, 1), nonce=r.randbytes(8), slice=slices[r.randrange(1 + turn)],
                      ttl=1 + r.randrange(600_000), check=int(name[1:]) << 28, n=r.choice((1, 1, 3))) for _ in range(120)]
            keys, argument = packing.pack_batch(buckets, ops)
            clean_store.fcall(function, len(keys), *keys, argument, START)
    assert any(clean_store.hlen(key) > 1000 for key in slices)
    for second in (START // SECOND, START // SECOND + 100, START // SECOND + 500, START // SECOND + 600):
        ledgers, sums, calls = audit_all(clean_store, audit, list(buckets.values()), slices, second)
        assert len(ledgers) == 8 and calls > 3
        for i, ledger in enumerate(ledgers):
            assert list(ledger["outstanding"]) == sums.get(i, [0] * 6), (second, i)
            assert ledger["granted"][5] == ledger["outstanding"][5] + ledger["expired"][5]
    assert sums == {}, "all are over by then"
