"""Measures rationd against the scripts that it replaces; run.sh builds and calls it, README.md says how to read it.

Exit status: 0 every bar was met, 1 one was missed or could not be measured, 2 the command line is wrong.
"""
import argparse
import contextlib
import json
import pathlib
import signal
import sys
import time

import measure
import rows
from lab import Failed, How, Lab

TOP = pathlib.Path(__file__).resolve().parents[2]


class Run:
    """What the groups need: how long, how often, the pairs, and what has been found so far."""

    def __init__(self, options, lab):
        self.lab = lab
        self.build = lab.how.build
        self.quick = options.quick
        self.long = options.long
        self.rounds = options.rounds or (1 if options.quick else 3)
        self.seconds = 1 if options.quick else 2
        self.audits = 0
        self.unbalanced = []
        self._highest = None

    def fresh_pair(self, which="main"):
        pair = self.lab.pair(which)
        pair.redis.empty()
        return pair

    @contextlib.contextmanager
    def step(self, what, number):
        begin = time.monotonic()
        print(f"  {what:<28} round {number + 1}", end="", file=sys.stderr, flush=True)
        try:
            yield
        except BaseException:
            print("  failed", file=sys.stderr)
            raise
        print(f"  {time.monotonic() - begin:5.1f} s", file=sys.stderr, flush=True)

    def audit(self, pair):
        """Before the store is emptied again."""
        self.audits += 1
        self.unbalanced += measure.audit_pair(self.build, pair)

    def highest(self):
        if self._highest is None:
            self._highest = measure.highest_rate(self)
        return self._highest


def parse(args):
    parser = argparse.ArgumentParser(
        prog="tests/bench/run.sh",
        description="Measures rationd side by side with the scripts that it replaces, and prints a table of ratios.",
        epilog="Exit status: 0 every bar was met, 1 one was missed or could not be measured, 2 the command line is wrong.",
    )
    parser.add_argument("--json", metavar="FILE", help="write the rows there as well")
    parser.add_argument("--rounds", metavar="N", type=int, help="how often each is measured (default 3; --quick: 1)")
    parser.add_argument("--quick", action="store_true", help="short measurements, for a first look")
    parser.add_argument("--long", action="store_true", help="the slowest Redis call is looked for during 10 minutes")
    parser.add_argument("--only", metavar="ROW,...", help="only these rows: " + ", ".join(rows.BY_NAME))
    parser.add_argument("--unix", action="store_true", help="rationd reaches Redis by its unix socket, not by TCP")
    parser.add_argument("--vast", action="store_true", help="tenants' buckets are full again at once, not in use")
    parser.add_argument("--build", metavar="DIR", help="measure the programs that are there; builds nothing")
    parser.add_argument("--against", metavar="DIR", help="measure that build in turn with this one, and print the ratio beside each row")
    parser.add_argument("--parse-only", action="store_true", help=argparse.SUPPRESS)  # run.sh asks before it builds
    options = parser.parse_args(args)
    options.only = options.only.split(",") if options.only else list(rows.BY_NAME)
    for name in options.only:
        if name not in rows.BY_NAME:
            parser.error(f"--only: '{name}' is not a row; the rows are {', '.join(rows.BY_NAME)}")
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds: at least 1")
    if options.json:
        try:
            open(options.json, "a").close()
        except OSError as error:
            parser.error(f"--json {options.json}: {error.strerror}")
    return options


def measure_groups(run, only):
    """The rows asked for, in the order of the bars."""
    made = {}
    for group, names in measure.GROUPS:
        wanted = [rows.BY_NAME[name] for name in names if name in only]
        if not wanted:
            continue
        print(", ".join(bar.name for bar in wanted), file=sys.stderr, flush=True)
        try:
            got = group(run, wanted)
        except (Failed, OSError, ValueError, KeyError) as error:
            got = [rows.failed_row(bar, error if isinstance(error, Failed) else repr(error)) for bar in wanted]
        made.update((one["name"], one) for one in got)
    return [made[name] for name in rows.BY_NAME if name in made]


def on_signal(number, _frame):
    raise SystemExit(128 + number)


def main(args):
    options = parse(args)
    if options.parse_only:
        return 0
    build = pathlib.Path(options.build).resolve() if options.build else TOP / "build/release"
    against = pathlib.Path(options.against).resolve() if options.against else None
    for program in (build / "rationd", build / "ration", *([against / "rationd"] if against else [])):
        if not program.exists():
            print(f"tests/bench/run.sh: {program} is not there; build first, or leave --build out", file=sys.stderr)
            return 2
    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    begin = time.monotonic()
    with contextlib.suppress(Failed):
        measure.need_descriptors(measure.IDLE + 2_000)  # the row about idle connections says it when this fails
    lab = Lab(How(build, against, options.unix, options.vast))
    try:
        made = measure_groups(Run(options, lab), options.only)
    finally:
        lab.close()
    print(rows.table(made))
    print(f"in {time.monotonic() - begin:.0f} s")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({"rows": made}, indent=2) + "\n")
    return 0 if all(one["ok"] for one in made) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
