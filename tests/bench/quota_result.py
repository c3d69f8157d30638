"""The modes and their bars, and from the provider's report to a verdict, a table and the JSON document.

All that is judged is the provider's own count: what it counted in each second of the steady state, against what there was to be
had in it (quota_demand.py), and its 429s of the whole run. What the clients say stands beside it.
"""
import dataclasses

import quota_demand

WORDS = {"rolling": "rolling window", "bucket": "token bucket", "minute": "fixed minutes"}


@dataclasses.dataclass(frozen=True)
class Mode:
    name: str
    limiting: str  # as strict-provider calls it
    count: str
    bar: float  # the least that must be used of what could be had; 0: none
    with_ration: bool = True
    refused_count: bool = False  # a refused call counts as a request

    @property
    def title(self):
        who = "Ration" if self.with_ration else "Backoff alone"
        more = ", refused calls count" if self.refused_count else ""
        return f"{who}: {WORDS[self.limiting]}, counted at the {self.count} of a call{more}"


MODES = (
    Mode("rolling", "rolling", "start", 0.97),
    Mode("bucket", "bucket", "start", 0.97),
    Mode("minute", "minute", "start", 0.97),
    Mode("rolling-end", "rolling", "end", 0.85),
    Mode("backoff", "rolling", "start", 0, with_ration=False),
    # OpenAI counts what it refuses against the requests; clients that are never refused do not notice.
    Mode("backoff-openai", "rolling", "start", 0, with_ration=False, refused_count=True),
)


@dataclasses.dataclass
class Result:
    mode: Mode
    provider: dict  # its report
    clients: dict  # of the replay
    steady: list  # a quota_demand.Window for each window of the steady state
    quota: int  # tokens of one of them
    per_second: list  # tokens that the provider counted, from its first second on
    refused_per_second: list  # 429s

    @property
    def provider_429s(self):
        return self.provider["status_429"]

    @property
    def quota_used(self):
        """Of the smaller of the quota and what arrived, window by window."""
        return quota_demand.quota_used(self.steady)

    @property
    def windows(self):
        """The share of the quota in each."""
        return [one.tokens / self.quota for one in self.steady]

    @property
    def share_of_quota(self):
        return sum(self.windows) / len(self.windows)

    @property
    def could_be_had(self):
        """What quota_used is measured against, as a share of the quota."""
        return sum(one.could for one in self.steady) / (self.quota * len(self.steady))

    @property
    def ok(self):
        if not self.mode.with_ration:
            return True  # it is what it is
        return self.provider_429s == 0 and self.quota_used >= self.mode.bar


def per_second(report, field="tokens"):
    """A field of each second since the first request."""
    first = report["first_ms"] // 1000
    found = {row["second"] - first: row[field] for row in report["per_second"]}
    return [found.get(second, 0) for second in range(max(found, default=-1) + 1)]


def share_of_last_window(report, plan):
    if not report["requests"]:
        return 0
    done = per_second(report)[:-1]  # the second that is being counted is left out
    return sum(done[-round(plan.window) :]) / plan.tpm


def steady_windows(plan):
    """The seconds in which the windows begin that lie in the steady state, which is from the end of the warm-up until requests stop
    arriving; and how many seconds each has.

    All of them, a second apart, because where the one interval of a sum begins and ends decides about half a percent: traffic that
    once had a lull has it again in every window, as what is given free then is what was used a window before."""
    window = round(plan.window)
    return range(int(plan.warm), int(plan.seconds) - window + 1), window


def judge(mode, plan, rows, patience, report, clients):
    counted = per_second(report)
    arrivals = quota_demand.arrivals_of(rows, plan, mode.count, report["first_ms"])
    begins, window = steady_windows(plan)
    quota = round(plan.tpm * window / plan.window)
    steady = quota_demand.windows(arrivals, counted, quota, window, begins, patience)
    return Result(mode, report, clients, steady, quota, counted, per_second(report, "status_429"))


# ---- For people ----

COLUMNS = (
    "", "429s", "quota used", "bar", "possible", "of all", "least - most", "answered", "of tokens", "gave up", "sent", "wasted", "",
)  # fmt: skip


def possible(mode, plan):
    return plan.possible_end if mode.count == "end" else plan.possible_start


def table_row(result, plan):
    clients = result.clients["all"]
    sent = result.provider["requests"]
    return (
        result.mode.name,
        f"{result.provider_429s:,}",
        f"{result.quota_used * 100:.1f} %",
        f"{result.mode.bar * 100:.0f} %" if result.mode.bar else "",
        f"{possible(result.mode, plan) * 100:.1f} %" if result.mode.with_ration else "",
        f"{result.share_of_quota * 100:.1f} of {result.could_be_had * 100:.1f} %",
        f"{min(result.windows) * 100:.1f} - {max(result.windows) * 100:.1f} %",
        f"{clients['granted']:,}",
        f"{clients['tokens'] / max(1, clients['granted']):,.0f}",
        f"{clients['denied']:,}",
        f"{sent:,}",
        f"{100 * result.provider_429s / max(1, sent):.0f} %",
        "" if not result.mode.with_ration else "ok" if result.ok else "MISSED",
    )


def table(results, plan, patience, audit):
    rows = [COLUMNS] + [table_row(result, plan) for result in results]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    lines = [""]
    for row in rows:
        cells = [cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))]
        lines.append("  ".join(cells).rstrip())
    lines.append("")
    lines += [f"{result.mode.name:<14} {result.mode.title}" for result in results]
    lines += [
        "",
        f"Quota used: by the provider's own count, of the smaller of the quota and what arrived, over all windows of {plan.window:g} s"
        f" of the {plan.seconds - plan.warm:g} s",
        "after the warm-up. Of all: the same two as shares of the whole quota, and the least and the most of it in one window.",
        "Possible: what rationd's slots, its slack and the estimates of running calls leave where there is always more than enough.",
        f"Load {plan.load:g}x: most calls must give up, after {patience:g} s of patience, with Ration and without. A call asks for its"
        " prompt and,",
        "as max_tokens, the next power of two of its answer; what it did not use is given back. Of tokens: the mean of the calls",
        "that were answered. Sent: what reached the provider; wasted: the share of it that it answered 429.",
    ]
    late = max(result.clients["late_ms"] for result in results)
    if late > 1000:
        lines.append(f"Calls began up to {late / 1000:.1f} s late: the load was less than it says. More --threads may help.")
    if plan.lowest < 1.2:
        lines.append(
            f"The trace has a lull: in one window its load is only {plan.lowest:.2f}x the quota; what nobody asked for is not missed."
        )
    for result in results:
        errors = result.clients["all"]["errors"]
        if errors:
            lines.append(f"{result.mode.name}: {errors} calls met an error, the first: {result.clients['first_error']}")
    if audit[0]:
        lines.append(f"Books: {audit[0]}")
    return "\n".join(lines)


# ---- For programs ----


def entry(result, plan):
    clients = result.clients["all"]
    return {
        "mode": result.mode.name,
        "limiting": result.mode.limiting,
        "count": result.mode.count,
        "provider_429s": result.provider_429s,
        "quota_used": round(result.quota_used, 4),
        "share_of_quota": round(result.share_of_quota, 4),
        "could_be_had": round(result.could_be_had, 4),
        "bar": result.mode.bar or None,
        "possible": round(possible(result.mode, plan), 4) if result.mode.with_ration else None,
        "ok": result.ok,
        "least_in_window": round(min(result.windows), 4),
        "most_in_window": round(max(result.windows), 4),
        "most_in_any_window": round(result.provider["max_tokens_in_window"] / plan.tpm, 4),
        "sent": result.provider["requests"],
        "answered": clients["granted"],
        "gave_up": clients["denied"],
        "errors": clients["errors"],
        "wasted_calls": result.provider_429s,
        "tokens_answered": clients["tokens"],
        "tokens_per_second": result.per_second,
        "refused_per_second": result.refused_per_second,
        "windows": [dataclasses.asdict(one) for one in result.steady],
    }


def document(results, plan, audit, load):
    alone = {result.mode.refused_count: entry(result, plan) for result in results if not result.mode.with_ration}
    return {
        "modes": [entry(result, plan) for result in results if result.mode.with_ration],
        "baseline": alone.get(False),
        "baseline_refused_count": alone.get(True),
        "books_balance": audit[1],
        "load_average": round(load, 2),
        "plan": dataclasses.asdict(plan),
    }
