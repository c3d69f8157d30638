"""What must not change a decision: a denial (4), a client that dies (5), waiting exactly as told (8), clocks (15),
functions that are gone (18)."""
import multiprocessing
import os
import random
import signal
import threading
from pathlib import Path

import pytest

from configs import POOL, WIDE, config, limit
from crowd import Crowd
from waiting import wait_until
from wire import Wire, WireError, as_fields

MINUTE = 60_000
HOUR = 60 * MINUTE


# ---- 4: a denial writes nothing -------------------------------------------------------------------------------------


def test_trap_4_a_denial_leaves_the_store_as_it_was(lab):
    """DEBUG DIGEST, and every key's bytes and expiry besides, before and after a denial by each limit in turn."""
    clock = lab.clock()
    store = lab.redis(clock=clock)
    tight = {
        "bucket": [limit("tokens", 100, "minute", algorithm="bucket")],
        "rolling": [limit("tokens", 100, "minute")],
        "calendar": [limit("tokens", 100, "day", algorithm="calendar")],
        "end": [limit("tokens", 100, "minute", counted="end")],
        "concurrent": [limit("concurrent", 1)],
    }
    wide = [limit("requests", 10**6, "minute"), limit("usd", 10**6, "day", algorithm="calendar")]
    server = lab.ration(
        config(store, pools={name: {"limits": wide + limits} for name, limits in tight.items()} | {POOL: {"limits": wide}},
               tier=[limit("requests", 100, "minute")],
               tenants={"small": {"tier": "all", "limits": [limit("tokens", 100, "hour"), limit("requests", 5, "day")]}})
    )  # fmt: skip
    with server.wire() as wire:
        for pool in tight:
            assert wire.fields("ACQUIRE", pool, "acme", "tokens", 80, "TTL", HOUR)["status"] == "granted"
        assert wire.fields("ACQUIRE", POOL, "small", "tokens", 80)["status"] == "granted"
        for ms in (0, 1, 999, 7000):
            clock.advance(ms)
            digest, contents = store.digest(), store.contents()
            for pool, tenant in [(pool, "acme") for pool in tight] + [(POOL, "small")]:
                for more in ((), ("ID", "mine"), ("ID", f"r1.mine.{ms:016x}.0.{tenant}@{pool}"), ("DRYRUN",)):
                    command = ("ACQUIRE", pool, tenant, "tokens", 90, "usd", 3, *more)
                    assert wire.fields(*command)["status"] == "denied", command
            assert store.digest() == digest
            assert store.contents() == contents


def test_trap_4_a_refused_renewal_writes_nothing(lab):
    clock = lab.clock()
    store = lab.redis(clock=clock)
    server = lab.ration(config(store, pool=[limit("tokens", 100, "minute"), limit("concurrent", 3)]))
    with server.wire() as wire:
        id_ = wire.fields("ACQUIRE", POOL, "acme", "tokens", 80)["id"]
        clock.advance(500)
        before = store.contents()
        assert wire.fields("RENEW", id_, "TTL", HOUR, "tokens", 21)["status"] == "denied"
        assert store.contents() == before


def test_trap_4_denials_within_a_batch_charge_nothing(lab):
    """Of a thousand acquires in one pipeline those that fit are charged, and the refused ones nowhere."""
    clock = lab.clock()
    server = lab.ration(config(lab.redis(clock=clock), pool=[limit("requests", 10**6, "minute")],
                               tier=[limit("tokens", 50, "minute")]))  # fmt: skip
    with server.wire() as wire:
        for n in range(1000):
            wire.send("ACQUIRE", POOL, f"t{n % 5}", "tokens", 1)
        granted = sum(as_fields(wire.read())["status"] == "granted" for _ in range(1000))
    assert granted == 250
    assert server.remaining(POOL, "t0", "pool", "requests") == 10**6 - 250


# ---- 5: clients that die --------------------------------------------------------------------------------------------


def _hold_slots(port, n, told):
    with Wire(port) as wire:
        for _ in range(n):
            assert wire.fields("ACQUIRE", POOL, "acme", "TTL", 2000)["status"] == "granted"
        told.put("held")
        signal.pause()


@pytest.mark.parametrize("late_ms", [0, 333, 1700])
def test_trap_5_kill_9_of_a_client_gives_its_slots_back_within_the_ttl(lab, late_ms):
    clock = lab.clock()
    clock.advance(late_ms)
    server = lab.ration(config(lab.redis(clock=clock), pool=[limit("concurrent", 10)]))
    context = multiprocessing.get_context("fork")
    told = context.Queue()
    client = context.Process(target=_hold_slots, args=(server.port, 10, told), daemon=True)
    client.start()
    lab.on_close(lambda: client.is_alive() and client.kill())
    assert told.get(timeout=20) == "held"
    with server.wire() as wire:
        refused = wire.fields("ACQUIRE", POOL, "acme")
        assert refused["status"] == "denied"
        # A deadline is rounded up by less than a 64th of the time to live, so that deadlines share their slots.
        assert 2000 <= refused["retry_after_ms"] < 2000 + 2000 // 64 + 1
        os.kill(client.pid, signal.SIGKILL)
        client.join(20)
        clock.advance(refused["retry_after_ms"] - 1)
        assert wire.fields("ACQUIRE", POOL, "acme")["status"] == "denied"
        clock.advance(1)
        assert server.remaining(POOL, "acme", "pool", "concurrent") == 10
        for _ in range(10):
            assert wire.fields("ACQUIRE", POOL, "acme")["status"] == "granted"
    assert all(row["balanced"] for row in server.audit().values())


# ---- 8: retry_after is the truth ------------------------------------------------------------------------------------


def random_limits(rng, scope):
    units = ["requests", "tokens", "output_tokens", "concurrent"]
    out = []
    for unit in rng.sample(units, rng.randrange(1, 4)):
        if unit == "concurrent":
            out.append(limit(unit, rng.randrange(1, 4)))
            continue
        kind = rng.choice(["bucket", "rolling", "calendar"])
        more = {"algorithm": kind}
        if kind == "bucket" and rng.random() < 0.5:
            more["burst"] = rng.randrange(20, 300)
        if kind == "rolling":
            more["slack_ms"] = rng.choice([0, 250, 999])
        if unit == "output_tokens" and rng.random() < 0.6:
            more["counted"] = "end"
        amount = rng.randrange(3, 12) if unit == "requests" else rng.randrange(20, 200)
        out.append(limit(unit, amount, "day" if kind == "calendar" else rng.choice(["7s", "minute", "hour"]), **more))
    return out


def test_trap_8_retry_after_is_the_truth(lab):
    """A lone caller: random limits of both scopes, random history. Exactly then it is admitted, and 1 ms earlier not."""
    rng = random.Random(8)
    pools, tenants = {}, {}
    for n in range(60):
        pools[f"p{n}"] = {"limits": random_limits(rng, "pool"), "hold_back": rng.choice([[0, 0, 0], [0, 0.2, 0.4]])}
        tenants[f"t{n}"] = {"tier": "all", "limits": random_limits(rng, "tenant")}
    clock = lab.clock()
    server = lab.ration(config(lab.redis(clock=clock), pools=pools, tenants=tenants))
    told = {"granted": 0, "never": 0, "later": 0}
    with server.wire() as wire:
        for n in range(60):
            open_ = []
            for _ in range(40):
                clock.advance(rng.choice([0, 1, 7, 400, 3000]))
                if open_ and rng.random() < 0.2:
                    wire.call("REPORT", open_.pop(0), "tokens", rng.randrange(80), "output_tokens", rng.randrange(60))
                command = ("ACQUIRE", f"p{n}", f"t{n}", "tokens", rng.randrange(60), "output_tokens", rng.randrange(40),
                           "TTL", rng.choice([100, 2000, 45_000]))  # fmt: skip
                answer = wire.fields(*command)
                assert not isinstance(answer, WireError), answer
                if answer["status"] == "denied" and answer["retry_after_ms"] > 0:
                    told["later"] += 1
                    wait = answer["retry_after_ms"]
                    clock.advance(wait - 1)
                    early = wire.fields(*command)
                    assert (early["status"], early["retry_after_ms"]) == ("denied", 1), (n, command, answer, early)
                    clock.advance(1)
                    then = wire.fields(*command)
                    assert then["status"] == "granted", (n, command, answer, then)
                    answer = then
                elif answer["status"] == "denied":
                    assert answer["retry_after_ms"] == -1
                    told["never"] += 1
                    continue
                told["granted"] += 1
                open_.append(answer["id"])
    assert min(told.values()) > 100, told


def test_trap_8_retry_after_by_the_real_clock(lab):
    """On a clock that runs: asked again once the store's own clock says so, and granted at the first try."""
    store = lab.redis()
    server = lab.ration(config(store, pool=[limit("requests", 4, "500ms", slack_ms=0)],
                               tier=[limit("tokens", 1000, "second", burst=100)]))  # fmt: skip
    command = ("ACQUIRE", POOL, "acme", "tokens", 60)
    denied = 0
    with server.wire() as wire:
        for _ in range(12):
            answer = wire.fields(*command)
            if answer["status"] == "denied":
                denied += 1
                then = store.time_ms() + answer["retry_after_ms"]
                wait_until(lambda: store.time_ms() >= then, "the time that was told")
                assert wire.fields(*command)["status"] == "granted"
    assert denied > 3


# ---- 15: whose clock decides ----------------------------------------------------------------------------------------


def play(wire, clock, tenant):
    """A fixed piece; gives all that was answered but for the ids."""
    rng = random.Random(15)
    heard, open_ = [], []
    for _ in range(250):
        clock.advance(rng.choice([0, 10, 900, 15_000, 400_000]))
        answer = wire.fields("ACQUIRE", POOL, tenant, "tokens", rng.randrange(400), "TTL", 5000)
        if answer["status"] == "granted":
            open_.append(answer["id"])
        heard.append([value for name, value in answer.items() if name != "id"])
        if open_ and rng.random() < 0.5:
            heard.append(wire.fields("REPORT", open_.pop(0), "tokens", rng.randrange(500)))
        heard.append([row[-3:] for row in wire.call("PEEK", POOL, tenant)])
    return heard


@pytest.mark.parametrize("off", [HOUR, -HOUR, 40 * 24 * HOUR])
def test_trap_15_a_server_whose_clock_is_off_decides_the_same(lab, off):
    limits = [limit("tokens", 1000, "minute"), limit("requests", 30, "day", algorithm="calendar", time_zone="Asia/Tokyo"),
              limit("requests", 90, "month", algorithm="calendar"), limit("concurrent", 4)]  # fmt: skip
    heard = []
    for added in (0, off):
        clock, own = lab.clock(), lab.clock()
        own.run(added)
        settings = config(lab.redis(clock=clock), pool=limits, tier=[limit("tokens", 700, "minute")])
        server = lab.ration(settings, clock=own)
        with server.wire() as wire:
            heard.append(play(wire, clock, "acme"))
    assert heard[0] == heard[1]


def test_trap_15_servers_whose_clocks_disagree_share_one_truth(lab):
    clock = lab.clock()
    store = lab.redis(clock=clock)
    settings = config(store, pool=[limit("tokens", 1000, "minute"), limit("requests", 200, "day", algorithm="calendar")])
    servers = []
    for added in (HOUR, -HOUR, 0):
        own = lab.clock()
        own.run(added)
        servers.append(lab.ration(settings, clock=own))
    wires = [server.wire() for server in servers]
    for n in range(200):
        wire = wires[n % 3]
        assert wire.fields("ACQUIRE", POOL, "acme", "tokens", 5)["status"] == "granted"
        if n % 3 == 2:
            assert len({str(other.call("PEEK", POOL, "acme")) for other in wires}) == 1
    refused = [wire.fields("ACQUIRE", POOL, "acme", "tokens", 5) for wire in wires]
    assert len({(answer["status"], answer["retry_after_ms"]) for answer in refused}) == 1
    client_clock = lab.clock()
    client_clock.run(-HOUR)
    done = lab.tool(servers[0], "acquire", POOL, "acme", env=lab.clock_env(client_clock))
    assert done.returncode == 1, "the client's clock is nobody's business either"


def test_trap_15_store_time_that_steps_back_changes_nothing(lab):
    clock = lab.clock()
    store = lab.redis(clock=clock)
    pools = {
        "bucket": {"limits": [limit("tokens", 1000, "minute", algorithm="bucket")]},
        "rolling": {"limits": [limit("tokens", 1000, "minute")]},
        "calendar": {"limits": [limit("tokens", 1000, "day", algorithm="calendar")]},
        "slots": {"limits": [limit("concurrent", 2)]},
    }
    server = lab.ration(config(store, pools=pools))
    with server.wire() as wire:
        for pool in pools:
            assert wire.fields("ACQUIRE", pool, "acme", "tokens", 900)["status"] == "granted"
        clock.advance(12_000)
        for pool in ("bucket", "rolling", "calendar"):
            assert wire.fields("ACQUIRE", pool, "acme", "tokens", 50)["status"] == "granted"
        before = {pool: server.peek(pool, "acme") for pool in pools}
        now = clock.ms
        for back in (1, 500, HOUR, 26 * HOUR):
            clock.set(now - back)
            for pool in ("bucket", "rolling", "calendar"):
                then = [row | {"reset_ms": row["reset_ms"] + back, "ahead_ms": back} for row in before[pool]]
                assert server.peek(pool, "acme") == then, (pool, back)
                refused = wire.fields("ACQUIRE", pool, "acme", "tokens", 400)
                assert refused["status"] == "denied"
        clock.set(now - HOUR)
        held = wire.fields("ACQUIRE", "bucket", "acme", "tokens", 10)
        assert held["status"] == "granted"
        assert wire.fields("REPORT", held["id"], "tokens", 10)["status"] == "settled"
        clock.set(now)
        assert server.remaining("bucket", "acme", "pool", "tokens") == 250 - 10
        assert server.remaining("rolling", "acme", "pool", "tokens") == 50
        clock.set(now + 61_000)
        assert server.remaining("rolling", "acme", "pool", "tokens") == 1000
        assert server.remaining("slots", "acme", "pool", "concurrent") == 2


# ---- 18: functions that are gone ------------------------------------------------------------------------------------


def flush_functions(store):
    store.function_flush()


def flush_scripts(store):
    store.script_flush()


def fail_over(store):
    """What was a master takes no writes for a moment, and is then a master that has never heard of the functions."""
    store.replicaof("127.0.0.1", "1")
    store.replicaof("NO", "ONE")
    store.function_flush()


@pytest.mark.parametrize("disturb", [flush_functions, flush_scripts, fail_over])
def test_trap_18_functions_that_go_under_load(lab, disturb):
    """No error reaches a client, and nothing is charged twice."""
    clock = lab.clock()
    store = lab.redis(clock=clock)
    settings = config(store, tier=[limit("tokens", 6000, "day")])
    settings["store"]["timeout_ms"] = 20_000
    servers = [lab.ration(settings), lab.ration(settings)]
    load = Crowd([server.port for server in servers], POOL, costs=(1, 2), processes=4, connections=8)
    lab.on_close(load.kill)
    load.start()
    flushes = 0
    over = threading.Event()

    def flush():
        nonlocal flushes
        while not over.wait(0.06 if disturb is fail_over else 0.01):
            disturb(store.connection)
            flushes += 1

    flusher = threading.Thread(target=flush)
    flusher.start()
    wait_until(lambda: servers[0].remaining(POOL, "acme", "tenant", "tokens") == 0, "the limit to be used up", 60)
    over.set()
    flusher.join()
    total = load.stop()
    assert flushes > (1 if disturb is fail_over else 10)
    assert not total["errors"], total["errors"][:3]
    assert total["sum"] == 6000
    assert servers[1].audit(POOL)["tokens"]["granted"] == 6000


def test_trap_18_a_restarted_store(lab):
    store = lab.redis("--appendonly", "yes", "--appendfsync", "always")
    settings = config(store, tier=[limit("tokens", 100, "day")])
    settings["store"]["timeout_ms"] = 20_000
    server = lab.ration(settings)
    with server.wire() as wire:
        id_ = wire.fields("ACQUIRE", POOL, "acme", "tokens", 60)["id"]
        store.kill()
        store.restart()
        assert wire.fields("REPORT", id_, "tokens", 50) == {"status": "settled"}
        assert wire.fields("ACQUIRE", POOL, "acme", "tokens", 51)["status"] == "denied"
        assert all(row["balanced"] for row in server.audit().values())


def test_two_libraries_share_one_store(lab):
    """As servers of two releases do: neither harms the other's functions, and one that was deleted is loaded again."""
    store = lab.redis()
    server = lab.ration(config(store, tier=[limit("tokens", 100, "day")]))
    other = "#!lua name=ration_0123456789abcdef\nredis.register_function('ration_0123456789abcdef', function() return 'other' end)"
    store.connection.function_load(other)
    with server.wire() as wire:
        assert wire.fields("ACQUIRE", POOL, "acme", "tokens", 60)["status"] == "granted"
        assert lab.ration(config(store, tier=[limit("tokens", 100, "day")])).remaining(POOL, "acme", "tenant", "tokens") == 40
        names = {row[1] for row in store.connection.function_list("ration_*")}
        assert len(names) == 2 and "ration_0123456789abcdef" in names
        assert store.connection.fcall("ration_0123456789abcdef", 0) == "other"
        for name in names:
            store.connection.function_delete(name)
        assert wire.fields("ACQUIRE", POOL, "acme", "tokens", 41)["status"] == "denied"
        assert len(store.connection.function_list("ration_*")) == 1


# What README.md says that the store's user needs.
LEAST_RIGHTS = (
    "+info +select +scan +fcall +function|load +time +get +mget +set +del +pttl +pexpireat"
    " +hget +hset +hdel +hmget +hkeys +hgetall ~ration:*"
)


def test_the_least_rights_of_the_store_s_user(lab):
    store = lab.redis()
    assert LEAST_RIGHTS in (Path(__file__).parents[2] / "README.md").read_text().replace("\n  ", " ")
    store.connection.execute_command("ACL", "SETUSER", "quota", "on", ">secret", *LEAST_RIGHTS.split())
    settings = config(store, pool=[limit("tokens", 1000, "minute"), limit("concurrent", 5), limit("output_tokens", 900, "minute", counted="end")],
                      tier=[limit("tokens", 1000, "day"), limit("requests", 50, "day", algorithm="calendar")])  # fmt: skip
    settings["store"]["url"] = settings["store"]["url"].replace("redis+unix://", "redis+unix://quota:secret@")
    server = lab.ration(settings)
    with server.wire() as wire:
        ids = [wire.fields("ACQUIRE", POOL, "acme", "tokens", 60, "output_tokens", 50, *more)["id"] for more in ((), ("ID", "mine"), ())]
        assert wire.fields("RENEW", ids[0], "tokens", 5)["status"] == "granted"
        assert wire.fields("REPORT", ids[0], "tokens", 300, "STATUS", 500, "RETRY_AFTER", 1)["status"] == "settled"
        assert wire.fields("REPORT", ids[1], "tokens", 10)["status"] == "settled"
        assert wire.fields("CANCEL", ids[2])["status"] == "settled"
        wire.fields("POOL", "GET", POOL)
        wire.call("TENANT", "FORGIVE", "acme")
        assert server.remaining(POOL, "acme", "tenant", "tokens") == 690
    assert all(row["balanced"] for row in server.audit().values())
    assert "NOPERM" not in server.log()


def test_trap_19_a_store_that_may_evict_is_reported(lab):
    store = lab.redis("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    server = lab.ration(config(store, pool=WIDE))
    assert "evict" in server.log() or "maxmemory" in server.log()
    assert server.info()["store_warning"]
