"""Random worlds: pools and tenants with all sorts of limits, and operations that keep them near their limits.

A world holds the store, the model and the clock. Its clock is far ahead of the real one, so that no key expires by itself; a
key whose time has come is deleted here, and the model then says whether it was still needed.
"""

import random
from collections import Counter

from model import Model
from packing import (ACQUIRE, BUCKET, CALENDAR, CANCEL, CLOSE_POOL, CONCURRENT, DENIED, FORGIVE, GRANTED,
                     IN_FLIGHT, INPUT, NEVER, OPEN_POOL, OUTPUT, PEEK, RENEW, REPORT, ROLLING, SHOW_POOL, USD, Breaker, Bucket,
                     Limit, Feedback, Op, pack_batch, unpack_answer, unpack_ledger)

BEGINNING = 2_300_000_000_000  # in 2042
DAY = 86_400_000
PERIODS = (1000, 1009, 7919, 60_000, 61_057, 3_600_000, DAY, 366 * DAY)
AMOUNTS = (1, 5, 50, 97, 500, 1009, 3000, 10_007, 50_000, 999_983, 150_000_000, 10**12 + 39, 10**13)
STEPS = ((0, 0), (1, 3), (1, 60), (100, 2000), (1000, 70_000), (60_000, 4_000_000), (DAY // 3, 40 * DAY))
TTLS = (1, 127, 128, 1000, 9999, 60_000, 60_000, 600_000, 3_600_000)


class World:
    def __init__(self, client, name, seed):
        self.client, self.name, self.random = client, name, random.Random(seed)
        self.client.flushall()
        self.model, self.clock, self.ops = Model(), BEGINNING + self.random.randrange(400 * DAY), 0
        self.outcomes = Counter()
        self.expires, self.changed, self.live, self.sent, self.ahead = {}, set(), [], [], 0
        self.steps = self.random.choices(STEPS[1:5], k=2)
        self.calendar_period = self.random.choice((DAY, 30 * DAY, 1000 * 997))
        # Some worlds are refused most of the time, others hardly ever.
        self.amounts, self.shares = self.random.choice(
            ((AMOUNTS, (1, 5, 30, 200, 1000)), (AMOUNTS[4:], (30, 200, 2000)), (AMOUNTS[6:], (200, 3000, 50_000))))
        # How the provider is: in most worlds calls fail now and then, in some mostly, in some never.
        self.failing = self.random.choice((0, 0.05, 0.05, 0.2, 0.4))
        # Some are what most services are: pools of rolling limits, tenants of token buckets, acquires that hardly ever fail.
        self.healthy = self.random.random() < 0.25
        if self.healthy:
            self.amounts, self.shares = AMOUNTS[6:], (30, 3000, 50_000)
            self.steps = self.random.choice((((0, 0), (1, 60)), ((0, 0), (1, 3), (1, 60), (100, 4000))))
        # How much learns, and what calls come to as a share of what they state.
        # In some worlds all do, from each other, and little is refused, so that there is much to learn from.
        self.learning = 0.02 if self.healthy else self.random.choice((0, 0.3, 1, 1))
        self.one_book = self.learning == 1 and self.random.random() < 0.7
        if self.one_book:
            self.amounts, self.shares, self.failing = AMOUNTS[7:], (200, 3000, 50_000), 0
        self.comes_to = {unit: self.random.choice((0, 0.012, 0.05, 0.3, 1, 2.5, 12)) for unit in (INPUT, OUTPUT)}
        self.max_outstanding = self.random.choice((10_000, 10_000, 10_000, 200, 20, 3))
        pools, tenants = self.random.randint(1, 3), self.random.randint(1, 5)
        self.buckets = {}
        for i in range(pools):
            self.buckets[f"p{i}"] = Bucket(f"{{w}}p{i}", self.make_limits(True), ledger=True, breaker=self.make_breaker())
        for i in range(tenants):
            self.buckets[f"t{i}"] = Bucket(f"{{w}}t{i}", self.make_limits(False) if self.random.random() < 0.9 else [], counts=True)
            if self.random.random() < 0.2:
                self.buckets[f"i{i}"] = Bucket(f"{{w}}i{i}", self.make_limits(False))
        self.pairs = [[f"p{p}", f"t{t}"] + [f"i{t}"] * (f"i{t}" in self.buckets) for p in range(pools) for t in range(tenants)]

    # What pools know.

    def make_breaker(self):
        r = self.random
        if r.random() < 0.2:
            return None if r.random() < 0.5 and not self.healthy else Breaker()
        return Breaker(r.choice((0.2, 0.5, 0.75, 1)), r.choice((1, 2, 6)), r.choice((1001, 30_000, 3_600_000)),
                       r.choice((10, 1000, 5000, 60_000)))

    def make_news(self):
        r = self.random
        if self.healthy or r.random() > self.failing:
            return None
        if r.random() < 0.006:  # no money: until it is opened, or for so long
            return Feedback(True, r.choice((0, 1, 700, 20_000, 20_000, 4_000_000_000 if r.random() < 0.02 else 90_000)), "no_money")
        return Feedback(r.random() < 0.8, r.choice((0,) * 12 + (1, 700, 20_000, 4_000_000_000 if r.random() < 0.02 else 0)))

    def make_operation(self):
        name = self.random.choice([n for n in self.buckets if n[0] == "p"])
        if self.buckets[name].breaker is None:
            return Op(PEEK, [name])
        kind = self.random.choices((OPEN_POOL, SHOW_POOL, CLOSE_POOL), (60, 30, 1))[0]
        return Op(kind, [name], feedback=Feedback(reason="operator") if kind == CLOSE_POOL else None)

    # Limits.

    def make_limit(self, pool):
        r = self.random
        unit = r.choice((0, 0, 1, 1, 1, 2, 3, 3, 4, 5))
        if self.healthy:
            algorithm, per = ROLLING if pool else BUCKET, r.choice((60_000, 3_600_000, DAY))
            amount = r.choice(self.amounts)
            kept = (0, amount // 10, amount * 3 // 10) if pool else (0, 0, 0)
            return Limit(unit % 5, algorithm, amount, per, kept_back=kept)
        if unit == IN_FLIGHT:
            return Limit(unit, CONCURRENT, r.choice((2, 5, 50, 1000)), 0)
        algorithm = r.choice((BUCKET, BUCKET, ROLLING, ROLLING, CALENDAR))
        amount = r.choice(self.amounts)
        if r.random() < 0.2:
            amount = r.randint(1, 10 ** r.randint(1, 13))
        per = self.calendar_period if algorithm == CALENDAR else r.choice(PERIODS)
        capacity = amount
        if algorithm == BUCKET and r.random() < 0.4:
            capacity = max(1, min(10**13, int(amount * r.choice((0.1, 0.5, 3, 10)))))
        kept = (0, capacity // 10, capacity * 3 // 10) if pool and r.random() < 0.5 else (0, 0, 0)
        return Limit(unit, algorithm, amount, per, capacity, r.choice((0, 250, 5000)), unit in (1, 3, USD) and r.random() < 0.4,
                     r.random() < 0.8, kept, self.bounds() if algorithm == CALENDAR else None)

    def make_limits(self, pool):
        limits = {}
        for _ in range(self.random.choice((1, 1, 2, 2, 3, 5))):
            limit = self.make_limit(pool)
            limits[limit.sig] = limit
        return list(limits.values())

    def bounds(self, name=None):
        stored = self.model.buckets.get(name)
        start = max(self.clock, stored.last if stored else 0) // self.calendar_period * self.calendar_period
        if self.random.random() < 0.05:
            start -= self.calendar_period  # a server whose clock is a little behind
        return start, start + self.calendar_period, start + 2 * self.calendar_period

    def change_limits(self):
        """What a new configuration or another tier does."""
        r = self.random
        name = r.choice(list(self.buckets))
        b, limits = self.buckets[name], {}
        for l in b.limits:
            what = r.randrange(8)
            if what == 0 and len(b.limits) > 1:
                continue
            if what == 1:
                l = l.change(amount=max(1, l.amount // 3), capacity=max(1, l.capacity // 3), kept_back=(0, 0, 0))
            elif what == 2:
                l = l.change(amount=min(10**13, l.amount * 3), capacity=min(10**13, l.capacity * 2))
            elif what == 3 and l.algorithm not in (CALENDAR, CONCURRENT):
                l = l.change(per=r.choice(PERIODS))
            elif what == 4 and l.algorithm == ROLLING:
                l = l.change(slack=r.choice((0, 250, 5000)))
            limits[l.sig] = l
        if r.random() < 0.3:
            limit = self.make_limit(b.ledger)
            limits.setdefault(limit.sig, limit)
        if r.random() < 0.1 and not b.ledger:
            limits = {0: Limit(0, BUCKET, 10**6, 1000)}  # one that needs no slots
        previous = getattr(b, "previous", None)
        b.previous = b.limits
        b.limits = previous if previous and r.random() < 0.4 else list(limits.values())
        self.changed.add(name)

    # Operations.

    def some_cost(self, buckets, modest=False):
        """Near enough to what the limits allow that some fit and some do not."""
        r = self.random
        cost = [1, 0, 0, 0, 0, 1]
        if r.random() < 0.1:
            cost[0], cost[5] = r.randrange(3), r.randrange(3)
        kept = [0] * 6
        for name in buckets:
            for l in self.buckets[name].limits:
                kept[l.unit] = min(kept[l.unit] or l.capacity, l.capacity)
        share = r.choice(self.shares)
        for unit in range(1, 5):
            if kept[unit] and r.random() < 0.8:
                cost[unit] = min(10**12, r.randint(0, max(1, kept[unit] // share)))
            elif r.random() < 0.3:
                cost[unit] = r.randrange(1000)
        if r.random() < 0.02 and not modest:
            cost[r.randrange(1, 5)] = 10**12
        return tuple(cost)

    def make_acquire(self):
        r = self.random
        buckets = r.choice(self.pairs)
        slice_key = f"{{w}}r{self.clock >> 15}.{r.randrange(2)}"
        n = 1 if r.random() < 0.7 else r.randint(2, 12)
        learns = r.random() < self.learning
        return Op(ACQUIRE, buckets, self.some_cost(buckets), estimates=self.estimates_key(buckets) if learns else None,
                  stated=r.choice((0, 4, 8, 12, 12, 12, 12, 14, 31)) if learns else 0, resent=r.random() < 0.05, dry=n == 1 and r.random() < 0.05,
                  split_unknown=r.random() < 0.2, priority=r.randrange(3), n=n, slice=slice_key, nonce=r.randbytes(8),
                  check=r.randrange(2**48), ttl=r.choice(TTLS))

    def estimates_key(self, buckets):
        return "{w}e" + "".join([] if self.one_book else buckets[:2])

    def what_it_comes_to(self, unit, stated):
        r = self.random
        if r.random() < 0.02:
            self.comes_to[unit] = r.choice((0, 0.012, 0.05, 0.3, 1, 2.5, 12))
        return min(10**12, int(stated * self.comes_to[unit] * r.uniform(0.7, 1.3)))

    def make_settle(self, o):
        r = self.random
        member = r.randrange(o.n)
        if r.random() < 0.15:
            return Op(CANCEL, o.buckets, resent=r.random() < 0.1, slice=o.slice, nonce=o.nonce, check=o.check, member=member,
                      feedback=self.make_news())
        cost = [0] * 6
        stated = r.randrange(32) & ~(r.random() < 0.9)
        if o.estimates is not None and r.random() < 0.7:
            stated = r.choice((12, 14, 6, 10))
        for unit in range(5):
            if stated >> unit & 1:
                most = o.cost[unit] if r.random() < 0.85 else 2 * o.cost[unit] + 10
                cost[unit] = r.choice((0, o.cost[unit], r.randint(0, most), r.randint(0, most)))
                if unit in self.comes_to and o.estimates is not None and r.random() < 0.8:
                    cost[unit] = self.what_it_comes_to(unit, o.cost[unit])
        learns = r.random() < (0.1 if o.estimates is None else 0.9)
        check = o.check if r.random() < 0.98 else o.check ^ 1
        return Op(REPORT, o.buckets, tuple(cost), estimates=self.estimates_key(o.buckets) if learns else None, resent=r.random() < 0.1, partial=r.random() < 0.1, stated=stated, slice=o.slice,
                  nonce=o.nonce, check=check, member=member, feedback=self.make_news())

    def make_renew(self, o):
        r = self.random
        cost = (0,) * 6 if r.random() < 0.4 else self.some_cost(o.buckets, modest=True)
        if r.random() < 0.8:
            cost = (0,) + cost[1:5] + (0,)
        return Op(RENEW, o.buckets, cost, split_unknown=r.random() < 0.1, priority=r.randrange(3), slice=o.slice, nonce=o.nonce,
                  check=o.check, member=r.randrange(o.n), ttl=r.choice(TTLS), token=r.randbytes(8) if r.random() < 0.7 else None)

    def make_forgive(self):
        """Of a tenant, as the server asks it; of a pool it would be the same."""
        r = self.random
        buckets = r.choice(self.pairs)
        return Op(FORGIVE, buckets[1:] if r.random() < 0.9 else buckets, resent=r.random() < 0.1,
                  slice=f"{{w}}r{self.clock >> 15}.{r.randrange(2)}", nonce=r.randbytes(8), check=r.randrange(2**48))

    def make_op(self):
        r, x = self.random, self.random.random()
        if x < 0.04 and self.sent:
            o = r.choice(self.sent)
            check = o.check if r.random() < 0.95 else o.check ^ 1
            more = r.randint(1, 3) if o.kind == ACQUIRE and r.random() < 0.3 else 0
            o = o.change(resent=True, check=check, n=min(255, o.n + more))
            return self.for_another_request(o) if o.kind == ACQUIRE and r.random() < 0.2 else o
        if x < 0.06:
            return Op(PEEK, r.choice(self.pairs))
        if x < 0.09:
            return self.make_operation()
        if x < 0.1:
            return self.make_forgive()
        if x < (0.8 if self.one_book else 0.5) and self.live:
            i = r.randrange(max(0, len(self.live) - r.choice((20, 60, 300))), len(self.live))
            o = self.live[i]
            if r.random() < (0.05 if self.one_book else 0.25):
                return self.make_renew(o)
            if o.n == 1 and r.random() < 0.9:
                self.live[i] = self.live[-1]
                self.live.pop()
            return self.make_settle(o)
        return self.make_acquire()

    def for_another_request(self, o):
        """The same id, with another cost. Of what was learned, the sum of the tokens need not tell what was stated."""
        cost = list(o.cost)
        cost[self.random.choice((0, 1, 2, 3, 4, 5) if o.estimates is None else (0, 2, 3, 4, 5))] += 1
        return o.change(cost=tuple(cost))

    # Time.

    def step(self):
        r, x = self.random, self.random.random()
        if x < 0.03:
            self.clock -= r.choice((1, 1000, 5000, 3_600_000 if x < 0.002 else 100))
        elif x < 0.7:
            self.clock += r.randint(*r.choice(self.steps))
        elif x < 0.73:
            self.clock += r.randint(*r.choice(STEPS))
        if self.ahead:  # the clock was ahead for a batch or two: what was written then is ahead of what follows
            if r.random() < 0.6:
                self.clock -= self.ahead
                self.ahead = 0
        elif r.random() < 0.01:
            self.ahead = r.choice((7, 1500, 3_600_000, 3 * 3_600_000, 2 * DAY))
            self.clock += self.ahead

    def expire(self):
        for key in [k for k, at in self.expires.items() if at < self.clock]:
            at = self.expires.pop(key)
            name = key[3:]
            self.client.unlink(key)
            if name in self.buckets:
                self.model.forget_bucket(name, at, name in self.changed)
                self.changed.discard(name)
            elif key.endswith(":k"):
                self.model.forget_health(name[:-2], at)
            elif name[0] == "e":
                self.model.forget_estimates(key, at)
            elif not key.endswith("+s"):
                self.model.forget_slice(key, at)

    # Batches.

    def digest(self):
        return self.client.execute_command("DEBUG", "DIGEST")

    def send(self, ops):
        """Decides a batch in the store and in the model, and compares."""
        self.expire()
        if any(l.algorithm == CALENDAR for b in self.buckets.values() for l in b.limits):
            for name, b in self.buckets.items():
                b.limits = [l.change(bounds=self.bounds(name)) if l.algorithm == CALENDAR else l for l in b.limits]
        keys, argument = pack_batch(self.buckets, ops, self.max_outstanding)
        digest = self.digest() if len(ops) <= 5 and self.random.random() < 0.2 else None
        pipe = self.client.pipeline(transaction=False)
        pipe.fcall(self.name, len(keys), *keys, argument, self.clock)
        for key in keys:
            pipe.pexpiretime(key)
        raw, *times = pipe.execute()
        got = unpack_answer(raw)
        written = self.model.batch(self.clock, self.buckets, ops, got, self.max_outstanding)
        assert digest is None or written or digest == self.digest(), f"nothing was granted, but the store changed: {ops}"
        for key, at in zip(keys, times):
            assert at != -1, f"{key} has no expiry"
            if at > 0:
                self.expires[key] = at
        self.changed -= set(written)
        self.ops += len(ops)
        for a in got[3]:
            self.outcomes[a.outcome] += 1
        return got[3], written

    def random_batch(self):
        self.step()
        if self.random.random() < 0.02:
            self.change_limits()
        n = self.random.choice((1, 1, 2, 5, 20, 64))
        if self.random.random() < (0.6 if self.healthy else 0.1):
            ops = [self.make_acquire().change(resent=False, dry=False, ttl=60_000) for _ in range(n)]
        else:
            ops = [self.make_op() for _ in range(n)]
        answers, written = self.send(ops)
        for o, a in zip(ops, answers):
            if o.kind == ACQUIRE and a.outcome == GRANTED and not o.dry:
                self.live.append(o.change(n=a.granted))
            if (o.kind < PEEK or o.kind == FORGIVE) and self.random.random() < 0.3:
                self.sent.append(o)
        del self.sent[:-40]
        if len(self.live) > 300:
            del self.live[:self.random.randrange(100)]
        return ops, answers, written

    # What must hold besides.

    def verify(self):
        """Looks at everything, from outside and inside."""
        for name, b in self.buckets.items():
            self.send([Op(PEEK, [name])])
        for name, stored in self.model.buckets.items():
            for s in stored.states:
                if s.check:
                    s.check.verify(s, stored.last)
            raw = self.client.get(self.buckets[name].key) if stored.ledger else None
            if raw and name not in self.changed:
                kept, model = unpack_ledger(raw), stored.ledger
                for word in ("granted", "reported", "expired", "cancelled", "spent", "outstanding"):
                    assert tuple(kept[word]) == getattr(model, word), f"{name}: {word} {kept[word]}, not {getattr(model, word)}"
                assert [g - x - c - e - u for g, x, c, e, u in
                        zip(*(kept[w] for w in ("granted", "reported", "cancelled", "expired", "outstanding")))] == [0] * 6
        keys = self.client.keys("*")
        pipe = self.client.pipeline(transaction=False)
        for key in keys:
            pipe.pttl(key)
        for key, ttl in zip(keys, pipe.execute()):
            assert ttl > 0, f"{key} has no expiry"

    def verify_wait(self, o, answer):
        """A lone caller that comes back exactly then is admitted, and a millisecond earlier is not. Changes nothing."""
        if answer.outcome != DENIED or answer.wait in (NEVER, 2**50) or answer.wait > 300 * DAY:
            return
        now = self.model.clock
        limits = [l for b in o.buckets for l in self.buckets[b].limits if l.algorithm == CALENDAR]
        for at, outcome in ((now + answer.wait - 1, DENIED), (now + answer.wait, GRANTED)):
            if any(at >= l.bounds[2] for l in limits):
                return
            keys, argument = pack_batch(self.buckets, [o.change(n=1, dry=True, resent=False)], self.max_outstanding)
            got = unpack_answer(self.client.fcall(self.name, len(keys), *keys, argument, at))
            assert got[3][0].outcome == outcome, f"{got[3]} at {at - now} ms after {answer} for {o}"
