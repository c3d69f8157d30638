"""The rows of the table: what each compares, its bar, and how a row becomes a line and a piece of JSON."""
import dataclasses
import statistics

from lab import AGAINST


@dataclasses.dataclass
class Bar:
    """One bar. `better` says on which side of it the figure must be."""

    name: str
    what: str
    bar: float
    better: str = "more"
    unit: str = "x"  # of the figure; x is a ratio


@dataclasses.dataclass
class Ratio(Bar):
    """A bar about ours / baseline, both measured in each round; beside it `ceiling`, which decides nothing, by the baseline."""

    ours: str = ""
    baseline: str = ""
    field: str = "per_second"
    ceiling: str = ""
    requests: int = 1  # of the ceiling's, that one of ours is
    of_ceiling: bool = False  # the bar is one of ours / ceiling, not of ours / baseline


BARS = [
    Ratio("unpipelined", "50 connections, 10,000 tenants", 0.55, ours="ours-50", baseline="plain-50", ceiling="ping-50", of_ceiling=True),
    Ratio("hot-64", "64 pipelined, one hot tenant", 8, ours="ours-hot", baseline="plain-hot"),
    Ratio("many-64", "64 pipelined, 10,000 tenants", 0.4, ours="ours-64", baseline="plain-64", ceiling="floor-64", of_ceiling=True),
    Bar("slowest-call", "slowest Redis call at half the highest rate", 5, "less", "ms"),
    Ratio("pairs", "acquire + report pairs, 50 connections", 0.6, ours="pairs-50", baseline="plain-50", ceiling="ping-50",
          requests=2, of_ceiling=True),
    Ratio("one-connection", "one connection: mean latency", 2.2, "less", ours="ours-1", baseline="plain-1", field="mean_us"),
    Ratio("fair", "fair baseline, no pipelining", 1.1, ours="ours-50", baseline="fair-50", ceiling="ping-50"),
    Ratio("fair-64", "fair baseline, 64 pipelined, 10,000 tenants", 1.9, ours="ours-64", baseline="fair-64", ceiling="floor-64"),
    Ratio("outstanding", "pairs with 100,000 reservations outstanding", 0.95, ours="pairs-loaded", baseline="pairs-empty"),
    Ratio("million", "1 million tenants against 10,000, 64 pipelined", 0.85, ours="ours-million", baseline="ours-64"),
    Bar("idle-memory", "10,000 idle connections, each, in rationd", 2048, "less", "bytes"),
    Ratio("idle-effect", "50 others beside 10,000 idle connections", 0.95, ours="ours-50-idle", baseline="ours-50"),
    Bar("memory-tenant", "Redis memory of a tenant of 3 limits", 250, "less", "bytes"),
    Bar("memory-reservation", "Redis memory of an outstanding reservation", 150, "less", "bytes"),
    Bar("open-p99", "open loop, half the highest rate, 64 connections: p99", 2, "less", "ms"),
    Bar("open-p99.9", "the same: p99.9", 10, "less", "ms"),
    Bar("audit", "pools that do not balance in `ration audit`", 0, "less", "pools"),
]
BY_NAME = {bar.name: bar for bar in BARS}


def _meets(bar, figure):
    return figure <= bar.bar if bar.better == "less" else figure >= bar.bar


def row(bar, figures, **details):
    """The row of a bar, of one figure a round."""
    figure = statistics.median(figures)
    out = {"name": bar.name, "ratio": round(figure, 4), "bar": bar.bar, "ok": _meets(bar, figure)}
    out.update(what=bar.what, better=bar.better, unit=bar.unit, rounds=len(figures))
    out["spread"] = [round(min(figures), 4), round(max(figures), 4)]
    out.update(details)
    return out


def _cpu(measured):
    return measured["redis_cpu"] + measured["rationd_cpu"]


def processors(name, rounds):
    """Processor seconds a million requests, of Redis and of rationd."""
    if not all("redis_cpu" in one[name] for one in rounds):
        return {}
    return {key: round(statistics.median(one[name][key] for one in rounds), 1) for key in ("redis_cpu", "rationd_cpu")}


def _baseline_processors(name, rounds):
    return {"baseline_cpu": round(statistics.median(_cpu(one[name]) for one in rounds), 1)} if "redis_cpu" in rounds[0][name] else {}


def ratio_row(bar, rounds):
    """Of rounds, each a dictionary of measurements by name: the median of the ratios, as both sides of a ratio are measured
    right after each other and the machine may be slower in one round than in another."""
    ours = [one[bar.ours][bar.field] for one in rounds]
    baseline = [one[bar.baseline][bar.field] for one in rounds]
    details = {"measured_in": "us" if bar.field.endswith("_us") else "per second"}
    if bar.ceiling and all(bar.ceiling in one for one in rounds):
        highest = [one[bar.ceiling][bar.field] / bar.requests / b for one, b in zip(rounds, baseline)]
        details["ceiling"] = round(statistics.median(highest), 4)
    if all("slowest_ms" in one[side] for one in rounds for side in (bar.ours, bar.baseline)):
        # What the store's slow log had, for a look at how quiet the machine was: the baseline's calls take microseconds.
        details["slowest_call_ms"] = {side: max(one[side]["slowest_ms"] for one in rounds) for side in (bar.ours, bar.baseline)}
    details.update(processors(bar.ours, rounds), **_baseline_processors(bar.baseline, rounds))
    before = f"{bar.ours} {AGAINST}"
    if all(before in one for one in rounds):
        details["against"] = round(statistics.median(a / one[before][bar.field] for a, one in zip(ours, rounds)), 4)
        cpu = [(_cpu(one[bar.ours]) or 0) / (_cpu(one[before]) or 1) for one in rounds]
        details["against_cpu"] = round(statistics.median(cpu), 4)
    made = row(
        bar,
        [a / b for a, b in zip(ours, baseline)],
        ours=round(statistics.median(ours), 1),
        baseline=round(statistics.median(baseline), 1),
        **details,
    )
    if bar.of_ceiling:
        made["share"] = round(made["ratio"] / made["ceiling"], 4) if "ceiling" in made else None
        made["ok"] = made["share"] is not None and made["share"] >= bar.bar
    return made


def failed_row(bar, reason):
    out = {"name": bar.name, "ratio": None, "bar": bar.bar, "ok": False}
    out.update(what=bar.what, better=bar.better, unit=bar.unit, reason=str(reason))
    return out


def _number(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _cells(one):
    sign = "<=" if one["better"] == "less" else ">="
    figure = low = high = "-"
    if one["ratio"] is not None:
        figure, low, high = (_number(value) for value in (one["ratio"], *one["spread"]))
    if one["unit"] != "x" and one["ratio"] is not None:
        figure += " " + one["unit"]
    spread = f"{low} .. {high}" if low != high else ""
    rates = [_number(one[side]) if side in one else "" for side in ("ours", "baseline")]
    ceiling = _number(one["ceiling"]) if "ceiling" in one else ""
    cpu = f"{one['redis_cpu']:.1f} + {one['rationd_cpu']:.1f}, {one['baseline_cpu']:.1f}" if "redis_cpu" in one else ""
    against = f"{one['against']:.2f} / {one['against_cpu']:.2f}" if "against" in one else ""
    bar = f"{sign} {_number(one['bar'])}"
    if "share" in one:
        bar = f"{one['share'] or 0:.0%} of ceiling {sign} {one['bar']:.0%}"
    return [one["name"], one["what"], *rates, figure, spread, ceiling, cpu, against, bar, "ok" if one["ok"] else "MISSED"]


def table(rows):
    heads = ["row", "what", "ours", "baseline", "figure", "spread", "ceiling", "cpu s/million", "against", "bar", ""]
    lines = [heads] + [_cells(one) for one in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    out = []
    for line in lines:
        left = [line[0].ljust(widths[0]), line[1].ljust(widths[1])]
        right = [line[i].rjust(widths[i]) for i in range(2, len(heads) - 1)]
        out.append("  ".join(left + right + [line[-1]]).rstrip())
    return "\n".join(out + [f"{one['name']}: {one[key]}" for one in rows for key in ("reason", "note") if key in one])
