"""The modes and their bars, and from the provider's report to a verdict, a table and the JSON document.

All that is judged is the provider's own count: what it counted in each second of the steady state, and its 429s of the whole
run. What the clients say stands beside it.
"""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Mode:
    name: str
    limiting: str  # as strict-provider calls it
    count: str
    bar: float  # least share of the quota; 0: none
    with_ration: bool = True

    @property
    def words(self):
        if not self.with_ration:
            return f"backoff alone ({self.limiting})"
        return f"{self.limiting}, counts at the {self.count}"


MODES = (
    Mode("rolling", "rolling", "start", 0.97),
    Mode("bucket", "bucket", "start", 0.97),
    Mode("minute", "minute", "start", 0.97),
    Mode("rolling-end", "rolling", "end", 0.85),
    Mode("backoff", "rolling", "start", 0, with_ration=False),
)


@dataclasses.dataclass
class Result:
    mode: Mode
    provider: dict  # its report
    clients: dict  # of the replay
    quota_used: float
    per_second: list  # tokens that the provider counted, from its first second on

    @property
    def provider_429s(self):
        return self.provider["status_429"]

    @property
    def ok(self):
        if not self.mode.with_ration:
            return True  # it is what it is
        return self.provider_429s == 0 and self.quota_used >= self.mode.bar and self.clients["all"]["errors"] == 0


def per_second(report):
    """Tokens counted in each second since the first request."""
    first = report["first_ms"] // 1000
    counted = {row["second"] - first: row["tokens"] for row in report["per_second"]}
    return [counted.get(second, 0) for second in range(max(counted, default=-1) + 1)]


def share_of_last_window(report, plan):
    if not report["requests"]:
        return 0
    series = per_second(report)
    window = round(plan.window)
    done = series[:-1][-window:]  # the second that is being counted is left out
    return sum(done) / plan.tpm


def share_used(series, plan):
    """Of the steady state: from the end of the warm-up until requests stop arriving. Seconds that are not whole are left out,
    and a run that ended early has zeros where nothing was counted."""
    begin, end = int(plan.warm) + 1, int(plan.seconds)
    steady = [series[second] if second < len(series) else 0 for second in range(begin, end)]
    return sum(steady) / (plan.tpm * len(steady) / plan.window)


def judge(mode, plan, report, clients):
    series = per_second(report)
    return Result(mode, report, clients, share_used(series, plan), series)


# ---- For people ----

COLUMNS = ("", "429s", "quota used", "bar", "most in a window", "answered", "gave up", "sent", "wasted", "")


def table_row(result, plan):
    clients = result.clients["all"]
    sent = result.provider["requests"]
    most = result.provider["max_tokens_in_window"] / plan.tpm
    return (
        result.mode.words,
        f"{result.provider_429s:,}",
        f"{result.quota_used * 100:.1f} %",
        f"{result.mode.bar * 100:.0f} %" if result.mode.bar else "",
        f"{most * 100:.1f} %",
        f"{clients['granted']:,}",
        f"{clients['denied']:,}",
        f"{sent:,}",
        f"{100 * result.provider_429s / sent if sent else 0:.0f} %",
        "" if not result.mode.with_ration else "ok" if result.ok else "MISSED",
    )


def table(results, plan, patience, audit):
    rows = [COLUMNS] + [table_row(result, plan) for result in results]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    lines = [""]
    for row in rows:
        cells = [cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))]
        lines.append("  ".join(cells).rstrip())
    lines += [
        "",
        f"Quota used: of what the provider allowed in the {plan.seconds - plan.warm:g} s after the warm-up, by its own count"
        f" ({plan.windows:g} windows",
        f"of {plan.window:g} s). Load {plan.load:g}x: most calls must give up, after {patience:g} s of patience, with Ration and"
        " without. A call asks for",
        "its prompt and an answer of the next power of two of what it will be (max_tokens); what it did not use is given",
        "back. Sent: what reached the provider; wasted: the share of it that was answered 429.",
    ]
    late = max(result.clients["late_ms"] for result in results)
    if late > 1000:
        lines.append(f"Calls began up to {late / 1000:.1f} s late: the load was less than it says. More --threads may help.")
    if plan.lowest < 1.2:
        lines.append(f"The trace has a lull: in one window its load is only {plan.lowest:.2f}x the quota.")
    for result in results:
        if result.clients["all"]["errors"]:
            lines.append(f"{result.mode.name}: {result.clients['all']['errors']} errors: {result.clients['first_error']}")
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
        "bar": result.mode.bar or None,
        "ok": result.ok,
        "most_in_window": round(result.provider["max_tokens_in_window"] / plan.tpm, 4),
        "sent": result.provider["requests"],
        "answered": clients["granted"],
        "gave_up": clients["denied"],
        "errors": clients["errors"],
        "wasted_calls": result.provider_429s,
        "tokens_per_second": result.per_second,
    }


def document(results, plan, audit, load):
    alone = [result for result in results if not result.mode.with_ration]
    return {
        "modes": [entry(result, plan) for result in results if result.mode.with_ration],
        "baseline": entry(alone[0], plan) if alone else None,
        "books_balance": audit[1],
        "load_average": round(load, 2),
        "plan": dataclasses.asdict(plan),
    }
