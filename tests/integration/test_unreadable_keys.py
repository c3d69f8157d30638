"""Something else has written into the store: who needs that key is refused, and nobody else notices."""
import re

import pytest

from configs import POOL, config, limit
from wire import WireError, as_fields

TENANTS = 128


def ask_all(wire, *more):
    """One acquire of each tenant, together: what each was answered."""
    for n in range(TENANTS):
        wire.send("ACQUIRE", POOL, f"t{n}", *more)
    return [wire.read() for n in range(TENANTS)]


def spoil(store, key, how):
    if how == "rubbish":
        store.connection.set(key, "\x03rubbish")
    else:
        store.connection.eval("redis.call('SET', KEYS[1], '\\9' .. string.rep('x', 60))", 1, key)


@pytest.mark.parametrize("how", ["rubbish", "a newer format"])
def test_only_who_needs_the_key_is_refused(lab, how):
    store = lab.redis()
    tier = [limit("tokens", 1000, "day", algorithm="bucket", burst=1000)]
    server = lab.ration(config(store, pool=[limit("requests", 10**6, "hour")], tier=tier))
    bad = ("t17", "t99")
    with server.wire() as wire:
        assert all(as_fields(reply)["status"] == "granted" for reply in ask_all(wire, "tokens", 3))
        for tenant in bad:
            spoil(store, f"ration:{{default}}:t:{tenant}", how)
        before = server.info()
        for _ in range(3):
            for n, reply in enumerate(ask_all(wire, "tokens", 3)):
                if f"t{n}" in bad:
                    assert isinstance(reply, WireError) and reply.word == "UNAVAILABLE", reply
                else:
                    assert as_fields(reply)["status"] == "granted", (n, reply)
        after = server.info()
        told = {name: int(after[name]) - int(before[name]) for name in ("batches", "operations_refused", "batches_halved")}
        assert told["operations_refused"] == 3 * len(bad)
        # A pipeline of 128 arrives in a few pieces; each culprit costs 2 log2(128) more batches at the most.
        assert told["batches_halved"] <= 3 * len(bad) * 7 and told["batches"] <= 3 * (len(bad) * 14 + 8), told
        # Each was charged once and no more, whichever halves it was in.
        for n in range(TENANTS):
            if f"t{n}" not in bad:
                assert server.remaining(POOL, f"t{n}", "tenant", "tokens") == 1000 - 4 * 3
        refused = 3 * len(bad)
        assert server.remaining(POOL, "t0", "pool", "requests") == 10**6 - 4 * TENANTS + refused
        for tenant in bad:
            lines = [line for line in server.log().splitlines() if re.search(rf"the store refused .*:t:{tenant}\b", line)]
            assert len(lines) == 1, server.log()
            store.connection.delete(f"ration:{{default}}:t:{tenant}")
        assert all(as_fields(reply)["status"] == "granted" for reply in ask_all(wire, "tokens", 3))
    assert all(row["balanced"] for row in server.audit().values())


def test_a_store_that_is_full_is_not_asked_more_for_it(lab):
    store = lab.redis()
    server = lab.ration(config(store, pool=[limit("requests", 10**6, "hour")]))
    with server.wire() as wire:
        ask_all(wire)
        store.connection.config_set("maxmemory", 1)
        before = server.info()
        assert all(isinstance(reply, WireError) for reply in ask_all(wire))
        assert server.info()["batches_halved"] == before["batches_halved"]
        store.connection.config_set("maxmemory", 0)
        assert all(as_fields(reply)["status"] == "granted" for reply in ask_all(wire))
