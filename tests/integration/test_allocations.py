"""A request allocates nothing once buffers have grown: the rest is hiredis', for each batch."""
import mmap
import struct

import pytest

from configs import POOL, config, limit
from processes import program
from wire import as_fields, encode

WIDE_ROLLING = [limit("requests", 10**9, "minute"), limit("tokens", 10**12, "minute")]
WIDE_BUCKETS = [limit("requests", 10**6, "minute", burst=10**9), limit("tokens", 10**9, "minute", burst=10**12)]
CONNECTIONS, PIPELINED, ROUNDS = 8, 64, 6
A_BATCH = 5  # hiredis 0.14: its reply, the reply's text, the callback, and twice its output buffer
ELSEWHERE = 40  # INFO, timers


class Counted:
    """A rationd whose allocations are counted."""

    def __init__(self, lab, tier):
        path = lab.folder / "allocations"
        path.write_bytes(struct.pack("Q", 0))
        with open(program("rationd"), "rb") as file:
            text = file.read()
        sanitized = ["-DSANITIZED"] if b"__asan_init" in text or b"__tsan_init" in text else []
        env = dict(lab.preload("allocations.c", *sanitized), TEST_ALLOCATIONS_FILE=str(path))
        self.server = lab.ration(config(lab.redis(), pool=WIDE_ROLLING, tier=tier, threads=1), env=env)
        with open(path, "rb") as file:
            self.map = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)
        self.wires = [self.server.wire() for _ in range(CONNECTIONS)]
        for end in (self.map.close, *(wire.close for wire in self.wires)):
            lab.on_close(end)

    def allocations(self):
        return struct.unpack("Q", self.map[:8])[0]

    def round(self, commands_of):
        """Sends a pipeline on each connection before reading any answer; returns them all."""
        pipelines = [commands_of(number) for number in range(CONNECTIONS)]
        for wire, commands in zip(self.wires, pipelines):
            wire.send_bytes(b"".join(encode(*command) for command in commands))
        return [[wire.read() for _ in commands] for wire, commands in zip(self.wires, pipelines)]


def acquires_of_many(number):
    return [("ACQUIRE", POOL, f"t{number * PIPELINED + i}", "tokens", 500) for i in range(PIPELINED)]


def acquires_of_one(_):
    return [("ACQUIRE", POOL, "hot", "tokens", 500)] * PIPELINED


def measure(counted, play):
    """How many allocations some rounds made, and how many their batches may. play() plays one round
    and returns its number of requests."""
    batches, before = int(counted.server.info()["batches"]), counted.allocations()
    requests = sum(play() for _ in range(ROUNDS))
    made, batches = counted.allocations() - before, int(counted.server.info()["batches"]) - batches
    print(f"{requests} requests in {batches} batches: {made} allocations")
    allowed = A_BATCH * batches + ELSEWHERE
    assert allowed < requests / 2, "too few requests per batch to tell"
    assert made >= batches > 0, "the counter does not count"
    return made, allowed


def check(counted, play):
    """Buffers grow in the first rounds, then with each batch that is the largest so far."""
    found = [measure(counted, play)]
    while found[-1][0] > found[-1][1] and len(found) < 6:
        found.append(measure(counted, play))
    assert found[-1][0] <= found[-1][1], found


@pytest.mark.parametrize("commands_of", (acquires_of_many, acquires_of_one))
def test_requests_allocate_nothing(lab, commands_of):
    counted = Counted(lab, WIDE_BUCKETS)

    def play():
        replies = [reply for replies in counted.round(commands_of) for reply in replies]
        assert all(as_fields(reply)["status"] == "granted" for reply in replies)
        return len(replies)

    check(counted, play)


def test_refused_requests_allocate_nothing(lab):
    counted = Counted(lab, [limit("requests", 1, "day")])

    def play():
        replies = [reply for replies in counted.round(acquires_of_one) for reply in replies]
        assert sum(as_fields(reply)["status"] == "denied" for reply in replies) >= len(replies) - 1
        return len(replies)

    check(counted, play)


@pytest.mark.parametrize("word", ("REPORT", "RENEW", "CANCEL"))
def test_what_follows_an_acquire_allocates_nothing(lab, word):
    counted = Counted(lab, WIDE_BUCKETS)
    more = {"REPORT": ("tokens", 400), "RENEW": ("tokens", 10), "CANCEL": ()}[word]

    def play():
        ids = [[as_fields(reply)["id"] for reply in replies] for replies in counted.round(acquires_of_many)]
        replies = counted.round(lambda number: [(word, one, *more) for one in ids[number]])
        expected = "granted" if word == "RENEW" else "settled"
        assert all(as_fields(reply)["status"] == expected for some in replies for reply in some)
        return 2 * CONNECTIONS * PIPELINED

    check(counted, play)
