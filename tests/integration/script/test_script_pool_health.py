"""What a pool knows, by example: pauses, closing, the circuit breaker, what headers say is left, estimates that learn."""

import random

import packing
import pytest
from packing import (ACQUIRE, BUCKET, CALENDAR, CANCEL, CIRCUIT, CLOSE_POOL, DENIED, DUPLICATE, GRANTED, INPUT, IS_CLOSED, LATE,
                     NEVER, OPEN_POOL, OUTPUT, PAUSED, PEEK, RENEW, REPORT, REQUESTS, ROLLING, SETTLED, SHOW_POOL, TOKENS,
                     Breaker, Bucket, Limit, Feedback, Op)
from test_script_cases import DAY, MIDNIGHT, MINUTE, Bench, daily, tokens

ALWAYS = Breaker(0.5, at_least=4, window=8000, cool=1000)


class Pool(Bench):
    """A pool alone."""

    def pool(self, *limits, breaker=Breaker()):
        self.buckets["p"] = Bucket("{b}p", limits, ledger=True, breaker=breaker)
        return self

    def tell(self, acquired, kind=REPORT, resent=False, member=0, **feedback):
        return self.one(self.op(kind, nonce=acquired.nonce, slice=acquired.slice, feedback=Feedback(**feedback), resent=resent,
                                member=member)).outcome

    def call(self, ms=0, cost=1, **feedback):
        """A call that takes so long; what it used is its estimate."""
        o, a = self.acquire(tokens=cost)
        assert a.outcome == GRANTED, a
        self.at += ms
        self.tell(o, **feedback)
        return o

    def asked(self, **more):
        more.setdefault("tokens", 1)
        return self.acquire(**more)[1]

    def show(self, kind=SHOW_POOL, reason=None):
        return self.one(Op(kind, ["p"], feedback=Feedback(reason=reason) if reason else None))

    def key(self):
        return self.client.get("{b}p:k")


@pytest.fixture
def pool(clean_store):
    return Pool(clean_store).pool(tokens(ROLLING, 10_000), breaker=ALWAYS)


def refused(answer):
    return answer.outcome == DENIED and (answer.limit, answer.wait)


# Pauses.

def test_nothing_is_known_while_all_is_well(pool):
    for _ in range(50):
        pool.call()
        pool.at += 100
    assert pool.key() is None
    o, _ = pool.acquire(tokens=1)
    assert pool.cancel(o) == SETTLED
    assert pool.key() is None and pool.show().state == "open"


def test_a_pause_holds_for_everybody_and_ends_to_the_millisecond(pool):
    o, _ = pool.acquire(tokens=1)
    other, _ = pool.acquire(tokens=1)
    assert pool.tell(o, pause=5000) == SETTLED
    digest = pool.digest()
    pool.at += 1000
    assert refused(pool.asked()) == (PAUSED, 4000)
    assert refused(pool.asked(dry=True)) == (PAUSED, 4000)
    assert [a.outcome for a in pool.batch(*[pool.ask(n=5, tokens=1)])] == [DENIED]
    assert pool.digest() == digest  # a denial writes nothing
    shown = pool.show()
    assert (shown.state, shown.wait) == ("paused", 4000)
    assert pool.renew(other, tokens=1, ttl=60000).outcome == GRANTED
    pool.at += 3999
    assert refused(pool.asked()) == (PAUSED, 1)
    pool.at += 1
    assert pool.asked().outcome == GRANTED
    assert pool.show().state == "open"


def test_the_longest_pause_counts_and_a_repeated_report_extends_nothing(pool):
    a, b, c = [pool.acquire(tokens=1)[0] for _ in range(3)]
    pool.tell(a, pause=5000)
    pool.tell(b, pause=1000)
    assert pool.show().wait == 5000
    pool.at += 3000
    assert pool.tell(a, pause=5000) == DUPLICATE
    assert pool.tell(a, pause=5000, resent=True) == SETTLED  # resent by the server: the same answer, and nothing else
    assert pool.show().wait == 2000
    pool.at += 70_000
    assert pool.tell(c, pause=500) == LATE
    assert pool.show().wait == 500
    assert 0 < pool.client.pttl("{b}p:k") <= pool.at - 1_000_000


def test_the_longer_of_the_pause_and_the_limits_is_the_wait(clean_store):
    pool = Pool(clean_store).pool(tokens(BUCKET, 600), breaker=ALWAYS)
    o, _ = pool.acquire(tokens=600)
    pool.tell(o, pause=1000)
    assert refused(pool.asked(tokens=100)) == (PAUSED, 10_000)
    assert refused(pool.asked(tokens=601)) == (0, NEVER)
    pool.at += 1000
    assert refused(pool.asked(tokens=100)) == (0, 9000)


def test_a_pause_is_a_day_at_the_most(pool):
    pool.call(pause=4_000_000_000)
    assert pool.show().wait == DAY


# Closing.

def test_a_closed_pool_opens_by_an_operator_only(pool):
    o, _ = pool.acquire(tokens=1)
    pool.tell(o, reason="insufficient_quota")
    for _ in range(2):
        a = pool.asked()
        assert (refused(a), a.reason) == ((IS_CLOSED, NEVER), "insufficient_quota")
        pool.at += 90 * DAY
    assert (pool.show().state, pool.show().reason, pool.show().wait) == ("closed", "insufficient_quota", -1)
    assert pool.show(OPEN_POOL).state == "open"
    assert pool.asked().outcome == GRANTED and pool.key() is None
    assert pool.show(CLOSE_POOL, "maintenance").reason == "maintenance"
    batch = pool.batch(pool.ask(tokens=1), pool.ask(tokens=1, n=3), Op(PEEK, ["p"]), Op(OPEN_POOL, ["p"]), pool.ask(tokens=1))
    assert [(a.outcome, a.reason) for a in batch[:2]] == [(DENIED, "maintenance")] * 2
    assert batch[2].rows and batch[4].outcome == GRANTED


def test_a_pool_that_is_closed_until_a_date_opens_by_itself(pool):
    o, _ = pool.acquire(tokens=1)
    pool.tell(o, reason="spend_limit", pause=3 * DAY, failed=True)
    shown = pool.show()
    assert (shown.state, shown.reason, shown.wait) == ("closed", "spend_limit", 3 * DAY)
    pool.at += 3 * DAY - 1
    for more in ({}, {"n": 3}, {"dry": True}):
        a = pool.asked(**more)
        assert (refused(a), a.reason) == ((IS_CLOSED, 1), "spend_limit")
    assert refused(pool.asked(tokens=10_001)) == (0, NEVER)
    assert pool.client.pexpiretime("{b}p:k") == pool.at + 1
    pool.at += 1
    assert pool.show().state == "open" and pool.asked().outcome == GRANTED


def test_which_of_two_closings_holds(pool):
    first, second, third, fourth = [pool.acquire(tokens=1, ttl=3_600_000)[0] for _ in range(4)]
    pool.tell(first, reason="first", pause=5000)
    pool.tell(second, reason="second", pause=9000)
    assert (pool.show().reason, pool.show().wait) == ("first", 9000)  # the longer wait, the first reason
    pool.tell(third, pause=12_000)  # not even the provider's limit lets anybody in before
    assert (pool.show().state, pool.show().wait) == ("closed", 12_000)
    pool.tell(fourth, reason="for_good")
    assert (pool.show().reason, pool.show().wait) == ("for_good", NEVER)
    pool.at += 12_000
    assert refused(pool.asked()) == (IS_CLOSED, NEVER)
    assert pool.show(OPEN_POOL).state == "open" and pool.asked().outcome == GRANTED
    assert pool.show(CLOSE_POOL, "maintenance").wait == NEVER
    pool.tell(pool.acquire(tokens=1)[0], reason="late", pause=1000)  # no such reservation: refused
    assert (pool.show().reason, pool.show().wait) == ("maintenance", NEVER)


def test_an_operators_closing_has_no_end_whatever_a_late_report_says(pool):
    o, _ = pool.acquire(tokens=1)
    pool.show(CLOSE_POOL, "maintenance")
    pool.tell(o, reason="no_money", pause=1000)
    pool.at += 2000
    a = pool.asked()
    assert (refused(a), a.reason) == ((IS_CLOSED, NEVER), "maintenance")


def test_a_closing_lasts_32_days_at_the_most(pool):
    pool.call(reason="no_money", pause=4_000_000_000)
    assert pool.show().wait == 32 * DAY


def test_what_is_watched_survives_a_closing_that_ended(pool):
    pool.call(cost=100, **seen(TOKENS, 5000))
    pool.call(cost=1, reason="no_money", pause=2000)
    pool.at += 2000
    pool.call(cost=100, **seen(TOKENS, 3990))
    assert pool.remaining("p") == [3990] and pool.show().state == "open"


# The circuit breaker.

def failing(pool, n=4, ms=0):
    for o in [pool.acquire(tokens=1)[0] for _ in range(n)]:
        pool.tell(o, failed=True)
        pool.at += ms


def test_a_share_of_failures_opens_the_circuit(pool):
    for i in range(8):  # counting begins with the first failure
        pool.call(failed=i % 4 == 0)
    assert (pool.show().failures, pool.show().reports) == (2, 8)
    for _ in range(3):
        pool.call(failed=True)
    assert pool.asked().outcome == GRANTED  # 5 of 11
    pool.call(failed=True)
    assert refused(pool.asked()) == (CIRCUIT, 1000)  # 6 of 12
    assert pool.show().state == "circuit"


def test_too_few_reports_open_nothing_and_old_ones_fade(pool):
    failing(pool, 3)
    assert pool.show().failures == 3
    pool.at += 5999
    assert pool.show().failures == 3
    pool.at += 2001
    assert pool.show().failures == 0
    failing(pool, 3)
    assert pool.asked().outcome == GRANTED


def test_the_probe_is_one_and_its_success_closes(pool):
    failing(pool)
    pool.at += 999
    assert refused(pool.asked()) == (CIRCUIT, 1)
    pool.at += 1
    assert pool.asked(dry=True).outcome == GRANTED
    ops = [pool.ask(tokens=1, ttl=8000, n=n) for n in (5, 1, 3)]
    a, b, c = pool.batch(*ops)
    ends = pool.show().wait
    assert pool.show().state == "probing"
    assert (a.outcome, a.granted, a.limit) == (GRANTED, 1, CIRCUIT)
    assert b.outcome == c.outcome == DENIED and b.limit == CIRCUIT and b.wait == ends + 2000 and ends >= 8000
    assert pool.show().wait == ends
    assert pool.one(ops[0].change(resent=True)).granted == 1  # sent again: still one
    assert pool.tell(ops[0]) == SETTLED
    assert pool.asked().outcome == GRANTED
    assert pool.show().state == "open" and pool.key() is None


def test_a_probe_that_fails_or_expires_doubles_the_cool_down(pool):
    failing(pool)
    waits = []
    for i in range(6):
        pool.at += pool.asked().wait
        o, a = pool.acquire(tokens=1, ttl=100)
        assert a.outcome == GRANTED
        if i % 2:
            pool.tell(o, failed=True)
        waits.append(pool.asked().wait)
    assert waits[1] == 4000 and waits[3] == waits[5] == 8000  # eight times the first at the most
    assert waits[0] > 2000 and waits[2] > 8000 and waits[4] > 8000  # until it expires, and the cool-down
    pool.at += pool.asked().wait
    o, _ = pool.acquire(tokens=1)
    pool.tell(o)
    failing(pool)
    assert pool.asked().wait == 1000  # it begins anew


def test_a_probe_that_was_never_sent_gives_its_place_to_another(pool):
    failing(pool)
    pool.at += 1000
    o, _ = pool.acquire(tokens=1)
    pool.cancel(o)
    o, a = pool.acquire(tokens=1)
    assert a.outcome == GRANTED
    pool.tell(o, kind=CANCEL, failed=True)  # the connection was refused
    assert refused(pool.asked()) == (CIRCUIT, 2000)


def test_a_probe_that_is_renewed_stays_the_probe(pool):
    failing(pool)
    pool.at += 1000
    o, _ = pool.acquire(tokens=1, ttl=100)
    pool.renew(o, ttl=5000)
    pool.at += 3000
    assert pool.show().state == "probing"
    pool.tell(o)
    assert pool.asked().outcome == GRANTED


def test_reports_of_calls_under_way_do_not_close_it(pool):
    early = [pool.acquire(tokens=1)[0] for _ in range(10)]
    failing(pool)
    for o in early[:5]:
        pool.tell(o)
    pool.at += 1000
    probe, _ = pool.acquire(tokens=1)
    for o in early[5:]:
        pool.tell(o, failed=True)
    assert pool.show().state == "probing"
    pool.tell(probe)
    assert pool.asked().outcome == GRANTED


def test_without_a_breaker_failures_are_nothing(clean_store):
    pool = Pool(clean_store).pool(tokens(ROLLING, 10_000))
    failing(pool, 50)
    assert pool.asked().outcome == GRANTED and pool.key() is None


def test_a_limit_that_refuses_takes_no_probe(clean_store):
    pool = Pool(clean_store).pool(tokens(ROLLING, 10), breaker=ALWAYS)
    failing(pool)
    pool.at += 1000
    assert pool.asked(tokens=9).outcome == DENIED
    assert pool.show().state == "circuit" and pool.asked(tokens=1).outcome == GRANTED


# What headers say is left.

def seen(unit, remaining, per=0, limit=0):
    return {"seen": [(unit, per, limit, remaining)]}


@pytest.mark.parametrize("limit", [tokens(ROLLING, 10_000), tokens(BUCKET, 10_000), daily(10_000)])
def test_a_level_comes_down_to_the_providers_and_never_up(clean_store, limit):
    pool = Pool(clean_store).pool(limit)
    pool.call(cost=100, **seen(TOKENS, 4321))
    assert pool.remaining("p") == [4321]
    pool.call(cost=100, **seen(TOKENS, 9876))
    assert pool.remaining("p") == [4221]
    pool.call(cost=21, **seen(TOKENS, 200))
    assert pool.remaining("p") == [200]
    assert pool.client.pttl("{b}p:k") > 0


def test_what_is_in_flight_is_accounted_for(pool):
    """A header that knows less than is in flight was written when its call was let in: what has gone since is used as well."""
    pool.call(cost=1, **seen(TOKENS, 9999))
    pool.at += 1000
    first, _ = pool.acquire(tokens=500)
    pool.at += 1000
    running = [pool.acquire(tokens=1000)[0] for _ in range(4)]
    pool.at += 1000
    pool.tell(first, **seen(TOKENS, 10_000 - 501 - 2000))  # others: 2000
    assert pool.remaining("p") == [10_000 - 501 - 2000 - 4000]
    # The others were granted before that was known; their headers tell the same once more.
    pool.at += 1000
    for i, o in enumerate(running):
        pool.tell(o, **seen(TOKENS, 10_000 - 501 - 2000 - 1000 * (i + 1)))
    assert pool.remaining("p") == [10_000 - 501 - 2000 - 4000]


def test_a_header_that_may_be_of_now_counts_nothing_twice(pool):
    pool.call(cost=1, **seen(TOKENS, 9999))
    pool.at += 1000
    first, _ = pool.acquire(tokens=500)
    pool.at += 1000
    for _ in range(4):
        pool.acquire(tokens=1000)
    pool.at += 1000
    pool.tell(first, **seen(TOKENS, 3000))
    assert pool.remaining("p") == [3000]


def test_calls_that_overtake_each_other_are_nobody_elses(clean_store):
    for begin in range(0, 500, 50):
        clean_store.flushall()
        pool = Pool(clean_store).pool(tokens(ROLLING, 10_000))
        pool.call(cost=1, **seen(TOKENS, 9999))
        pool.at += 2000 - pool.at % 500 + begin
        burst = []
        for _ in range(20):
            burst += [pool.acquire(tokens=100)[0] for _ in range(3)]
            pool.at += 10
        pool.at += 3000
        random.Random(begin).shuffle(burst)  # as they arrived
        for i, o in enumerate(burst):
            pool.tell(o, **seen(TOKENS, 10_000 - 1 - 100 * (i + 1)))
        assert pool.remaining("p") == [10_000 - 1 - 6000]


def test_one_discovery_counts_once(pool):
    pool.call(cost=1, **seen(TOKENS, 9999))
    pool.at += 1000
    calls = []
    for i in range(10):
        calls.append(pool.acquire(tokens=100)[0])
        pool.at += 600
    for i, o in enumerate(calls):  # somebody else had used 2500 all the while
        left = 10_000 - 1 - 100 * (i + 1) - 2500
        pool.tell(o, **seen(TOKENS, left))
        assert pool.remaining("p") == [left]
    assert left == 10_000 - 1 - 1000 - 2500


def test_headers_find_their_limit(clean_store):
    pool = Pool(clean_store).pool(Limit(REQUESTS, ROLLING, 60, MINUTE), Limit(REQUESTS, ROLLING, 1000, DAY), tokens(ROLLING, 10_000))
    for feedback, remaining in ((seen(REQUESTS, 50, per=MINUTE), [50, 999, 10_000]), (seen(REQUESTS, 500, per=DAY), [49, 500, 10_000]),
                            (seen(REQUESTS, 400, limit=1000), [48, 400, 10_000]), (seen(REQUESTS, 5, per=1000), [47, 399, 10_000]),
                            (seen(OUTPUT, 0), [46, 398, 10_000]),
                            (seen(REQUESTS, 5), [45, 397, 10_000]),  # it may be of either
                            (seen(REQUESTS, 5, limit=61), [44, 396, 10_000]),  # and this of neither
                            # Its period says one, its amount the other.
                            (seen(REQUESTS, 5, per=MINUTE, limit=1000), [43, 395, 10_000]),
                            (seen(REQUESTS, 5, per=DAY, limit=60), [42, 394, 10_000]),
                            # Of the provider's limit we were given a part only.
                            (seen(REQUESTS, 30, per=MINUTE, limit=120), [30, 393, 10_000]),
                            (seen(TOKENS, 8990), [29, 392, 8990]), (seen(TOKENS, 5, limit=99), [28, 391, 8990])):
        o, _ = pool.acquire(requests=1)
        pool.tell(o, **feedback)
        assert pool.remaining("p") == remaining, feedback
        pool.at += 500


def test_two_limits_of_one_amount_need_the_period(clean_store):
    pool = Pool(clean_store).pool(Limit(REQUESTS, ROLLING, 1000, MINUTE), Limit(REQUESTS, ROLLING, 1000, DAY))
    pool.call(cost=0, **seen(REQUESTS, 10, limit=1000))
    assert pool.remaining("p") == [1000, 1000]
    pool.call(cost=0, **seen(REQUESTS, 10, limit=1000, per=DAY))
    assert pool.remaining("p") == [1000, 10]


def test_rounded_headers_and_yesterdays_say_nothing(clean_store):
    pool = Pool(clean_store).pool(tokens(ROLLING, 40_000), daily(1000, unit=REQUESTS))
    pool.call(cost=100, **seen(TOKENS, 39_000))
    assert pool.remaining("p")[0] == 39_900
    pool.call(cost=100, **seen(TOKENS, 38_000))
    assert pool.remaining("p")[0] == 38_000
    o, _ = pool.acquire(requests=1)
    pool.at = MIDNIGHT + 10
    pool.tell(o, **seen(REQUESTS, 3))
    assert pool.remaining("p")[1] == 1000


def test_output_that_is_counted_at_the_end(clean_store):
    pool = Pool(clean_store).pool(Limit(OUTPUT, ROLLING, 10_000, at_end=True))
    pool.call(cost=0, **seen(OUTPUT, 10_000))
    pool.at += 1000
    running = [pool.acquire(output_tokens=1000)[0] for _ in range(3)]
    o, _ = pool.acquire(output_tokens=500)
    report = pool.after(o, REPORT, output_tokens=200)
    report.feedback = Feedback(**seen(OUTPUT, 7300))
    pool.one(report)  # others: 2700 - 200
    assert pool.remaining("p") == [10_000 - 200 - 2500 - 3000]
    for o in running:
        pool.report(o, output_tokens=1000)
    assert pool.remaining("p") == [10_000 - 200 - 2500 - 3000]


def test_books_balance_whatever_headers_say(pool):
    for i in range(5):
        pool.call(cost=10, **seen(TOKENS, 5000 - 100 * i))
    ledger = packing.unpack_ledger(pool.client.get("{b}p"))
    assert ledger["granted"][TOKENS] == ledger["reported"][TOKENS] == ledger["spent"][TOKENS] == 50


class Provider:
    """Counts a call when it arrives, in a rolling minute, and writes its headers then; what does not fit is refused and not
    counted. `settles`: it gives back at the end of a call."""

    def __init__(self, amount, settles):
        self.amount, self.settles, self.charges = amount, settles, {}

    def used(self, now):
        return sum(c for t, c in self.charges.values() if t > now - MINUTE)

    def arrive(self, name, cost, now):
        """What is left; None: refused."""
        used = self.used(now) + cost
        if used > self.amount:
            return None
        self.charges[name] = (now, cost)
        return self.amount - used

    def end(self, name, actual):
        if self.settles:
            self.charges[name] = (self.charges[name][0], actual)


class Crowd:
    """Calls that last 1 to 10 s and overtake each other on their way, three times the quota. `others` is the share of the quota
    that somebody else uses, unknown to us, since a minute before."""

    def __init__(self, pool, amount, others=0.0, settles=False, headers=True, at_end=False):
        self.pool, self.amount, self.others, self.headers, self.at_end = pool, amount, others, headers, at_end
        self.provider, self.random, self.events = Provider(amount, settles), random.Random(5), []
        self.served = self.refused = self.calls = 0
        for ms in range(-MINUTE, 0, 1000) if others else ():
            self.provider.arrive(ms, round(others * amount / 60), pool.at + ms)

    def arrive(self, at, o):
        remaining = self.provider.arrive(o.nonce, o.cost[TOKENS], at)
        self.calls += 1
        if remaining is None:
            self.refused += 1
            self.settle(o, 0, Feedback(pause=1000))
        else:
            self.events.append((at + self.random.randint(1000, 10_000), o, remaining))

    def end(self, o, remaining):
        actual = self.random.randint(o.cost[TOKENS] // 2, o.cost[TOKENS])
        self.provider.end(o.nonce, actual)
        if self.at_end:
            remaining = self.amount - self.provider.used(self.pool.at)
        self.served += actual if self.provider.settles else o.cost[TOKENS]
        self.settle(o, actual, Feedback(**seen(TOKENS, remaining)) if self.headers else None)

    def settle(self, o, actual, feedback):
        report = self.pool.after(o, REPORT, tokens=actual)
        report.feedback = feedback
        assert self.pool.one(report).outcome == SETTLED

    def turn(self, ms):
        pool, r = self.pool, self.random
        pool.at += ms
        if self.others and pool.at % 1000 == 0:
            self.provider.arrive(pool.at, round(self.others * self.amount / 60), pool.at)
        for o in [pool.ask(tokens=r.randint(50, 700)) for _ in range(r.choice((0,) * 9 + (1, 1, 1, 1, 4)))]:
            if pool.one(o).outcome == GRANTED:
                self.events.append((pool.at + r.randint(1, 200), o, None))
        due = sorted((e for e in self.events if e[0] <= pool.at), key=lambda e: e[0])
        self.events = [e for e in self.events if e[0] > pool.at]
        for at, o, remaining in due:
            if remaining is None:
                self.arrive(at, o)
            else:
                self.end(o, remaining)

    def run(self, ms):
        self.served = self.refused = self.calls = 0
        end = self.pool.at + ms
        while self.pool.at < end:
            self.turn(100)
        return self


@pytest.mark.parametrize("settles, at_end", [(False, False), (True, False), (False, True), (True, True)])
def test_a_pool_at_full_load_loses_nothing_to_honest_headers(clean_store, settles, at_end):
    """`at_end`: the provider writes its headers when the call ends, not when it lets it in."""
    pool = Pool(clean_store).pool(tokens(ROLLING, 30_000, settle=settles))
    crowd = Crowd(pool, 30_000, settles=settles, at_end=at_end).run(2 * MINUTE).run(2 * MINUTE)
    assert crowd.served >= 0.97 * 2 * 30_000, crowd.served
    assert crowd.refused == 0


def test_others_who_use_the_same_quota_are_seen_by_headers(clean_store):
    ran = []
    for headers in (False, True):
        clean_store.flushall()
        pool = Pool(clean_store).pool(tokens(ROLLING, 30_000, settle=False))
        ran.append(Crowd(pool, 30_000, others=0.5, headers=headers).run(2 * MINUTE))
    blind, seeing = ran
    print(f"refused: {blind.refused} of {blind.calls} without headers, {seeing.refused} of {seeing.calls} with")
    assert seeing.refused < blind.refused / 3


# Estimates that learn.

def learning(pool, output, **more):
    return pool.acquire(input_tokens=100, tokens=100 + output, output_tokens=output, estimates="{b}e", stated=1 << OUTPUT, **more)


def teach(pool, most, actual):
    o, a = learning(pool, most)
    assert a.outcome == GRANTED
    report = pool.after(o, REPORT, output_tokens=actual)
    report.estimates = "{b}e"
    return pool.one(report)


def test_estimates_learn_and_are_bounded_by_what_is_stated(clean_store):
    pool = Pool(clean_store).pool(Limit(OUTPUT, BUCKET, 10**9), Limit(TOKENS, BUCKET, 10**9), Limit(INPUT, BUCKET, 10**9))
    r = random.Random(1)
    for i in range(7):
        assert teach(pool, 1000, r.randint(50, 150)).wait > 800  # all of it was charged
    assert 0 < pool.client.pttl("{b}e") <= pool.at
    errors = []
    for i in range(300):
        actual = r.randint(50, 150)
        a = teach(pool, 1000, actual)
        assert a.bucket == 1
        errors.append(a.wait)
    # Nine in ten are charged enough, and not much too much.
    assert sum(e >= 0 for e in errors) / len(errors) > 0.88
    assert sum(map(abs, errors)) / len(errors) < 80
    before = pool.remaining("p")
    _, a = learning(pool, 1000)
    charged = [x - y for x, y in zip(before, pool.remaining("p"))]
    assert 140 <= charged[0] <= 180 and charged[1] == 100 + charged[0] and charged[2] == 100
    before = pool.remaining("p")
    learning(pool, 1)
    assert before[0] - pool.remaining("p")[0] == 1


def test_estimates_follow_when_answers_grow_longer(clean_store):
    pool = Pool(clean_store).pool(Limit(OUTPUT, BUCKET, 10**9))
    for actual, calls in ((10, 150), (700, 60)):
        for _ in range(calls):
            teach(pool, 1000, actual)
    before = pool.remaining("p")[0]
    learning(pool, 1000)
    assert 700 <= before - pool.remaining("p")[0] <= 841
    for _ in range(20):
        teach(pool, 1000, 5000)  # beyond what was stated
    before = pool.remaining("p")[0]
    learning(pool, 1000)
    assert before - pool.remaining("p")[0] <= 1000


def test_what_was_learned_is_settled_exactly_and_a_dry_run_charges_nothing(clean_store):
    pool = Pool(clean_store).pool(Limit(OUTPUT, ROLLING, 10**6))
    for _ in range(20):
        teach(pool, 1000, 100)
    assert pool.remaining("p") == [10**6 - 2000]
    digest = pool.digest()
    learning(pool, 1000, dry=True)
    assert pool.digest() == digest
    o, _ = learning(pool, 1000)
    assert pool.report(o, output_tokens=900) == SETTLED
    assert pool.remaining("p") == [10**6 - 2900]
    group, a = learning(pool, 1000, n=4)
    assert a.granted == 4 and pool.remaining("p")[0] <= 10**6 - 2900 - 400
    assert pool.renew(pool.after(group, ACQUIRE, member=2), ttl=60000, member=2).outcome == GRANTED
    report = pool.after(group, REPORT, output_tokens=200, member=2)
    report.estimates = "{b}e"
    assert pool.one(report).bucket == 1
    for member in (0, 1, 3):
        assert pool.one(pool.after(group, REPORT, output_tokens=0, member=member)).outcome == SETTLED
    assert pool.remaining("p") == [10**6 - 3100]


def test_the_rest_of_a_group_costs_what_its_first_part_cost(clean_store):
    pool = Pool(clean_store).pool(Limit(OUTPUT, BUCKET, 2500))
    group, a = learning(pool, 1000, n=3)
    assert a.granted == 2  # nothing is known: all of it is charged
    pool.buckets["p"] = Bucket("{b}p", [Limit(OUTPUT, BUCKET, 10**6)], ledger=True, breaker=Breaker())
    for _ in range(20):
        teach(pool, 1000, 1)
    assert pool.one(group.change(resent=True)).granted == 3
    used = 10**6 - pool.remaining("p")[0]
    for member in range(3):
        assert pool.one(pool.after(group, REPORT, output_tokens=0, member=member)).outcome == SETTLED
    assert used - (10**6 - pool.remaining("p")[0]) == 3000
