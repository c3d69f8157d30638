"""Measures what ration_call() adds to a plain libcurl call: one rationd, one client, the strict provider without latency.

    python3 tests/bench/call_overhead.py [--build DIR] [--calls N] [--rounds N] [--pause US] [--json FILE]

Build the preset release before. Each round starts everything anew; the figure is the median of the rounds' differences of
medians. --pause is between calls, where a real provider would take its time; with 0 each call waits for the server to be
done with the report of the one before. Exit status: 0 under the bar, 1 over it, 2 something could not be measured.
"""
import argparse
import json
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

from lab import Failed, How, Pair, POOL, die_with_parent, wait_until

BAR_US = 150
TOP = pathlib.Path(__file__).resolve().parents[2]


def measure(build, calls, pause_us):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ration-overhead-"))
    pair = provider = None
    try:
        pair = Pair("overhead", folder, How(build, unix=True, vast=False))
        port_file = folder / "provider-port"
        provider = subprocess.Popen(
            [build / "strict-provider", "--listen", "127.0.0.1:0", "--port-file", port_file, "--latency-ms", "0",
             "--rpm", "10000000", "--tpm", "1000000000000"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent,
        )  # fmt: skip
        wait_until(lambda: port_file.exists() and port_file.read_text().strip(), "the strict provider")
        url = f"http://127.0.0.1:{int(re.sub(r'.*:', '', port_file.read_text()))}"
        done = subprocess.run(
            [build / "call-overhead", url, f"127.0.0.1:{pair.rationd.port}", POOL, "acme", str(calls), str(pause_us)],
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
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pause", type=int, default=1000, help="us between calls; default 1000")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures to this file")
    options = parser.parse_args()
    rounds = []
    try:
        for n in range(options.rounds):
            rounds.append(measure(options.build.resolve(), options.calls, options.pause))
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
