"""Measures what ration_call() adds to a plain libcurl call: one rationd, one client, the strict provider without latency.

    python3 tests/bench/call_overhead.py [--build DIR] [--calls N] [--rounds N] [--pause US] [--tcp] [--no-pin] [--json FILE]

Build the preset release before. The server and its Redis have one core, the client and the provider another: as on a host where
there are enough of them, and the same in each run; --no-pin leaves that to the kernel. Each round starts everything anew; the figure is the median of the rounds' differences of
medians. Without a --pause each call also waits for the server to be done with the report of the one before. With one, a virtual
machine's cores fall asleep in between, and what is measured is mostly how soon they wake. Exit status: 0 under the bar, 1 over it, 2 something could not be measured.
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

from lab import Failed, How, Pair, POOL, die_with_parent, wait_until

BAR_US = 250
TOP = pathlib.Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def on_core(which, options):
    """What is started meanwhile stays on that core, counted from 0 among those that we may use."""
    before = os.sched_getaffinity(0)
    if options.pin and len(before) > which:
        os.sched_setaffinity(0, {sorted(before)[which]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def measure(options):
    build, calls, pause_us = options.build.resolve(), options.calls, options.pause
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ration-overhead-"))
    pair = provider = None
    try:
        with on_core(1, options):
            pair = Pair("overhead", folder, How(build, None, unix=True, vast=False), build)
        port_file = folder / "provider-port"
        with on_core(0, options):
            provider = subprocess.Popen(
                [build / "strict-provider", "--listen", "127.0.0.1:0", "--port-file", port_file, "--latency-ms", "0",
                 "--rpm", "10000000", "--tpm", "1000000000000"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent,
            )  # fmt: skip
            wait_until(lambda: port_file.exists() and port_file.read_text().strip(), "the strict provider")
            url = f"http://127.0.0.1:{int(re.sub(r'.*:', '', port_file.read_text()))}"
            server = f"127.0.0.1:{pair.rationd.port}" if options.tcp else f"unix:{pair.rationd.socket}"
            done = subprocess.run(
                [build / "call-overhead", url, server, POOL, "acme", str(calls), str(pause_us)],
                capture_output=True, text=True, timeout=600,
            )  # fmt: skip
        if done.returncode != 0:
            raise Failed(done.stderr.strip())
        return json.loads(done.stdout)
    finally:
        if provider is not None:
            provider.kill()
            provider.wait()
        if pair is not None:
            pair.stop()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=TOP / "build" / "release", help="where the programs are")
    parser.add_argument("--calls", type=int, default=2000, help="of each kind in a round; default 2000")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pause", type=int, default=0, help="us between calls; default 0")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures to this file")
    parser.add_argument("--tcp", action="store_true", help="to the server's address, not to its socket on this host")
    parser.add_argument("--no-pin", action="store_false", dest="pin", help="let the kernel choose cores")
    options = parser.parse_args()
    rounds = []
    try:
        for n in range(options.rounds):
            rounds.append(measure(options))
            print("round {}: plain {plain_us} us, ration_call {ration_call_us} us, more by {overhead_us} us "
                  "(medians; p99 {plain_p99_us} and {ration_call_p99_us} us)".format(n + 1, **rounds[-1]))  # fmt: skip
    except (Failed, OSError) as error:
        print(f"call_overhead.py: {error}", file=sys.stderr)
        return 2
    overhead = statistics.median(one["overhead_us"] for one in rounds)
    met = overhead < BAR_US
    print(f"ration_call adds {overhead:.1f} us at the median; the bar is {BAR_US} us: {'met' if met else 'missed'}")
    if options.json:
        figures = {"overhead_us": overhead, "bar_us": BAR_US, "ok": met, "rounds": rounds}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
