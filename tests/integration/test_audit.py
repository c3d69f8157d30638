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
