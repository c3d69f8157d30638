"""A private redis-server for the tests of the script alone."""

import os
import subprocess
import time

import packing
import pytest
import redis


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """A client of a redis-server that this session alone uses."""
    folder = tmp_path_factory.mktemp("store")
    path, log = folder / "s", folder / "log"
    with open(log, "wb") as out:
        server = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "no", "--dir", str(folder),
             "--enable-debug-command", "yes"], stdout=out, stderr=out)
    try:
        client = redis.Redis(unix_socket_path=str(path))
        deadline = time.monotonic() + 20
        while True:
            try:
                client.ping()
                break
            except redis.exceptions.ConnectionError:
                assert server.poll() is None and time.monotonic() < deadline, log.read_text()
        yield client
        client.close()
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture
def clean_store(store):
    store.flushall()
    return store
