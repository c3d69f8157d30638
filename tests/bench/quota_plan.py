"""From a trace to a plan: how fast it is replayed, and the quota of which it is three times as much as may pass.

The first window is a warm-up, in which the trace runs so slowly that its traffic is just the quota: so the window fills evenly,
and everything after it is the steady state, at the full load. Without it the first window's quota would go in its first third,
and the pattern would come back in every window: no tokens would be lost, but a measurement that does not end with a window
would say so, one way or the other.
"""
import csv
import dataclasses
import datetime
import math
import re

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
SECONDS = "SECONDS"  # in place of TIMESTAMP: since any moment
TIME = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:?\d\d)?")
LEAST_CALL_MS = 1000
MOST_CALL_MS = 10_000
SLOTS, SLACK_MS = 120, 250  # of a rolling limit of rationd
TOKENS_A_REQUEST = 200  # as gpt-4o in usage tier 4: 2,000,000 tokens and 10,000 requests a minute


class Unusable(Exception):
    """A trace that no plan can be made from; the text says why."""


@dataclasses.dataclass
class Row:
    at: float  # seconds since the first
    tokens: int
    output: int


@dataclasses.dataclass
class Plan:
    trace: str
    rows: int
    window: float  # seconds, of the provider's limits
    seconds: float  # of the whole replay
    load: float  # demand after the warm-up / quota
    lowest: float  # the same in the window that has the least
    tpm: int  # tokens allowed in one window
    rpm: int  # requests allowed in one window
    warm_speed: float
    speed: float
    call_us_per_token: int  # so that the longest answer takes MOST_CALL_MS
    possible_start: float = 0  # what share of the quota rationd can let through at most, where it counts at the start
    possible_end: float = 0  # and at the end

    @property
    def warm(self):
        return self.window

    @property
    def windows(self):
        """Of the steady state."""
        return (self.seconds - self.warm) / self.window


def seconds_of(text):
    """A time of the trace: its fraction may have more digits than datetime takes, and a zone may follow."""
    found = TIME.fullmatch(text.strip())
    if not found:
        raise ValueError(f"'{text}' is no time such as 2023-11-16 18:15:46.68")
    day, clock, fraction, zone = found.groups()
    zone = zone.replace("Z", "+00:00") if zone else "+00:00"
    moment = datetime.datetime.strptime(f"{day} {clock} {zone}", "%Y-%m-%d %H:%M:%S %z")
    return moment.timestamp() + (float(fraction) if fraction else 0)


def time_of(line):
    return seconds_of(line[COLUMNS[0]]) if COLUMNS[0] in line else seconds_from(line[SECONDS])


def seconds_from(text):
    seconds = float(text)
    if not math.isfinite(seconds):
        raise ValueError(f"'{text}' is no number of seconds")
    return seconds


def read(path):
    rows = []
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            names = set(reader.fieldnames or ())
            if not set(COLUMNS[1:]) <= names or not names & {COLUMNS[0], SECONDS}:
                raise Unusable(
                    f"{path}: the first line must name the columns {', '.join(COLUMNS)}, or {SECONDS} in place of the first"
                )
            for number, line in enumerate(reader, 2):
                try:
                    context, output = int(line["ContextTokens"]), int(line["GeneratedTokens"])
                    if context < 0 or output < 0:
                        raise ValueError("tokens below 0")
                    rows.append(Row(time_of(line), context + output, output))
                except (TypeError, ValueError) as error:
                    raise Unusable(f"{path}, line {number}: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"{path}: {error}") from None
    if not rows:
        raise Unusable(f"{path}: there is no request in it")
    first = min(row.at for row in rows)
    for row in rows:
        row.at -= first
    return sorted(rows, key=lambda row: row.at)


def write(rows, path):
    """The trace as `ration replay` wants it: these columns and no others, in order of time."""
    begin = datetime.datetime(2000, 1, 1)
    with open(path, "w", encoding="ascii") as file:
        print(",".join(COLUMNS), file=file)
        for row in rows:
            at = begin + datetime.timedelta(seconds=row.at)
            print(f"{at:%Y-%m-%d %H:%M:%S.%f},{row.tokens - row.output},{row.output}", file=file)


def warm_up_of(rows, tokens):
    """How many seconds of the trace bring so many tokens."""
    for row in rows:
        tokens -= row.tokens
        if tokens <= 0:
            return row.at
    return rows[-1].at


def due_of(row, plan):
    """The second of the run in which a request is to be made."""
    passed = plan.warm * plan.warm_speed
    return row.at / plan.warm_speed if row.at < passed else plan.warm + (row.at - passed) / plan.speed


def lasts(row, plan):
    """How long the call for it takes, in seconds."""
    return LEAST_CALL_MS / 1000 + row.output * plan.call_us_per_token / 1e6


def lowest_load(rows, plan):
    """The demand of the steady window that has the least, against the quota."""
    due = [(due_of(row, plan), row.tokens) for row in rows]
    due = [(at, tokens) for at, tokens in due if at >= plan.warm]
    least, begin, end, demand = None, 0, 0, 0
    while begin < len(due) and due[begin][0] + plan.window <= plan.seconds:
        while end < len(due) and due[end][0] < due[begin][0] + plan.window:
            demand += due[end][1]
            end += 1
        least = demand if least is None else min(least, demand)
        demand -= due[begin][1]
        begin += 1
    return (least or 0) / plan.tpm


def max_tokens(output):
    """What `ration replay` asks for."""
    most = 16
    while most < output:
        most *= 2
    return most


def possible(rows, plan):
    """What a rolling limit of slots can give out, counted at the start and at the end.

    What a slot was charged comes free when the slot has ended, and a window and the slack have passed: then it is charged to the
    slot of that moment, so that all goes round once in `turn` windows. While a call runs, what it will not use of its estimate
    is not to be had by others, and where it counts at the end, all of its estimate is not."""
    slot_ms = plan.window * 1000 / SLOTS
    turn = (SLOTS + 1 + SLACK_MS // slot_ms) / SLOTS
    total = sum(row.tokens for row in rows)
    unused = whole = 0
    for row in rows:
        windows = lasts(row, plan) / plan.window
        unused += (max_tokens(row.output) - row.output) * windows
        whole += (row.tokens - row.output + max_tokens(row.output)) * windows
    return 1 / (turn + unused / total), 1 / (turn + whole / total)


def make(path, rows, window, seconds, load):
    """`path` is for messages."""
    span = rows[-1].at
    total = sum(row.tokens for row in rows)
    tpm = max(1, round(total / (1 + load * (seconds - window) / window)))
    warm_span = warm_up_of(rows, tpm)
    largest = max(row.tokens + 2 * row.output for row in rows)
    if span <= 0 or warm_span <= 0 or warm_span >= span:
        raise Unusable(f"{path}: its requests are not spread over time")
    if largest > tpm:
        raise Unusable(
            f"{path}: {len(rows)} requests are too few: one of them takes {largest} tokens, and the quota comes to {tpm} in"
            f" {window:g} s. Use a longer trace, a longer --window or a smaller --seconds"
        )
    plan = Plan(
        trace=str(path),
        rows=len(rows),
        window=window,
        seconds=seconds,
        load=load,
        lowest=0,
        tpm=tpm,
        rpm=max(10, tpm // TOKENS_A_REQUEST),
        warm_speed=warm_span / window,
        speed=(span - warm_span) / (seconds - window),
        call_us_per_token=max(1, (MOST_CALL_MS - LEAST_CALL_MS) * 1000 // max(1, max(row.output for row in rows))),
    )
    plan.lowest = lowest_load(rows, plan)
    plan.possible_start, plan.possible_end = possible(rows, plan)
    return plan
