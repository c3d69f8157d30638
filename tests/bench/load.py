"""Load, and what it came to: redis-benchmark for what it can do, `ration bench` for the rest.

A measurement gives a dictionary: per_second, requests (those of the warm-up included), and in microseconds mean_us and p99_us (and p99_9_us of `ration bench`).
redis-benchmark counts latencies in steps of 8 us, too coarse for one request at a time: that mean is taken from the rate.
"""
import csv
import json
import os
import subprocess

from lab import POOL, TTL_MS, Failed, die_with_parent

WARM_REQUESTS = {1: 4_000, 64: 40_000}
FLOOR_TENANTS, OPERATION_BYTES = 128, 69  # a batch of rationd's at the most, and what it sends for each


def _run(command, seconds):
    """Runs it to its end; gives stdout. What it complains of is the reason of the failure."""
    try:
        done = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, timeout=seconds, preexec_fn=die_with_parent,
            env=dict(os.environ, RATION_SECRET="", LC_ALL="C"),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Failed(f"{os.path.basename(str(command[0]))} did not end within {seconds:.0f} s") from None
    except OSError as error:
        raise Failed(f"{command[0]}: {error.strerror}") from None
    complaint = done.stderr.strip().splitlines()
    if done.returncode != 0 or any("rror" in line for line in complaint):
        said = complaint[0] if complaint else done.stdout.strip()[-200:]
        raise Failed(f"{os.path.basename(str(command[0]))} ended with status {done.returncode}: {said}")
    return done.stdout


def _redis_benchmark(port, requests, connections, pipeline, tenants, words, seconds=0):
    command = ["redis-benchmark", "--csv", "--precision", "3", "-h", "127.0.0.1", "-p", port, "-n", requests]
    command += ["-c", connections, "-P", pipeline, "-r", tenants, *words]
    rows = list(csv.DictReader(_run(command, 120 + 3 * seconds).splitlines()))
    if len(rows) != 1:
        raise Failed("redis-benchmark printed no result")
    row = rows[0]
    return {
        "requests": int(requests),
        "per_second": float(row["rps"]),
        "mean_us": 1e6 * connections * pipeline / float(row["rps"]),
        "p99_us": 1000 * float(row["p99_latency_ms"]),
    }


def _for_seconds(seconds, port, connections, pipeline, tenants, words):
    """redis-benchmark counts requests, not time: a short run says how many make so many seconds, and warms up."""
    warm = WARM_REQUESTS.get(pipeline, 4_000) if connections > 1 else 1_500
    first = _redis_benchmark(port, warm, connections, pipeline, tenants, words)
    got = _redis_benchmark(port, max(warm, int(first["per_second"] * seconds)), connections, pipeline, tenants, words, seconds)
    got["requests"] += first["requests"]
    return got


def plain(pair, seconds, connections=50, pipeline=1, tenants=10_000):
    """EVALSHA of plain.lua, on Redis itself."""
    key = "hot" if tenants == 1 else "b:__rand_int__"
    words = ["EVALSHA", pair.redis.plain, 1, key, 10**10, 1, 1]
    return _for_seconds(seconds, pair.redis.port, connections, pipeline, tenants, words)


def fair(pair, seconds, connections=50, pipeline=1, tenants=10_000):
    """EVALSHA of fair.lua, on Redis itself. The limits are those that rationd is given."""
    key = "hot" if tenants == 1 else "t:__rand_int__"
    pool = [10**10, 10**10 / 60_000, 10**13, 10**13 / 60_000, 10**12, 10**12 / 86_400_000]
    tenant = [10**10, 600 / 60_000, 10**13, 100_000 / 60_000, 10**10, 10_000 / 86_400_000]
    words = ["EVALSHA", pair.redis.fair, 3, "pool", key, "r:__rand_int__", 1, 500, TTL_MS, *pool, *tenant]
    # The reservations' ids need the range, also where there is one tenant.
    return _for_seconds(seconds, pair.redis.port, connections, pipeline, max(tenants, 10_000), words)


class _Granted:
    """Every request of a measurement must have been granted, or what was measured is something else."""

    def __init__(self, rationd):
        self.rationd = rationd

    def _read(self):
        names = ("denied", "commands_failed", "operations_unavailable", "operations_refused")
        info = self.rationd.call.info()
        return {name: int(info[name]) for name in names if name in info}

    def __enter__(self):
        self.before = self._read()

    def __exit__(self, kind, error, trace):
        if kind is None:
            wrong = {name: n - self.before[name] for name, n in self._read().items() if n != self.before[name]}
            if wrong:
                raise Failed("not all was granted: " + ", ".join(f"{name} {n}" for name, n in wrong.items()))


def ours(pair, seconds, connections=50, pipeline=1, tenants=10_000):
    """ACQUIRE through rationd, by redis-benchmark."""
    tenant = "hot" if tenants == 1 else "t__rand_int__"
    words = ["ACQUIRE", POOL, tenant, "tokens", 500]
    # redis-benchmark asks for CONFIG first, which a server may refuse; that is not what is counted.
    with _Granted(pair.rationd):
        return _for_seconds(seconds, pair.rationd.port, connections, pipeline, tenants, words)


def ping(pair, seconds, connections=50):
    """PING through rationd, which asks nobody: what is left of a decision that costs nothing."""
    return _for_seconds(seconds, pair.rationd.port, connections, 1, 1, ["PING"])


def floor(pair, seconds, connections=50):
    """EVALSHA of floor.lua, on Redis itself, as decisions a second."""
    text = "".join(f"{i:03d}" * (OPERATION_BYTES // 3) for i in range(FLOOR_TENANTS))
    keys = ["t:__rand_int__"] * FLOOR_TENANTS + ["r:__rand_int__"]
    got = _for_seconds(seconds, pair.redis.port, connections, 1, 10_000, ["EVALSHA", pair.redis.floor, len(keys), *keys, text])
    return {"per_second": FLOOR_TENANTS * got["per_second"], "requests": FLOOR_TENANTS * got["requests"]}


def fill(pair, requests, tenants):
    """Acquires that are never reported."""
    words = ["ACQUIRE", POOL, "t__rand_int__", "tokens", 500]
    with _Granted(pair.rationd):
        _redis_benchmark(pair.rationd.port, requests, 50, 64, tenants, words)


def generator(pair, build, seconds, **options):
    """`ration bench` against rationd, with its options by name."""
    out = pair.rationd.log_path.parent / "generator.json"
    out.unlink(missing_ok=True)
    command = [build / "ration", "bench", "--server", f"127.0.0.1:{pair.rationd.port}", "--pool", POOL, "--quiet"]
    command += ["--duration", seconds, "--warmup", 1, "--tokens", 500, "--zipf", 0, "--json", out]
    for name, value in options.items():
        command += [f"--{name}"] if value is True else [f"--{name}", value]
    _run(command, seconds * 2 + 60)
    try:
        got = json.loads(out.read_text())
        latency = {name.replace(".", "_") + "_us": float(value) for name, value in got["latency_us"].items()}
        requests = int(got["requests"]) + int(got["unmeasured"]["granted"])
        result = {"per_second": float(got["per_second"]), "requests": requests, "p99_us": latency["p99_us"], "p99_9_us": latency["p99_9_us"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Failed(f"ration bench left no result: {error!r}") from None
    if got.get("denied") or got.get("errors"):
        raise Failed(f"not all was granted: denied {got.get('denied')}, errors {got.get('errors')}")
    return result
