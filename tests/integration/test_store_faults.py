"""What may happen to a store: lost functions, restarts, failovers, least rights, eviction."""
import threading
from pathlib import Path

import pytest

from configs import POOL, WIDE, config, limit
from crowd import Crowd
from waiting import wait_until


def flush_functions(store):
    store.function_flush()


def flush_scripts(store):
    store.script_flush()


def fail_over(store):
    """A master refuses writes for a moment and is then a master without the functions."""
    store.replicaof("127.0.0.1", "1")
    store.replicaof("NO", "ONE")
    store.function_flush()


@pytest.mark.parametrize("disturb", [flush_functions, flush_scripts, fail_over])
def test_functions_that_go_under_load(lab, disturb):
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


def test_a_restarted_store(lab):
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
    """Like servers of two releases: neither harms the other's functions; lost ones are reloaded."""
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


# The rights that the store's user needs according to README.md.
LEAST_RIGHTS = (
    "+info +select +scan +fcall +function|load +time +get +mget +set +del +pttl +pexpireat"
    " +hget +hset +hdel +hlen +hmget +hkeys +hgetall ~ration:*"
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


def test_a_store_that_may_evict_is_reported(lab):
    store = lab.redis("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    server = lab.ration(config(store, pool=WIDE))
    assert "evict" in server.log() or "maxmemory" in server.log()
    assert server.info()["store_warning"]
