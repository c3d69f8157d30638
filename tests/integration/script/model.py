"""The independent model of `decide`: the same batches, decided from the rules of lua/README.md.

`Model.batch` decides a batch and compares the script's answer with its own, field by field. Waits are not computed but
judged: a wait is right if the cost fits then and does not fit a millisecond earlier, with nobody else in between.
"""

from collections import Counter

from pool_health import Health
from learned_estimates import DAY, Learned
from levels import KINDS
from packing import (ACQUIRE, CALENDAR, CANCEL, CLOSE_POOL, CONCURRENT, CROWDED, DENIED, DUPLICATE, ENDED, FOREIGN, FOREVER, FORGIVE, FORGIVEN, GRANTED,
                     INPUT, IS_CLOSED, LATE, NEVER, NOSUCH, OPEN_POOL, OUTPUT, OUTSTANDING, PEEK, PEEKED, RENEW, REPORT, SETTLED, SHOW_POOL,
                     SHOWN, TOKENS)

LEDGER_UNITS = 5
SECOND = 1024
LONGEST_PARTS = 8
GRACE = 60000
MOST_IN_SLICE = 2000
NOTHING = (0, 0, 0, 0, 0, 0)


def plus(a, b, sign=1):
    return tuple(x + sign * y for x, y in zip(a, b))


def deadline_of(ttl, now):
    k = max(0, (ttl // 64).bit_length() - 1)
    return -(-(now + ttl) // 2**k) * 2**k, k


class Ledger:
    def __init__(self):
        self.granted = self.reported = self.expired = self.cancelled = self.spent = NOTHING
        self.owed = {}

    def copy(self):
        new = object.__new__(Ledger)
        new.__dict__.update(self.__dict__)
        new.owed = dict(self.owed)
        return new

    def turn(self, now):
        for second in [s for s in self.owed if s < now // SECOND]:
            self.expired = plus(self.expired, self.owed.pop(second))

    def owe(self, deadline, amounts, sign):
        second = deadline // SECOND
        self.owed[second] = plus(self.owed.get(second, NOTHING), amounts, sign)

    def settle(self, deadline, amounts, spent, cancelled, now):
        if deadline // SECOND < now // SECOND:
            self.expired = plus(self.expired, amounts, -1)
        else:
            self.owe(deadline, amounts, -1)
        if cancelled:
            self.cancelled = plus(self.cancelled, amounts)
        else:
            self.reported = plus(self.reported, amounts)
        self.spent = plus(self.spent, spent)

    @property
    def outstanding(self):
        total = NOTHING
        for amounts in self.owed.values():
            total = plus(total, amounts)
        return total


class Outstanding:
    """How many reservations are out, in two generations: each is dropped as a whole when all of it has expired."""

    def __init__(self):
        self.older, self.younger = (0, 0), (0, 0)  # how many, and the latest deadline

    def copy(self, now):
        new = Outstanding()
        new.older, new.younger = self.older, self.younger
        if new.older[1] <= now:
            new.older, new.younger = new.younger, (0, 0)
        if new.older[1] <= now:
            new.older = (0, 0)
        return new

    def add(self, n, deadline):
        self.younger = self.younger[0] + n, max(self.younger[1], deadline)

    def take(self, deadline, now):
        if now < deadline:
            if self.older[0] and deadline <= self.older[1]:
                self.older = self.older[0] - 1, self.older[1]
            else:
                self.younger = max(0, self.younger[0] - 1), self.younger[1]

    @property
    def total(self):
        return self.older[0] + self.younger[0]

    def at(self, t):
        """How many will count at a later t if nobody comes in between."""
        return self.copy(t).total

    @property
    def keep(self):
        return max(until for n, until in (self.older, self.younger) if n) if self.total else 0


class Both:
    """Those of short lives, and those of long ones."""

    def __init__(self, pairs=None):
        self.pairs = pairs or (Outstanding(), Outstanding())

    def copy(self, now):
        return Both(tuple(pair.copy(now) for pair in self.pairs))

    def of(self, k):
        return self.pairs[64 * 2**k >= 2**17]

    def at(self, t):
        return sum(pair.at(t) for pair in self.pairs)

    @property
    def total(self):
        return sum(pair.total for pair in self.pairs)

    @property
    def keep(self):
        return max(pair.keep for pair in self.pairs)


class Stored:
    """A bucket as of its last write, or while a batch has it open."""

    def __init__(self, states, last, keep, ledger, out):
        self.states, self.last, self.keep, self.ledger, self.out, self.dirty = states, last, keep, ledger, out, False


class Record:
    """A reservation. Each of its buckets goes by its own time: `deadlines` are (deadline, k) by bucket, and the time of each part
    is a dictionary by bucket, too."""

    def __init__(self, check, deadlines, split_unknown, parts):
        self.check, self.states, self.deadlines, self.split_unknown = check, [], deadlines, split_unknown
        self.token, self.parts = None, parts
        self.stated = {}  # what was estimated of units that learn, whatever was charged
        self.asked = None  # the cost as the acquire stated it

    def over(self, o, times):
        return any(times[b] >= self.deadlines[b][0] for b in o.buckets)

    def estimate(self):
        total = NOTHING
        for _, cost in self.parts:
            total = plus(total, cost)
        return total

    def held_by(self, bucket, state):
        """What of one unit this reservation holds of a limit that was there when it was granted."""
        return sum(cost[state.limit.unit] for times, cost in self.parts if times[bucket] >= state.since)


class Forgiven:
    """Stands among the records, and is none: whoever reports it hears that it has been."""

    def __init__(self, check, forgiven):
        self.check, self.forgiven, self.states, self.deadlines = check, forgiven, ["f"], None


class Model:
    def __init__(self):
        self.buckets, self.slices, self.slice_needed, self.known, self.estimates = {}, {}, {}, {}, {}
        self.met = Counter()  # of what is learned: which cases there were

    # What the store forgets when a key expires: only what no longer matters.

    def forget_bucket(self, key, expired_at, limits_changed):
        b = self.buckets.pop(key)
        assert expired_at >= max(b.keep, b.out.keep if b.out else 0), f"{key} expires {b.keep - expired_at} ms before its last reservation may be reported"
        for s in b.states if not limits_changed else ():
            left = s.total_at(expired_at + 1)
            assert left == 0, f"{key} expires while {left} are used of {s.limit}"

    def forget_health(self, key, expired_at):
        known = self.known.pop(key)
        known.refresh(expired_at)
        assert not known.matters(expired_at), f"what {key} knows expires: {vars(known)}"

    def forget_estimates(self, key, expired_at):
        taught_at = self.estimates.pop(key).taught_at
        assert expired_at >= taught_at + DAY, f"{key} expires {expired_at - taught_at} ms after its last report"

    def forget_slice(self, key, expired_at):
        assert expired_at >= self.slice_needed.pop(key), f"{key} expires before its reservations may be reported"
        del self.slices[key]

    # A batch.

    def batch(self, clock, buckets, ops, got, max_outstanding=10_000):
        self.max_outstanding = max_outstanding
        stale, got_clock, got_ahead, answers = got
        self.open_now = {}
        names = list(dict.fromkeys(b for o in ops for b in o.buckets))
        self.clock = clock
        self.times = {b: max(clock, self.buckets[b].last) if b in self.buckets else clock for b in names}
        ahead = {i: self.times[b] for i, b in enumerate(names) if self.times[b] > clock}
        self.met["ahead"] += bool(ahead)
        assert (got_clock, got_ahead) == (clock, ahead)
        outside = any(l.algorithm == CALENDAR and not l.bounds[0] <= self.times[b] < l.bounds[2]
                      for b in names for l in buckets[b].limits)
        assert stale == outside and len(answers) == (0 if stale else len(ops))
        if stale:
            return []
        self.open_now = {b: self.open(b, buckets[b]) for b in names}
        self.touched, self.learned = [], False
        looks = {}
        for b in names:
            if buckets[b].breaker is not None:
                known = self.known.setdefault(b, Health(buckets[b].breaker))
                looks[known] = known.refresh(self.times[b])
        for o, answer in zip(ops, answers):
            self.decide(o, answer)
        for known, look in looks.items():
            if look:
                known.forget(look)
        written = [key for key, b in self.open_now.items() if b.dirty]
        for key in written:
            self.write(key, self.open_now[key])
        for r in self.touched:
            if "o" not in r.states and "m" not in r.states:
                r.deadlines = r.token = None  # only what tells a repeated report from a foreign one is kept
        return written + ["health"] * self.learned

    def open(self, key, bucket):
        now, stored = self.times[key], self.buckets.get(key)
        if stored is None:
            return Stored([KINDS[l.algorithm](l, now) for l in bucket.limits], now, 0, Ledger() if bucket.ledger else None,
                          Both() if bucket.counts else None)
        old, states = list(stored.states), [None] * len(bucket.limits)
        for i, l in enumerate(bucket.limits):
            for s in [s for s in old if s.limit.sig == l.sig]:
                old.remove(s)
                states[i] = s.copy()
                states[i].refresh(l, stored.last, now)
                break
        places = {id(s): i for i, s in enumerate(stored.states)}
        for i, l in enumerate(bucket.limits):
            if states[i] is None:
                states[i] = s = KINDS[l.algorithm](l, stored.last)
                before = sorted((b for b in old if b.limit.unit == l.unit), key=lambda b: (places[id(b)] != i, places[id(b)]))
                if before:
                    old.remove(before[0])
                    s.charge(before[0].total, stored.last, debt=True)
                s.refresh(l, stored.last, now)
                # Of a charge of this very millisecond nobody can tell whether the limit was there.
                s.since = now if now > stored.last else now + 1
        ledger = stored.ledger.copy() if stored.ledger else None
        if ledger:
            ledger.turn(now)
        return Stored(states, now, stored.keep, ledger, stored.out.copy(now) if stored.out else None)

    def write(self, key, b):
        for s in b.states:
            if s.check:
                s.check.take(s)
            s.happened = []
        b.dirty, b.last = False, self.times[key]
        self.buckets[key] = b

    def decide(self, o, answer):
        if o.kind == PEEK:
            self.peek(o, answer)
        elif o.kind in (OPEN_POOL, CLOSE_POOL, SHOW_POOL):
            self.operate(o, answer)
        elif o.kind == FORGIVE:
            self.forgive(o, answer)
        elif o.kind in (REPORT, CANCEL):
            outcome, *judged = self.settle(o)
            assert (answer.outcome, answer.granted) == (outcome, 0), f"{answer} for {o}"
            assert not judged or (answer.bucket, answer.wait, answer.over_input) == tuple(judged), f"{answer}, not {judged}, for {o}"
        else:
            stated, asked = {}, o.cost
            if o.kind == ACQUIRE and o.estimates is not None:
                o, stated = self.as_learned(o)
            outcome, granted, refused = self.acquire(o, stated, asked) if o.kind == ACQUIRE else self.renew(o)
            assert (answer.outcome, answer.granted) == (outcome, granted), f"{answer}, not {outcome} {granted}, for {o}"
            if refused:
                self.judge_refusal(o, answer)

    def limits_of(self, o):
        for i, key in enumerate(o.buckets):
            for j, s in enumerate(self.open_now[key].states):
                yield i, j, s

    # Granting.

    def fit(self, o, n):
        for _, _, s in self.limits_of(o):
            c = o.cost[s.limit.unit]
            if c > 0:
                n = max(0, min(n, (s.limit.capacity - s.limit.kept_back[o.priority] - s.total) // c))
        return n

    def known_of(self, o):
        return self.known.get(o.buckets[0])

    def operate(self, o, answer):
        known = self.known_of(o)
        if o.kind != SHOW_POOL:
            known.operate(o.feedback.reason if o.feedback else None)
            self.learned = True
        state, until, failures, reports = known.shown(self.times[o.buckets[0]], self.clock)
        assert (answer.outcome, answer.state, answer.wait, answer.failures, answer.reports, answer.reason) \
            == (SHOWN, state, until, failures, reports, known.reason or ""), f"{answer}, not {state} {until} {failures} {reports}"

    def judge_refusal(self, o, answer):
        known = self.known_of(o)
        what, wait = known and o.kind == ACQUIRE and known.refusal(self.times[o.buckets[0]], self.clock) or (None, 0)
        if what == IS_CLOSED and wait == NEVER:
            assert (answer.bucket, answer.limit, answer.wait, answer.reason) == (0, what, NEVER, known.reason), f"{answer} for {o}"
        elif what and answer.limit == what:
            assert what != IS_CLOSED or answer.reason == known.reason, f"{answer} for {o}"
            self.judge_both(o, answer, wait)
        else:
            # No limit is named beside a pool that refuses, but one that will never do.
            assert not what or answer.wait == NEVER, f"{answer}, not {what} {wait}, for {o}"
            self.judge_limits(o, answer)

    def judge_both(self, o, answer, wait):
        """The pool and perhaps some limits refuse: the longest of all waits is the answer."""
        refusing = []
        for _, _, s in self.limits_of(o):
            c, most = o.cost[s.limit.unit], s.limit.capacity - s.limit.kept_back[o.priority]
            assert c <= most or c == 0, f"{answer}, not never, for {o}"
            if c > 0 and s.total + c > most:
                refusing.append((s, most - c))
        assert answer.bucket == 0 and answer.wait >= wait, f"{answer} for {o}"
        full = [b.out for b in self.open_buckets(o) if b.out and b.out.total >= self.max_outstanding]
        assert all(out.at(self.clock + answer.wait) < self.max_outstanding for out in full), f"too many then: {answer} for {o}"
        if any(out.at(self.clock + answer.wait - 1) >= self.max_outstanding for out in full):
            wait = answer.wait
        if answer.wait < FOREVER:
            assert all(s.total_at(self.clock + answer.wait) <= room for s, room in refusing), f"does not fit then: {answer} for {o}"
        if answer.wait > wait:
            assert any(self.before(s, self.clock + answer.wait) > room for s, room in refusing), f"fits earlier: {answer} for {o}"

    def judge_limits(self, o, answer):
        now, refusing = self.clock, []
        for i, j, s in self.limits_of(o):
            c = o.cost[s.limit.unit]
            most = s.limit.capacity - s.limit.kept_back[o.priority]
            if c > 0 and s.total + c > most:
                if c > most:
                    assert (answer.wait, answer.bucket, answer.limit) == (NEVER, i, j), f"{answer}, not never, for {o}"
                    return
                refusing.append((i, j, s, most - c))
        if answer.limit == OUTSTANDING:
            self.judge_outstanding(o, answer, [r[2:] for r in refusing])
            return
        for b in self.open_buckets(o) if o.kind == ACQUIRE else ():
            assert not b.out or b.out.at(now + answer.wait) < self.max_outstanding, f"too many then: {answer} for {o}"
        assert (answer.bucket, answer.limit) in [r[:2] for r in refusing] and 1 <= answer.wait <= FOREVER, f"{answer} for {o}"
        named = False
        for i, j, s, room in refusing:
            where = f"{answer} for {o}: {s.limit}"
            if (i, j) == (answer.bucket, answer.limit):
                assert self.before(s, now + answer.wait) > room, f"fits earlier: {where}"
                named = True
                assert answer.wait == FOREVER or s.total_at(now + answer.wait) <= room, f"does not fit then: {where}"
            elif not named:
                assert self.before(s, now + answer.wait) <= room, f"an earlier limit waits as long: {where}"
            else:
                assert answer.wait == FOREVER or s.total_at(now + answer.wait) <= room, f"another waits longer: {where}"

    def judge_outstanding(self, o, answer, refusing):
        out, most, at = self.open_buckets(o)[answer.bucket].out, self.max_outstanding, self.clock + answer.wait
        assert answer.wait >= 1 and out.at(at - 1) >= most > out.at(at), f"{answer} for {o}: {vars(out)}"
        assert all(self.before(s, at) <= room for s, room in refusing), f"a limit waits as long: {answer} for {o}"

    def before(self, s, t):
        """What was used and held a millisecond earlier; a limit whose bucket is ahead stands still until then."""
        return s.total_at(max(t - 1, s.now))

    def times_of(self, o):
        return {b: self.times[b] for b in o.buckets}

    def charge_all(self, o, n, deadlines):
        for i, _, s in self.limits_of(o):
            amount = o.cost[s.limit.unit] * n
            if amount and s.limit.holds:
                s.hold(deadlines[o.buckets[i]], amount)
            elif amount:
                s.charge(amount, self.times[o.buckets[i]])

    def open_buckets(self, o):
        return [self.open_now[key] for key in o.buckets]

    def keep_all(self, o, deadlines):
        for key, b in zip(o.buckets, self.open_buckets(o)):
            b.dirty, deadline = True, deadlines[key][0]
            if b.ledger:
                b.keep = max(b.keep, deadline + max(o.ttl, GRACE))
            elif any(s.limit.holds for s in b.states):
                b.keep = max(b.keep, deadline)
            self.slice_needed[o.slice] = max(self.slice_needed.get(o.slice, 0), deadline + max(o.ttl, GRACE))

    def count_out(self, o, n, deadlines):
        for key, b in zip(o.buckets, self.open_buckets(o)):
            if b.out:
                deadline, k = deadlines[key]
                b.out.of(k).add(n, deadline)

    def uncount_out(self, o, r):
        for key, b in zip(o.buckets, self.open_buckets(o)):
            if b.out:
                deadline, k = r.deadlines[key]
                b.out.of(k).take(deadline, self.times[key])

    def room_for_out(self, o):
        return min([max(0, self.max_outstanding - b.out.total) for b in self.open_buckets(o) if b.out], default=10**9)

    def book(self, o, deadlines, cost, reservations, sign=1):
        for key, b in zip(o.buckets, self.open_buckets(o)):
            if b.ledger:
                b.ledger.owe(deadlines[key][0], cost[:LEDGER_UNITS] + (reservations,), sign)

    def book_grant(self, o, deadlines, n, reservations):
        cost = tuple(c * n for c in o.cost)
        self.book(o, deadlines, cost, reservations)
        for b in self.open_buckets(o):
            if b.ledger:
                b.ledger.granted = plus(b.ledger.granted, cost[:LEDGER_UNITS] + (reservations,))

    def as_learned(self, o):
        """The acquire as it is charged; the rest of a group that learned costs what the first part did."""
        limits = [s.limit for _, _, s in self.limits_of(o)]
        cost, stated = self.estimates.get(o.estimates, Learned()).cost(o, limits)
        for unit in stated:
            self.met[unit, (cost[unit] > o.cost[unit]) - (cost[unit] < o.cost[unit])] += 1
        r = self.slices.get(o.slice, {}).get(o.nonce) if o.resent else None
        if r and r.check == o.check and r.deadlines is not None and r.stated:
            cost = r.parts[0][1]
        return o.change(cost=cost), stated

    def acquire(self, o, stated, asked):
        """`asked` is the cost as it was stated; o.cost is what is charged for it."""
        r, had = None, 0
        if o.resent:
            r = self.slices.get(o.slice, {}).get(o.nonce)
            if r and r.check != o.check:
                return FOREIGN, 0, False
            if r and (r.deadlines is None or r.over(o, self.times)):
                return ENDED, 0, False
            if r and r.asked != asked:
                return FOREIGN, 0, False
            had = len(r.states) if r else 0
            if had >= o.n:
                return GRANTED, o.n, False
        fit, known = min(self.fit(o, o.n - had), self.room_for_out(o)), self.known_of(o)
        if fit and known:
            fit = known.room(fit, r is not None, self.times[o.buckets[0]])
        if not fit and known and not known.refusal(self.times[o.buckets[0]], self.clock) and self.fit(o, 1) and self.room_for_out(o):
            # The rest of a group is no probe: no wait is promised.
            granted = had
            return GRANTED if granted else DENIED, granted, False
        ended = r is not None and len(r.parts) > 1
        sure = fit < o.n - had
        if fit and not o.dry and o.resent and not r and len(self.slices.get(o.slice, ())) >= MOST_IN_SLICE:
            return CROWDED, 0, False
        if fit and not o.dry and not ended:
            deadlines = r.deadlines if r else {b: deadline_of(o.ttl, self.times[b]) for b in o.buckets}
            self.charge_all(o, fit, deadlines)
            self.count_out(o, fit, deadlines)
            self.keep_all(o, deadlines)
            self.book_grant(o, deadlines, fit, fit)
            if not r:
                r = Record(o.check, deadlines, o.split_unknown, [(self.times_of(o), o.cost)])
                r.stated, r.asked = stated, asked
                self.slices.setdefault(o.slice, {})[o.nonce] = r
                if known:
                    known.granted((o.slice, o.nonce), deadlines[o.buckets[0]][0])
            r.states += ["o"] * fit
            self.touched.append(r)
        elif fit:
            # Of a dry run that fits in part, and of a group that has ended meanwhile, no wait is promised.
            sure = False
            fit = 0 if ended and not o.dry else fit
        granted = had + fit
        return GRANTED if granted else DENIED, granted, granted < o.n and sure

    def find(self, o):
        """(the record in which the member lives, its place there)"""
        r = self.slices.get(o.slice, {}).get(o.nonce)
        if r is None or r.check != o.check or o.member >= len(r.states):
            return None, 0
        if r.states[o.member] == "m":
            return self.slices[o.slice][o.nonce + bytes([o.member])], 0
        return r, o.member

    def renew(self, o):
        r, member = self.find(o)
        if r is None:
            return NOSUCH, 0, False
        if o.token is not None and r.token == o.token:
            return GRANTED, 1, False
        if r.states[member] != "o" or r.over(o, self.times):
            return ENDED, 0, False
        if not self.fit(o, 1):
            return DENIED, 0, True
        deadlines = {b: max(deadline_of(o.ttl, self.times[b]), r.deadlines[b], key=lambda d: d[0]) for b in o.buckets}
        if len(r.states) > 1:
            r.states[member] = "m"
            self.touched.append(r)
            group, r = r, Record(r.check, r.deadlines, r.split_unknown, list(r.parts))
            r.states, r.stated, r.asked = ["o"], group.stated, group.asked
            self.slices[o.slice][o.nonce + bytes([o.member])] = r
        for i, _, s in self.limits_of(o):
            bucket = o.buckets[i]
            held = r.held_by(bucket, s) if s.limit.holds else 0
            if held:
                s.let_go(r.deadlines[bucket], held)
                s.hold(deadlines[bucket], held)
        self.book(o, r.deadlines, r.estimate(), 1, -1)
        self.book(o, deadlines, r.estimate(), 1)
        self.uncount_out(o, r)
        self.count_out(o, 1, deadlines)
        r.deadlines, r.token = deadlines, o.token
        if self.known_of(o) and o.member == 0:
            self.known_of(o).renewed((o.slice, o.nonce), deadlines[o.buckets[0]][0])
        if any(o.cost):
            self.charge_all(o, 1, deadlines)
            self.book_grant(o, deadlines, 1, 0)
            if len(r.parts) == LONGEST_PARTS:  # of what was added, the two oldest become one
                r.parts[1:3] = [(r.parts[1][0], plus(r.parts[1][1], r.parts[2][1]))]
            r.parts.append((self.times_of(o), o.cost))
            r.split_unknown = r.split_unknown or o.split_unknown
        self.keep_all(o, deadlines)
        self.touched.append(r)
        return GRANTED, 1, False

    # Settling.

    def settle(self, o):
        r, member = self.find(o)
        if r is None:
            return NOSUCH,
        if r.states[member] != "o":
            return (LATE if r.states[member] == "l" else SETTLED) if o.resent else DUPLICATE,
        cancelled, late = o.kind == CANCEL, r.over(o, self.times)
        if self.known_of(o):
            self.known_of(o).report(o, (o.slice, o.nonce) if o.member == 0 else None, self.times[o.buckets[0]])
        estimate = r.estimate()
        use = (0,) * LEDGER_UNITS if cancelled else actual_use(o, r.split_unknown, estimate)
        for i, _, s in self.limits_of(o):
            over = self.times[o.buckets[i]] >= r.deadlines[o.buckets[i]][0]
            if s.limit.unit < LEDGER_UNITS or not over:
                self.settle_limit(o.buckets[i], s, r, use, estimate, cancelled, over)
        self.uncount_out(o, r)
        for key, b in zip(o.buckets, self.open_buckets(o)):
            b.dirty = True
            if b.ledger:
                b.ledger.settle(r.deadlines[key][0], estimate[:LEDGER_UNITS] + (1,), use + (0,), cancelled, self.times[key])
        r.states[member] = "l" if late else "c" if cancelled else "s"
        self.touched.append(r)
        return LATE if late else SETTLED, *self.teach(o, r, use, estimate)

    def teach(self, o, r, use, estimate):
        """(which parts, by how much more output was charged than used, and input)"""
        which, over = 0, {OUTPUT: 0, INPUT: None}
        for bit, unit in ((1, OUTPUT), (2, INPUT)) if o.estimates is not None and len(r.parts) == 1 else ():
            told = o.stated >> unit & 1 or unit == OUTPUT and o.stated >> INPUT & 1 and o.stated >> TOKENS & 1
            if told and unit in r.stated:
                learned = self.estimates.setdefault(o.estimates, Learned())
                before = len(learned.calls[unit])
                learned.teach(unit, r.stated[unit], use[unit])
                learned.taught_at = self.clock
                self.met["taught"] += 1
                self.met["halved"] += len(learned.calls[unit]) < before
                which, over[unit] = which | bit, estimate[unit] - use[unit]
        return which, over[OUTPUT], over[INPUT]

    def settle_limit(self, bucket, s, r, use, estimate, cancelled, late):
        limit, unit, now = s.limit, s.limit.unit, self.times[bucket]
        if limit.holds and not late:
            held = r.held_by(bucket, s)
            s.let_go(r.deadlines[bucket], held)
            if limit.at_end and use[unit]:
                s.charge(min(use[unit], held), now)
                if use[unit] > held:
                    s.charge(use[unit] - held, now, debt=True)
            return
        more = use[unit] - estimate[unit]
        if more > 0:
            s.charge(more, now, debt=True)
        elif limit.settle or cancelled:
            back = -more
            for times, cost in reversed(r.parts):
                share = min(back, cost[unit])
                back -= share
                if share and times[bucket] >= s.since:
                    s.refund(share, r.deadlines[bucket][0] if limit.at_end else times[bucket], cost[unit], now)

    # Forgiving.

    def forgive(self, o, answer):
        """What is used beyond the capacity, once; what is held is not. Sent again it is the same answer."""
        kept = self.slices.get(o.slice, {}).get(o.nonce) if o.resent else None
        if kept:
            amounts = kept.forgiven
        else:
            amounts = [max(0, min(s.used, s.total - s.limit.capacity)) for _, _, s in self.limits_of(o)]
            for (i, _, s), amount in zip(self.limits_of(o), amounts):
                if amount:
                    s.forgive(amount, self.times[o.buckets[i]])
                    self.open_now[o.buckets[i]].dirty = True
        assert (answer.outcome, answer.granted, answer.rows) == (FORGIVEN, len(amounts), [(a, 0) for a in amounts]), \
            f"{answer}, not {amounts}, for {o}"
        if any(amounts) and not kept:
            self.slices.setdefault(o.slice, {})[o.nonce] = Forgiven(o.check, amounts)
            self.slice_needed[o.slice] = max(self.slice_needed.get(o.slice, 0), self.clock + GRACE)

    # Looking.

    def peek(self, o, answer):
        states = [s for _, _, s in self.limits_of(o)]
        assert (answer.outcome, answer.granted) == (PEEKED, len(states))
        for s, (remaining, reset) in zip(states, answer.rows):
            where = f"remaining {remaining} reset {reset}, {s.limit} {s.total} used and held"
            assert remaining == s.limit.capacity - s.total, where
            if s.total == 0:
                assert reset == 0, where
                continue
            assert 1 <= reset and self.before(s, self.clock + reset) > 0, where
            assert reset >= FOREVER or s.total_at(self.clock + reset) == 0, where


def actual_use(o, split_unknown, estimate):
    """What was used of the five units that can be reported: as stated, else as estimated, tokens being input and output."""
    stated = [o.stated >> unit & 1 for unit in range(LEDGER_UNITS)]
    use = [o.cost[u] if stated[u] else estimate[u] for u in range(LEDGER_UNITS)]
    if stated[INPUT] and stated[OUTPUT] and not stated[TOKENS]:
        use[TOKENS] = use[INPUT] + use[OUTPUT]
    elif (stated[INPUT] or stated[OUTPUT]) and not stated[TOKENS]:
        part = INPUT if stated[INPUT] else OUTPUT
        if split_unknown:
            use[TOKENS] = max(estimate[TOKENS], use[part])
        else:
            use[TOKENS] = max(0, estimate[TOKENS] + use[part] - estimate[part])
    elif stated[TOKENS] and stated[INPUT] != stated[OUTPUT]:
        part, other = (INPUT, OUTPUT) if stated[OUTPUT] else (OUTPUT, INPUT)
        use[part] = max(0, o.cost[TOKENS] - o.cost[other])
    elif stated[TOKENS] and split_unknown and not stated[INPUT]:
        use[INPUT] = use[OUTPUT] = o.cost[TOKENS]
    if o.partial:
        # A call that was cut short has been read by the provider, and may have written nothing.
        if split_unknown:
            use[INPUT] = max(estimate[INPUT], use[INPUT])
        else:
            use[INPUT] = max(estimate[INPUT], o.cost[INPUT] if stated[INPUT] else 0)
            beyond = max(0, o.cost[TOKENS] - use[INPUT]) if stated[TOKENS] else 0
            use[OUTPUT] = o.cost[OUTPUT] if stated[OUTPUT] else beyond
        if estimate[INPUT] == 0:
            least = estimate[TOKENS]
        else:
            least = max(estimate[INPUT], use[INPUT] + use[OUTPUT] if stated[OUTPUT] else 0)
        use[TOKENS] = max(o.cost[TOKENS] if stated[TOKENS] else 0, least)
    return tuple(use)
