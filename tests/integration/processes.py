"""Starts and stops what a test talks to: redis-server, rationd, and other programs."""
import concurrent.futures
import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import tempfile

import redis

from waiting import wait_until
from wire import Wire, as_rows

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = TOP / os.environ.get("RATION_BUILD", "build/asan")
HERE = pathlib.Path(__file__).resolve().parent
SANITIZER = re.compile(r"ERROR: \w+Sanitizer|runtime error:|LeakSanitizer|WARNING: ThreadSanitizer")
_libc = ctypes.CDLL(None, use_errno=True)


def program(name):
    path = BUILD / name
    assert path.exists(), f"{path} does not exist: build first, or set RATION_BUILD"
    return str(path)


# An interrupted run leaves nothing behind: children die with the thread that started them
# (PR_SET_PDEATHSIG), so that thread lives as long as the run.
_spawner = concurrent.futures.ThreadPoolExecutor(1)


def _die_with_parent():
    _libc.prctl(1, signal.SIGKILL)


class Process:
    """A program with its output in a file."""

    def __init__(self, name, args, folder, env=None):
        self.name = name
        self.log_path = folder / f"{name}.log"
        self.killed = False
        with open(self.log_path, "ab") as log:
            self.child = _spawner.submit(
                subprocess.Popen,
                args,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(os.environ, **(env or {})),
                preexec_fn=_die_with_parent,
            ).result()

    @property
    def pid(self):
        return self.child.pid

    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait_for_log(self, pattern, seconds=20.0):
        """The pattern's first match in the log; fails at once if the program ends without one."""

        def look():
            ended = self.child.poll() is not None
            match = re.search(pattern, self.log())
            if match is None and ended:
                raise AssertionError(f"{self.name} ended with {self.child.returncode}:\n{self.log()}")
            return match

        return wait_until(look, f"{pattern!r} in the log of {self.name}", seconds)

    def signal(self, number):
        self.child.send_signal(number)

    def kill(self):
        """kill -9."""
        self.killed = True
        self.child.kill()
        self.child.wait()

    def stop(self, seconds=20.0):
        """Sends SIGTERM and returns the exit status."""
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"{self.name} did not end on SIGTERM within {seconds} s") from None
        return self.child.returncode

    def check_sanitizers(self):
        found = SANITIZER.search(self.log())
        assert found is None, f"{self.name}: {found.group(0)}\n{self.log()}"


class StoreClock:
    """A wall clock under the test's control (store_clock.c), which decides the store's time."""

    START_MS = 1_800_000_000_000  # 2027-01-15 08:00:00 UTC

    def __init__(self, path, still_ms=START_MS):
        self.path = path
        self.ms = still_ms
        self.added_ms = 0
        path.write_bytes(struct.pack("qq", 0, 0))
        self.file = open(path, "r+b", buffering=0)
        self._write()

    def _write(self):
        self.file.seek(0)
        self.file.write(struct.pack("qq", (self.ms or 0) * 1000, self.added_ms * 1000))

    def set(self, ms):
        self.ms = ms
        self._write()

    def advance(self, ms):
        self.set(self.ms + ms)

    def run(self, added_ms=0):
        """Lets it run, at the real time plus an offset."""
        self.ms, self.added_ms = None, added_ms
        self._write()

    def close(self):
        self.file.close()


class Redis(Process):
    """A private redis-server on a unix socket."""

    def __init__(self, name, folder, args=(), env=None):
        self.folder = folder
        self.path = str(folder / f"{name}.sock")
        self.args = [
            "redis-server", "--port", "0", "--unixsocket", self.path, "--dir", str(folder), "--save", "",
            "--appendfilename", f"{name}.aof", "--appenddirname", f"{name}-aof",
            "--enable-debug-command", "yes", "--maxmemory-policy", "noeviction", *args,
        ]  # fmt: skip
        self.env = env
        self.connection = None
        self.password = args[args.index("--requirepass") + 1] if "--requirepass" in args else None
        super().__init__(name, self.args, folder, env)
        self.wait_ready()

    def wait_ready(self):
        self.connection = redis.Redis(unix_socket_path=self.path, decode_responses=True, password=self.password)

        def answers():
            assert self.child.poll() is None, f"redis-server ended:\n{self.log()}"
            try:
                return self.connection.ping()
            except redis.exceptions.RedisError:
                return False

        wait_until(answers, "redis-server to answer")

    def restart(self):
        """Restarts it after a kill or a stop, with the same files and socket."""
        if os.path.exists(self.path):
            os.unlink(self.path)
        super().__init__(self.name, self.args, self.folder, self.env)
        self.wait_ready()

    @property
    def url(self):
        return f"redis+unix://{self.path}"

    def time_ms(self):
        seconds, us = self.connection.time()
        return seconds * 1000 + us // 1000

    def digest(self):
        """DEBUG DIGEST; a scan first removes what has expired, which Redis does lazily."""
        list(self.connection.scan_iter())
        return self.connection.execute_command("DEBUG", "DIGEST")

    def contents(self):
        """Every key with its bytes and its expiry, which a digest does not cover."""
        raw = redis.Redis(unix_socket_path=self.path, password=self.password)
        try:
            return {key: (raw.dump(key), raw.pexpiretime(key)) for key in sorted(raw.keys())}
        finally:
            raw.close()

    def keys_without_expiry(self):
        return [key for key in self.connection.keys() if self.connection.pttl(key) < 0]

    def close(self):
        if self.connection is not None:
            self.connection.close()
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()


class Ration(Process):
    """A rationd."""

    def __init__(self, name, folder, config, args=(), env=None, wait=True):
        self.folder = folder
        self.config_path = folder / f"{name}.json"
        self.config = config
        command = [program("rationd"), "--state", str(folder / f"{name}-state"), *args]
        if config is not None:
            self.write_config(config)
            command += ["--config", str(self.config_path)]
        super().__init__(name, command, folder, env)
        if wait:
            self.wait_ready()

    def write_config(self, config):
        self.config_path.write_text(config if isinstance(config, str) else json.dumps(config, indent=2))

    def wait_ready(self):
        self.wait_for_log(r"ration ready resp=")

    @property
    def port(self):
        return int(self.wait_for_log(r"listening resp=127\.0\.0\.1:(\d+)").group(1))

    def reload(self, config):
        """Reloads with another configuration by SIGHUP; returns the log's event."""
        pattern = r"configuration (reloaded|not reloaded)"
        before = len(re.findall(pattern, self.log()))
        self.write_config(config)
        self.signal(signal.SIGHUP)
        wait_until(lambda: len(re.findall(pattern, self.log())) > before, "the configuration to be reloaded")
        return re.findall(pattern, self.log())[-1]

    def wire(self, **more):
        return Wire(self.port, **more)

    def client(self, **more):
        return redis.Redis(port=self.port, decode_responses=True, **more)

    def info(self):
        with self.wire() as wire:
            lines = wire.call("INFO").splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def peek(self, pool, tenant):
        with self.wire() as wire:
            return as_rows(wire.call("PEEK", pool, tenant))

    def remaining(self, pool, tenant, scope, unit, per=None):
        for row in self.peek(pool, tenant):
            if row["scope"].split(":")[0] == scope and row["unit"] == unit and per in (None, row["per"]):
                return row["remaining"]
        raise AssertionError(f"no limit of {scope} on {unit}")

    def audit(self, *pool):
        """The ledger of one pool by unit, or of all by (pool, unit); each must balance."""
        with self.wire() as wire:
            rows = as_rows(wire.call("AUDIT", *pool))
        return {row["unit"] if pool else (row["pool"], row["unit"]): row for row in rows}


class Lab:
    """Everything that one test starts. close() stops it in reverse order and reports problems."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ration-test-"))
        self.started = []
        self.closers = []
        self.count = 0

    def _name(self, kind):
        self.count += 1
        return f"{kind}{self.count}"

    def clock(self, **more):
        """A clock for the store; the preloaded library is built once."""
        clock = StoreClock(self.folder / self._name("clock"), **more)
        self.closers.append(clock.close)
        return clock

    def preload(self, source, *options):
        """The environment that preloads this C file, built once, into a program."""
        library = self.folder / source.replace(".c", ".so")
        if not library.exists():
            subprocess.run(["cc", "-shared", "-fPIC", "-O2", *options, "-o", library, HERE / source], check=True)
        return {"LD_PRELOAD": str(library), "ASAN_OPTIONS": "verify_asan_link_order=0"}

    def clock_env(self, clock):
        return dict(self.preload("store_clock.c"), TEST_CLOCK_FILE=str(clock.path))

    def redis(self, *args, clock=None):
        env = self.clock_env(clock) if clock is not None else None
        server = Redis(self._name("redis"), self.folder, args, env)
        self.started.append(server)
        return server

    def ration(self, config, *args, clock=None, env=None, wait=True):
        env = dict(env or {}, **(self.clock_env(clock) if clock is not None else {}))
        server = Ration(self._name("rationd"), self.folder, config, args, env, wait)
        self.started.append(server)
        return server

    def process(self, name, *args, env=None):
        process = Process(self._name(name), [str(arg) for arg in args], self.folder, env)
        self.started.append(process)
        return process

    def tool(self, server, *args, env=None, timeout=60, **more):
        """Runs `ration` and returns the CompletedProcess with output as text."""
        return self.run(program("ration"), *args, timeout=timeout,
                        env=dict(env or {}, RATION_SERVERS=f"127.0.0.1:{server.port}" if server else ""), **more)  # fmt: skip

    def run(self, *args, env=None, timeout=60, **more):
        done = subprocess.run(
            [str(arg) for arg in args], capture_output=True, text=True, timeout=timeout,
            env=dict(os.environ, **(env or {})), stdin=subprocess.DEVNULL, **more,
        )  # fmt: skip
        assert not SANITIZER.search(done.stderr), done.stderr
        return done

    def on_close(self, function):
        self.closers.append(function)

    def logs(self):
        return [(process.name, process.log()) for process in self.started if process.log_path.exists()]

    def close(self):
        wrong = []
        for close in reversed(self.closers):
            close()
        for process in reversed(self.started):
            try:
                if isinstance(process, Redis):
                    process.close()
                    continue
                status = process.stop()
                process.check_sanitizers()
                if isinstance(process, Ration) and not process.killed and status != 0:
                    wrong.append(f"{process.name} ended with status {status}\n{process.log()}")
            except AssertionError as error:
                wrong.append(str(error))
        if not wrong:
            shutil.rmtree(self.folder, ignore_errors=True)
        assert not wrong, "\n".join(wrong)


