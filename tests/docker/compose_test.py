"""docker/compose.yaml as a user starts it, with one server killed in the middle of the traffic.

    /usr/bin/python3 tests/docker/compose_test.py

Uses its own project, ports and volume, which it removes at the end. Exit status: 0 passed, 1 failed,
77 skipped because there is no Docker engine with Compose.
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import urllib.request

import redis

TOP = pathlib.Path(__file__).resolve().parents[2]
PROJECT = f"ration-test-{os.getpid()}"
COMPOSE = ["docker", "compose", "-p", PROJECT, "-f", str(TOP / "docker/compose.yaml")]
FREE_PORTS = {"RATION_PORT1": "0", "RATION_PORT2": "0", "PROVIDER_PORT": "0"}
SKIPPED = 77
BUILD_SECONDS = 600
START_SECONDS = 120
DEMO_SECONDS = 120  # the traffic takes 18
STOP_SECONDS = 60
IN_THE_MIDDLE = 300  # calls at the provider, of about a thousand in total

_never = threading.Event()


def run(args, seconds, check=True):
    """Returns the command's output and its exit status."""
    done = subprocess.run(
        args, env=dict(os.environ, **FREE_PORTS), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=seconds, text=True, check=False)  # fmt: skip
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(args)} ended with {done.returncode}:\n{done.stdout[-6000:]}")
    return done.stdout, done.returncode


def compose(*args, seconds=STOP_SECONDS, check=True):
    return run([*COMPOSE, *args], seconds, check)


def wait_for(condition, what, seconds):
    """Returns the first true value of condition(); the only place that waits for time to pass."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for {what}")
        _never.wait(0.1)


def engine_is_there():
    try:
        return run(["docker", "info"], 30, False)[1] == 0 and run(["docker", "compose", "version"], 30, False)[1] == 0
    except FileNotFoundError:
        return False


def port_of(service, port):
    return int(compose("port", service, str(port))[0].strip().rsplit(":", 1)[1])


def state_of(service):
    """The container as the engine sees it: "running" or "exited", and its exit code."""
    container = compose("ps", "-a", "-q", service)[0].strip()
    state = json.loads(run(["docker", "inspect", "--format", "{{json .State}}", container], 30)[0])
    return state["Status"], state["ExitCode"]


def provider_report(port):
    no_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with no_proxy.open(f"http://127.0.0.1:{port}/report", timeout=10) as answer:
        return json.load(answer)


def granted_by(port):
    with redis.Redis(port=port, socket_timeout=10) as client:
        return client.info()["granted"]


def demo_status():
    status, code = state_of("demo")
    return f"exit code {code}" if status == "exited" else ""


def main_job():
    compose("build", seconds=BUILD_SECONDS)
    compose("up", "-d", "--no-build", seconds=START_SECONDS)
    server1, server2, provider = port_of("server1", 7420), port_of("server2", 7420), port_of("provider", 8080)

    wait_for(lambda: provider_report(provider)["granted"] >= IN_THE_MIDDLE, "half of the traffic", DEMO_SECONDS)
    first, second = granted_by(server1), granted_by(server2)
    assert first > 0 and second > 0, f"one of the servers got no requests: they granted {first} and {second}"
    assert demo_status() == "", "the demo ended before a server could be killed"
    compose("kill", "-s", "KILL", "server1")
    print(f"server1 killed, after it granted {first} and server2 {second}", flush=True)

    ended = wait_for(demo_status, "the end of the demo", DEMO_SECONDS)
    output = compose("logs", "--no-log-prefix", "demo")[0]
    assert ended == "exit code 0", f"the demo ended with {ended}:\n{output}"
    report = provider_report(provider)
    assert report["status_429"] == 0, report
    assert report["other_failures"] == 0, report
    assert report["in_flight"] == 0, report
    rest = granted_by(server2)
    assert rest > second, f"server2 did not take over: it had granted {second}, and {rest} at the end"

    ledger = json.loads(compose("exec", "-T", "server2", "ration", "audit", "--json")[0])
    assert ledger["balanced"], ledger
    of_requests = [row for row in ledger["rows"] if row["unit"] == "requests"]
    assert len(of_requests) == 1 and of_requests[0]["granted"] >= report["granted"], (ledger, report)

    compose("stop", "server2")
    assert state_of("server2") == ("exited", 0), f"server2 did not stop as asked: {state_of('server2')}"
    print(f"server2 granted {rest} by the end; the provider granted {report['granted']} and refused none", flush=True)


def clean_up():
    # Only this project's images; layers that they share with others stay.
    compose("down", "-v", "--rmi", "local", "--remove-orphans", "-t", "5", seconds=120, check=False)


def on_signal(number, _frame):
    sys.exit(128 + number)


def main():
    if not engine_is_there():
        print("skipped: there is no Docker engine with Compose here")
        return SKIPPED
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    try:
        main_job()
    except (AssertionError, subprocess.TimeoutExpired) as failure:
        print(f"FAILED: {failure}")
        print(compose("logs", "--tail", "60", check=False)[0])
        return 1
    finally:
        clean_up()
    print("passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
