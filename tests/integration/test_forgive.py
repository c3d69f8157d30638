"""A wrong count put a tenant in debt: an operator forgives the debt, in every domain and pool,
once.
"""
import json

import pytest

from configs import POOL, WIDE, config, limit
from test_settles_once import World
from wire import WireError, as_fields, as_rows

TOKENS = limit("tokens", 1000, "minute")
DAY = limit("usd", 100, "day", algorithm="calendar")


@pytest.fixture
def world(lab):
    pools = {name: {"limits": WIDE} for name in (POOL, "cheap", "free")}
    pools["far"] = {"domain": "d2", "limits": WIDE}
    tenants = {"acme": {"tier": "all", "in_pool": {POOL: [limit("tokens", 500, "hour", algorithm="rolling")], "free": [DAY]}}}

    class Debts(World):
        def spend(self, pool, *used, tenant="acme"):
            assert self.status("REPORT", self.granted("tokens", 1, pool=pool, tenant=tenant), *used, wire=1) == "settled"

        def left(self, pool=POOL, tenant="acme"):
            rows = as_rows(self.a.call("PEEK", pool, tenant))
            return [row["remaining"] for row in rows if row["scope"].startswith("tenant:")]

        def forgive(self, tenant="acme", wire=0):
            rows = as_rows(self.wires[wire].call("TENANT", "FORGIVE", tenant))
            assert all(list(row) == ["scope", "unit", "per", "forgiven"] for row in rows)
            return [(row["scope"], row["unit"], row["per"], row["forgiven"]) for row in rows]

    return Debts(lab, pools=pools, tier=[TOKENS], tenants=tenants)


def test_every_bucket_of_the_tenant_and_no_other(world, lab):
    w = world
    w.spend(POOL, "tokens", 9000)
    w.spend("cheap", "tokens", 3000, tenant="globex")
    w.spend("far", "tokens", 1200)
    assert w.remaining("tokens", "tenant") == -8000 and w.remaining("tokens", "tenant", pool="far") == -200
    assert w.a.fields("ACQUIRE", "cheap", "acme", "tokens", 1)["status"] == "denied"
    assert w.forgive() == [("tenant:acme", "tokens", "minute", 8000), (f"tenant:acme@{POOL}", "tokens", "hour", 8500),
                           ("tenant:acme", "tokens", "minute", 200)]  # fmt: skip
    assert w.left() == [0, 0] and w.left("far") == [0]
    assert w.left("cheap", "globex") == [-2000]
    digest = w.store.digest()
    assert w.forgive(wire=1) == [] and w.store.digest() == digest
    answer = w.a.fields("ACQUIRE", "cheap", "acme", "tokens", 1)
    assert (answer["status"], answer["retry_after_ms"]) == ("denied", 60)  # nothing beyond the debt was given
    w.clock.advance(60)
    assert w.a.fields("ACQUIRE", "cheap", "acme", "tokens", 1)["status"] == "granted"
    assert all(row["balanced"] for row in w.servers[0].audit(POOL).values())
    assert not w.store.keys_without_expiry()


def test_a_calendar_limit_and_what_is_lent_meanwhile(world):
    w = world
    running = w.granted("tokens", 100, pool="free")
    w.spend("free", "tokens", 1000, "usd", 500)
    assert w.forgive() == [("tenant:acme", "tokens", "minute", 100), ("tenant:acme@free", "usd", "day", 400)]
    assert w.status("REPORT", running, "tokens", 40) == "settled"
    assert w.left("free") == [60, 0]
    w.spend("free", "tokens", 1)
    assert w.forgive() == []


def test_the_tool_says_what_it_was(world, lab):
    w = world
    w.spend(POOL, "tokens", 1500)
    done = lab.tool(w.servers[0], "tenant", "forgive", "acme")
    assert done.returncode == 0 and "tokens a minute" in done.stdout and "1,000" in done.stdout and f"acme@{POOL}" in done.stdout
    done = lab.tool(w.servers[1], "tenant", "forgive", "acme")
    assert done.returncode == 0 and "acme has no debt" in done.stdout
    w.clock.advance(60_000)
    w.spend("cheap", "tokens", 1700)
    done = lab.tool(w.servers[0], "tenant", "forgive", "acme", "--json")
    assert json.loads(done.stdout) == [{"scope": "tenant:acme", "unit": "tokens", "per": "minute", "forgiven": 700}]
    for words in (("forgive",), ("forget", "acme"), ("forgive", "a b")):
        assert lab.tool(w.servers[0], "tenant", *words).returncode == 2


def test_names_that_are_not_tenants_and_tenants_without_limits(lab):
    w = World(lab, tier=[], default_tier=None, tenants={"acme": {"tier": "all"}})
    assert w.a.call("TENANT", "FORGIVE", "acme") == []
    assert w.a.call("TENANT", "FORGIVE", "nobody").startswith("NOTENANT")
    assert "is not a valid tenant" in w.a.call("TENANT", "FORGIVE", "{a}")
    assert "usage" in w.a.call("TENANT", "FORGIVE")
    assert w.a.call("PING") == "PONG"


def test_only_operators_may_forgive(lab):
    store = lab.redis()
    tenants = {"acme": {"tier": "all", "secret": {"env": "ACME"}}}
    settings = config(store, tier=[TOKENS], auth={"operator": {"env": "OPERATOR"}}, tenants=tenants)
    server = lab.ration(settings, env={"OPERATOR": "op-secret", "ACME": "acme-secret"})
    with server.wire() as wire:
        wire.call("AUTH", "acme", "acme-secret")
        answer = wire.fields("ACQUIRE", POOL, "acme", "tokens", 1)
        assert wire.fields("REPORT", answer["id"], "tokens", 5000)["status"] == "settled"
        refused = wire.call("TENANT", "FORGIVE", "acme")
        assert isinstance(refused, WireError) and refused.startswith("NOPERM")
        assert as_fields(wire.call("ACQUIRE", POOL, "acme", "tokens", 1))["status"] == "denied"
        wire.call("AUTH", "op-secret")
        assert [row["forgiven"] for row in as_rows(wire.call("TENANT", "FORGIVE", "acme"))] == [4000]


def test_it_keeps_its_place_in_a_pipeline_and_reports_a_lost_store(world):
    w = world
    w.spend("cheap", "tokens", 1500)
    for words in (("PING", "1"), ("TENANT", "FORGIVE", "acme"), ("PING", "2")):
        w.a.send(*words)
    assert w.a.read() == "1" and [row["forgiven"] for row in as_rows(w.a.read())] == [500] and w.a.read() == "2"
    w.store.stop()
    assert w.a.call("TENANT", "FORGIVE", "acme").startswith("UNAVAILABLE")
    assert w.a.call("PING") == "PONG"
