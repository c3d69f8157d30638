"""Estimates that learn of the input, by example: cached prompts that come to nearly nothing, tools that come to more."""

import random

import packing
import pytest
from packing import (ACQUIRE, BUCKET, DENIED, GRANTED, INPUT, LATE, LEARNED_INPUT, LEARNED_OUTPUT, NEVER, OUTPUT, REPORT, ROLLING,
                     SETTLED, TOKENS, Bucket, Limit)
from test_script_cases import DAY
from test_script_pool_health import Pool

ESTIMATES = "{b}e"
WIDE = (Limit(INPUT, BUCKET, 10**13), Limit(TOKENS, BUCKET, 10**13), Limit(OUTPUT, BUCKET, 10**13))


@pytest.fixture
def wide(clean_store):
    return Pool(clean_store).pool(*WIDE)


def ask(pool, n_input, output=0, stated=(INPUT,), tokens=None, **more):
    return pool.acquire(input_tokens=n_input, output_tokens=output, tokens=n_input + output if tokens is None else tokens,
                        estimates=ESTIMATES, stated=sum(1 << unit for unit in stated), **more)


def tell(pool, acquired, member=0, **used):
    report = pool.after(acquired, REPORT, member=member, **used)
    report.estimates = ESTIMATES
    return pool.one(report)


def teach(pool, stated, actual, calls=20):
    for _ in range(calls):
        o, a = ask(pool, stated)
        assert a.outcome == GRANTED, a
        assert tell(pool, o, input_tokens=actual).bucket == LEARNED_INPUT


def charged(pool, *args, **more):
    """What an acquire takes of (input, tokens, output)."""
    before = pool.remaining("p")
    assert ask(pool, *args, **more)[1].outcome == GRANTED
    return tuple(x - y for x, y in zip(before, pool.remaining("p")))


# What is charged.

def test_cached_input_is_not_charged_again_and_again(wide):
    teach(wide, 100_000, 1500, calls=7)
    assert charged(wide, 100_000) == (100_000, 100_000, 0)  # seven are believed by nobody
    teach(wide, 100_000, 1500, calls=1)
    n_input, tokens, output = charged(wide, 100_000, 50, stated=(INPUT, OUTPUT))
    assert 1500 <= n_input <= 1.19 * 1500 and (tokens, output) == (n_input + 50, 50)
    # What states no input, or does not ask, is charged as ever.
    assert charged(wide, 100_000, 50, stated=(OUTPUT,)) == (100_000, 100_050, 50)
    before = wide.remaining("p")
    wide.acquire(input_tokens=100_000, tokens=100_000)
    assert before[0] - wide.remaining("p")[0] == 100_000


def test_tools_are_charged_before_they_are_reported(wide):
    teach(wide, 100, 673)
    n_input, tokens, _ = charged(wide, 100)
    assert 673 <= n_input <= 801 and tokens == n_input
    n_input, tokens, _ = charged(wide, 1000, tokens=1500)
    assert 6730 <= n_input <= 8010 and tokens == n_input + 500


@pytest.mark.parametrize("stated, actual, least, most", (
    (10**6, 0, 7000, 10_000),  # to a hundredth, not below
    (1, 0, 1, 1), (5, 0, 1, 1),  # and never to nothing
    (1000, 10**6, 8000, 8000),  # eightfold, not above
    (1000, 1000, 1000, 1000), (1000, 1001, 1001, 1190), (1000, 999, 999, 1000),
    (10**12, 10**12, 10**12, 10**12),
))  # fmt: skip
def test_shares_have_two_ends(wide, stated, actual, least, most):
    teach(wide, stated, actual, calls=9)
    n_input, tokens, _ = charged(wide, stated)
    assert least <= n_input <= most and tokens == n_input


def test_no_cost_grows_beyond_the_greatest(wide):
    teach(wide, 1000, 10**4)
    assert charged(wide, 10**12) == (10**12, 10**12, 0)
    assert charged(wide, 5 * 10**11, 10**11) == (10**12, 10**12, 10**11)


def test_input_and_output_are_learned_apart(wide):
    for _ in range(20):
        o, _ = ask(wide, 1000, 1000, stated=(INPUT, OUTPUT))
        a = tell(wide, o, tokens=330, input_tokens=30)  # the rest was output
        assert a.bucket == LEARNED_INPUT + LEARNED_OUTPUT
    assert 30 <= charged(wide, 1000)[0] <= 36
    n_input, tokens, output = charged(wide, 1000, 1000, stated=(INPUT, OUTPUT))
    assert 30 <= n_input <= 36 and 300 <= output <= 357 and tokens == n_input + output
    o, _ = ask(wide, 1000, 1000, stated=(INPUT, OUTPUT))
    a = tell(wide, o, input_tokens=40, output_tokens=200)
    assert (a.over_input, a.wait) == (n_input - 40, output - 200)
    for used, learned in (({"input_tokens": 30}, LEARNED_INPUT), ({"output_tokens": 300}, LEARNED_OUTPUT), ({"tokens": 330}, 0), ({}, 0),
                          ({"tokens": 330, "output_tokens": 300}, LEARNED_OUTPUT)):  # what is no output may be an estimate
        o, _ = ask(wide, 1000, 1000, stated=(INPUT, OUTPUT))
        assert tell(wide, o, **used).bucket == learned, used


# What it decides.

def test_a_denial_goes_by_what_would_be_charged(clean_store):
    pool = Pool(clean_store).pool(Limit(INPUT, ROLLING, 10_000))
    assert ask(pool, 50_000)[1].wait == NEVER
    teach(pool, 5000, 50)
    used = 10_000 - pool.remaining("p")[0]
    assert used == 20 * 50
    o, a = ask(pool, 50_000)
    assert a.outcome == GRANTED
    held = 10_000 - used - pool.remaining("p")[0]
    assert 500 <= held <= 595
    assert ask(pool, 10**6 + 10**5)[1].wait == NEVER  # a hundredth of it is too much, too
    waiting, a = ask(pool, 900_000)
    assert a.outcome == DENIED and a.wait > 0
    pool.at += a.wait - 1
    assert pool.one(waiting.change(resent=True)).outcome == DENIED
    pool.at += 1
    assert pool.one(waiting.change(resent=True)).outcome == GRANTED


@pytest.mark.parametrize("n_input, limits", (
    (2000, [Limit(INPUT, ROLLING, 2000)]),
    (1900, [Limit(TOKENS, ROLLING, 2000)]),
    (1900, [Limit(INPUT, ROLLING, 10**6), Limit(TOKENS, BUCKET, 2500, capacity=2000)]),
    (1900, [Limit(TOKENS, ROLLING, 2222, kept_back=(0, 222, 2222))]),
    (1000, [Limit(TOKENS, ROLLING, 1100)]),
))  # fmt: skip
def test_a_guess_never_makes_a_call_impossible(clean_store, n_input, limits):
    """Five thousand could never fit; what was stated can, and only its report can tell whether it is so much."""
    pool = Pool(clean_store).pool(Limit(INPUT, BUCKET, 10**9))
    teach(pool, 1000, 5000)
    pool.buckets["p"] = Bucket("{b}p2", limits, ledger=True, breaker=packing.Breaker())
    taken = charged(pool, 1000, 100)[0]
    assert taken == (n_input if limits[0].unit == INPUT else n_input + 100)
    _, a = ask(pool, 1000, 100)
    assert a.outcome == DENIED and a.wait > 0
    assert ask(pool, 2001)[1].wait == NEVER


def test_the_expensive_are_believed(clean_store):
    """One call in nine is not cached: that is what is charged, and all that is too much is given back."""
    pool = Pool(clean_store).pool(Limit(INPUT, ROLLING, 10**9))
    for i in range(180):
        o, _ = ask(pool, 10_000)
        tell(pool, o, input_tokens=100 if i % 9 else 10_000)
    assert charged(pool, 10_000) == (10_000,)
    assert 10**9 - pool.remaining("p")[0] == 20 * 10_000 + 160 * 100 + 10_000


# Exactly what was charged is corrected.

def test_what_was_learned_is_settled_exactly(clean_store):
    pool = Pool(clean_store).pool(Limit(INPUT, ROLLING, 10**6), Limit(TOKENS, BUCKET, 10**6))
    r, used = random.Random(4), 0
    for i in range(400):
        stated = r.choice((10, 1000, 5000))
        o, a = ask(pool, stated, r.choice((0, 7)), stated=r.choice(((INPUT,), (INPUT, OUTPUT))))
        assert a.outcome == GRANTED
        actual = r.choice((0, 1, stated // 50, stated, 3 * stated)) if i % 40 == 0 else stated // 50
        if i % 7 == 0:
            assert pool.renew(o, ttl=90_000).outcome == GRANTED  # lives longer, and teaches as ever
        assert tell(pool, o, input_tokens=actual, output_tokens=3).bucket & LEARNED_INPUT
        used += actual
    assert pool.remaining("p") == [10**6 - used, 10**6 - used - 400 * 3]


def test_what_was_stated_stays_with_each_of_a_group(clean_store):
    pool = Pool(clean_store).pool(Limit(INPUT, ROLLING, 10**6))
    teach(pool, 1000, 20)
    group, a = ask(pool, 1000, n=4)
    assert a.granted == 4
    assert pool.renew(pool.after(group, ACQUIRE, member=2), ttl=60000, member=2).outcome == GRANTED
    assert pool.renew(pool.after(group, ACQUIRE, member=3), input_tokens=5, ttl=60000, member=3).outcome == GRANTED
    for member, learned in ((2, LEARNED_INPUT), (1, LEARNED_INPUT), (3, 0), (0, LEARNED_INPUT)):
        a = tell(pool, group, member=member, input_tokens=20)
        assert (a.outcome, a.bucket) == (SETTLED, learned)  # what was added to is no estimate of one call any more
    assert pool.remaining("p") == [10**6 - 24 * 20]
    late, _ = ask(pool, 1000, ttl=1000)
    pool.at += 5000
    a = tell(pool, late, input_tokens=30)
    assert (a.outcome, a.bucket) == (LATE, LEARNED_INPUT)
    assert pool.remaining("p") == [10**6 - 24 * 20 - 30]


def test_the_rest_of_a_group_costs_what_its_first_part_cost(clean_store):
    pool = Pool(clean_store).pool(Limit(INPUT, BUCKET, 2500))
    group, a = ask(pool, 1000, n=3)
    assert a.granted == 2
    pool.buckets["p"] = Bucket("{b}p", [Limit(INPUT, BUCKET, 10**6)], ledger=True, breaker=packing.Breaker())
    teach(pool, 1000, 1)
    assert pool.one(group.change(resent=True)).granted == 3
    used = 10**6 - pool.remaining("p")[0]
    for member in range(3):
        assert tell(pool, group, member=member, input_tokens=0).outcome == SETTLED
    assert used - (10**6 - pool.remaining("p")[0]) == 3000


def test_who_is_refused_or_only_looks_writes_nothing(clean_store):
    pool = Pool(clean_store).pool(Limit(INPUT, ROLLING, 2000))
    teach(pool, 1000, 40)
    digest = pool.digest()
    assert ask(pool, 1000, dry=True)[1].outcome == GRANTED
    assert ask(pool, 100_000)[1].outcome == DENIED
    assert pool.digest() == digest


# What is kept.

def test_what_was_learned_lives_for_a_day(wide):
    teach(wide, 1000, 10)
    assert wide.client.execute_command("PEXPIRETIME", ESTIMATES) == wide.at + DAY


def counts_of(pool):
    kept = pool.client.get(ESTIMATES)
    both = [int.from_bytes(kept[at:at + 2], "little") for at in range(1, len(kept), 2)]
    return {n: count for n, count in enumerate(both[40:]) if count}, {n: count for n, count in enumerate(both[:40]) if count}


def test_at_two_hundred_all_counts_are_halved(wide):
    teach(wide, 1000, 1000, calls=150)  # class 12: eight, an octave after an octave of four
    teach(wide, 1000, 8000, calls=49)
    assert counts_of(wide) == ({12: 150, 0: 49}, {})
    o, _ = ask(wide, 1000, 100, stated=(INPUT, OUTPUT))
    tell(wide, o, input_tokens=2000, output_tokens=100)
    assert counts_of(wide) == ({12: 75, 0: 24}, {0: 1})  # and the one of two thousand is forgotten
    teach(wide, 1000, 2000, calls=1)
    assert counts_of(wide) == ({12: 75, 0: 24, 8: 1}, {0: 1})


def test_what_an_older_version_has_kept_is_read(wide):
    """It has the output alone, and no more of the input than it could know."""
    counts = [0] * 40
    counts[8] = 50  # a quarter
    old = b"\1" + b"".join(c.to_bytes(2, "little") for c in counts)
    wide.client.set(ESTIMATES, old)
    assert charged(wide, 1000, 1000, stated=(INPUT, OUTPUT)) == (1000, 1250, 250)
    teach(wide, 1000, 10)
    kept = wide.client.get(ESTIMATES)
    assert kept[0] == 2 and kept[1:81] == old[1:]  # where the older one goes on reading
    n_input, _, output = charged(wide, 1000, 1000, stated=(INPUT, OUTPUT))
    assert 10 <= n_input <= 12 and output == 250


@pytest.mark.parametrize("kept", (b"", b"\1", b"\1\0", b"\2" + bytes(79), b"\3" + b"\xff" * 160, b"\2" + b"\xff" * 81, b"\xff" * 400))
def test_what_cannot_be_read_is_learned_anew(wide, kept):
    wide.client.set(ESTIMATES, kept)
    assert charged(wide, 1000) == (1000, 1000, 0)
    teach(wide, 1000, 10)
    assert charged(wide, 1000)[0] <= 12


def old_pack(client, *values):
    return client.eval("local v = {} for i = 1, #ARGV do v[i] = tonumber(ARGV[i]) or ARGV[i] end return cmsgpack.pack(unpack(v))", 0, *values)


def test_a_reservation_that_an_older_version_granted_is_settled(clean_store):
    """Its record has no stated input; it teaches its output, and is given back what it was charged."""
    pool = Pool(clean_store).pool(Limit(INPUT, ROLLING, 10**6), Limit(OUTPUT, ROLLING, 10**6))
    for output in (0, 500):
        o, _ = pool.acquire(input_tokens=1000, tokens=1500, output_tokens=500)
        deadline = -(-(pool.at + 60_000) // 512) * 512
        record = old_pack(pool.client, 1, "o", deadline, 9, 2 * output, "", deadline - pool.at, 0, 1500, 1000, 500, 0, 0)
        if not output:
            assert pool.client.hget("{b}r", o.nonce) == record  # what asks for nothing learned is as it ever was
        pool.client.hset("{b}r", o.nonce, record)
        a = tell(pool, o, input_tokens=20, output_tokens=30)
        assert (a.outcome, a.bucket) == (SETTLED, LEARNED_OUTPUT if output else 0)
    assert pool.remaining("p") == [10**6 - 40, 10**6 - 60]


def test_a_record_is_a_part_that_charged_nothing_to_those_who_do_not_know(clean_store):
    """The six that were charged, then six that are zero: so the audit counts it, and so an older version settles it."""
    pool = Pool(clean_store).pool(Limit(INPUT, ROLLING, 10**6))
    o, _ = ask(pool, 1000, 7)
    for renewed in (False, True):
        if renewed:
            pool.renew(o, ttl=90_000)
        record = clean_store.eval("local r = {cmsgpack.unpack(ARGV[1])} for i = 1, #r do r[i] = tostring(r[i]) end return r", 0,
                                  clean_store.hget("{b}r", o.nonce))
        assert len(record) == 20 and [int(n) for n in record[7:13]] == [0, 1007, 1000, 7, 0, 0]
        assert [int(n) for n in record[13:]] == [-1000, 0, 0, 0, 0, 0, 0]
    assert tell(pool, o, input_tokens=1).outcome == SETTLED
