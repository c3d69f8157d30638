"""Makes recorded calls with the real programs and returns what came of each.

One redis-server and one rationd serve all of them. Each call has its own pool, so that it shares
neither ledger, pause nor learned limits with others, and its own tenant, whose limits show what was
charged. A few workers, each with an answering server, make the calls in parallel. At the end the
pools' ledgers must balance and agree with the tenants' charges. An audit reads every key once per
pool, so runs of thousands go without it.
"""
import concurrent.futures
import dataclasses
import json
import os
import queue
import re
import subprocess

import dialect
from configs import limit
from processes import SANITIZER, Lab, program
from recorded_server import RecordedServer
from wire import as_fields

KEY = "replayed-key"
PLENTY = 100_000_000_000
AUDITED_AT_MOST = 300
UNITS = ("requests", "tokens", "input_tokens", "output_tokens")
CALL_SECONDS = 60
# Pools need one limit of each kind that provider headers report, or the headers have no effect.
LIMITS = [
    limit("requests", 1_000_000, "minute"), limit("requests", 10_000_000, "day"),
    limit("tokens", 10_000_000_000, "minute"), limit("tokens", 100_000_000_000, "day"),
    limit("input_tokens", 10_000_000_000, "minute"), limit("output_tokens", 10_000_000_000, "minute"),
]  # fmt: skip
# Without a wait in the answer retries are immediate; a wait beyond the deadline ends the call.
PATIENCE = ["--backoff-min", "1", "--backoff-max", "2", "--deadline", "10"]


@dataclasses.dataclass
class Came:
    """What came of a call."""

    exchange: object
    plan: dict
    requests: list = dataclasses.field(default_factory=list)
    status: int = 0
    result: dict = None
    events: list = dataclasses.field(default_factory=list)
    printed: str = None  # without --json; None: not tried
    stderr: str = ""
    charged: dict = dataclasses.field(default_factory=dict)  # by unit
    ledger: dict = dataclasses.field(default_factory=dict)  # its pool's, by unit; empty: not audited
    has_profile: bool = True
    pool_name: str = ""
    pool: dict = dataclasses.field(default_factory=dict)
    left: dict = dataclasses.field(default_factory=dict)  # "requests/minute": remaining

    def trouble(self):
        """What is wrong whatever the recording says; a list of sentences."""
        found = []
        if SANITIZER.search(self.stderr):
            found.append(f"sanitizer report: {self.stderr[-2000:]}")
        if self.result is None and (self.exchange.expected is not None or self.status not in range(5)):
            found.append(f"`ration call` ended with {self.status} and no result: {self.stderr.strip()[-400:]}")
        elif not self.requests and self.exchange.expected is not None:
            found.append(f"nothing was sent: {self.message()}")
        for unit, row in self.ledger.items():
            if not row["balanced"] or row["outstanding"] or row["used"] != self.charged[unit]:
                found.append(f"the ledger of {unit} does not balance, or the tenant was charged {self.charged[unit]}: {row}")
        return found

    def message(self):
        """What the call said about its failure."""
        return (self.result or {}).get("message") or self.stderr.strip()[-400:]


def plan_of(exchange):
    """How to make the call: from the sidecar, else the recorded request. None: no profile fits."""
    expected = exchange.expected or {}
    found = dialect.of(exchange.request) or {}
    if "profile" not in found and "profile" not in expected:
        return None
    plan = {"profile": None, "base": "", "model": None, **found, "args": [], "env": {}, "serve": {}}
    plan["stream"] = dialect.is_streamed(exchange.request)
    plan.update({key: expected[key] for key in plan if key in expected})
    return plan


class Replayer:
    def __init__(self, pools, workers):
        self.lab = Lab()
        self.servers = queue.Queue()
        self.all_servers = []
        self.pools = [f"replay/{i}/{run}" for i in range(pools) for run in ("json", "printed")]
        self.free_pools = iter(range(pools))
        try:
            self._start(workers)
        except BaseException:
            self.close()
            raise

    def _start(self, workers):
        config = {
            "listen": {"resp": "127.0.0.1:0", "http": None},
            "store": {"url": self.lab.redis().url},
            "pools": {name: {"limits": LIMITS, "breaker": None} for name in self.pools},
            "tiers": {"all": {"priority": 0, "limits": [limit(unit, PLENTY, "month", algorithm="calendar") for unit in UNITS]}},
            "default_tier": "all",
            "on_outage": "deny",
        }
        self.ration = self.lab.ration(config)
        self.workers = workers
        for _ in range(workers):
            server = RecordedServer()
            self.servers.put(server)
            self.all_servers.append(server)
        listed = self._run(["call", "--pool", self.pools[0], "--tenant", "nobody", "--provider", "nobody"], b"{}", {})
        self.profiles = set(re.findall(r"[\w.-]+", listed.stderr.decode().partition("there are:")[2]))

    def replay_all(self, exchanges):
        """{name: Came}."""
        with concurrent.futures.ThreadPoolExecutor(self.workers) as executor:
            all_came = list(executor.map(self.replay, exchanges))
        if len(all_came) > AUDITED_AT_MOST:
            return {came.exchange.name: came for came in all_came}
        by_pool = {came.pool_name: came for came in all_came}
        for (pool, unit), row in self.ration.audit().items():
            if pool in by_pool:
                by_pool[pool].ledger[unit] = row
        return {came.exchange.name: came for came in all_came}

    def replay(self, exchange):
        plan = plan_of(exchange)
        came = Came(exchange, plan, has_profile=plan["profile"] in self.profiles)
        number = next(self.free_pools)
        came.pool_name = f"replay/{number}/json"
        server = self.servers.get()
        try:
            self._call(server, came.pool_name, came)
            self._inspect(came.pool_name, came)
            if came.plan["stream"] and came.result is not None:
                self._print(server, f"replay/{number}/printed", came)
        finally:
            self.servers.put(server)
        return came

    # ---- One call ----

    def _run(self, args, body, env):
        env = {**os.environ, "REPLAY_KEY": KEY, "RATION_SERVERS": f"127.0.0.1:{self.ration.port}", **env}
        command = [program("ration"), *args]
        try:
            return subprocess.run(command, input=body, capture_output=True, timeout=CALL_SECONDS, env=env)
        except subprocess.TimeoutExpired:  # one hanging call must not end the run of all others
            return subprocess.CompletedProcess(command, -1, b"", b"it did not end within %d s" % CALL_SECONDS)

    def _args(self, server, pool, came, tries):
        plan = came.plan
        args = ["call", "--pool", pool, "--tenant", pool.replace("/", "-"), "--provider", plan["profile"], "--url",
                server.url + plan["base"], "--tries", str(tries), *PATIENCE]  # fmt: skip
        if "--key-variable" not in plan["args"] and not plan["env"]:
            args += ["--key-variable", "REPLAY_KEY"]
        if plan["model"]:
            args += ["--model", plan["model"]]
        if plan["stream"]:
            args.append("--stream")
        return args + plan["args"]

    def _call(self, server, pool, came):
        answers = came.exchange.responses
        server.put_up(answers, came.plan["serve"])
        args = self._args(server, pool, came, len(answers) + 1)
        done = self._run([*args, "--json"], came.exchange.request.body, came.plan["env"])
        came.status, came.stderr, came.requests = done.returncode, done.stderr.decode(errors="replace"), server.seen
        lines = done.stdout.decode(errors="surrogateescape").splitlines()
        try:
            *came.events, came.result = [json.loads(line) for line in lines] or [None]
        except ValueError as error:
            came.stderr += f"\nthe output is not JSON: {error}"

    def _print(self, server, pool, came):
        server.put_up(came.exchange.responses, came.plan["serve"])
        args = self._args(server, pool, came, len(came.exchange.responses) + 1)
        done = self._run(args, came.exchange.request.body, came.plan["env"])
        came.stderr += done.stderr.decode(errors="replace")
        came.printed = done.stdout.decode(errors="surrogateescape")

    def _inspect(self, pool, came):
        with self.ration.wire() as wire:
            came.pool = as_fields(wire.call("POOL", "GET", pool))
        for row in self.ration.peek(pool, pool.replace("/", "-")):
            if row["scope"].split(":")[0] == "pool":
                came.left[f"{row['unit']}/{row['per']}"] = row["remaining"]
            elif row["scope"].split(":")[0] == "tenant":
                came.charged[row["unit"]] = PLENTY - row["remaining"]

    def close(self):
        for server in self.all_servers:
            server.close()
        self.lab.close()
