"""`decide` by example: each test tells one story, named after what goes wrong in other limiters."""

import packing
import pytest
import redis
from model import deadline_of
from packing import (ACQUIRE, BUCKET, CALENDAR, CANCEL, CONCURRENT, CROWDED, DENIED, DUPLICATE, ENDED, FOREIGN, GRANTED, IN_FLIGHT, INPUT,
                     LATE, NEVER, NOSUCH, OUTPUT, PEEK, RENEW, REPORT, REQUESTS, ROLLING, SETTLED, TOKENS, Bucket, Limit, Op)

DAY = 86_400_000
MINUTE = 60_000
NOON = 2_300_000_000_000 // DAY * DAY + DAY // 2
MIDNIGHT = NOON + DAY // 2


class Bench:
    """A pool and a tenant, and short words for what is done to them."""

    def __init__(self, client):
        self.client, self.name = client, packing.load_with_clock(client)
        self.buckets, self.nonce, self.at = {}, 0, NOON

    def limits(self, tenant, pool=None):
        self.buckets["t"] = Bucket("{b}t", tenant)
        if pool is not None:
            self.buckets["p"] = Bucket("{b}p", pool, ledger=True)
        return self

    def batch(self, *ops):
        keys, argument = packing.pack_batch(self.buckets, ops)
        return packing.unpack_answer(self.client.fcall(self.name, len(keys), *keys, argument, self.at))[3]

    def one(self, op):
        return self.batch(op)[0]

    def op(self, kind, requests=0, tokens=0, input_tokens=0, output_tokens=0, concurrent=0, **more):
        more.setdefault("slice", "{b}r")
        return Op(kind, list(self.buckets), (requests, tokens, input_tokens, output_tokens, 0, concurrent), **more)

    def ask(self, **more):
        """An acquire with a name of its own, not sent yet."""
        self.nonce += 1
        return self.op(ACQUIRE, nonce=self.nonce.to_bytes(8, "big"), **more)

    def acquire(self, **more):
        """(the operation, its answer)"""
        o = self.ask(**more)
        return o, self.one(o)

    def after(self, acquired, kind, **more):
        o = self.op(kind, nonce=acquired.nonce, **more)
        for unit in ("requests", "tokens", "input_tokens", "output_tokens") if kind == REPORT else ():
            if unit in more:
                o.stated |= 1 << packing.UNITS.index(unit)
        return o

    def report(self, acquired, **more):
        return self.one(self.after(acquired, REPORT, **more)).outcome

    def cancel(self, acquired, **more):
        return self.one(self.after(acquired, CANCEL, **more)).outcome

    def renew(self, acquired, **more):
        return self.one(self.after(acquired, RENEW, **more))

    def rows(self, bucket="t"):
        return self.one(Op(PEEK, [bucket])).rows

    def remaining(self, bucket="t"):
        return [row[0] for row in self.rows(bucket)]

    def digest(self):
        return self.client.execute_command("DEBUG", "DIGEST")


@pytest.fixture
def bench(clean_store):
    return Bench(clean_store)


def tokens(algorithm, amount, per=MINUTE, **more):
    return Limit(TOKENS, algorithm, amount, per, **more)


def daily(amount, **more):
    return Limit(more.pop("unit", TOKENS), CALENDAR, amount, DAY, bounds=(MIDNIGHT - DAY, MIDNIGHT, MIDNIGHT + DAY), **more)


IN_FLIGHT_2 = Limit(IN_FLIGHT, CONCURRENT, 2, 0)
EVERY_KIND = [tokens(BUCKET, 1000), tokens(ROLLING, 1000), daily(1000)]


# Trap 2: what was used beyond the estimate was lost.

@pytest.mark.parametrize("limit", EVERY_KIND)
def test_more_than_estimated_becomes_debt_and_is_paid(bench, limit):
    bench.limits([limit])
    o, _ = bench.acquire(tokens=100)
    assert bench.report(o, tokens=1500) == SETTLED
    assert bench.remaining() == [-500]
    _, refused = bench.acquire(tokens=1)
    assert refused.outcome == DENIED and refused.wait > 1
    bench.at += refused.wait
    assert bench.acquire(tokens=1)[1].outcome == GRANTED


def test_a_report_that_comes_late_is_still_counted(bench):
    bench.limits([tokens(ROLLING, 1000)])
    o, _ = bench.acquire(tokens=100, ttl=1000)
    bench.at += 30_000
    assert bench.report(o, tokens=400) == LATE
    assert bench.remaining() == [600]


def test_books_of_a_pool_say_what_was_really_used(bench):
    bench.limits([], [tokens(ROLLING, 10_000)])
    reported, cancelled, expired, _ = [bench.acquire(tokens=100, ttl=ttl)[0] for ttl in (9000, 9000, 1000, 99_000)]
    bench.report(reported, tokens=30)
    bench.cancel(cancelled)
    bench.at += 20_000
    bench.acquire(tokens=1)
    ledger = {k: v[TOKENS] for k, v in packing.unpack_ledger(bench.client.get("{b}p")).items()}
    assert ledger == {"granted": 401, "reported": 100, "expired": 100, "cancelled": 100, "spent": 30, "outstanding": 101}
    bench.report(expired, tokens=50)
    ledger = {k: v[TOKENS] for k, v in packing.unpack_ledger(bench.client.get("{b}p")).items()}
    assert ledger == {"granted": 401, "reported": 200, "expired": 0, "cancelled": 100, "spent": 80, "outstanding": 101}


# Trap 3: a refund landed in the next window, or made a level negative or above capacity.

def test_a_refund_never_reaches_a_day_that_the_charge_did_not_come_from(bench):
    bench.limits([daily(1000)])
    bench.at = MIDNIGHT - 1000
    o, _ = bench.acquire(tokens=900)
    bench.at = MIDNIGHT + 1000
    bench.acquire(tokens=500)
    assert bench.report(o, tokens=0) == SETTLED
    assert bench.remaining() == [500]


def test_a_refund_never_reaches_a_window_that_the_charge_has_left(bench):
    bench.limits([tokens(ROLLING, 1000)])
    o, _ = bench.acquire(tokens=900, ttl=600_000)
    bench.at += 61_000
    bench.acquire(tokens=500)
    assert bench.report(o, tokens=0) == SETTLED
    assert bench.remaining() == [500]


def test_a_refund_of_what_was_refilled_long_ago_gives_nothing(bench):
    bench.limits([tokens(BUCKET, 1000)])
    o, _ = bench.acquire(tokens=1000, ttl=600_000)
    bench.at += 61_000
    bench.acquire(tokens=800)
    assert bench.report(o, tokens=0) == SETTLED
    assert bench.remaining() == [200]


def test_a_refund_gives_back_no_fraction_that_was_refilled_already(bench):
    bench.limits([Limit(REQUESTS, BUCKET, 5, MINUTE)])
    first, _ = bench.acquire(requests=1)
    bench.at += 11_999
    granted = [bench.acquire(requests=1)[1].outcome for _ in range(4)].count(GRANTED)
    bench.cancel(first)
    granted += [bench.acquire(requests=1)[1].outcome for _ in range(3)].count(GRANTED)
    bench.at += 1
    granted += [bench.acquire(requests=1)[1].outcome for _ in range(3)].count(GRANTED)
    assert granted == 5, "a burst of 5, and a millisecond's refill"


def test_every_key_has_an_expiry(bench):
    bench.limits([tokens(BUCKET, 1000), IN_FLIGHT_2], [tokens(ROLLING, 1000), daily(5000)])
    o, _ = bench.acquire(tokens=10, concurrent=1)
    kept, _ = bench.acquire(tokens=10, concurrent=1)
    bench.at += 1000
    bench.acquire(tokens=10)  # in another slot: the pool's first one moves into its slots
    bench.report(o, tokens=5)
    assert len(bench.client.keys("*")) == 5
    assert all(bench.client.pttl(key) > 0 for key in bench.client.keys("*"))


def test_what_is_held_over_midnight_outlives_the_bucket_of_the_day(bench):
    bench.limits([daily(1000, unit=OUTPUT, at_end=True)])
    bench.at = MIDNIGHT - 1000
    bench.acquire(output_tokens=900, ttl=MINUTE)
    assert bench.client.pexpiretime("{b}t") >= MIDNIGHT + DAY
    bench.at = MIDNIGHT + 2 * MINUTE
    assert bench.remaining() == [100]


# Trap 4: a refused request still used up another limit.

def test_a_denial_writes_nothing(bench):
    bench.limits([Limit(REQUESTS, BUCKET, 50, MINUTE), tokens(BUCKET, 1000), IN_FLIGHT_2], [tokens(ROLLING, 500), daily(9000)])
    bench.acquire(requests=1, tokens=400, concurrent=1)
    bench.at += 100
    before = bench.digest()
    refused = bench.batch(*[bench.ask(requests=1, tokens=101, concurrent=1) for _ in range(20)])
    assert [a.outcome for a in refused] == [DENIED] * 20
    assert bench.acquire(requests=99)[1].wait == NEVER
    assert bench.acquire(requests=1, concurrent=1, dry=True)[1].outcome == GRANTED
    assert bench.report(bench.ask(), tokens=3) == NOSUCH
    bench.rows(), bench.rows("p")
    assert bench.digest() == before


def test_all_or_nothing_names_the_limit_that_refuses(bench):
    bench.limits([Limit(REQUESTS, BUCKET, 50, MINUTE)], [tokens(ROLLING, 500), daily(600)])
    bench.acquire(tokens=500)
    _, refused = bench.acquire(requests=1, tokens=101)
    assert (refused.outcome, refused.bucket, refused.limit, refused.wait) == (DENIED, 1, 1, MIDNIGHT - NOON)
    assert bench.remaining() == [50]


# Trap 8: retry_after was wrong. (The model tests judge every wait; here are the shapes.)

@pytest.mark.parametrize("limit, hold, wait", [
    (tokens(BUCKET, 1000, at_end=True), 10_000, None), (tokens(ROLLING, 1000, at_end=True), 10_000, None),
    (IN_FLIGHT_2, 10_000, None), (daily(1000, at_end=True), 1000, None)])
def test_what_is_held_is_waited_for(bench, limit, hold, wait):
    bench.limits([limit])
    bench.at = MIDNIGHT - 1000
    bench.acquire(tokens=900, concurrent=2, ttl=hold)
    bench.at += 1
    refused = bench.acquire(tokens=800, concurrent=1)[1]
    again = bench.at + refused.wait
    bench.at = again - 1
    assert bench.acquire(tokens=800, concurrent=1, dry=True)[1].outcome == DENIED
    if limit.algorithm != CALENDAR:
        bench.at = again
        assert bench.acquire(tokens=800, concurrent=1)[1].outcome == GRANTED
    else:
        # What is held until midnight exactly is charged to the new day, so it is the day after that has room.
        assert again == MIDNIGHT + DAY


# Trap 9: an estimate larger than the limit waited for ever.

@pytest.mark.parametrize("limit", EVERY_KIND)
def test_what_can_never_fit_is_never_at_once(bench, limit):
    bench.limits([limit])
    _, refused = bench.acquire(tokens=1001)
    assert (refused.outcome, refused.wait) == (DENIED, NEVER)
    assert bench.acquire(tokens=1000)[1].outcome == GRANTED


def test_small_limits_are_usable(bench):
    bench.limits([Limit(REQUESTS, BUCKET, 1, DAY)])
    assert bench.acquire(requests=1)[1].outcome == GRANTED
    _, refused = bench.acquire(requests=1)
    assert refused.wait == DAY


def test_what_is_kept_back_from_a_priority_can_never_fit_for_it(bench):
    bench.limits([], [tokens(ROLLING, 1000, kept_back=(0, 100, 300))])
    assert bench.acquire(tokens=701, priority=2)[1].wait == NEVER
    assert bench.acquire(tokens=700, priority=2)[1].outcome == GRANTED
    assert bench.acquire(tokens=1, priority=2)[1].outcome == DENIED
    assert bench.acquire(tokens=200, priority=1)[1].outcome == GRANTED
    assert bench.acquire(tokens=1, priority=1)[1].outcome == DENIED
    assert bench.acquire(tokens=100, priority=0)[1].outcome == GRANTED


# Trap 12: a double report refunded twice; releasing what was refused freed somebody else's slot.

def test_duplicate_and_foreign_reports_change_nothing(bench):
    bench.limits([tokens(BUCKET, 1000), IN_FLIGHT_2])
    o, _ = bench.acquire(tokens=500, concurrent=1)
    bench.acquire(tokens=400, concurrent=1)
    refused, answer = bench.acquire(tokens=1, concurrent=1)
    assert answer.outcome == DENIED
    assert bench.cancel(refused) == NOSUCH
    assert bench.report(o, tokens=100) == SETTLED
    before = bench.digest()
    assert bench.report(o, tokens=100) == DUPLICATE
    assert bench.cancel(o) == DUPLICATE
    assert bench.report(o, tokens=0, check=2) == NOSUCH
    assert bench.one(o.change(resent=True, check=2)).outcome == FOREIGN
    assert bench.digest() == before
    assert bench.remaining() == [500, 1]


# Trap 13: an aborted stream was refunded in full.

def test_a_partial_report_charges_at_least_the_input(bench):
    bench.limits([tokens(ROLLING, 1000), Limit(INPUT, ROLLING, 1000), Limit(OUTPUT, ROLLING, 1000)])
    o, _ = bench.acquire(tokens=600, input_tokens=100, output_tokens=500)
    assert bench.report(o, partial=True) == SETTLED
    assert bench.remaining() == [900, 900, 1000]
    o, _ = bench.acquire(tokens=600, input_tokens=100, output_tokens=500)
    assert bench.report(o, output_tokens=70, partial=True) == SETTLED
    assert bench.remaining() == [730, 800, 930]


def test_a_partial_report_of_a_call_of_unknown_parts_charges_the_estimate(bench):
    bench.limits([tokens(ROLLING, 1000)])
    o, _ = bench.acquire(tokens=600)
    assert bench.report(o, tokens=20, partial=True) == SETTLED
    assert bench.remaining() == [400]


# Trap 14: changing a limit reset usage, or was ignored.

@pytest.mark.parametrize("limit", EVERY_KIND)
def test_another_amount_keeps_what_was_used(bench, limit):
    bench.limits([limit])
    bench.acquire(tokens=700)
    bench.limits([limit.change(amount=800, capacity=800)])
    assert bench.remaining() == [100]
    bench.limits([limit.change(amount=500, capacity=500)])
    assert bench.remaining() == [-200]
    assert bench.acquire(tokens=1)[1].outcome == DENIED


@pytest.mark.parametrize("to", [tokens(ROLLING, 500, 10_000), tokens(BUCKET, 500, 10_000)])
def test_another_period_takes_over_what_was_used_and_lets_go_of_it(bench, to):
    bench.limits([tokens(ROLLING, 500)])
    bench.acquire(tokens=500)
    bench.at += 1000
    bench.limits([to])
    _, refused = bench.acquire(tokens=500)
    assert refused.outcome == DENIED
    # Refusals write nothing; the wait comes true all the same.
    bench.at += refused.wait - 1
    assert bench.acquire(tokens=500)[1].wait == 1
    bench.at += 1
    assert bench.acquire(tokens=500)[1].outcome == GRANTED


@pytest.mark.parametrize("limit, unit", [
    (tokens(ROLLING, 1000), "tokens"), (tokens(BUCKET, 1000, at_end=True), "tokens"),
    (Limit(IN_FLIGHT, CONCURRENT, 1000, 0), "concurrent")])
def test_a_limit_that_was_taken_away_and_comes_back_does_not_admit_more(bench, limit, unit):
    hour = Limit(REQUESTS, ROLLING, 1000, 60 * MINUTE)
    bench.limits([hour, limit])
    bench.acquire(requests=1, **{unit: 1000})
    bench.limits([hour])
    bench.acquire(requests=1)
    bench.limits([hour, limit])
    bench.acquire(requests=1, **{unit: 1})
    bench.at += 5 * MINUTE
    assert bench.remaining()[1] <= 1000


def test_slots_that_outlive_their_levels_do_not_admit_more(bench):
    hour = tokens(ROLLING, 1000, 60 * MINUTE)
    bench.limits([hour])
    bench.acquire(tokens=999)
    bench.at += 31_000
    bench.acquire(tokens=1)  # the next slot: the first one moves into the slots
    bench.limits([Limit(REQUESTS, BUCKET, 1000, 1000)])
    bench.acquire(requests=1)
    bench.at = bench.client.pexpiretime("{b}t") + 1
    bench.client.delete("{b}t")  # as it does then by itself
    assert bench.client.pexpiretime("{b}t+s") > bench.at
    bench.limits([hour])
    bench.acquire(tokens=400)
    bench.at = NOON + 61 * MINUTE
    assert bench.remaining() == [600]


def test_a_limit_that_is_new_gives_back_nothing_of_what_it_never_charged(bench):
    bench.limits([Limit(REQUESTS, BUCKET, 1000, 1000)])
    o, _ = bench.acquire(requests=1, tokens=1000)
    bench.at += 1000
    bench.client.delete("{b}t")  # it is as good as new by now, and expires
    bench.limits([tokens(BUCKET, 1000, 60 * MINUTE), daily(5000)])
    bench.acquire(tokens=1000)
    assert bench.report(o, tokens=0) == SETTLED
    assert bench.remaining() == [0, 4000]


def test_a_lower_rate_gives_back_nothing_that_was_refilled_at_the_higher_one(bench):
    rich, poor = tokens(BUCKET, 60_000), tokens(BUCKET, 600)
    bench.limits([rich])
    o, _ = bench.acquire(tokens=1000)
    bench.at += 900
    bench.acquire(tokens=200)
    bench.at += 500
    bench.acquire(tokens=1)
    bench.limits([poor])
    bench.acquire(tokens=500)
    assert bench.report(o, tokens=0) == SETTLED
    assert bench.remaining() == [99]


@pytest.mark.parametrize("before", [daily(10**6, unit=REQUESTS), Limit(REQUESTS, ROLLING, 10**6, MINUTE), IN_FLIGHT_2])
def test_a_limit_beside_one_with_a_history_becomes_another_kind(bench, before):
    """What is stored of other kinds is longer or shorter; that it is not what it would be now must not be read as a history."""
    bench.limits([tokens(BUCKET, 1000, DAY), before])
    for cost in (1, 4, 16, 64, 256):  # each twice the one before: a history of four
        bench.acquire(tokens=cost, requests=1)
        bench.at += 1000
    bench.limits([tokens(BUCKET, 1000, DAY), Limit(REQUESTS, BUCKET, 10**6, DAY)])
    assert bench.acquire(tokens=600)[1].outcome == GRANTED
    assert bench.remaining()[0] == 1000 - 341 - 600


def test_less_slack_frees_what_had_more(bench):
    limit = tokens(ROLLING, 1000, slack=5000)
    bench.limits([limit])
    bench.acquire(tokens=1000)
    bench.at += 62_000
    bench.acquire(requests=1)
    bench.limits([limit.change(slack=250)])
    bench.acquire(requests=1)
    bench.at += 10_000
    assert bench.remaining() == [1000]


# Trap 15: the clock.

@pytest.mark.parametrize("back", [1, 1000, 3_600_000])
def test_time_that_steps_back_changes_nothing(bench, back):
    bench.limits([tokens(BUCKET, 1000), tokens(ROLLING, 1000), IN_FLIGHT_2], [daily(1000)])
    o, _ = bench.acquire(tokens=600, concurrent=1)
    rows, pool = bench.rows(), bench.rows("p")
    bench.at -= back
    for before, after in ((rows, bench.rows()), (pool, bench.rows("p"))):
        assert after == [(remaining, reset + back if reset else 0) for remaining, reset in before]
    assert bench.acquire(tokens=401)[1].outcome == DENIED
    assert bench.acquire(tokens=400)[1].outcome == GRANTED
    assert bench.report(o, tokens=0) == SETTLED
    assert bench.remaining() == [600, 600, 2]
    bench.at += back
    assert bench.remaining() == [600, 600, 2]


def test_a_batch_for_another_day_is_not_decided(bench):
    bench.limits([daily(1000)])
    bench.at = MIDNIGHT + DAY
    before = bench.digest()
    keys, argument = packing.pack_batch(bench.buckets, [bench.ask(tokens=1)])
    stale, clock, ahead, answers = packing.unpack_answer(bench.client.fcall(bench.name, len(keys), *keys, argument, bench.at))
    assert (stale, clock, ahead, answers) == (True, bench.at, {}, [])
    assert bench.digest() == before


# Trap 16: a fixed window under constant load never ended.

def test_a_calendar_limit_under_constant_load_resets_on_the_instant(bench):
    bench.limits([daily(1000)])
    bench.at = MIDNIGHT - 5000
    while bench.at < MIDNIGHT - 1:
        bench.at = min(bench.at + 7, MIDNIGHT - 1)
        bench.acquire(tokens=2)
    _, refused = bench.acquire(tokens=2)
    assert (refused.outcome, refused.wait) == (DENIED, 1)
    bench.at = MIDNIGHT
    assert bench.acquire(tokens=1000)[1].outcome == GRANTED


def test_a_charge_in_the_last_millisecond_of_a_day_is_not_of_the_next(bench):
    bench.limits([daily(1000)])
    bench.at = MIDNIGHT - 1
    bench.acquire(tokens=600)
    bench.at = MIDNIGHT
    assert bench.remaining() == [1000]


# Trap 22: a burst after idling admitted twice the limit.

def test_idle_then_burst_admits_the_amount_once(bench):
    bench.limits([tokens(ROLLING, 1000)])
    bench.acquire(tokens=1)
    bench.at += DAY
    granted = []
    for _ in range(59_000 // 20):
        granted += [bench.at] * [bench.acquire(tokens=100)[1].outcome for _ in range(2)].count(GRANTED)
        bench.at += 20
    assert len(granted) == 10


# Trap 23: a report after a lost reply was charged twice, a repeated acquire took a second slot.

def test_an_acquire_sent_again_is_granted_once(bench):
    bench.limits([tokens(BUCKET, 1000), IN_FLIGHT_2])
    o, _ = bench.acquire(tokens=600, concurrent=1)
    before = bench.digest()
    assert bench.one(o.change(resent=True)).outcome == GRANTED
    assert bench.digest() == before
    assert bench.report(o, tokens=600) == SETTLED
    assert bench.one(o.change(resent=True)).outcome == ENDED
    assert bench.remaining() == [400, 2]


def test_a_group_granted_in_part_and_sent_again_takes_only_the_rest(bench):
    bench.limits([tokens(ROLLING, 1000)])
    group = bench.ask(tokens=300, n=5)
    assert bench.one(group).granted == 3
    assert bench.one(group.change(resent=True)).granted == 3
    bench.report(group, tokens=0, member=1)
    assert bench.one(group.change(resent=True)).granted == 4
    assert bench.report(group, tokens=0, member=3) == SETTLED
    assert bench.report(group, tokens=0, member=4) == NOSUCH


@pytest.mark.parametrize("how", [REPORT, CANCEL])
@pytest.mark.parametrize("after, outcome", [(100, SETTLED), (30_000, LATE)])
def test_a_report_sent_again_is_answered_alike_and_charged_once(bench, how, after, outcome):
    bench.limits([tokens(ROLLING, 1000)])
    o, _ = bench.acquire(tokens=600, ttl=1000)
    bench.acquire(tokens=300)
    bench.at += after
    done = bench.after(o, how)
    assert bench.one(done).outcome == outcome
    remaining, before = bench.remaining(), bench.digest()
    assert bench.one(done.change(resent=True)).outcome == outcome
    assert bench.one(done).outcome == DUPLICATE
    assert bench.remaining() == remaining and bench.digest() == before


def test_a_renewal_sent_again_adds_once(bench):
    bench.limits([tokens(BUCKET, 1000), IN_FLIGHT_2])
    o, _ = bench.acquire(tokens=100, concurrent=1, ttl=1000)
    bench.at += 500
    renewal = bench.after(o, RENEW, tokens=50, ttl=10_000, token=b"one more")
    assert bench.one(renewal).outcome == GRANTED
    before = bench.digest()
    assert bench.one(renewal).outcome == GRANTED
    assert bench.digest() == before
    bench.at += 5000
    assert bench.remaining()[1] == 1, "the renewal moved the deadline"
    bench.at += 10_000
    assert bench.remaining()[1] == 2
    assert bench.renew(o, token=b"too late").outcome == ENDED


# One id for everything: what was asked under an id is what it stays good for, and only while it is outstanding.

def test_an_id_is_good_for_what_was_asked_under_it_alone(bench):
    bench.limits([tokens(BUCKET, 1000)], [tokens(ROLLING, 1000)])
    o, _ = bench.acquire(tokens=1)
    before = bench.digest()
    again = o.change(resent=True)
    assert [a.outcome for a in bench.batch(again, again)] == [GRANTED, GRANTED]
    for unit in range(6):
        other = list(o.cost)
        other[unit] += 999
        answer = bench.one(again.change(cost=tuple(other)))
        assert (answer.outcome, answer.granted) == (FOREIGN, 0), unit
    assert bench.digest() == before and bench.remaining() == [999]


@pytest.mark.parametrize("end", ["report", "cancel", "expiry"])
def test_an_id_that_has_ended_is_not_granted_again(bench, end):
    bench.limits([tokens(BUCKET, 1000, 86_400_000)])
    o, _ = bench.acquire(tokens=400, ttl=1000)
    if end == "expiry":
        bench.at = deadline_of(o.ttl, bench.at)[0]
    else:
        assert (bench.report if end == "report" else bench.cancel)(o) == SETTLED
    before, remaining = bench.digest(), bench.remaining()
    for again in (o.change(resent=True), o.change(resent=True, cost=(0, 1, 0, 0, 0, 0))):
        assert bench.one(again).outcome == ENDED
    assert bench.digest() == before and bench.remaining() == remaining


def test_a_resent_acquire_is_known_after_many_additions(bench):
    """Of a reservation's parts some are merged, but never that which the acquire made."""
    bench.limits([tokens(BUCKET, 100_000)])
    o, _ = bench.acquire(tokens=100, ttl=60_000)
    for i in range(20):
        bench.at += 10
        assert bench.renew(o, tokens=10, token=b"add %04d" % i).outcome == GRANTED
    assert bench.one(o.change(resent=True)).outcome == GRANTED
    assert bench.one(o.change(resent=True, cost=(0, 300, 0, 0, 0, 0))).outcome == FOREIGN
    assert bench.report(o, tokens=0) == SETTLED
    assert bench.remaining() == [100_000]


def test_a_resent_group_is_known_by_what_each_member_asked(bench):
    bench.limits([tokens(BUCKET, 1000)])
    group, answer = bench.acquire(tokens=300, n=5)
    assert answer.granted == 3
    assert bench.one(group.change(resent=True, n=3)).granted == 3
    assert bench.one(group.change(resent=True, n=5, cost=(0, 1, 0, 0, 0, 0))).outcome == FOREIGN
    assert bench.one(group.change(resent=True, n=4)).granted == 3
    for member in range(3):
        bench.report(group, tokens=0, member=member)
    assert bench.one(group.change(resent=True, n=5)).outcome == ENDED


# A slice never grows beyond some thousands of records, whoever names it.

def test_a_slice_is_full_at_some_thousands(bench):
    bench.limits([tokens(BUCKET, 10**9)])
    asked = [bench.ask(tokens=1, resent=True) for _ in range(2100)]
    outcomes = [a.outcome for i in range(0, 2100, 60) for a in bench.batch(*asked[i:i + 60])]
    assert outcomes == [GRANTED] * 2000 + [CROWDED] * 100
    assert bench.client.hlen("{b}r") == 2000 and bench.remaining() == [10**9 - 2000]
    before = bench.digest()
    assert bench.one(asked[1999]).outcome == GRANTED, "what is there is answered as ever"
    assert bench.one(asked[2000].change(dry=True)).outcome == GRANTED
    assert bench.one(asked[2000].change(cost=(0, 10**10, 0, 0, 0, 0))).outcome == DENIED
    assert bench.digest() == before
    assert bench.one(asked[2000].change(slice="{b}r2")).outcome == GRANTED
    assert bench.report(asked[7], tokens=1) == SETTLED


# Free-form ids: each tenant's own.

def test_a_free_form_id_is_each_tenants_own(bench):
    bench.limits([tokens(BUCKET, 1000)])
    ask = dict(tokens=100, nonce=bytes(8), resent=True, owner="{b}n:x")
    mine = bench.op(ACQUIRE, slice="{b}f:a x", names=b"a p", check=1, **ask)
    theirs = bench.op(ACQUIRE, slice="{b}f:b x", names=b"b p", check=2, **ask)
    assert bench.one(mine).outcome == GRANTED
    assert bench.client.hget("{b}n:x", "n") == bench.client.hget("{b}f:a x", "n") == b"a p"
    assert bench.one(mine).outcome == GRANTED and bench.remaining() == [900]
    assert bench.one(theirs.change(cost=(0, 200, 0, 0, 0, 0))).outcome == GRANTED
    assert bench.remaining() == [700]
    assert bench.client.hget("{b}n:x", "n") == b"", "nobody can tell whose it is"
    assert bench.client.hget("{b}f:b x", "n") == b"b p"
    assert bench.one(mine).outcome == GRANTED
    assert bench.client.hget("{b}n:x", "n") == b""
    for o in (mine, theirs):
        assert bench.report(o, tokens=0, slice=o.slice, check=o.check) == SETTLED
    assert bench.remaining() == [1000]
    assert all(bench.client.pttl(key) > 0 for key in bench.client.keys("*"))


def test_a_free_form_id_stays_its_tenants_for_another_pool(bench):
    bench.limits([tokens(BUCKET, 1000)])
    ask = dict(tokens=100, nonce=bytes(8), resent=True, owner="{b}n:x", slice="{b}f:a x", ttl=1000)
    one = bench.op(ACQUIRE, names=b"a p", check=1, **ask)
    assert bench.one(one).outcome == GRANTED
    assert bench.one(one.change(names=b"a q", check=2)).outcome == FOREIGN
    bench.client.delete("{b}f:a x")  # its time has come
    batch = [one.change(names=b"a q", check=2), one.change(names=b"b q", check=3, slice="{b}f:b x"), one.change(owner="{b}n:y", slice="{b}f:a y")]
    assert [a.outcome for a in bench.batch(batch[0])] == [GRANTED]
    assert bench.client.hget("{b}n:x", "n") == b"a q"
    assert [a.outcome for a in bench.batch(*batch)] == [GRANTED] * 3
    assert [bench.client.hget(key, "n") for key in ("{b}n:x", "{b}n:y")] == [b"", b"a p"]


# Levels of format 3, and their slots under the levels' name.

def as_format_3(bench, *names):
    for name in names:
        b = bench.buckets[name]
        bench.client.set(b.key, b"\x03" + bench.client.get(b.key)[1:], keepttl=True)
        if bench.client.exists(b.slots_key):
            bench.client.rename(b.slots_key, b.key + ":s")


def test_slots_are_found_where_format_3_had_them_and_move(bench):
    bench.limits([tokens(BUCKET, 10_000)], [tokens(ROLLING, 1000), IN_FLIGHT_2])
    bench.acquire(tokens=600, ttl=600_000)
    held, _ = bench.acquire(concurrent=1)
    bench.at += 20_000
    bench.acquire(tokens=300)
    as_format_3(bench, "t", "p")
    assert not bench.client.exists("{b}p+s")
    before = bench.digest()
    assert bench.remaining("p") == [100, 1]
    assert bench.acquire(tokens=101)[1].outcome == DENIED
    assert bench.digest() == before, "what only looks moves nothing"
    assert bench.acquire(tokens=100)[1].outcome == GRANTED
    assert bench.client.get("{b}p")[0] == bench.client.get("{b}t")[0] == 4
    assert bench.client.exists("{b}p+s") and not bench.client.exists("{b}p:s")
    assert bench.cancel(held) == SETTLED
    bench.at += 41_000
    assert bench.remaining("p") == [600, 2], "the first slot has turned, the others count"


def test_the_audit_reads_slots_where_format_3_had_them(bench):
    bench.limits([], [tokens(ROLLING, 1000)])
    for ttl in (2000, 9000, 40_000):
        bench.acquire(tokens=100, ttl=ttl)
    audit = bench.client.function_load(packing.library_text(), replace=True).decode() + "_audit"
    argument = b"\x01\x00" + ((bench.at + 4000) // 1024).to_bytes(6, "little")
    before = bench.client.fcall(audit, 2, "{b}p", "{b}p+s", argument)
    as_format_3(bench, "p")
    assert bench.client.fcall(audit, 2, "{b}p", "{b}p+s", argument) == before
    assert packing.unpack_audit(before)[1][0]["expired"][TOKENS] == 100


# Levels of another version: neither misread nor forgotten.

@pytest.mark.parametrize("limit", [tokens(BUCKET, 1000), tokens(ROLLING, 1000)])
def test_levels_of_another_format_are_refused(bench, limit):
    bench.limits([limit], [tokens(ROLLING, 1000)])
    bench.acquire(tokens=100)
    for key in ("{b}t", "{b}p"):
        ours = bench.client.get(key)
        bench.client.set(key, b"\x02" + ours[1:], keepttl=True)
        with pytest.raises(redis.exceptions.ResponseError, match="written by another version.*delete the key"):
            bench.acquire(tokens=1)
        assert bench.client.get(key) == b"\x02" + ours[1:]
        bench.client.set(key, ours, keepttl=True)
    assert bench.acquire(tokens=900)[1].outcome == GRANTED


def test_an_error_half_way_leaves_nothing_behind(bench):
    """Neither in the store nor in what the functions keep from batch to batch."""
    bench.limits([tokens(BUCKET, 1000)], [tokens(ROLLING, 1000), Limit(IN_FLIGHT, CONCURRENT, 9, 0)])
    first, answer = bench.acquire(tokens=100, concurrent=1)
    assert answer.outcome == GRANTED
    bench.client.set("{b}rubbish", "x")
    before = bench.digest()
    for more in (bench.ask(tokens=300, concurrent=1), bench.after(first, REPORT, tokens=7), bench.after(first, RENEW, tokens=9)):
        with pytest.raises(redis.exceptions.ResponseError, match="WRONGTYPE"):
            bench.batch(more, bench.after(first, REPORT, tokens=5, slice="{b}rubbish"))
        assert bench.digest() == before
    bench.at += 1
    assert bench.remaining("t") == [900] and bench.remaining("p") == [900, 8]
    assert bench.digest() == before
    assert bench.acquire(tokens=901)[1].outcome == DENIED
    assert bench.acquire(tokens=900)[1].outcome == GRANTED
    assert bench.remaining("t") == [0] and bench.remaining("p") == [0, 8]


def test_the_limit_sets_that_are_kept_are_bounded(bench):
    """Each is decided by its own numbers, however many there are, and what is kept of them does not grow."""
    bench.limits([tokens(BUCKET, 1)])
    for amount in range(1, 9000):
        bench.buckets["t"].limits = [tokens(BUCKET, amount, MINUTE), tokens(ROLLING, 2 * amount, MINUTE)] if amount % 2 else [tokens(BUCKET, amount)]
        assert bench.remaining() == ([amount, 2 * amount] if amount % 2 else [amount])
    bench.client.execute_command("MEMORY", "PURGE")
    assert int(bench.client.info("memory")["used_memory_vm_functions"]) < 6_000_000
