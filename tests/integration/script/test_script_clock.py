"""`decide` exactly as the server loads it: TIME decides, and keys expire by themselves.

The model is told the time that each answer names; that this is the store's own is checked against TIME before and after.
Limits are of a second or so, so that levels refill, reservations expire and keys go while the test runs.
"""

import random
import time

import packing
from model import Model
from packing import (ACQUIRE, BUCKET, CANCEL, CONCURRENT, DENIED, GRANTED, IN_FLIGHT, OUTPUT, PEEK, REPORT, REQUESTS, ROLLING,
                     TOKENS, Bucket, Limit, Op)

SECONDS = 6


def store_ms(client):
    seconds, us = client.time()
    return seconds * 1000 + us // 1000


def test_the_script_as_it_is_agrees_on_the_real_clock(clean_store):
    r, model, ops_done, waits = random.Random(3), Model(), 0, []
    name = packing.load(clean_store)
    buckets = {
        "p": Bucket("{c}p", [Limit(REQUESTS, ROLLING, 3000, 1000), Limit(TOKENS, ROLLING, 400_000, 1009),
                             Limit(OUTPUT, BUCKET, 90_000, 1000, at_end=True)], ledger=True),
        "t": Bucket("{c}t", [Limit(TOKENS, BUCKET, 299_993, 1000, capacity=50_000), Limit(IN_FLIGHT, CONCURRENT, 300, 0)]),
    }
    live, end = [], time.monotonic() + SECONDS
    while time.monotonic() < end:
        ops = [Op(PEEK, ["p", "t"])]
        for _ in range(r.randint(1, 30)):
            if live and r.random() < 0.5:
                o = live.pop(r.randrange(len(live)))
                ops.append(o.change(kind=r.choice((REPORT, REPORT, CANCEL)), stated=2, cost=(0, r.randrange(1500), 0, 0, 0, 0)))
            else:
                o = Op(ACQUIRE, ["p", "t"], (1, r.randrange(1000), 0, r.randrange(200), 0, 1), slice=f"{{c}}r{ops_done // 9999}",
                       nonce=r.randbytes(8), ttl=r.choice((100, 500, 2000)))
                ops.append(o)
        keys, argument = packing.pack_batch(buckets, ops)
        pipe = clean_store.pipeline(transaction=False)
        before = store_ms(clean_store)
        pipe.fcall(name, len(keys), *keys, argument)
        for key in keys:
            pipe.pttl(key)
        raw, *lives = pipe.execute()
        got = packing.unpack_answer(raw)
        assert before <= got[1] <= store_ms(clean_store)
        model.batch(got[1], buckets, ops, got)
        assert all(ttl != -1 for ttl in lives)
        for o, a in zip(ops, got[3]):
            if o.kind == ACQUIRE and a.outcome == GRANTED:
                live.append(o)
            elif o.kind == ACQUIRE and a.wait > 0:
                waits.append(a.wait)
        ops_done += len(ops)
    assert waits and ops_done > 3000
    # When nobody asks any more, nothing is left behind.
    assert all(clean_store.pttl(key) > 0 for key in clean_store.keys("*"))


def test_a_lone_caller_that_waits_as_told_is_admitted(clean_store):
    name = packing.load(clean_store)
    buckets = {"t": Bucket("{c}t", [Limit(TOKENS, BUCKET, 1000, 1000)])}

    def ask():
        o = Op(ACQUIRE, ["t"], (0, 200, 0, 0, 0, 0), slice="{c}r", nonce=random.randbytes(8))
        keys, argument = packing.pack_batch(buckets, [o])
        _, clock, _, answers = packing.unpack_answer(clean_store.fcall(name, len(keys), *keys, argument))
        return clock, answers[0]

    for _ in range(3):
        clock, answer = ask()
        while answer.outcome == GRANTED:
            clock, answer = ask()
        assert answer.outcome == DENIED
        while store_ms(clean_store) < clock + answer.wait:
            pass
        assert ask()[1].outcome == GRANTED


def test_levels_go_when_they_are_as_good_as_new(clean_store):
    name = packing.load(clean_store)
    buckets = {"t": Bucket("{c}t", [Limit(TOKENS, BUCKET, 1000, 1000), Limit(IN_FLIGHT, CONCURRENT, 3, 0)])}
    o = Op(ACQUIRE, ["t"], (0, 200, 0, 0, 0, 1), slice="{c}r", nonce=b"whatever", ttl=200)
    keys, argument = packing.pack_batch(buckets, [o])
    clean_store.fcall(name, len(keys), *keys, argument)
    deadline = time.monotonic() + 10
    while clean_store.exists("{c}t", "{c}t+s"):
        assert time.monotonic() < deadline
    assert clean_store.pttl("{c}r") > 50_000
