"""Where the processors' time goes while rationd is under load: perf over all processes, as a table and a flame graph; profile.sh
builds and calls it.

Exit status: 0 done, 1 it could not be measured, 2 the command line is wrong.
"""
import argparse
import collections
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading

import flame
import measure
from lab import Failed, How, Lab, wait_until

TOP = pathlib.Path(__file__).resolve().parents[2]
PROCESSES = ("redis-server", "rationd", "load")
GENERATORS = ("redis-benchmark", "ration")
LOADS = ("ours-50", "ours-64", "ours-hot", "pairs-50", "ours-1", "plain-50", "plain-64")
KERNEL_BEGINS = 1 << 63
NO_NAME = "(no name)"  # of functions that a stripped program keeps to itself, such as Lua's within redis-server
BIGGEST = 12
A_SECOND = 499  # samples of a processor that is busy; of an idle one perf takes none


def parse(args):
    parser = argparse.ArgumentParser(
        prog="tests/bench/profile.sh",
        description="Shows where the processors' time goes while rationd is under load: a table, and a flame graph.",
        epilog="Exit status: 0 done, 1 it could not be measured, 2 the command line is wrong.",
    )
    parser.add_argument("--load", choices=LOADS, default=LOADS[0], help="a measurement of run.sh (default %(default)s)")
    parser.add_argument("--seconds", type=int, default=4, metavar="N", help="how long to watch (default %(default)s)")
    parser.add_argument("--svg", metavar="FILE", default="profile.svg", help="the flame graph (default %(default)s)")
    parser.add_argument("--build", metavar="DIR", help="profile the programs that are there; builds nothing")
    parser.add_argument("--parse-only", action="store_true", help=argparse.SUPPRESS)  # profile.sh asks before it builds
    options = parser.parse_args(args)
    if not 1 <= options.seconds <= 60:
        parser.error("--seconds: 1 to 60")
    try:
        open(options.svg, "a").close()
    except OSError as error:
        parser.error(f"--svg {options.svg}: {error.strerror}")
    return options


def read_samples(lines, servers):
    """Of what `perf script` prints: (process, frames from the outermost) for each sample; None is the process of whatever does
    not take part. servers: names by process id. Frames are (name, is of the kernel); neighbours without a name are one."""
    samples, process, frames = [], None, None
    for line in [*lines, ""]:
        if line and not line[0].isspace():
            who = re.match(r"(.*?)\s+(\d+)/\d+\s*$", line)
            process = who and ("load" if who.group(1) in GENERATORS else servers.get(int(who.group(2))))
            frames = []
        elif line.strip() and frames is not None:
            address, _, name = line.strip().partition(" ")
            kernel = int(address, 16) >= KERNEL_BEGINS
            frame = (NO_NAME, kernel) if name in ("", "[unknown]") else (name, kernel)
            if address != "ffffffffffffffff" and not (frames and frames[-1] == frame and frame[0] == NO_NAME):
                frames.append(frame)
        elif frames is not None:
            samples.append((process, frames[::-1]))
            frames = None
    return samples


def table(samples, total):
    """Shares of all processors, which would have been `total` samples: of each process, how much of that was in the kernel, and the
    functions that took most themselves."""
    out = [f"{'process':<14} {'of all':>7} {'kernel':>7}   the biggest, by themselves"]
    for process in PROCESSES:
        stacks = [frames for who, frames in samples if who == process]
        kernel = sum(1 for frames in stacks if frames and frames[-1][1])
        biggest = collections.Counter(frames[-1][0] for frames in stacks if frames).most_common(BIGGEST)
        words = [f"{name} {100 * n / total:.1f}" for name, n in biggest if n / total >= 0.002]
        lines = [", ".join(words[i : i + 4]) for i in range(0, len(words), 4)] or [""]
        out.append(f"{process:<14} {len(stacks) / total:7.1%} {kernel / max(1, len(stacks)):7.1%}   {lines[0]}")
        out += [f"{'':<33}{line}" for line in lines[1:]]
    rest = 1 - sum(1 for who, _ in samples if who) / total
    return "\n".join([*out, f"{'idle, others':<14} {rest:7.1%}"])


class Run:
    """What the measurements of measure.py need to know."""

    def __init__(self, build, seconds):
        self.build, self.seconds = build, seconds


def watch(options, build, folder, pair):
    """perf's samples, taken while the load runs."""
    result = []

    def load():
        try:
            result.append(measure.RATES[options.load](Run(build, options.seconds + 4), pair))
        except Failed as error:
            result.append(error)

    thread = threading.Thread(target=load)
    begin = int(pair.redis.call.info("stats")["total_net_input_bytes"])
    thread.start()
    wait_until(lambda: int(pair.redis.call.info("stats")["total_net_input_bytes"]) > begin + 1_000_000, "the load to begin")
    data = folder / "perf.data"
    record = ["perf", "record", "-q", "-a", "--call-graph", "dwarf,4096", "-F", A_SECOND, "-o", data, "--", "sleep", options.seconds]
    done = subprocess.run([str(word) for word in record], capture_output=True, text=True)
    thread.join()
    if done.returncode != 0:
        raise Failed(f"perf could not record ({done.stderr.strip()[-200:]}); it wants root, or kernel.perf_event_paranoid <= 0")
    if not isinstance(result[0], dict):
        raise result[0]
    show = ["perf", "script", "-i", str(data), "--no-inline", "-F", "comm,pid,tid,ip,sym"]
    done = subprocess.run(show, capture_output=True, text=True, errors="replace")
    servers = {pair.redis.child.pid: "redis-server", pair.rationd.child.pid: "rationd"}
    samples = read_samples(done.stdout.splitlines(), servers)
    if not samples:
        raise Failed(f"perf recorded nothing: {done.stderr.strip()[-200:]}")
    return samples, result[0]["per_second"]


def main(args):
    options = parse(args)
    if options.parse_only:
        return 0
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    build = pathlib.Path(options.build).resolve() if options.build else TOP / "build/release"
    print(f"{options.load}, for {options.seconds} s", file=sys.stderr)
    try:
        lab = Lab(How(build, None, False, False))
        try:
            samples, rate = watch(options, build, lab.folder, lab.pair())
        finally:
            lab.close()
    except (Failed, OSError) as error:
        print(f"tests/bench/profile.sh: {error}", file=sys.stderr)
        return 1
    total = max(len(samples), options.seconds * A_SECOND * os.cpu_count())
    print(table(samples, total))
    title = f"{options.load}: {rate:,.0f} a second"
    pathlib.Path(options.svg).write_text(flame.picture(samples, total, PROCESSES, title))
    print(f"{title}; the flame graph is in {options.svg}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
