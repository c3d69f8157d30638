"""The ledger: granted = reported + outstanding + expired + cancelled, whatever has happened."""
import json
import random

import pytest

from configs import POOL, config, limit
from wire import WireError

UNITS = ("requests", "tokens", "input_tokens", "output_tokens", "usd")
BOOK_SECOND = 1024


class Model:
    """What the ledger must say, kept by a test that knows every reservation."""

    def __init__(self):
        self.calls = {}  # id: [estimate by unit, deadline, state]
        self.used = dict.fromkeys(UNITS, 0)

    @staticmethod
    def deadline(now, ttl):
        k = 0
        while 64 * 2 ** (k + 1) <= ttl:
            k += 1
        width = 2**k if ttl >= 64 else 1
        return -(-(now + ttl) // width) * width

    def sums(self, now):
        ledger = {unit: dict(granted=0, reported=0, outstanding=0, expired=0, cancelled=0) for unit in UNITS}
        for estimate, deadline, state in self.calls.values():
            if state == "open":
                state = "expired" if deadline // BOOK_SECOND < now // BOOK_SECOND else "outstanding"
            for unit in UNITS:
                ledger[unit]["granted"] += estimate[unit]
                ledger[unit][state] += estimate[unit]
        return ledger


def amounts(**stated):
    cost = dict.fromkeys(UNITS, 0)
    cost.update(requests=1, **stated)
    cost["tokens"] = cost["input_tokens"] + cost["output_tokens"]
    return cost


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5, 6])
def test_the_ledger_balances_after_a_random_mix(lab, seed):
    """With odd seeds the pool has a daily limit, so its ledger is kept all the time and must match
    what the test knows; with even seeds an idle pool is sometimes forgotten, and its new ledger
    must balance."""
    clock = lab.clock()
    kept = seed % 2 == 1
    of_a_day = [limit("requests", 10**6, "day")] if kept else []
    settings = config(lab.redis(clock=clock), pool=[limit("tokens", 20_000, "minute"), limit("concurrent", 60), *of_a_day],
                      tier=[limit("tokens", 9000, "minute"), limit("usd", 10**6, "day", algorithm="calendar")])  # fmt: skip
    servers = [lab.ration(settings), lab.ration(settings)]
    wires = [server.wire() for server in servers]
    rng, model, seen = random.Random(seed), Model(), set()
    for n in range(900):
        wire = rng.choice(wires)
        open_ = [id_ for id_, call in model.calls.items() if call[2] == "open"]
        turn = rng.random()
        if turn < 0.4 or not open_:
            cost = amounts(input_tokens=rng.randrange(400), output_tokens=rng.randrange(400), usd=rng.randrange(50))
            ttl = rng.choice([100, 1000, 5000, 60_000])
            more = ("ID", f"call-{n}") if rng.random() < 0.3 else ()
            answer = wire.fields("ACQUIRE", POOL, rng.choice("abc"), "input_tokens", cost["input_tokens"],
                                 "output_tokens", cost["output_tokens"], "usd", cost["usd"], "TTL", ttl, *more)  # fmt: skip
            seen.add(answer["status"])
            if answer["status"] == "granted":
                model.calls[answer["id"]] = [cost, model.deadline(clock.ms, ttl), "open"]
        elif turn < 0.6:
            id_ = rng.choice(open_)
            used = amounts(input_tokens=rng.randrange(600), output_tokens=rng.randrange(600), usd=rng.randrange(90))
            answer = wire.fields("REPORT", id_, "input_tokens", used["input_tokens"], "output_tokens",
                                 used["output_tokens"], "usd", used["usd"])  # fmt: skip
            if isinstance(answer, WireError):
                assert answer.word == "NOSUCH"
                assert clock.ms > model.calls[id_][1] + 60_000, "only calls that ended long ago are forgotten"
                seen.add("forgotten")
                continue
            late = clock.ms >= model.calls[id_][1]
            assert answer["status"] == ("late" if late else "settled")
            seen.add(answer["status"])
            model.calls[id_][2] = "reported"
            for unit in UNITS:
                model.used[unit] += used[unit]
        elif turn < 0.7:
            id_ = rng.choice(open_)
            answer = wire.fields("CANCEL", id_)
            if not isinstance(answer, WireError):
                model.calls[id_][2] = "cancelled"
                seen.add("cancelled")
        elif turn < 0.8:
            id_ = rng.choice(open_)
            more, ttl = rng.randrange(100), rng.choice([100, 8000])
            answer = wire.fields("RENEW", id_, "TTL", ttl, "input_tokens", more)
            if not isinstance(answer, WireError) and answer["status"] == "granted":
                call = model.calls[id_]
                call[0] = dict(call[0], input_tokens=call[0]["input_tokens"] + more, tokens=call[0]["tokens"] + more)
                call[0]["requests"] = 1
                call[1] = max(call[1], model.deadline(clock.ms, ttl))
                seen.add("renewed")
        elif turn < 0.85:
            settled = [id_ for id_, call in model.calls.items() if call[2] in ("reported", "cancelled")]
            if settled:
                answer = wire.fields(rng.choice(["REPORT", "CANCEL"]), rng.choice(settled))
                assert isinstance(answer, WireError) or answer["status"] == "duplicate"
                seen.add("duplicate")
        else:
            clock.advance(rng.choice([1, 50, 700, 4000]) if rng.random() < 0.9 else rng.choice([30_000, 130_000]))
        if n % 30 == 29:
            check(servers[n // 30 % 2], model if kept else None, clock.ms)
    check(servers[0], model if kept else None, clock.ms)
    assert {"granted", "denied", "settled", "late", "cancelled", "renewed", "duplicate"} <= seen, seen


def check(server, model, now):
    ledger = server.audit(POOL)
    for row in ledger.values():
        assert row["balanced"] == 1, row
        assert row["scanned"] == row["outstanding"], row
    if model is None:
        return
    expected = model.sums(now)
    for unit, row in ledger.items():
        assert {name: row[name] for name in expected[unit]} == expected[unit], unit
        if unit != "requests":
            assert row["used"] == model.used[unit], unit


def test_the_tool_shows_the_ledger_and_says_whether_it_balances(lab):
    clock = lab.clock()
    store = lab.redis(clock=clock)
    server = lab.ration(config(store, pools={"a": {"limits": [limit("tokens", 1000, "day")]},
                                             "b": {"limits": [limit("tokens", 1000, "day")], "domain": "second"}}))  # fmt: skip
    empty = lab.tool(server, "audit")
    assert empty.returncode == 0 and "balanced" in empty.stdout
    with server.wire() as wire:
        for pool in "ab":
            for n in range(4):
                id_ = wire.fields("ACQUIRE", pool, "acme", "tokens", 10, "TTL", 100 if n == 3 else 60_000)["id"]
                if n < 2:
                    wire.call("REPORT" if n else "CANCEL", id_)
    clock.advance(2048)
    done = lab.tool(server, "audit", "--json")
    assert done.returncode == 0, done
    ledger = json.loads(done.stdout)
    assert ledger["balanced"] is True
    tokens = [row for row in ledger["rows"] if row["unit"] == "tokens"]
    assert [row["pool"] for row in tokens] == ["a", "b"]
    for row in tokens:
        assert (row["granted"], row["reported"], row["outstanding"], row["expired"], row["cancelled"], row["scanned"]) == (
            40, 10, 10, 10, 10, 10,
        )  # fmt: skip
    assert lab.tool(server, "audit", "nosuch").returncode == 2
    # A reservation removed behind Ration's back is noticed.
    gone = [key for key in store.connection.keys("*:r:*")]
    store.connection.delete(*gone)
    wrong = lab.tool(server, "audit", "b")
    assert wrong.returncode == 1 and "NOT" in wrong.stdout, wrong


def pool_hash(name):
    """The 20 bits by which a reservation's record tells its pool: FNV-1a, and the finisher of MurmurHash3."""
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        h = (h ^ h >> 33) * factor % 2**64
    return (h ^ h >> 33) >> 44


POOLS = 3000


@pytest.fixture
def many_pools(lab):
    """So many pools, two of which cannot be told by the hash, in two domains; each has a reservation of 10 n tokens."""
    names, by_hash = [f"p{n}" for n in range(POOLS - 2)], {}
    for n in range(10**6):
        twin = by_hash.setdefault(pool_hash(f"twin{n}"), n)
        if twin != n:
            names += [f"twin{twin}", f"twin{n}"]
            break
    pools = {name: {"limits": [limit("tokens", 10**9, "day")]} for name in names}
    for name in names[::5]:
        pools[name]["domain"] = "second"
    for twin in names[-2:]:
        pools[twin]["domain"] = "third"
    clock = lab.clock()
    store = lab.redis(clock=clock)
    server = lab.ration(config(store, pools=pools))
    with server.wire() as wire:
        for first in range(0, POOLS, 500):
            for n in range(first, first + 500):
                wire.send("ACQUIRE", names[n], "acme", "tokens", 10 * n, "TTL", 60_000 if n % 3 else 2000)
            assert all(wire.read()[1] == "granted" for _ in range(500))
    clock.advance(4096)
    return server, store.connection, names


def expected(n):
    """outstanding, expired of pool n."""
    return (10 * n, 0) if n % 3 else (0, 10 * n)


def test_an_audit_of_thousands_of_pools_comes_in_parts(lab, many_pools):
    server, _, names = many_pools
    done = lab.tool(server, "audit", "--json", "--timeout", 2000)
    assert done.returncode == 0, done
    tokens = {row["pool"]: row for row in json.loads(done.stdout)["rows"] if row["unit"] == "tokens"}
    assert list(tokens) == [name for n, name in enumerate(names) if n > 0]
    for n, name in enumerate(names[1:], 1):
        row = tokens[name]
        assert (row["outstanding"], row["expired"]) == expected(n) and row["scanned"] == row["outstanding"], row
        assert row["granted"] == 10 * n and row["balanced"], row
    with server.wire() as wire:
        answer = wire.call("AUDIT")
        assert isinstance(answer, WireError) and "WAIT" in str(answer)
        part, rows = wire.fields("AUDIT", "WAIT", 0), 0
        first = part["audit"]
        assert len(first) == 16 and part["percent"] < 100 and part["rows"] == []
        with server.wire() as other:
            assert isinstance(other.call("AUDIT", "CONTINUE", "0" * 16, "WAIT", 0), WireError)
        while part["audit"]:
            assert part["audit"] == first
            part = wire.fields("AUDIT", "CONTINUE", first, "WAIT", 10_000)
            assert part["percent"] == 100 and len(part["rows"]) <= 1000
            rows += len(part["rows"])
        assert rows == 4 * POOLS - 3  # the first one has no tokens
        assert wire.call("AUDIT", "CONTINUE", first, "WAIT", 0).word == "NOSUCH"
        for wrong in (("AUDIT", "WAIT", "x"), ("AUDIT", "p1", "HURRY", 1), ("AUDIT", "p1", "p2", "WAIT", 1), ("AUDIT", "WAIT", -1)):
            assert wire.call(*wrong).word == "ERR", wrong


def test_pools_that_share_a_hash_are_told_apart_by_their_ledgers(lab, many_pools):
    server, store, names = many_pools
    for n in (POOLS - 2, POOLS - 1):
        row = server.audit(names[n])["tokens"]
        assert row["balanced"] and row["scanned"] == row["outstanding"] == expected(n)[0], row
    # What is missing is missing in both.
    store.delete(*store.keys("ration:{third}:r:*"))
    assert [server.audit(name)["tokens"]["balanced"] for name in names[-2:]] == [0, 0]
    assert server.audit(names[1])["tokens"]["balanced"] == 1
