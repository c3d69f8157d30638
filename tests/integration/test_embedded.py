"""The embedded store: one binary is a working service."""
import os
import re
import signal
import socket
import stat

import redis

from configs import POOL, config, limit
from processes import program
from waiting import wait_until
from wire import Wire, WireError, as_rows


def embedded(**more):
    return config("embedded", tier=[limit("tokens", 1000, "day")], **more)


def store_pid(server):
    return int(server.wait_for_log(r"embedded store started .*pid=(\d+)").group(1))


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def default_port_is_free():
    """rationd without a configuration uses its well-known port, which may be in use just now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 7420))
        except OSError:
            return False
    return True


def test_without_any_configuration(lab):
    wait_until(default_port_is_free, "port 7420 to be free", 120)
    server = lab.ration(None)
    assert server.port == 7420
    with Wire(7420) as wire:
        answer = wire.fields("ACQUIRE", POOL, "acme", "tokens", 500)
        assert (answer["status"], answer["mode"]) == ("granted", "exact")
        assert wire.fields("REPORT", answer["id"], "tokens", 321) == {"status": "settled"}
        scopes = [(row["scope"], row["unit"], row["per"], row["limit"]) for row in as_rows(wire.call("PEEK", POOL, "acme"))]
        assert scopes == [
            (f"pool:{POOL}", "requests", "minute", 500), (f"pool:{POOL}", "tokens", "minute", 30_000),
            (f"pool:{POOL}", "requests", "day", 10_000),
            ("tenant:acme", "requests", "minute", 50), ("tenant:acme", "tokens", "minute", 50_000),
        ]  # fmt: skip
        assert wire.fields("TENANT", "GET", "anybody")["tier"] == "free"
        assert wire.fields("TENANT", "GET", "globex")["tier"] == "enterprise"
    pid = store_pid(server)
    assert server.stop() == 0
    assert not alive(pid), "its store ends with it"


def test_a_restart_keeps_the_state(lab):
    first = lab.ration(embedded())
    with first.wire() as wire:
        id_ = wire.fields("ACQUIRE", POOL, "acme", "tokens", 600)["id"]
    state = lab.folder / f"{first.name}-state"
    assert stat.S_IMODE(state.stat().st_mode) & 0o077 == 0, "nobody else can read the state"
    assert first.stop() == 0
    second = lab.ration(embedded(), "--state", state)
    with second.wire() as wire:
        assert wire.fields("ACQUIRE", POOL, "acme", "tokens", 402)["status"] == "denied"
        assert wire.fields("REPORT", id_, "tokens", 100) == {"status": "settled"}
        assert wire.fields("ACQUIRE", POOL, "acme", "tokens", 900)["status"] == "granted"
    assert all(row["balanced"] for row in second.audit().values())


def test_kill_9_leaves_no_store_behind_and_the_next_start_works(lab):
    first = lab.ration(embedded())
    with first.wire() as wire:
        assert wire.fields("ACQUIRE", POOL, "acme", "tokens", 600)["status"] == "granted"
    pid = store_pid(first)
    # The store writes its file once a second; even the latest grant is in it if the store ends
    # properly.
    first.kill()
    wait_until(lambda: not alive(pid), "the store to end with its rationd", 20)
    second = lab.ration(embedded(), "--state", lab.folder / f"{first.name}-state")
    with second.wire() as wire:
        assert wire.fields("ACQUIRE", POOL, "acme", "tokens", 402)["status"] == "denied"


def test_a_store_that_dies_is_restarted(lab):
    settings = embedded()
    settings["store"]["timeout_ms"] = 20_000
    server = lab.ration(settings)
    pid = store_pid(server)
    with server.wire() as wire:
        assert wire.fields("ACQUIRE", POOL, "acme", "tokens", 100)["status"] == "granted"
        os.kill(pid, signal.SIGKILL)
        answer = wire.fields("ACQUIRE", POOL, "acme", "tokens", 100)
        assert not isinstance(answer, WireError) and answer["status"] == "granted"
    assert "it will be started again" in server.log()
    pids = re.findall(r"embedded store started .*pid=(\d+)", server.log())
    assert len(pids) == 2 and alive(int(pids[1]))


def test_the_store_is_private_and_never_evicts(lab):
    server = lab.ration(embedded())
    state = lab.folder / f"{server.name}-state"
    sock = next(state.rglob("*.sock"))
    assert stat.S_IMODE(sock.stat().st_mode) & 0o077 == 0
    store = redis.Redis(unix_socket_path=str(sock), decode_responses=True)
    assert store.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
    assert store.config_get("appendonly")["appendonly"] == "yes"
    assert store.config_get("port")["port"] == "0"
    store.close()


def test_a_missing_redis_server_is_one_clear_message(lab):
    server = lab.ration(embedded(), env={"PATH": "/nonexistent"}, wait=False)
    assert server.child.wait(20) == 1
    server.killed = True
    wrong = [line for line in server.log().splitlines() if " error " in line]
    assert len(wrong) == 1, server.log()
    assert "redis-server" in wrong[0] and "install" in wrong[0] and "store.url" in wrong[0], wrong


def test_one_state_directory_has_one_owner(lab):
    first = lab.ration(embedded())
    second = lab.ration(embedded(), "--state", lab.folder / f"{first.name}-state", wait=False)
    assert second.child.wait(20) == 1
    second.killed = True
    assert str(first.pid) in second.log(), "it says who owns it"
    with first.wire() as wire:
        assert wire.fields("ACQUIRE", POOL, "acme")["status"] == "granted"


def test_a_state_directory_that_cannot_be_made(lab):
    (lab.folder / "file").write_text("")
    done = lab.run(program("rationd"), "--state", lab.folder / "file" / "below")
    assert done.returncode == 1 and "file/below" in done.stderr


def test_the_length_of_the_state_directory_does_not_matter(lab):
    deep = lab.folder / ("d" * 100) / ("e" * 100)
    server = lab.ration(embedded(), "--state", deep)
    with server.wire() as wire:
        assert wire.fields("ACQUIRE", POOL, "acme")["status"] == "granted"
