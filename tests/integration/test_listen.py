"""Clients on the same host: rationd's unix socket, in addition to its address."""
import signal
import socket

import pytest
import redis

from configs import POOL, config, limit
from processes import program
from waiting import wait_until
from wire import Wire


@pytest.fixture
def path(lab):
    return lab.folder / "ration.sock"


def settings(lab, path, **more):
    listen = {"resp": "127.0.0.1:0", "http": None, "unix": str(path)}
    return config(lab.redis(), tier=[limit("requests", 1000, "day")], listen=listen, **more)


def refused(lab, path):
    """The log of a server that does not start."""
    server = lab.ration(settings(lab, path), wait=False)
    assert server.child.wait(20) == 1
    server.killed = True  # it has ended, with a status other than 0
    return server.log()


def ask(path):
    with Wire(None, path=str(path)) as wire:
        return wire.fields("ACQUIRE", POOL, "acme")["status"]


@pytest.mark.parametrize("threads", (1, 4))
def test_the_path_and_the_address_are_one_server(lab, path, threads):
    server = lab.ration(settings(lab, path, threads=threads))
    assert f"unix={path}" in server.log()
    for _ in range(40):  # through any worker
        assert ask(path) == "granted"
    with server.wire() as wire:
        assert wire.fields("ACQUIRE", POOL, "acme")["status"] == "granted"
    assert redis.Redis(unix_socket_path=str(path)).ping()
    assert server.remaining(POOL, "acme", "tenant", "requests") == 1000 - 41
    tool = lab.run(program("ration"), "--server", f"unix:{path}", "acquire", POOL, "acme")
    assert tool.returncode == 0 and f"acme@{POOL}" in tool.stdout, tool.stdout + tool.stderr


def test_the_path_goes_with_the_server(lab, path):
    server = lab.ration(settings(lab, path, threads=2))
    with Wire(None, path=str(path)) as wire:
        wire.call("PING")
        server.signal(signal.SIGTERM)
        wait_until(lambda: not path.exists(), "the path to be gone")
        assert wire.at_end()
    server.child.wait(20)
    assert server.child.returncode == 0


def test_what_a_killed_server_left_is_replaced(lab, path):
    first = lab.ration(settings(lab, path))
    first.kill()
    assert path.exists()
    lab.ration(settings(lab, path))
    assert ask(path) == "granted"


def test_one_of_several_servers_that_start_at_once_gets_the_path(lab, path):
    """Each finds a stale socket, and must not take a socket that another has just made."""
    shared = settings(lab, path)
    for _ in range(4):
        lab.ration(shared).kill()
        servers = [lab.ration(shared, env=lab.preload("slow_listen.c"), wait=False) for _ in range(6)]
        wait_until(lambda: sum(one.child.poll() is None for one in servers) == 1, "all but one to end", 20)
        for one in servers:
            if one.child.poll() is not None:
                assert one.child.returncode == 1 and f"{path} is in use" in one.log()
                one.killed = True
            else:
                one.wait_ready()
                assert ask(path) == "granted"
                one.kill()


def test_a_path_in_use_is_refused(lab, path):
    lab.ration(settings(lab, path))
    log = refused(lab, path)
    assert f"{path} is in use" in log and "listen.unix" in log
    assert ask(path) == "granted", "the first goes on"


def test_a_file_is_not_taken_for_a_socket(lab, path):
    path.write_text("mine")
    assert "is in use" in refused(lab, path)
    assert path.read_text() == "mine"


def test_a_missing_folder_is_named(lab):
    log = refused(lab, lab.folder / "nowhere" / "ration.sock")
    assert "No such file or directory" in log and "listen.unix" in log


def test_rubbish_from_a_peer_without_an_address_is_logged(lab, path):
    server = lab.ration(settings(lab, path))
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
        s.sendall(b"\x16\x03\x01\x02\x00")
        s.settimeout(20)
        assert s.recv(1000).startswith(b"-ERR these bytes are not RESP")
    wait_until(lambda: "peer=unix" in server.log(), "the log")
