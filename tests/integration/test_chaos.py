"""Everything at once: clients acquire, renew, report and cancel through two servers while
connections to the store are killed, functions flushed, configurations reloaded, servers killed and
restarted, and the store stalls. In the end every token is accounted for, under load.
"""
import os
import random
import signal
import threading

import pytest

from configs import POOL, config, limit
from waiting import wait_until
from wire import Closed, Wire, WireError, as_fields

SECONDS = float(os.environ.get("RATION_HAMMER_SECONDS", "3"))
HUGE = 10**10


class Caller(threading.Thread):
    """One caller. It retries at the next server, with the same id, until it has an answer."""

    def __init__(self, servers, number, over):
        super().__init__(daemon=True)
        self.servers, self.number, self.over = servers, number, over
        self.rng = random.Random(number)
        self.wire = None
        self.at = number
        self.used = self.granted = self.calls = self.open = self.moved = 0
        self.wrong = []

    def ask(self, *command):
        while True:
            try:
                if self.wire is None:
                    server = self.servers[self.at % len(self.servers)]
                    self.wire = Wire(server.port, timeout=40)
                answer = self.wire.fields(*command)
                if isinstance(answer, WireError):
                    self.wrong.append((command, answer))
                    return {"status": "error"}
                return answer
            except (Closed, OSError, AssertionError):
                if self.wire is not None:
                    self.wire.close()
                self.wire = None
                self.at += 1
                self.moved += 1

    def one_call(self):
        rng = self.rng
        tenant, estimate = f"t{rng.randrange(3)}", rng.randrange(1, 50)
        self.calls += 1
        id_ = f"free-{self.number}-{self.calls}"
        if rng.random() < 0.7:
            id_ = f"r1.chaos{self.number}x{self.calls // 100}.{rng.getrandbits(64):016x}.0.{tenant}@{POOL}"
        if self.ask("ACQUIRE", POOL, tenant, "tokens", estimate, "TTL", 3_600_000, "ID", id_)["status"] != "granted":
            self.wrong.append((id_, "not granted"))
            return
        self.granted += estimate
        if rng.random() < 0.3:
            more = rng.randrange(30)
            token = f"{rng.getrandbits(64):016x}"
            if self.ask("RENEW", id_, "TTL", 3_600_000, "tokens", more, "ID", token)["status"] == "granted":
                self.granted += more
                estimate += more
        fate = rng.random()
        if fate < 0.7:
            actual = rng.randrange(80)
            self.settle("REPORT", id_, "tokens", actual)
            self.used += actual
        elif fate < 0.85:
            self.settle("CANCEL", id_)
        else:
            self.open += 1
            self.used += estimate

    def settle(self, *command):
        before = self.moved
        status = self.ask(*command)["status"]
        if status != "settled" and not (status == "duplicate" and self.moved > before):
            self.wrong.append((command, status))

    def run(self):
        try:
            while not self.over.is_set():
                self.one_call()
        except Exception as error:  # for the test to report
            self.wrong.append(repr(error))


def disturb(kind, lab, store, servers, settings, rng):
    if kind == "connections":
        store.connection.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    elif kind == "flush":
        store.connection.script_flush()
        store.connection.function_flush()
    elif kind == "reload":
        for server in servers:
            server.write_config(dict(settings, ttl_ms=rng.randrange(1000, 60_000)))
            server.signal(signal.SIGHUP)
    elif kind == "stall":
        store.connection.execute_command("DEBUG", "SLEEP", "0.15")
    elif kind == "kill":
        victim = rng.randrange(2)
        servers[victim].kill()
        servers[victim] = lab.ration(settings)


@pytest.mark.parametrize("kinds", [("connections",), ("flush", "reload"), ("kill",), ("connections", "flush", "stall", "kill")])
def test_every_token_is_accounted_for(lab, kinds):
    clock = lab.clock()
    store = lab.redis(clock=clock)
    settings = config(store, pool=[limit("tokens", HUGE, "day"), limit("concurrent", 10**6)],
                      tier=[limit("tokens", HUGE, "day", algorithm="calendar")])  # fmt: skip
    settings["store"]["timeout_ms"] = 30_000
    servers = [lab.ration(settings), lab.ration(settings)]
    over, rng = threading.Event(), random.Random(str(kinds))
    callers = [Caller(servers, number, over) for number in range(8)]
    lab.on_close(over.set)
    for caller in callers:
        caller.start()
    disturbances, done = 0, threading.Event()
    timer = threading.Timer(SECONDS, done.set)
    timer.start()
    while not done.is_set():
        calls = sum(caller.calls for caller in callers)
        wait_until(lambda: sum(caller.calls for caller in callers) > calls + 25, "calls between disturbances", 40)
        disturb(rng.choice(kinds), lab, store, servers, settings, rng)
        disturbances += 1
    over.set()
    for caller in callers:
        caller.join(60)
        assert not caller.is_alive(), "a caller got no answer"
    wrong = [what for caller in callers for what in caller.wrong]
    assert not wrong, wrong[:5]
    assert disturbances >= 3
    server = lab.ration(settings)
    used, granted = sum(c.used for c in callers), sum(c.granted for c in callers)
    assert server.remaining(POOL, "t0", "pool", "tokens") == HUGE - used
    of_tenants = sum(HUGE - server.remaining(POOL, f"t{n}", "tenant", "tokens") for n in range(3))
    assert of_tenants == used
    assert server.remaining(POOL, "t0", "pool", "concurrent") == 10**6 - sum(c.open for c in callers)
    ledger = server.audit(POOL)
    assert all(row["balanced"] for row in ledger.values()), ledger
    assert ledger["tokens"]["granted"] == granted
    assert ledger["requests"]["granted"] == sum(c.calls for c in callers)
    assert ledger["requests"]["outstanding"] == sum(c.open for c in callers)


def test_a_store_that_stalls_is_answered_in_time_and_charged_once(lab):
    """The answer comes within the deadline; what the stalled batch did is found later by its id."""
    clock = lab.clock()
    store = lab.redis(clock=clock)
    settings = config(store, pool=[limit("tokens", 1000, "day")])
    settings["store"]["timeout_ms"] = 200
    server = lab.ration(settings)
    with server.wire() as wire:
        assert wire.fields("ACQUIRE", POOL, "acme", "tokens", 1)["status"] == "granted"
        for n in range(3):
            sleeper = threading.Thread(target=store.connection.execute_command, args=("DEBUG", "SLEEP", "0.6"))
            sleeper.start()
            refused = None

            def stalled():
                nonlocal refused
                answer = wire.call("ACQUIRE", POOL, "acme", "tokens", 100, "ID", f"stalled-{n}")
                refused = answer if isinstance(answer, WireError) else refused
                return refused is not None or not sleeper.is_alive()

            wait_until(stalled, "the stall to be met")
            assert refused is None or refused.word == "UNAVAILABLE"
            sleeper.join()
            wait_until(lambda: server.info()["store_state"] == "ready", "the store to be back", 20)

            def found():
                answer = wire.fields("ACQUIRE", POOL, "acme", "tokens", 100, "ID", f"stalled-{n}")
                return not isinstance(answer, WireError) and answer["status"] == "granted"

            wait_until(found, "the answer", 20)
            assert server.remaining(POOL, "acme", "pool", "tokens") == 1000 - 1 - 100 * (n + 1)


def test_a_store_without_memory_refuses_and_nothing_is_half_done(lab):
    clock = lab.clock()
    store = lab.redis(clock=clock)
    server = lab.ration(config(store, pool=[limit("tokens", 1000, "day")], tier=[limit("tokens", 500, "day")]))
    with server.wire() as wire:
        id_ = wire.fields("ACQUIRE", POOL, "acme", "tokens", 100)["id"]
        before = store.contents()
        store.connection.config_set("maxmemory", 1)
        for command in (("ACQUIRE", POOL, "acme", "tokens", 1), ("REPORT", id_, "tokens", 5), ("CANCEL", id_)):
            answer = wire.call(*command)
            assert isinstance(answer, WireError) and answer.word == "UNAVAILABLE", answer
        assert store.contents() == before
        store.connection.config_set("maxmemory", 0)
        assert wire.fields("REPORT", id_, "tokens", 5) == {"status": "settled"}
        assert server.remaining(POOL, "acme", "tenant", "tokens") == 495


def test_equal_acquires_granted_as_one_are_each_their_own(lab):
    """Equal acquires in a pipeline are granted as a group, perhaps in part; each settles alone."""
    clock = lab.clock()
    store = lab.redis(clock=clock)
    server = lab.ration(config(store, pool=[limit("tokens", 600, "day"), limit("concurrent", 100)]))
    with server.wire() as wire:
        for _ in range(100):
            wire.send("ACQUIRE", POOL, "acme", "tokens", 10, "TTL", 4096)
        answers = [as_fields(wire.read()) for _ in range(100)]
        granted = [answer["id"] for answer in answers if answer["status"] == "granted"]
        assert len(granted) == len(set(granted)) == 60
        denied = [answer for answer in answers if answer["status"] == "denied"]
        assert all(answer["limited_by"] == f"pool:{POOL} tokens/day" for answer in denied)
        for answer in denied[:3]:
            assert wire.call("REPORT", answer["id"]).word == "NOSUCH"
        for n, id_ in enumerate(granted[:40]):
            assert wire.fields(*(("REPORT", id_, "tokens", n) if n % 2 else ("CANCEL", id_))) == {"status": "settled"}
            assert wire.fields("CANCEL", id_) == {"status": "duplicate"}
        assert wire.fields("RENEW", granted[59], "TTL", 60_000)["status"] == "granted"
        used = sum(n for n in range(40) if n % 2) + 200
        assert server.remaining(POOL, "acme", "pool", "tokens") == 600 - used
        assert server.remaining(POOL, "acme", "pool", "concurrent") == 80
        clock.advance(5000)
        assert server.remaining(POOL, "acme", "pool", "concurrent") == 99
        assert wire.fields("REPORT", granted[58], "tokens", 0) == {"status": "late"}
        assert wire.fields("REPORT", granted[59], "tokens", 10) == {"status": "settled"}
        ledger = server.audit(POOL)["requests"]
        assert ledger["balanced"] == 1 and ledger["granted"] == 60


def test_ten_thousand_slots_that_expire_are_all_free_again(lab):
    """With deadlines spread over a minute, every slot is free for the next call afterwards."""
    clock = lab.clock()
    server = lab.ration(config(lab.redis(clock=clock), pool=[limit("concurrent", 10_000)]))
    with server.wire() as wire:
        for n in range(10_000):
            wire.send("ACQUIRE", POOL, f"t{n % 7}", "TTL", 100 + n * 6)
            if n % 500 == 499:
                for _ in range(500):
                    assert as_fields(wire.read())["status"] == "granted"
                clock.advance(37)
        assert wire.fields("ACQUIRE", POOL, "acme")["status"] in ("granted", "denied")
        clock.advance(120_000)
        assert server.remaining(POOL, "acme", "pool", "concurrent") == 10_000
        assert wire.fields("ACQUIRE", POOL, "acme", "concurrent", 10_000)["status"] == "granted"
    assert all(row["balanced"] for row in server.audit().values())
