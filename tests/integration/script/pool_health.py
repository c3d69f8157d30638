"""What a pool knows, by the rules of lua/README.md: pauses, closing, and the circuit breaker with every report it counts.

`Health` keeps all that happened and derives the rest: the script keeps four counters, this keeps the reports themselves.
"""

from packing import CANCEL, CIRCUIT, IS_CLOSED, NEVER, PAUSED

LONGEST_PAUSE = 86_400_000
LONGEST_CLOSING = 32 * LONGEST_PAUSE
SLOWEST = 8


class Health:
    def __init__(self, breaker):
        self.breaker, self.paused, self.reason, self.reports = breaker, 0, None, []
        self.reopens = False  # closed only for as long as it is paused
        self.chance = self.probe = None  # when the circuit is open: when a probe may go; (its name, its deadline)
        self.cool = 0

    @property
    def circuit(self):
        return self.chance is not None

    # The circuit.

    def open(self, at, cool):
        self.chance, self.cool, self.probe = at + cool, cool, None

    def close(self):
        self.chance, self.probe, self.cool, self.reports = None, None, 0, []

    def slower(self):
        return min(2 * max(self.cool, self.breaker.cool), SLOWEST * self.breaker.cool)

    def refresh(self, now):
        """What is over by now: a probe that has expired, a closing that had an end. Gives what it stood for; see forget()."""
        before = self.probe, self.chance, self.cool, self.reason, self.reopens
        if self.probe and self.probe[1] <= now:
            self.open(self.probe[1], self.slower())
        if self.reopens and self.paused <= now:
            self.reason, self.reopens = None, False
        after = self.probe, self.chance, self.cool, self.reason, self.reopens
        return (before, self.remembered()) if after != before else None

    def remembered(self):
        return self.probe, self.chance, self.cool, self.paused, self.reason, self.reopens, len(self.reports)

    def forget(self, look):
        """refresh() was only a look if nothing came of it: where the clock then steps back, the probe is still out, the pool closed."""
        before, seen = look
        if self.remembered() == seen:
            self.probe, self.chance, self.cool, self.reason, self.reopens = before

    def counted(self, now):
        """The reports of this quarter of a window and of the three before it."""
        quarter = -(-self.breaker.window // 4)
        return [failed for at, failed in self.reports if at // quarter > now // quarter - 4]

    # Asking.

    def room(self, fit, again, now):
        if self.reason is not None or self.paused > now:
            return 0
        if not self.circuit:
            return fit
        return 0 if self.probe or self.chance > now or again else 1

    def refusal(self, now, clock):
        """(what refuses, how long from the store's clock on); None: nothing does."""
        if self.reason is not None and not self.reopens:
            return IS_CLOSED, NEVER
        paused, circuit = self.paused - clock if self.paused > now else 0, 0
        if self.circuit:
            end = self.probe[1] + self.slower() if self.probe else self.chance
            circuit = end - clock if end > now else 0
        if max(paused, circuit) <= 0:
            return None
        if self.reason is not None:
            return IS_CLOSED, max(paused, circuit)
        return (PAUSED, paused) if paused >= circuit else (CIRCUIT, circuit)

    # Learning. Each gives whether anything is to be remembered.

    def granted(self, name, deadline):
        if self.circuit:
            self.probe = name, deadline

    def renewed(self, name, deadline):
        if self.probe and self.probe[0] == name:
            self.probe = name, deadline

    def count(self, name, cancelled, failed, now):
        if self.breaker.share == 0:
            return
        if self.circuit:
            if self.probe and self.probe[0] == name:
                if failed:
                    self.open(now, self.slower())
                elif cancelled:
                    self.chance, self.probe = now, None
                else:
                    self.close()
            return
        if not failed and (cancelled or True not in self.counted(now)):
            return
        self.reports.append((now, failed))
        counted = self.counted(now)
        if failed and len(counted) >= self.breaker.at_least and sum(counted) >= self.breaker.share * len(counted):
            self.open(now, self.breaker.cool)

    def report(self, o, name, now):
        feedback = o.feedback
        self.count(name, o.kind == CANCEL, bool(feedback and feedback.failed), now)
        if feedback and feedback.pause:
            self.paused = max(self.paused, now + min(feedback.pause, LONGEST_CLOSING if feedback.reason else LONGEST_PAUSE))
        if feedback and feedback.reason and (self.reason is None or self.reopens and not feedback.pause):
            self.reason, self.reopens = feedback.reason, feedback.pause > 0

    def operate(self, reason):
        """None: open it."""
        self.reason, self.reopens = reason, False
        if reason is None:
            self.paused = 0
            self.close()

    def shown(self, now, clock):
        """(state, until, failures, reports)"""
        counted = self.counted(now)
        return (*self.state(now, clock), sum(counted), len(counted))

    def state(self, now, clock):
        if self.reason is not None:
            return "closed", self.paused - clock if self.reopens else NEVER
        if self.probe:
            return "probing", self.probe[1] - clock
        if self.circuit and (self.chance > now or self.paused <= now):
            return "circuit", self.chance - clock if self.chance > now else 0
        if self.paused > now:
            return "paused", self.paused - clock
        return "open", 0

    def matters(self, at):
        """May it not be forgotten yet? An open circuit is, when nobody has come for eight cool-downs."""
        return self.reason is not None and not self.reopens or self.paused > at or True in self.counted(at) \
            or self.circuit and (self.probe or self.chance + SLOWEST * self.breaker.cool > at)
