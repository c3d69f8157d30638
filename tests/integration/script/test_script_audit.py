"""`audit` counts one by one what the ledger of a pool keep as a sum; at quiet moments both agree."""

import random
import struct

import packing
from packing import ACQUIRE, CANCEL, GRANTED, RENEW, REPORT, ROLLING, TOKENS, Bucket, Limit, Op

START = 2_300_000_000_000
SECOND = 1024


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
            keys = [k for p in buckets.values() for k in (p.key, p.slots_key)] + slices + ["{a}r9"]
            # The script's ledger are as of its last write; audit takes those seconds for expired that have passed since.
            later = at // SECOND + r.choice((0, 0, 1, 20))
            data = clean_store.fcall(audit, len(keys), *keys, struct.pack("<H", 2) + later.to_bytes(6, "little"))
            second, pools, records = packing.unpack_audit(data, 2, len(slices) + 1)
            assert second == later
            for pool, name in pool_of.items():
                counted = [sum(x) for x in zip(*(n for check, n in records if check >> 28 == pool))] or [0] * 6
                ledger = pools[list(buckets).index(name)]
                extra = sum(n[5] for check, n in records if check == 1)
                assert [*counted[:5], counted[5] + extra] == list(ledger["outstanding"]), (turn, name)
                for unit in range(6):
                    parts = ("reported", "expired", "cancelled", "outstanding")
                    assert ledger["granted"][unit] == sum(ledger[word][unit] for word in parts)
                compared += counted[5]
    assert compared > 1000


def test_the_audit_without_a_second_takes_the_store_s_own(clean_store):
    audit = packing.load(clean_store) + "_audit"
    before, _ = clean_store.time()
    second, _, records = packing.unpack_audit(clean_store.fcall(audit, 1, "{a}r0", bytes(8)), 0, 1)
    after, _ = clean_store.time()
    assert before * 1000 // SECOND <= second <= (after + 1) * 1000 // SECOND and records == []
