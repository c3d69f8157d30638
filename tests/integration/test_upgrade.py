"""A store that an older release has written: read, counted on, and written anew when it is next changed.

data/levels_3.json is such a store, dumped key by key from under the release before (levels of format 3, slots under the levels'
name): what it was asked, and what it showed of it then.
"""
import base64
import json
import pathlib

import pytest

from configs import limit

HERE = pathlib.Path(__file__).parent
HOUR = 3_600_000
POOLS = {
    "p": {"limits": [limit("requests", 1000, "minute"), limit("tokens", 50_000, "hour", algorithm="bucket"),
                     limit("output_tokens", 9000, "minute", counted="end"), limit("concurrent", 20),
                     limit("usd", 10**6, "day", algorithm="calendar")]},
    "q": {"limits": [limit("tokens", 10_000, "minute")]},
}  # fmt: skip
TIERS = {"all": {"limits": [limit("tokens", 20_000, "hour", algorithm="bucket"), limit("requests", 500, "day")],
                 "in_pool": {"p": [limit("output_tokens", 4000, "minute", counted="end")]}}}  # fmt: skip


def settings(url):
    return {"listen": {"resp": "127.0.0.1:0", "http": None}, "store": {"url": url}, "pools": POOLS, "tiers": TIERS, "tenants": {},
            "default_tier": "all", "on_outage": "deny"}  # fmt: skip


@pytest.fixture
def before(lab):
    """(what was recorded, the clock, the store, a server of today)"""
    told = json.loads((HERE / "data" / "levels_3.json").read_text())
    clock = lab.clock(still_ms=told["clock_ms"])
    store = lab.redis(clock=clock)
    for key, (dump, expires) in told["keys"].items():
        store.connection.execute_command("RESTORE", key, expires, base64.b64decode(dump), "ABSTTL")
    return told, clock, store, lab.ration(settings(store.url))


def levels(store):
    """The format of each bucket's levels."""
    keys = [key for key in store.connection.keys() if key.split(":")[2] in "pti" and store.connection.type(key) == "string"]
    return {key: store.connection.eval("return string.byte(redis.call('GET', KEYS[1]))", 1, key) for key in keys}


def test_what_an_older_release_counted_still_counts(before):
    told, clock, store, server = before
    contents = store.contents()
    assert set(levels(store).values()) == {3}
    for name, rows in told["peek"].items():
        assert server.peek(*name.split()) == rows, name
    with server.wire() as wire:
        assert wire.fields("ACQUIRE", "q", "acme", "tokens", 9500)["status"] == "denied"
    assert store.contents() == contents  # looks and denials leave all as it was
    assert all(row["balanced"] for row in server.audit().values())


def test_older_levels_are_written_anew_when_they_change(before):
    told, clock, store, server = before
    with server.wire() as wire:
        for id_, n in told["outstanding"].items():
            assert wire.fields("REPORT", id_, "tokens", n, "output_tokens", n)["status"] == "settled", id_
            assert wire.fields("REPORT", id_, "tokens", n)["status"] == "duplicate", id_
        for key, number in levels(store).items():
            assert number == (3 if key.endswith((":p:q", ":t:idle")) else 4), key  # those two were not touched
        assert {row["unit"]: row["remaining"] for row in server.peek("p", "acme") if row["scope"] == "pool:p"} == told["after"]
        assert all(row["balanced"] for row in server.audit().values())
        # Slots and all: nothing is counted for ever, and no key of the old kind is left.
        clock.advance(2 * 24 * HOUR)
        for name in told["peek"]:
            assert all(row["remaining"] == row["limit"] for row in server.peek(*name.split())), name
        assert wire.fields("ACQUIRE", "p", "acme", "tokens", 1)["status"] == "granted"
    assert not [key for key in store.connection.keys() if key.endswith(":s")]
