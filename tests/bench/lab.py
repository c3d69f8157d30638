"""What is measured: redis-server and rationd on free ports in a temporary folder, and a small RESP client to ask them.

Children die with the benchmark (PR_SET_PDEATHSIG), so that an interrupted run leaves nothing behind.
"""
import ctypes
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
POOL = "openai/gpt-4o"
READY_SECONDS = 20
TTL_MS = 60_000
AGAINST = "against"  # the pair of the build of --against
SLOW_MS = 2  # faster commands are not in Redis' slow log, which would push slower ones out of it

_libc = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """A measurement that could not be made; the text says why."""


def die_with_parent():
    _libc.prctl(1, signal.SIGKILL)


def wait_until(look, what, seconds=READY_SECONDS):
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise Failed(f"waited {seconds} s for {what}")
        time.sleep(0.01)


class Resp:
    """One connection that speaks RESP2, to Redis and to rationd."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    @staticmethod
    def packed(*args):
        words = [str(arg).encode() for arg in args]
        return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)

    def _reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise Failed("the connection was closed")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise Failed(rest.decode(errors="replace"))
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2].decode(errors="replace")
        if kind == b"*":
            return [self._reply() for _ in range(int(rest))]
        raise Failed(f"not RESP2: {line!r}")

    def __call__(self, *args):
        return self.many([args])[0]

    def many(self, commands):
        """Sends them at once and gives the replies."""
        self.socket.sendall(b"".join(self.packed(*args) for args in commands))
        return [self._reply() for _ in commands]

    def info(self, section=None):
        """INFO as a dictionary of strings."""
        text = self("INFO", section) if section else self("INFO")
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def close(self):
        self.file.close()
        self.socket.close()


class Program:
    """A child with its output in a file."""

    def __init__(self, name, folder, command):
        self.log_path = folder / f"{name}.log"
        self.name = name
        with open(self.log_path, "ab") as log:
            self.child = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent
            )

    def processor_seconds(self):
        """User and kernel, of all threads, since it started."""
        fields = pathlib.Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def log(self):
        return self.log_path.read_text(errors="replace")

    def check_alive(self):
        if self.child.poll() is not None:
            raise Failed(f"{self.name} ended with status {self.child.returncode}: {self.log()[-400:].strip()}")

    def stop(self):
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(15)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Redis(Program):
    """Without persistence: what is compared is deciding, for both sides alike."""

    def __init__(self, name, folder):
        self.port = free_port()
        self.unix = folder / f"{name}.sock"
        command = ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--unixsocket", self.unix]
        command += ["--save", "", "--appendonly", "no", "--dir", folder, "--maxmemory-policy", "noeviction"]
        command += ["--slowlog-log-slower-than", 1000 * SLOW_MS, "--slowlog-max-len", 50_000]
        command += ["--latency-monitor-threshold", "1"]
        super().__init__(name, folder, command)
        self.call = wait_until(self._connect, f"{name} to answer")
        self.plain = self.call("SCRIPT", "LOAD", (HERE / "plain.lua").read_text())
        self.fair = self.call("SCRIPT", "LOAD", (HERE / "fair.lua").read_text())
        self.floor = self.call("SCRIPT", "LOAD", (HERE / "floor.lua").read_text())

    def _connect(self):
        self.check_alive()
        try:
            call = Resp(self.port)
        except OSError:
            return None
        call("PING")
        return call

    def empty(self):
        """As if it had just started, the scripts apart."""
        self.call("FLUSHALL", "SYNC")
        self.call("SLOWLOG", "RESET")
        self.call("LATENCY", "RESET")

    def slowest(self):
        """The slowest command since empty() in ms, what it was, and the worst of each event of the latency monitor in ms. The
        monitor is read first, as reading a long log is itself slow; it remembers what a full log has dropped."""
        events = {event[0]: event[3] for event in self.call("LATENCY", "LATEST")}
        entries = self.call("SLOWLOG", "GET", "-1")
        worst = max(entries, key=lambda entry: entry[2], default=None)
        monitored = max(events.get("command", 0), events.get("fast-command", 0))
        if worst is None:
            return max(SLOW_MS, monitored), f"under {SLOW_MS} ms", events
        return max(worst[2] / 1000, monitored), f"an {worst[3][0].upper()}", events

    def used_memory(self):
        return int(self.call.info("memory")["used_memory"])


def limit(unit, amount, per, **more):
    return dict({"unit": unit, "amount": amount, "per": per}, **more)


def vast_limits():
    """Of the default algorithm: buckets that are full again within a millisecond, and pools that never are."""
    return [limit("requests", 10**10, "minute"), limit("tokens", 10**13, "minute"), limit("requests", 10**12, "day")]


def used_limits():
    """So much burst that all is granted, refilled so slowly that the levels stay in use, as those of real tenants do."""
    return [
        limit("requests", 600, "minute", burst=10**10),
        limit("tokens", 100_000, "minute", burst=10**13),
        limit("requests", 10_000, "day", burst=10**10),
    ]


@dataclasses.dataclass
class How:
    """What is measured, as the command line has it."""

    build: pathlib.Path
    against: pathlib.Path | None  # a build that is measured in turn with it
    unix: bool  # rationd reaches Redis by its unix socket
    vast: bool  # tenants have vast_limits()


class Rationd(Program):
    def __init__(self, name, folder, how, redis, build):
        self.socket = folder / f"{name}.sock"
        config = {
            "listen": {"resp": "127.0.0.1:0", "http": None, "unix": str(self.socket)},
            "store": {"url": f"redis+unix://{redis.unix}" if how.unix else f"redis://127.0.0.1:{redis.port}"},
            "pools": {POOL: {"limits": vast_limits()}},
            "tiers": {"all": {"limits": vast_limits() if how.vast else used_limits()}},
            "default_tier": "all",
            "ttl_ms": TTL_MS,
            "max_connections": 15_000,
        }
        if "max_outstanding" in subprocess.run([build / "rationd", "--help"], capture_output=True, text=True).stdout:
            config["max_outstanding"] = 10_000_000  # what is measured is never reported; older builds have no bound
        path = folder / f"{name}.json"
        path.write_text(json.dumps(config, indent=2))
        super().__init__(name, folder, [build / "rationd", "--config", path, "--state", folder / f"{name}-state"])
        wait_until(lambda: self.check_alive() or "ration ready" in self.log(), f"{name} to be ready")
        self.port = int(re.search(r"listening resp=127\.0\.0\.1:(\d+)", self.log()).group(1))
        self.call = Resp(self.port)

    def counter(self, name):
        return int(self.call.info()[name])

    def private_bytes(self):
        text = pathlib.Path(f"/proc/{self.child.pid}/smaps_rollup").read_text()
        return 1024 * sum(int(kb) for kb in re.findall(r"^Private_\w+:\s+(\d+) kB", text, re.M))


class Pair:
    """One Redis, and a rationd on it."""

    def __init__(self, name, folder, how, build):
        self.redis = Redis(f"redis-{name}", folder)
        self.rationd = Rationd(f"rationd-{name}", folder, how, self.redis, build)

    def acquire_each(self, first, count):
        """One acquire for each of so many tenants, none of them in a batch twice."""
        for start in range(first, first + count, 500):
            numbers = range(start, min(start + 500, first + count))
            replies = self.rationd.call.many([("ACQUIRE", POOL, f"t{n:012d}", "tokens", 500) for n in numbers])
            refused = [reply for reply in replies if reply[1] != "granted"]
            if refused:
                raise Failed(f"an acquire was not granted: {refused[0]}")

    def is_alive(self):
        return self.redis.child.poll() is None and self.rationd.child.poll() is None

    def stop(self):
        for part in (self.rationd, self.redis):
            part.call.close()
            part.stop()


class Lab:
    """The pairs of a run, each started when it is first asked for."""

    def __init__(self, how):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ration-bench-"))
        self.how = how
        self.pairs = {}

    def pair(self, name="main"):
        """One that died in another row is replaced."""
        if name in self.pairs and not self.pairs[name].is_alive():
            self.drop(name)
        if name not in self.pairs:
            build = self.how.against if name == AGAINST else self.how.build
            self.pairs[name] = Pair(name, self.folder, self.how, build)
        return self.pairs[name]

    def drop(self, name):
        if name in self.pairs:
            self.pairs.pop(name).stop()

    def close(self):
        for name in list(self.pairs):
            self.drop(name)
        shutil.rmtree(self.folder, ignore_errors=True)
