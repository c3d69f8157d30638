"""What a run is made of: one Redis and three rationd on it, a provider for each mode, and the replays that call them."""
import json
import os
import re
import shutil
from subprocess import TimeoutExpired
import tempfile
import pathlib
import urllib.request

from lab import Failed, Program, Redis, wait_until

HOSTS = 16
SERVERS = 3
TENANTS = "globex:all,stark:all,acme:all,initech:all"
CALL_TIMEOUT_MS = 60_000
LEAST_CALL_MS = 1000


def pool_of(mode):
    return f"openai/gpt-4o-{mode.name}"


class Rationd(Program):
    """One of those that share the Redis; a pool for each mode, with the provider's limits word for word."""

    def __init__(self, name, folder, build, redis, modes, plan):
        config = {
            "listen": {"resp": "127.0.0.1:0", "http": None},
            "store": {"url": f"redis://127.0.0.1:{redis.port}"},
            "pools": {pool_of(mode): {"limits": self.limits(mode, plan)} for mode in modes},
            # Tenants may use more than there is: here the pools decide, and nothing else.
            "tiers": {"all": {"limits": [{"unit": "tokens", "amount": 100 * plan.tpm, "per": f"{plan.window:g}s"}]}},
            "default_tier": "all",
        }
        path = folder / f"{name}.json"
        path.write_text(json.dumps(config, indent=2))
        super().__init__(name, folder, [build / "rationd", "--config", path, "--state", folder / f"{name}-state"])
        wait_until(lambda: self.check_alive() or "ration ready" in self.log(), f"{name} to be ready")
        self.port = int(re.search(r"listening resp=127\.0\.0\.1:(\d+)", self.log()).group(1))

    @staticmethod
    def limits(mode, plan):
        per = f"{plan.window:g}s"
        tokens = {"unit": "tokens", "amount": plan.tpm, "per": per}
        if mode.count == "end":
            tokens["counted"] = "end"
        return [{"unit": "requests", "amount": plan.rpm, "per": per}, tokens]


class Provider(Program):
    def __init__(self, name, folder, build, mode, plan):
        port_file = folder / f"{name}.port"
        command = [build / "strict-provider", "--listen", "127.0.0.1:0", "--port-file", port_file]
        command += ["--rpm", plan.rpm, "--tpm", plan.tpm, "--window-ms", round(plan.window * 1000)]
        command += ["--mode", mode.limiting, "--count", mode.count, "--count-failed", "yes" if mode.refused_count else "no"]
        command += ["--latency-ms", LEAST_CALL_MS, "--latency-per-token-us", plan.call_us_per_token]
        super().__init__(name, folder, command)
        wait_until(lambda: self.check_alive() or port_file.exists() and port_file.read_text().strip(), f"{name} to listen")
        self.url = f"http://127.0.0.1:{port_file.read_text().strip()}"
        # No proxy is asked for what is on this machine.
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def report(self):
        try:
            with self.opener.open(f"{self.url}/report", timeout=20) as answer:
                return json.load(answer)
        except (OSError, ValueError) as error:
            self.check_alive()
            raise Failed(f"{self.name} gave no report: {error}") from error


class Replay(Program):
    """Sixteen client processes, which are one program's children and live as long as it does."""

    def __init__(self, name, setup, mode, plan, patience, threads):
        folder, url, servers = setup.folder, setup.providers[mode.name].url, setup.servers
        self.json_path = folder / f"{name}.json"
        command = [setup.build / "ration", "replay", "--trace", setup.trace, "--url", url]
        command += ["--hosts", HOSTS, "--threads", threads]
        command += ["--speed", f"{plan.speed:.6f}", "--warm-up", plan.warm, "--warm-up-speed", f"{plan.warm_speed:.6f}"]
        command += ["--wait-max", patience, "--call-timeout", CALL_TIMEOUT_MS, "--json", self.json_path]
        if mode.with_ration:
            addresses = ",".join(f"127.0.0.1:{server.port}" for server in servers)
            command += ["--server", addresses, "--pool", pool_of(mode), "--tenants", TENANTS]
        else:
            command += ["--without-ration"]
        super().__init__(name, folder, command)

    def has_ended(self):
        """Status 1 is that there were 429s, which is what is to be found out, and 2 that some calls met an error, which the
        table tells; but without a result it has not been run."""
        status = self.child.poll()
        if status is not None and (status not in (0, 1, 2) or not self.json_path.exists()):
            raise Failed(f"{self.name} ended with status {status}: {self.log()[-400:].strip()}")
        return status is not None

    def result(self):
        return json.loads(self.json_path.read_text())


class Setup:
    """Everything of a run, started in order and stopped in the order that leaves nobody waiting."""

    def __init__(self, build):
        self.build = build
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ration-quota-"))
        self.trace = self.folder / "trace.csv"
        self.redis = None
        self.servers = []
        self.providers = {}
        self.replays = {}

    def start_servers(self, modes, plan):
        asking = [mode for mode in modes if mode.with_ration]
        for mode in modes:
            self.providers[mode.name] = Provider(f"provider-{mode.name}", self.folder, self.build, mode, plan)
        if asking:
            self.redis = Redis("redis", self.folder)
            for n in range(SERVERS):
                server = Rationd(f"rationd-{n + 1}", self.folder, self.build, self.redis, asking, plan)
                self.servers.append(server)

    def start_replays(self, modes, plan, patience, threads):
        for mode in modes:
            self.replays[mode.name] = Replay(f"replay-{mode.name}", self, mode, plan, patience, threads)

    def check_alive(self):
        for program in [self.redis, *self.servers, *self.providers.values()]:
            if program:
                program.check_alive()

    def audit(self):
        """What ration audit says in its last line, and whether the books balance."""
        if not self.servers:
            return "", True
        program = Program(
            "audit", self.folder, [self.build / "ration", "audit", "--server", f"127.0.0.1:{self.servers[0].port}"]
        )
        try:
            program.child.wait(60)
        except TimeoutExpired:
            raise Failed("waited 60 s for the audit") from None
        lines = program.log().strip().splitlines()
        return lines[-1] if lines else "", program.child.returncode == 0

    def close(self, keep_logs=False):
        for program in [*self.replays.values(), *self.servers, *self.providers.values(), self.redis]:
            if program:
                program.stop()
        if keep_logs:
            return self.folder
        shutil.rmtree(self.folder, ignore_errors=True)
        return None


def environment():
    """Clients find a provider on this machine without asking a proxy."""
    for name in ("NO_PROXY", "no_proxy"):
        others = os.environ.get(name)
        os.environ[name] = f"127.0.0.1,{others}" if others else "127.0.0.1"
