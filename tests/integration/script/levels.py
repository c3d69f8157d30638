"""What one limit has used, by the rules of lua/README.md, in Python's unbounded integers.

Each algorithm keeps what makes its rule plainest: a rolling limit all its slots, a token bucket its level in units of
1/per, what is held a dictionary by deadline. `total_at(t)` says what used + held will be at a later `t` if nobody comes
in between; waits and resets are judged by it, not computed.

A state is copied when a batch opens its bucket and kept only if the batch writes the bucket. `happened` lists what a state
saw in the batch; the independent checks at the end of this file take it when the bucket is written.
"""

from packing import BUCKET, CALENDAR, CONCURRENT, ROLLING

LOWS = 4  # the script remembers so many lows of a token bucket


class State:
    def __init__(self, limit, since):
        self.limit, self.since, self.now, self.holds, self.happened = limit, since, since, {}, []
        self.check, self.most = None, limit.capacity

    def copy(self):
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        new.holds, new.happened = dict(self.holds), []
        return new

    @property
    def held(self):
        return sum(self.holds.values())

    @property
    def total(self):
        return self.used + self.held

    def hold(self, at, amount):
        self.holds[at] = self.holds.get(at, 0) + amount

    def let_go(self, at, amount):
        left = self.holds.get(at, 0) - amount
        if left > 0:
            self.holds[at] = left
        else:
            self.holds.pop(at, None)

    def passed(self, now):
        """Takes out the holds whose deadline has come: [(deadline, amount)], soonest first."""
        gone = sorted(at for at in self.holds if at[0] <= now)
        return [(at[0], self.holds.pop(at)) for at in gone]

    def held_at(self, t):
        return sum(a for (deadline, _), a in self.holds.items() if deadline > t)

    def refresh(self, limit, last, now):
        self.limit, self.now, self.most = limit, now, max(self.most, limit.capacity)

    def charge(self, amount, at, debt=False):
        pass

    def refund(self, amount, since, charged, now):
        pass

    def forgive(self, amount, now):
        """Takes away `amount` of what was used, the latest charges first."""
        self.used -= amount


class Concurrent(State):
    used = 0

    def refresh(self, limit, last, now):
        super().refresh(limit, last, now)
        self.passed(now)

    def total_at(self, t):
        return self.held_at(t)


class Calendar(State):
    used = 0

    def start(self, t):
        return max(b for b in self.limit.bounds if b <= t)

    def refresh(self, limit, last, now):
        super().refresh(limit, last, now)
        start = self.start(now)
        if last < start:
            self.used = 0
        self.used += sum(amount for deadline, amount in self.passed(now) if deadline >= start)

    def charge(self, amount, at, debt=False):
        self.used += amount

    def refund(self, amount, since, charged, now):
        if since >= self.start(now):
            self.used -= min(amount, self.used)

    def total_at(self, t):
        if t >= self.limit.bounds[2]:
            return 0  # as far as the script is told: nothing of today can live that long
        start = self.start(t)
        used = self.used if start == self.start(self.now) else 0
        return used + sum(a for (deadline, _), a in self.holds.items() if deadline >= start or deadline > t)


class Rolling(State):
    def __init__(self, limit, since):
        super().__init__(limit, since)
        self.slots, self.check = {}, Windows()

    def copy(self):
        new = super().copy()
        new.slots = dict(self.slots)
        return new

    @property
    def used(self):
        return sum(self.slots.values())

    def counts(self, slot, t):
        return t < (slot + 1) * self.limit.width + self.limit.stay

    def refresh(self, limit, last, now):
        super().refresh(limit, last, now)
        over = [n for n in self.slots if not self.counts(n, now)]
        for n in over:
            del self.slots[n]
        for deadline, amount in self.passed(now):
            if self.counts(deadline // limit.width, now):
                self.charge(amount, deadline)

    def charge(self, amount, at, debt=False):
        n = at // self.limit.width
        self.slots[n] = self.slots.get(n, 0) + amount
        if not debt:
            self.happened.append((at, amount))

    def refund(self, amount, since, charged, now):
        n = since // self.limit.width
        if self.counts(n, now):
            self.slots[n] = max(0, self.slots.get(n, 0) - amount)
        self.happened.append((since, -amount))

    def forgive(self, amount, now):
        for n in sorted(self.slots, reverse=True):
            share = min(amount, self.slots[n])
            self.slots[n] -= share
            amount -= share
            # Nobody can tell debt from what was admitted: an operator who forgives lets more through than the limit would.
            self.happened.append((n * self.limit.width, -share))

    def total_at(self, t):
        return sum(a for n, a in self.slots.items() if self.counts(n, t)) \
            + sum(a for (deadline, _), a in self.holds.items()
                  if deadline > t or self.counts(deadline // self.limit.width, t))


class TokenBucket(State):
    """`level` is what is missing from full, in units of 1/per, so that it is exact.

    `lows` are [time, level just before the charge of that time], oldest first, of those charges before which the level was
    lower than ever since; `born` is when the level last was 0. So the least since a charge is the first low after it.
    """

    def __init__(self, limit, since):
        super().__init__(limit, since)
        self.level, self.lows, self.born, self.rate_since, self.rate = 0, [], 0, 0, limit.amount
        self.check = Counterfactual()
        self.happened.append((since, "rate", limit.amount))

    def copy(self):
        new = super().copy()
        new.lows = [list(low) for low in self.lows]
        return new

    @property
    def used(self):
        return -(-self.level // self.limit.per)

    def refresh(self, limit, last, now):
        super().refresh(limit, last, now)
        if self.rate != limit.amount:
            self.rate, self.rate_since = limit.amount, last
            self.happened.append((last, "rate", limit.amount))
        at = last
        for deadline, amount in self.passed(now):
            self.refill(deadline - at)
            self.charge(amount, deadline)
            at = deadline
        self.refill(now - at)

    def refill(self, ms):
        self.level = max(0, self.level - ms * self.limit.amount)
        self.forget_lows()

    def forget_lows(self):
        if self.level == 0:
            self.lows = []
        while self.lows and self.lows[-1][1] >= self.level:
            self.lows.pop()
        while self.lows and self.lows[0][1] == 0:
            self.born = self.lows.pop(0)[0]

    def last_low(self):
        return self.lows[-1][0] if self.lows else self.born

    def charge(self, amount, at, debt=False):
        if self.level == 0:
            self.lows, self.born = [], at
            self.happened.append((at, "empty", 0))
        elif at > self.last_low():
            used = -(-self.level // self.limit.per)
            if self.lows and used < -(-self.lows[-1][1] // self.limit.per) * 2:
                self.lows[-1][0] = at  # not twice the last: that one, the lower, stands for it, too
            else:
                self.lows.append([at, self.level])
            if len(self.lows) > LOWS:
                # Of two neighbours that are most alike in proportion the lower stands for both.
                used = [-(-level // self.limit.per) for _, level in self.lows]
                alike = [a / b for a, b in zip(used, used[1:])]
                i = alike.index(max(alike))
                self.lows[i + 1][1] = self.lows[i][1]
                del self.lows[i]
        self.level += amount * self.limit.per
        self.happened.append((at, "charge", amount))

    def refund(self, amount, since, charged, now):
        per = self.limit.per
        if since >= self.last_low():
            low = self.level
        elif since < self.born:
            low = 0
        else:
            low = next(level for time, level in self.lows if time > since)
        low = min(low, self.level)
        back = min(amount * per, low)
        for entry in self.lows:
            entry[1] = max(0, entry[1] - back) if entry[0] > since else min(entry[1], low - back)
        self.level -= back
        self.forget_lows()
        self.happened.append((since, "refund", amount))

    def forgive(self, amount, now):
        self.level = max(0, self.level - amount * self.limit.per)  # the last unit may be used in part
        self.forget_lows()
        self.happened.append((now, "forgive", amount))

    def total_at(self, t):
        level, at, amount, per = self.level, self.now, self.limit.amount, self.limit.per
        held = 0
        for (deadline, _), more in sorted(self.holds.items()) if self.holds else ():
            if deadline > t:
                held += more
                continue
            level = max(0, level - (deadline - at) * amount) + more * per
            at = deadline
        return held - (-max(0, level - (t - at) * amount) // per)


KINDS = {BUCKET: TokenBucket, ROLLING: Rolling, CALENDAR: Calendar, CONCURRENT: Concurrent}


class Windows:
    """All that was admitted, to the millisecond: no window of one period may hold more than the largest capacity."""

    def __init__(self):
        self.charges = {}

    def take(self, state):
        for at, amount in state.happened:
            if amount >= 0:
                self.charges[at] = self.charges.get(at, 0) + amount
                continue
            # Parts of a reservation beyond the eighth are one: what is given back may be of a neighbour in the slot.
            slot = at // state.limit.width
            for t in [at] + [t for t in self.charges if t // state.limit.width == slot] if amount else ():
                less = min(self.charges.get(t, 0), -amount)
                if less:
                    self.charges[t] -= less
                    amount += less
                if amount == 0:
                    break

    def verify(self, state, now):
        limit = state.limit
        for t in [t for t in self.charges if t <= now - 3 * limit.stay]:
            del self.charges[t]
        times, total, first = sorted(self.charges), 0, 0
        for t in times:
            total += self.charges[t]
            while times[first] <= t - limit.per:
                total -= self.charges[times[first]]
                first += 1
            assert total <= state.most, f"{total} of {state.most} in the window that ends at {t}: {limit}"


class Counterfactual:
    """The level that a token bucket would have now if every charge had been made as it was settled, from all charges since it
    was last full. The script must never think that less is used, or it would admit too much."""

    def __init__(self):
        self.charges, self.rates, self.unsure = [], [], False

    def take(self, state):
        for at, what, amount in state.happened:
            if what == "empty":
                self.charges, self.rates, self.unsure = [], self.rates[-1:], False
            elif what == "charge":
                self.charges.append([at, amount])
            elif what == "rate":
                self.rates.append((at, amount))
            elif what == "forgive":
                for charge in sorted(self.charges, reverse=True):
                    less = min(charge[1], amount)
                    charge[1] -= less
                    amount -= less
            else:
                self.settle(at, amount)

    def settle(self, at, amount):
        for charge in self.charges:
            if charge[0] == at and amount:
                less = min(charge[1], amount)
                charge[1] -= less
                amount -= less
        # The charge was made before the bucket was last full, or the parts of a reservation were merged.
        self.unsure = self.unsure or amount > 0 and bool(self.charges) and at >= self.charges[0][0]

    def verify(self, state, now):
        if self.unsure or state.level == 0 or not self.charges:
            return
        per = state.limit.per
        level, at = 0, self.charges[0][0]
        events = sorted([(t, 1, a) for t, a in self.charges] + [(t, 0, a) for t, a in self.rates])
        rate = self.rates[0][1] if self.rates else state.limit.amount
        if self.rates and self.rates[0][0] > at:
            return  # the rate before the first change is not known
        for t, what, amount in events:
            if t > at:
                level, at = max(0, level - (t - at) * rate), t
            if what:
                level += amount * per
            else:
                rate = amount
        level = max(0, level - (now - at) * rate)
        assert state.level >= level, f"{state.level} / {per} used, but it must be {level} / {per}: {state.limit}"
