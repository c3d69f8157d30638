"""Keys that something else has written: whatever is in them, a batch that fails has written nothing."""

import random
import struct

import packing
import pytest
import redis
from packing import (ACQUIRE, BUCKET, CALENDAR, CANCEL, CONCURRENT, GRANTED, IN_FLIGHT, OUTPUT, PEEK, RENEW, REPORT, REQUESTS, ROLLING,
                     TOKENS, Breaker, Bucket, Feedback, Limit, Op)

DAY = 86_400_000
NOON = 2_300_000_000_000 // DAY * DAY + DAY // 2
BOUNDS = (NOON - DAY // 2, NOON + DAY // 2, NOON + DAY * 3 // 2)
TYPES = {
    "string": lambda client, key: client.set(key, "x"),
    "list": lambda client, key: client.rpush(key, "x"),
    "hash": lambda client, key: client.hset(key, "x", "y"),
    "set": lambda client, key: client.sadd(key, "x"),
}


class Place:
    """Two pools with everything that has a key, and their tenants. `send` gives the answers, or the error."""

    def __init__(self, client):
        self.client, self.name, self.at, self.n = client, packing.load_with_clock(client), NOON, 0
        self.buckets = {}
        for i in "12":
            self.buckets[f"p{i}"] = Bucket(f"{{u}}p{i}", [
                Limit(REQUESTS, ROLLING, 10**6), Limit(OUTPUT, BUCKET, 10**6, at_end=True), Limit(IN_FLIGHT, CONCURRENT, 10**4, 0),
                Limit(TOKENS, CALENDAR, 10**9, DAY, bounds=BOUNDS)], ledger=True, breaker=Breaker(0.5, 1))
            self.buckets[f"t{i}"] = Bucket(f"{{u}}t{i}", [Limit(TOKENS, BUCKET, 10**6), Limit(REQUESTS, BUCKET, 10**6, DAY)])
            self.buckets[f"i{i}"] = Bucket(f"{{u}}i{i}", [Limit(TOKENS, ROLLING, 10**6), Limit(IN_FLIGHT, CONCURRENT, 100, 0)])
        self.live = []

    def acquire(self, i, slice):
        self.n += 1
        return Op(ACQUIRE, [f"p{i}", f"t{i}", f"i{i}"], (1, 30, 0, 20, 0, 1), slice=f"{{u}}r{slice}", nonce=self.n.to_bytes(8, "big"),
                  estimates=f"{{u}}e{i}", stated=8, ttl=60_000)

    def send(self, ops):
        keys, argument = packing.pack_batch(self.buckets, ops)
        try:
            raw = self.client.fcall(self.name, len(keys), *keys, argument, self.at)
        except redis.exceptions.ResponseError as error:
            return error
        try:
            answers = packing.unpack_answer(raw)[3]
        except (UnicodeDecodeError, struct.error):
            return []  # rubbish that could be read is in the answer; the server does not believe it
        for o, a in zip(ops, answers):
            if o.kind == ACQUIRE and a.outcome == GRANTED:
                self.live.append(o)
        return answers

    def some(self, r):
        """A batch of all sorts, for both pools and three slices."""
        ops = [self.acquire(r.choice("12"), r.randrange(3)) for _ in range(r.randint(1, 6))]
        for o in r.sample(self.live, min(len(self.live), r.randint(0, 6))):
            kind = r.choice((REPORT, REPORT, CANCEL, RENEW, PEEK))
            feedback = Feedback(r.random() < 0.5, seen=[(REQUESTS, 60_000, 10**6, 999_000)]) if kind == REPORT else None
            ops.append(o.change(kind=kind, cost=(0, 10, 0, 5, 0, 0) if kind != CANCEL else (0,) * 6, stated=10 if kind == REPORT else 0,
                                feedback=feedback, estimates=o.estimates if kind == REPORT else None))
        r.shuffle(ops)
        return ops


@pytest.fixture
def place(clean_store):
    return Place(clean_store)


def damage(r, client, key):
    """Another type, rubbish, or what was there with something wrong about it."""
    raw = client.dump(key)
    kind = client.type(key).decode()
    old = client.get(key) if kind == "string" else None
    how = r.randrange(5)
    if kind == "hash" and how < 2:
        field = r.choice(client.hkeys(key))
        client.hset(key, field, r.choice((b"", b"x", r.randbytes(r.randint(1, 40)), client.hget(key, field)[:r.randint(0, 20)])))
    elif old and how == 2:
        at = r.randrange(len(old))
        client.set(key, old[:at] + r.randbytes(1) + old[at + 1:], keepttl=True)
    elif old and how == 0:
        client.set(key, old[:r.randrange(len(old))], keepttl=True)
    elif old and how == 1:
        client.set(key, old[:1] + r.randbytes(r.choice((3, 15, len(old), 400))), keepttl=True)
    else:
        client.delete(key)
        r.choice(list(TYPES.values()))(client, key)
    return raw


def test_a_batch_that_fails_has_written_nothing(place):
    """Each kind of key is damaged in turn, in all sorts of ways, and a batch is sent that uses it along with others."""
    r, client, failed, clean = random.Random(11), place.client, {}, 0
    for _ in range(900):
        place.at += r.choice((1, 40, 700, 2000))
        place.send(place.some(r))
        place.live = place.live[-30:]
        key = r.choice(client.keys("{u}*")).decode()
        raw, ttl = damage(r, client, key), client.pttl(key)
        before = client.execute_command("DEBUG", "DIGEST")
        got = place.send(place.some(r))
        if isinstance(got, Exception):
            assert client.execute_command("DEBUG", "DIGEST") == before, f"{key}: {got}"
            kind = key[3] if not key.endswith(("+s", ":k")) else key[-1]
            failed[kind] = failed.get(kind, 0) + 1
        else:
            clean += 1
        # Whatever it was, it is well again as soon as the key is.
        client.delete(key)
        if raw is not None:
            client.restore(key, max(ttl, 0), raw)
        if not isinstance(got, Exception):
            client.flushall()
            place.name, place.live = packing.load_with_clock(client), []
        again = place.send([place.acquire("1", 0), place.acquire("2", 0)])
        assert not isinstance(again, Exception), f"{key}: {again}"
    assert all(failed.get(kind, 0) >= 3 for kind in "ptisker"), failed
    assert clean > 0


HASHES = ("p2+s", "i2+s", "r2")


@pytest.mark.parametrize("key, kind", [(key, kind) for key in HASHES for kind in TYPES if kind != "hash"])
def test_only_who_uses_the_key_is_refused(place, key, kind):
    """Nothing of ours is there: the script has to look before it writes."""
    if key.endswith("+s"):  # without levels slots are of no use, and go
        place.send([place.acquire("2", 0)])
        place.client.delete(f"{{u}}{key}")
    TYPES[kind](place.client, f"{{u}}{key}")
    first, well = place.acquire("2", 1), place.acquire("1", 0)
    before = place.client.execute_command("DEBUG", "DIGEST")
    got = place.send([well, first, place.acquire("2", 2)])
    assert isinstance(got, Exception) and "WRONGTYPE" in str(got), got
    assert place.client.execute_command("DEBUG", "DIGEST") == before
    assert [a.outcome for a in place.send([well])] == [GRANTED]
    assert place.client.type(f"{{u}}{key}").decode() == kind


def test_slots_that_are_written_and_not_read_are_looked_at(place):
    """The ledger's latest second moves into the slots when a later one begins, and a rolling limit's open slot likewise."""
    place.buckets["p2"] = Bucket("{u}p2", [Limit(REQUESTS, ROLLING, 10**6, DAY)], ledger=True)
    for ttl, step in ((1000, 0), (1000, DAY // 120)):
        place.at += step
        place.send([place.acquire("2", 0).change(buckets=["p2"], estimates=None, ttl=ttl)])
        place.client.delete("{u}p2+s")
        place.client.set("{u}p2+s", "x")
        before = place.client.execute_command("DEBUG", "DIGEST")
        got = place.send([place.acquire("1", 0), place.acquire("2", 0).change(buckets=["p2"], estimates=None, ttl=600_000)])
        assert "WRONGTYPE" in str(got)
        assert place.client.execute_command("DEBUG", "DIGEST") == before
        place.client.delete("{u}p2+s")


@pytest.mark.parametrize("kind", [kind for kind in TYPES if kind != "string"])
@pytest.mark.parametrize("key", ["p2", "t2", "i2"])
def test_levels_of_another_type_are_as_good_as_none(place, key, kind):
    """To look for them would cost every bucket that is new; what has taken the key's place is replaced."""
    TYPES[kind](place.client, f"{{u}}{key}")
    assert [a.outcome for a in place.send([place.acquire("2", 0), place.acquire("1", 0)])] == [GRANTED, GRANTED]
    assert place.client.type(f"{{u}}{key}") == b"string"
