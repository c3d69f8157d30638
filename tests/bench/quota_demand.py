"""What there was to be had: a trace with gaps cannot use a quota while nobody asks.

For each window, the smaller of two things: what the quota still had, given what the provider had counted in the window before,
and what was asked for: what arrived in the window, and what had arrived before it and was still waiting. It is computed from
the trace and from the provider's own count of each second, and from nothing that Ration or its clients say.

How the two meet matters, not only how large they are. Of a burst of five quotas in ten seconds, one quota can pass, and at
once; a window that begins in the middle of the burst is asked for two quotas more and yet has nothing left to give. So a window
is walked through second by second: what could be taken in each is what waits, or what the quota has left of the window that ends
there. Who takes all of it at once has used everything, however the traffic comes; who does not is found short in each window
in which there was more.
"""
import collections
import dataclasses
import math

import quota_plan


@dataclasses.dataclass
class Window:
    begin: int  # second of the run
    tokens: int  # that the provider counted
    used: int  # the same, at most the quota
    could: int  # what could have been counted, never less than `used`


class Waiting:
    """What has arrived and was not yet served, oldest first; it leaves when its patience is over."""

    def __init__(self, patience, queue=()):
        self.keep = math.ceil(patience)  # whole seconds after the one of the arrival, which may have been its last moment
        self.queue = collections.deque([arrival, tokens] for arrival, tokens in queue)

    def copy(self):
        return Waiting(self.keep, self.queue)

    def arrive(self, second, tokens):
        while self.queue and self.queue[0][0] < second - self.keep:
            self.queue.popleft()
        if tokens:
            self.queue.append([second, tokens])

    def take(self, most):
        """Gives how much of `most` there was."""
        left = most
        while left > 0 and self.queue:
            part = min(left, self.queue[0][1])
            self.queue[0][1] -= part
            left -= part
            if self.queue[0][1] == 0:
                self.queue.popleft()
        return most - left


def arrivals_of(rows, plan, count, first_ms):
    """Tokens of the calls that could have been counted in each second at the earliest. Second 0 is the one in which the provider
    met its first request, `first_ms`; where it counts at the end of a call, the call lasts that much longer."""
    begin = first_ms % 1000 / 1000 - quota_plan.due_of(rows[0], plan)
    found = collections.Counter()
    for row in rows:
        at = begin + quota_plan.due_of(row, plan)
        if count == "end":
            at += quota_plan.lasts(row, plan)
        found[int(at)] += row.tokens
    return [found.get(second, 0) for second in range(max(found) + 1)]


def could_be_taken(begin, arrivals, served, waiting, quota, window):
    """In the window from `begin` on, by whoever is quick and wastes nothing, after what was really served before it."""
    in_window = collections.deque(served[max(0, begin - window + 1) : begin])
    in_window.extendleft([0] * (window - 1 - len(in_window)))
    sum_of_window = sum(in_window)
    total = 0
    for second in range(begin, begin + window):
        waiting.arrive(second, arrivals[second])
        taken = waiting.take(max(0, quota - sum_of_window))
        total += taken
        in_window.append(taken)
        sum_of_window += taken - in_window.popleft()
    return total


def windows(arrivals, served, quota, window, begins, patience):
    """A Window for each of `begins`, which are seconds one after the other; both series begin with second 0."""
    end = begins[-1] + window if begins else 0
    arrivals = list(arrivals) + [0] * max(0, end - len(arrivals))
    served = list(served) + [0] * max(0, end - len(served))
    waiting = Waiting(patience)
    found = []
    for second in range(begins[-1] + 1 if begins else 0):
        if second in begins:
            could = could_be_taken(second, arrivals, served, waiting.copy(), quota, window)
            tokens = sum(served[second : second + window])
            used = min(tokens, quota)
            # What was served had been asked for, though it may have come later than the trace says.
            found.append(Window(second, tokens, used, max(could, used)))
        waiting.arrive(second, arrivals[second])
        waiting.take(served[second])
    return found


def quota_used(found):
    """Of what could be had; 1 where that was nothing."""
    could = sum(one.could for one in found)
    return sum(one.used for one in found) / could if could else 1.0
