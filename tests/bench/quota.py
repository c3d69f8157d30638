"""Runs clients through rationd against providers that refuse what goes over their quota, and the same clients without rationd;
quota.sh builds and calls it, README.md says how to read it.

Exit status: 0 every bar was met, 1 one was missed, 2 it could not be run.
"""
import argparse
import json
import os
import pathlib
import signal
import sys
import time

import quota_lab
import quota_plan
import quota_result
import quota_svg
from lab import Failed

TOP = pathlib.Path(__file__).resolve().parents[2]
RECORDED = TOP / "../shared/traces/azure_llm_2023_conv.csv"
SAMPLE = TOP / "tests/integration/data/sample_trace.csv"
LINE_SECONDS = 10  # a log gets a line so often, a terminal's line is drawn anew every LOOK_SECONDS
LOOK_SECONDS = 2
LEAVE_SECONDS = 120  # after the last arrival, for patience and the calls in flight


def parse(args):
    parser = argparse.ArgumentParser(
        prog="tests/bench/quota.sh",
        description="Sixteen client processes through three servers against a strict provider, and without Ration beside them:"
        " how much of the quota is used, and how often is it exceeded?",
        epilog="Exit status: 0 every bar was met, 1 one was missed, 2 it could not be run.",
    )
    names = ", ".join(mode.name for mode in quota_result.MODES)
    parser.add_argument("--trace", metavar="FILE", help=f"CSV with the columns {', '.join(quota_plan.COLUMNS)}, or"
                        f" {quota_plan.SECONDS} in place of the first")  # fmt: skip
    parser.add_argument("--json", metavar="FILE", help="write the result there as well")
    parser.add_argument("--svg", metavar="FILE", help="the picture (default: beside --json, else quota.svg in the build folder)")
    parser.add_argument("--modes", metavar="MODE,...", help=f"only these: {names}")
    parser.add_argument("--window", metavar="S", type=float, default=60, help="of the limits (default 60 s, a minute)")
    parser.add_argument("--seconds", metavar="S", type=float, default=270, help="of the whole replay (default 270)")
    parser.add_argument("--load", metavar="X", type=float, default=3, help="the demand, as so many quotas (default 3)")
    parser.add_argument("--patience", metavar="S", type=float, default=2, help="how long a call sits out denials (default 2 s)")
    parser.add_argument("--threads", metavar="N", type=int, default=64, help="of each client process (default 64)")
    parser.add_argument("--build", metavar="DIR", help="run the programs that are there; builds nothing")
    parser.add_argument("--keep", action="store_true", help="keep the logs, and say where they are")
    parser.add_argument("--parse-only", action="store_true", help=argparse.SUPPRESS)  # quota.sh asks before it builds
    options = parser.parse_args(args)
    by_name = {mode.name: mode for mode in quota_result.MODES}
    wanted = options.modes.split(",") if options.modes else list(by_name)
    for name in wanted:
        if name not in by_name:
            parser.error(f"--modes: '{name}' is none; there are {names}")
    options.modes = [by_name[name] for name in by_name if name in wanted]
    if options.window < 1 or options.seconds < 2 * options.window:
        parser.error("--window: at least 1 s, and --seconds at least two windows: the first one is the warm-up")
    if options.load < 1 or not 0 <= options.patience <= 3600 or not 1 <= options.threads <= 256:
        parser.error("--load: at least 1; --patience: 0 to 3600; --threads: 1 to 256")
    if not options.trace:
        options.trace = RECORDED if RECORDED.exists() else SAMPLE
    for option in ("json", "svg"):
        path = getattr(options, option)
        try:
            if path:
                open(path, "a", encoding="utf-8").close()
        except OSError as error:
            parser.error(f"--{option} {path}: {error.strerror}")
    return options


def explain(plan, options):
    print(
        f"{plan.rows} requests of {plan.trace} in {plan.seconds:g} s.\n"
        f"The provider allows {plan.tpm:,} tokens in a window of {plan.window:g} s. Load: {plan.load:g}x that"
        f" once the first {plan.warm:g} s have passed (never less than {plan.lowest:.1f}x).\n"
        f"{quota_lab.HOSTS} client processes, {quota_lab.SERVERS} servers, one Redis; all of"
        f" {', '.join(mode.name for mode in options.modes)} at the same time.",
        file=sys.stderr, flush=True,
    )


class Progress:
    """One line that says how it goes."""

    def __init__(self, plan):
        self.plan = plan
        self.begin = time.monotonic()
        self.next_line = 0
        self.tty = sys.stderr.isatty()

    def show(self, reports):
        elapsed = time.monotonic() - self.begin
        if not self.tty and elapsed < self.next_line:
            return
        self.next_line = elapsed + LINE_SECONDS
        parts = []
        for name, report in reports.items():
            share = quota_result.share_of_last_window(report, self.plan)
            parts.append(f"{name} {share * 100:.0f} % {report['status_429']}x429")
        text = f"{elapsed:5.0f} of {self.plan.seconds:.0f} s  " + "  ".join(parts)
        print(f"\r\033[K{text}" if self.tty else text, end="" if self.tty else "\n", file=sys.stderr, flush=True)

    def end(self):
        if self.tty:
            print(file=sys.stderr)


def wait_for_replays(setup, plan):
    progress = Progress(plan)
    deadline = progress.begin + plan.seconds + LEAVE_SECONDS
    running = dict(setup.replays)
    while running:
        setup.check_alive()
        progress.show({name: provider.report() for name, provider in setup.providers.items()})
        if time.monotonic() > deadline:
            raise Failed(f"{', '.join(running)} did not end in time")
        # Any of them ends, or it is time to look again.
        first = next(iter(running.values()))
        try:
            first.child.wait(LOOK_SECONDS)
        except quota_lab.TimeoutExpired:
            pass
        running = {name: replay for name, replay in running.items() if not replay.has_ended()}
    progress.end()


def run(options, plan, rows):
    """The results of the modes, the baseline's, and the audit's line and verdict."""
    setup = quota_lab.Setup(options.build)
    try:
        quota_plan.write(rows, setup.trace)
        setup.start_servers(options.modes, plan)
        setup.start_replays(options.modes, plan, options.patience, options.threads)
        wait_for_replays(setup, plan)
        results = [
            quota_result.judge(
                mode, plan, rows, options.patience, setup.providers[mode.name].report(), setup.replays[mode.name].result()
            )
            for mode in options.modes
        ]
        return results, setup.audit()
    finally:
        kept = setup.close(options.keep)
        if kept:
            print(f"the logs are in {kept}", file=sys.stderr)


def on_signal(number, _frame):
    raise SystemExit(128 + number)


def main(args):
    options = parse(args)
    if options.parse_only:
        return 0
    options.build = pathlib.Path(options.build).resolve() if options.build else TOP / "build/release"
    for name in ("rationd", "ration", "strict-provider"):
        if not (options.build / name).exists():
            print(f"tests/bench/quota.sh: {options.build / name} is not there; build first, or leave --build out", file=sys.stderr)
            return 2
    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    quota_lab.environment()
    begin = time.monotonic()
    try:
        rows = quota_plan.read(options.trace)
        plan = quota_plan.make(options.trace, rows, options.window, options.seconds, options.load)
        explain(plan, options)
        results, audit = run(options, plan, rows)
    except (quota_plan.Unusable, Failed, OSError) as error:
        print(f"tests/bench/quota.sh: {error}", file=sys.stderr)
        return 2
    load = os.getloadavg()[1]
    print(quota_result.table(results, plan, options.patience, audit))
    beside = pathlib.Path(options.json).with_suffix(".svg") if options.json else options.build / "quota.svg"
    svg = pathlib.Path(options.svg or beside)
    svg.write_text(quota_svg.picture(results, plan), encoding="utf-8")
    print(f"in {time.monotonic() - begin:.0f} s (load average {load:.1f} on {os.cpu_count()} cores); the picture is {svg}")
    if options.json:
        document = quota_result.document(results, plan, audit, load)
        pathlib.Path(options.json).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 0 if audit[1] and all(result.ok for result in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
