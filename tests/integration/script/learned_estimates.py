"""Estimates that learn, by the rules of lua/README.md: which class of share each call was of, and what the next one is charged.

`Learned` keeps the calls themselves, in the order of their classes; the script keeps how many there were of each.
"""

from math import isqrt

from packing import INPUT, OUTPUT, TOKENS

MILLION = 10**6
CLASSES = 40
BELIEVED, HALVED_AT = 8, 200
DAY = 86_400_000
MOST_COST = 10**12
GREATEST = {INPUT: 8, OUTPUT: 1}


def upper_end(unit, n):
    """The largest share of the n-th class, in millionths: floor(greatest * 10^6 * 2^(-n / 4)), in whole numbers alone."""
    fourth_power = (GREATEST[unit] * MILLION) ** 4
    return isqrt(isqrt(fourth_power // 2**n))


ENDS = {unit: [upper_end(unit, n) for n in range(CLASSES)] for unit in GREATEST}


class Learned:
    def __init__(self):
        self.calls = {INPUT: [], OUTPUT: []}  # classes, the greatest share first
        self.taught_at = 0

    def teach(self, unit, stated, actual):
        fitting = [n for n, end in enumerate(ENDS[unit]) if end * stated >= actual * MILLION]
        calls = self.calls[unit]
        calls.append(max(fitting, default=0))
        if len(calls) >= HALVED_AT:
            calls[:] = [n for n in set(calls) for _ in range(calls.count(n) // 2)]
        calls.sort()

    def share(self, unit):
        """In millionths; None: too few calls."""
        calls = self.calls[unit]
        return ENDS[unit][calls[len(calls) // 10]] if len(calls) >= BELIEVED else None

    def cost(self, o, limits):
        """What an acquire is charged, and what it stated of each unit that there is to learn from."""
        stated = {unit: o.cost[unit] for unit in GREATEST if o.stated >> unit & 1 and o.cost[unit] > 0}
        cost, least = list(o.cost), 0
        for unit in (OUTPUT, INPUT):
            share = self.share(unit)
            if unit not in stated or share is None:
                continue
            learned = max(1, -(-stated[unit] * share // MILLION))
            if learned > stated[unit]:
                beside = max(0, cost[TOKENS] - cost[INPUT])
                rooms = [MOST_COST]
                for l in limits:
                    room = l.capacity - l.kept_back[o.priority]
                    rooms += [room] * (l.unit == INPUT) + [room - beside] * (l.unit == TOKENS)
                learned = max(stated[unit], min(learned, *rooms))
            cost[TOKENS] += learned - stated[unit]
            cost[unit] = learned
            least = max(least, learned)
        cost[TOKENS] = min(MOST_COST, max(least, cost[TOKENS]))
        return tuple(cost), stated
