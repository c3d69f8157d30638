"""The measurements behind the rows, in groups whose rounds are made together.

A group is a function of the run that gives rows. What a group cannot measure fails its rows with the reason, and the next
group is made all the same.
"""
import json
import resource
import socket
import statistics
import subprocess

import load
import rows
from lab import AGAINST, Failed, Resp, wait_until

TENANTS = 100_000
OUTSTANDING = 100_000
IDLE = 10_000

# Each on an emptied Redis.
RATES = {
    "plain-50": lambda run, pair: load.plain(pair, run.seconds),
    "ours-50": lambda run, pair: load.ours(pair, run.seconds),
    "fair-50": lambda run, pair: load.fair(pair, run.seconds),
    "pairs-50": lambda run, pair: load.generator(pair, run.build, run.seconds, connections=50, tenants=10_000, pairs=True),
    "plain-hot": lambda run, pair: load.plain(pair, run.seconds, pipeline=64, tenants=1),
    "ours-hot": lambda run, pair: load.ours(pair, run.seconds, pipeline=64, tenants=1),
    "plain-64": lambda run, pair: load.plain(pair, run.seconds, pipeline=64),
    "ours-64": lambda run, pair: load.ours(pair, run.seconds, pipeline=64),
    "fair-64": lambda run, pair: load.fair(pair, run.seconds, pipeline=64),
    "plain-1": lambda run, pair: load.plain(pair, run.seconds, connections=1),
    "ours-1": lambda run, pair: load.ours(pair, run.seconds, connections=1),
    "ping-50": lambda run, pair: load.ping(pair, run.seconds),
    "floor-64": lambda run, pair: load.floor(pair, run.seconds),
}


def watched(run, name, pair):
    """The named measurement, with what each process took of the processors for a million requests."""
    before = [part.processor_seconds() for part in (pair.redis, pair.rationd)]
    got = RATES[name](run, pair)
    after = [part.processor_seconds() for part in (pair.redis, pair.rationd)]
    got["redis_cpu"], got["rationd_cpu"] = [(b - a) * 1e6 / got["requests"] for a, b in zip(before, after)]
    return got


def asks_rationd(name):
    return name.startswith(("ours-", "pairs-"))


def both_builds(run, names):
    """(measurement, pair): what asks rationd is measured with the build of --against as well, right after its own."""
    for name in names:
        yield name, "main"
        if run.lab.how.against and asks_rationd(name):
            yield name, AGAINST


def in_turn(run, names, wanted):
    """The named measurements that the wanted bars need, one after the other in each round, every second round backwards.
    One that fails takes its own bars with it and no others."""
    needed = {side for bar in wanted for side in (bar.ours, bar.baseline, bar.ceiling)}
    names = [name for name in names if name in needed]
    rounds, broken = [], {}
    for number in range(run.rounds):
        got = {}
        turns = list(both_builds(run, names))
        for name, which in turns if number % 2 == 0 else reversed(turns):
            key = name if which == "main" else f"{name} {AGAINST}"
            if key in broken:
                continue
            try:
                pair = run.fresh_pair(which)
                with run.step(key, number):
                    got[key] = watched(run, name, pair)
                    got[key]["slowest_ms"] = pair.redis.slowest()[0]
                run.audit(pair)
            except Failed as error:
                broken[key] = error
        rounds.append(got)
    return [ratio_or_failed(bar, rounds, broken) for bar in wanted]


def ratio_or_failed(bar, rounds, broken):
    for side in (bar.ours, bar.baseline):
        if side in broken:
            return rows.failed_row(bar, f"{side}: {broken[side]}")
    return rows.ratio_row(bar, rounds)


def rates(*names):
    return lambda run, wanted: in_turn(run, names, wanted)


def outstanding(run, wanted):
    """The same pairs, without and with reservations that wait for their reports. They outlive the measurement."""
    rounds = []
    for number in range(run.rounds):
        got = {}
        for name in ("pairs-empty", "pairs-loaded"):
            pair = run.fresh_pair()
            with run.step(name, number):
                if name == "pairs-loaded":
                    load.fill(pair, OUTSTANDING, 10_000)
                got[name] = RATES["pairs-50"](run, pair)
            run.audit(pair)
        rounds.append(got)
    return [rows.ratio_row(bar, rounds) for bar in wanted]


def million(run, wanted):
    """Two Redis servers: filling one with a million tenants again in each round would take most of the time. Of 1.5 million
    acquires at random over a million tenants, 78 % of the tenants are there; the measurement itself adds more."""
    big = run.lab.pair("million")
    try:
        with run.step("filling 1 million tenants", 0):
            load.fill(big, 1_500_000, 1_000_000)
        rounds = []
        for number in range(run.rounds):
            got = {}
            with run.step("ours-64", number):
                got["ours-64"] = load.ours(run.fresh_pair(), run.seconds, pipeline=64)
            with run.step("ours-million", number):
                got["ours-million"] = load.ours(big, run.seconds, pipeline=64, tenants=1_000_000)
            rounds.append(got)
        run.audit(run.lab.pair())
        run.audit(big)
        return [rows.ratio_row(bar, rounds) for bar in wanted]
    finally:
        run.lab.drop("million")


class IdleConnections:
    """Connections that have asked once and then wait."""

    def __init__(self, pair):
        self.pair = pair
        self.sockets = []

    def clients(self):
        return int(self.pair.rationd.call.info()["connected_clients"])

    def __enter__(self):
        self.before = self.clients()
        try:
            for _ in range(IDLE):
                self.sockets.append(socket.create_connection(("127.0.0.1", self.pair.rationd.port), timeout=10))
            for one in self.sockets:
                one.sendall(Resp.packed("PING"))
            for one in self.sockets:
                if not one.recv(16).startswith(b"+PONG"):
                    raise Failed("an idle connection was not answered")
        except OSError as error:
            self.__exit__()
            raise Failed(f"connection {len(self.sockets) + 1} of {IDLE}: {error}") from None
        return self

    def __exit__(self, *_):
        for one in self.sockets:
            one.close()
        wait_until(lambda: self.clients() <= self.before, "rationd to see that connections were closed")


def idle(run, wanted):
    need_descriptors(IDLE + 2_000)
    pair = run.fresh_pair()
    rounds, sizes = [], []
    for number in range(run.rounds):
        got = {}
        with run.step("ours-50", number):
            got["ours-50"] = load.ours(pair, run.seconds)
        before = pair.rationd.private_bytes()
        with run.step("ours-50-idle", number), IdleConnections(pair):
            sizes.append((pair.rationd.private_bytes() - before) / IDLE)
            got["ours-50-idle"] = load.ours(pair, run.seconds)
        rounds.append(got)
    run.audit(pair)
    # Memory that closed connections gave back to the allocator is used again: only the first round sees all of it.
    made = {"idle-memory": lambda bar: rows.row(bar, [max(sizes)], note="Private_* of /proc/PID/smaps_rollup, largest round")}
    return [made.get(bar.name, lambda bar: rows.ratio_row(bar, rounds))(bar) for bar in wanted]


def need_descriptors(count):
    """Sees to it that this process may open so many files. rationd inherits the limit that was there when it started, so this
    is also called before the first of them starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise Failed(f"needs {count} open files, the limit is {hard}: raise it with `ulimit -Hn {count}` as root")
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def memory(run, wanted):
    """used_memory after one acquire for each of so many new tenants, and after another for each: the second adds only
    reservations. Done once: it is counted, not timed."""
    pair = run.fresh_pair()
    with run.step("memory", 0):
        pair.acquire_each(10**9, 500)  # Redis' own buffers and rationd's books are there from now on
        used = [pair.redis.used_memory()]
        for _ in range(2):
            pair.acquire_each(0, TENANTS)
            used.append(pair.redis.used_memory())
    run.audit(pair)
    reservation = (used[2] - used[1]) / TENANTS
    figures = {"memory-reservation": reservation, "memory-tenant": (used[1] - used[0]) / TENANTS - reservation}
    return [rows.row(bar, [figures[bar.name]]) for bar in wanted]


def open_loop(run, wanted):
    highest = run.highest()
    got = []
    for number in range(run.rounds):
        pair = run.fresh_pair()
        with run.step("open loop", number):
            rate = int(highest / 2)
            got.append(load.generator(pair, run.build, 2 * run.seconds, connections=64, tenants=10_000, rate=rate))
            if got[-1]["per_second"] < 0.95 * rate:
                raise Failed(f"offered {rate} a second, answered {got[-1]['per_second']:.0f}")
        run.audit(pair)
    fields = {"open-p99": "p99_us", "open-p99.9": "p99_9_us"}
    details = {"highest_per_second": round(highest), "offered_per_second": int(highest / 2)}
    return [rows.row(bar, [one[fields[bar.name]] / 1000 for one in got], **details) for bar in wanted]


def slowest_call(run, wanted):
    highest = run.highest()
    seconds = 600 if run.long else (8 if run.quick else 20)
    pair = run.fresh_pair()
    with run.step(f"slowest call of {seconds} s", 0):
        load.generator(pair, run.build, seconds, connections=64, tenants=10_000, rate=int(highest / 2))
        slowest, what, events = pair.redis.slowest()
    run.audit(pair)
    pair.redis.empty()
    noise_seconds = min(seconds, 120)
    with run.step(f"plain, its slowest call of {noise_seconds} s", 0):
        load.plain(pair, noise_seconds)
        noise = pair.redis.slowest()[0]
    note = f"a run of {seconds} s at {highest / 2:,.0f} a second; the slowest was {what}"
    note += f"; plain.lua's own slowest call of {noise_seconds} s, which is what the machine adds, took {noise:.3g} ms"
    if not run.long:
        note += "; --long makes it 10 minutes"
    return [rows.row(bar, [slowest], note=note, latency_events_ms=events, plain_slowest_ms=noise) for bar in wanted]


def audit(run, wanted):
    """After each group the books of all that it did were looked at; here is what was found."""
    run.audit(run.lab.pair())
    note = f"{run.audits} audits in this run" + ("" if not run.unbalanced else ": " + "; ".join(run.unbalanced[:3]))
    return [rows.row(bar, [len(run.unbalanced)], note=note) for bar in wanted]


GROUPS = [
    (rates("plain-50", "ours-50", "fair-50", "pairs-50", "ping-50"), ["unpipelined", "fair", "pairs"]),
    (rates("plain-hot", "ours-hot"), ["hot-64"]),
    (rates("plain-64", "ours-64", "fair-64", "floor-64"), ["many-64", "fair-64"]),
    (rates("plain-1", "ours-1"), ["one-connection"]),
    (outstanding, ["outstanding"]),
    (million, ["million"]),
    (memory, ["memory-tenant", "memory-reservation"]),
    (idle, ["idle-memory", "idle-effect"]),
    (open_loop, ["open-p99", "open-p99.9"]),
    (slowest_call, ["slowest-call"]),
    (audit, ["audit"]),
]


def audit_pair(build, pair):
    """What `ration audit` has to say against the books; nothing when they balance."""
    command = [str(build / "ration"), "audit", "--json", "--server", f"127.0.0.1:{pair.rationd.port}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode == 0:
        return []
    if done.returncode != 1:
        return [f"the audit failed: {(done.stderr or done.stdout).strip()[:200]}"]
    return [json.dumps(one) for one in json.loads(done.stdout)["rows"] if not one["balanced"]]


def highest_rate(run):
    """What the generator gets over 64 connections, each with one request at a time."""
    got = []
    for number in range(min(run.rounds, 2)):
        pair = run.fresh_pair()
        with run.step("highest rate", number):
            got.append(load.generator(pair, run.build, run.seconds, connections=64, tenants=10_000)["per_second"])
    return statistics.median(got)
