"""What an id is good for: one request of one tenant, while its reservation is outstanding."""

import pytest

from configs import POOL, config, limit
from wire import WireError, as_fields, as_rows

FREE = "order-7"
CANONICAL = f"r1.mine.0123456789abcdef.0.acme@{POOL}"


def text(reply):
    assert isinstance(reply, WireError), reply
    return str(reply)


@pytest.mark.parametrize("id_", [FREE, CANONICAL])
def test_one_id_does_not_serve_many_requests(lab, id_):
    """1 token acquired, then 1,000 tokens 99 times under the same id."""
    server = lab.ration(config(lab.redis(), tier=[limit("tokens", 1000, "day"), limit("requests", 1000, "day")]))
    wire = server.wire()
    first = wire.fields("ACQUIRE", POOL, "acme", "tokens", 1, "ID", id_)
    assert first["status"] == "granted"
    for _ in range(99):
        refused = text(wire.call("ACQUIRE", POOL, "acme", "tokens", 1000, "ID", id_))
        assert refused == f"ERR id {id_} was used for another request; choose an id that no other call has"
    assert text(wire.call("ACQUIRE", POOL, "acme", "tokens", 1, "requests", 2, "ID", id_)).startswith("ERR id")
    assert wire.fields("ACQUIRE", POOL, "acme", "tokens", 1, "ID", id_) == first, "a repeated request gets the same answer"
    assert server.remaining(POOL, "acme", "tenant", "tokens") == 999
    assert wire.fields("REPORT", id_, "tokens", 1) == {"status": "settled"}
    for cost in (1, 1000):
        assert text(wire.call("ACQUIRE", POOL, "acme", "tokens", cost, "ID", id_)).startswith("NOSUCH the reservation has ended")
    assert server.remaining(POOL, "acme", "tenant", "tokens") == 999


def test_a_cancelled_id_is_not_granted_again(lab):
    server = lab.ration(config(lab.redis(), tier=[limit("tokens", 1000, "day")]))
    with server.wire() as wire:
        assert wire.fields("ACQUIRE", POOL, "acme", "tokens", 600, "ID", FREE)["status"] == "granted"
        assert wire.fields("CANCEL", FREE) == {"status": "settled"}
        assert text(wire.call("ACQUIRE", POOL, "acme", "tokens", 600, "ID", FREE)).startswith("NOSUCH")
    assert server.remaining(POOL, "acme", "tenant", "tokens") == 1000


def test_what_was_learned_meanwhile_is_no_other_request(lab):
    """The same request, charged by what calls used when it was first made."""
    server = lab.ration(config(lab.redis(), tier=[limit("tokens", 10**6, "day")]))
    with server.wire() as wire:
        ask = ("ACQUIRE", POOL, "acme", "output_tokens", 1000, "LEARNED")
        assert wire.fields(*ask, "ID", FREE)["status"] == "granted"
        for _ in range(10):
            assert wire.fields("REPORT", wire.fields(*ask)["id"], "output_tokens", 100) == {"status": "settled"}
        assert wire.fields(*ask, "ID", "another")["status"] == "granted"
        remaining = server.remaining(POOL, "acme", "tenant", "tokens")
        for id_ in (FREE, "another"):
            assert wire.fields(*ask, "ID", id_)["status"] == "granted"
            assert text(wire.call("ACQUIRE", POOL, "acme", "output_tokens", 999, "LEARNED", "ID", id_)).startswith("ERR id")
        assert server.remaining(POOL, "acme", "tenant", "tokens") == remaining


@pytest.mark.parametrize("slice_", ["mine", "k7f3q2m9x1a1"])
def test_a_client_that_makes_up_ids_does_not_fill_one_slice(lab, slice_):
    store = lab.redis()
    server = lab.ration(config(store))
    asked, client = 6000, store.connection
    with server.wire() as wire:
        answers = []
        for first in range(0, asked, 500):
            for n in range(first, first + 500):
                wire.send("ACQUIRE", POOL, f"t{n % 50}", "ID", f"r1.{slice_}.{n:016x}.0.t{n % 50}@{POOL}")
            answers += [as_fields(wire.read()) for _ in range(500)]
        refused = [answer for answer in answers if isinstance(answer, WireError)]
        assert len(answers) - len(refused) == client.hlen(f"ration:{{default}}:r:{slice_}") <= 2000
        assert all("is in a slice that is full" in answer for answer in refused)
        assert wire.fields("ACQUIRE", POOL, "t0", "ID", f"r1.{slice_}2.{0:016x}.0.t0@{POOL}")["status"] == "granted"


@pytest.mark.parametrize("limits", [[], [limit("requests", 5, "day")]])
def test_a_tenant_does_not_fill_the_store_with_reservations(lab, limits):
    """Not even with those that cost nothing, after all that it has is used."""
    store = lab.redis()
    server = lab.ration(config(store, tier=limits, max_outstanding=50))
    with server.wire() as wire:
        for _ in range(5 if limits else 0):
            assert wire.fields("REPORT", wire.fields("ACQUIRE", POOL, "acme")["id"]) == {"status": "settled"}
        assert not limits or wire.fields("ACQUIRE", POOL, "acme")["status"] == "denied"
        cost = ("requests", 0, "concurrent", 0) if limits else ()
        ids = [f"r1.mine{n % 20}.{n:016x}.0.acme@{POOL}" for n in range(400)]
        for id_ in ids:
            wire.send("ACQUIRE", POOL, "acme", *cost, "TTL", 600_000, "ID", id_)
        answers = [as_fields(wire.read()) for _ in ids]
        assert [answer["status"] for answer in answers] == ["granted"] * 50 + ["denied"] * 350
        assert {answer["limited_by"] for answer in answers[50:]} == {"tenant:acme outstanding"}
        assert all(590_000 < answer["retry_after_ms"] < 620_000 for answer in answers[50:])
        records = sum(store.connection.hlen(key) for key in store.connection.keys("ration:{default}:r:mine*"))
        assert records == 50
        assert wire.fields("ACQUIRE", POOL, "globex", "ID", "order-7")["status"] == "granted", "others do not notice"
        assert wire.fields("CANCEL", ids[0]) == {"status": "settled"}
        assert wire.fields("ACQUIRE", POOL, "acme", *cost)["status"] == "granted"
        assert wire.fields("ACQUIRE", POOL, "acme", *cost, "ID", "order-8")["status"] == "denied"


# ---- Whose an id is ------------------------------------------------------------------------------


SECRETS = {"ACME": "acme's secret", "GLOBEX": "globex's secret", "OPERATOR": "the operator's secret"}


def as_tenant(server, name=None):
    wire = server.wire()
    secret = SECRETS[(name or "operator").upper()]
    assert wire.call("AUTH", *([name] if name else []), secret) == "OK"
    return wire


def remaining(wire, tenant):
    return next(row["remaining"] for row in as_rows(wire.call("PEEK", POOL, tenant)) if row["scope"] == f"tenant:{tenant}")


@pytest.fixture
def guarded(lab):
    tenants = {name: {"tier": "all", "secret": {"env": name.upper()}} for name in ("acme", "globex")}
    settings = config(lab.redis(), tier=[limit("tokens", 1000, "day")], tenants=tenants, auth={"operator": {"env": "OPERATOR"}})
    return lab.ration(settings, env=SECRETS)


def test_a_tenant_neither_takes_nor_learns_of_anothers_ids(guarded):
    with as_tenant(guarded, "acme") as acme, as_tenant(guarded, "globex") as globex:
        def ask(wire, tenant, n, cost):
            return wire.fields("ACQUIRE", POOL, tenant, "tokens", cost, "ID", f"order-{n}")["status"]
        for n in range(3):
            assert ask(globex, "globex", n, 1) == "granted"
        unknown = text(acme.call("REPORT", "order-9", "tokens", 0))
        assert unknown.startswith("NOSUCH")
        for n in range(3):
            for command in (("REPORT", f"order-{n}"), ("CANCEL", f"order-{n}"), ("RENEW", f"order-{n}", "TTL", 1000)):
                assert text(acme.call(*command)) == unknown, "the answer is the same whether another tenant has it or nobody"
            assert ask(acme, "acme", n, 100) == "granted"
            assert acme.fields("REPORT", f"order-{n}", "tokens", 50) == {"status": "settled"}
            assert text(acme.call("REPORT", f"order-{n}", "TENANT", "globex")).startswith("NOPERM")
            assert globex.fields("REPORT", f"order-{n}", "tokens", 10, "TENANT", "globex") == {"status": "settled"}
        assert remaining(acme, "acme") == 850
        assert remaining(globex, "globex") == 970


def test_who_may_act_for_all_says_whose_id_is_meant_where_several_have_it(guarded):
    with as_tenant(guarded) as operator:
        for tenant, cost in (("acme", 100), ("globex", 200)):
            asked = operator.fields("ACQUIRE", POOL, tenant, "tokens", cost, "ID", f"only-{tenant}")
            assert asked["status"] == "granted"
            assert operator.fields("REPORT", f"only-{tenant}", "tokens", 1) == {"status": "settled"}
            assert operator.fields("ACQUIRE", POOL, tenant, "tokens", cost, "ID", FREE)["id"] == FREE
        assert text(operator.call("REPORT", FREE, "tokens", 1)).startswith("ERR several tenants have used that id; add TENANT")
        assert text(operator.call("RENEW", FREE, "TENANT", "nobody")).startswith("NOSUCH")
        assert operator.fields("RENEW", FREE, "tokens", 5, "TENANT", "globex")["status"] == "granted"
        assert operator.fields("REPORT", FREE, "tokens", 7, "TENANT", "acme") == {"status": "settled"}
        assert operator.fields("CANCEL", FREE, "TENANT", "globex") == {"status": "settled"}
        assert [remaining(operator, tenant) for tenant in ("acme", "globex")] == [992, 999]


# ---- Names of keys -------------------------------------------------------------------------------


def test_tenants_whose_names_look_like_keys_of_others_harm_nobody(lab):
    """`acme:s` was the key of the slots of `acme`."""
    limits = [limit("tokens", 100, "hour", algorithm="rolling"), limit("concurrent", 5)]
    names = ("acme", "acme:s", f"acme@{POOL}", f"acme@{POOL}:s", "s", "ts:acme", "acme:s:s")
    in_pool = {POOL: [limit("tokens", 100, "hour", algorithm="rolling"), limit("requests", 10, "hour")]}
    store = lab.redis()
    server = lab.ration(config(store, pool=[limit("tokens", 10**6, "hour")],
                               tiers={"all": {"priority": 1, "limits": limits, "in_pool": in_pool}}))  # fmt: skip
    with server.wire() as wire:
        for turn in range(3):
            ids = {}
            for name in names:
                answer = wire.fields("ACQUIRE", POOL, name, "tokens", 30)
                assert not isinstance(answer, WireError) and answer["status"] == "granted", (name, turn, answer)
                ids[name] = answer["id"]
            for name in names:
                assert wire.fields("REPORT", ids[name], "tokens", 20) == {"status": "settled"}, name
        for name in names:
            assert server.remaining(POOL, name, "tenant", "tokens") == 40
            assert wire.fields("ACQUIRE", POOL, name, "tokens", 41)["status"] == "denied"
