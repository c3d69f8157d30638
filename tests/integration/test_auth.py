"""Credentials: the operator's, which may do anything, and each tenant's, only for that tenant."""
import pytest
import redis

from configs import POOL, config, limit
from wire import Simple, WireError, as_fields

SECRETS = {"OPERATOR": "op-s3cret", "ACME": "acme-s3cret", "GLOBEX": "globex-s3cret"}


@pytest.fixture
def server(lab):
    tenants = {"acme": {"tier": "all", "secret": {"env": "ACME"}}, "globex": {"tier": "all", "secret": {"env": "GLOBEX"}},
               "open": {"tier": "all"}}  # fmt: skip
    settings = config(lab.redis(), tier=[limit("tokens", 1000, "day")], tenants=tenants, auth={"operator": {"env": "OPERATOR"}})
    return lab.ration(settings, env=SECRETS)


def word(reply):
    assert isinstance(reply, WireError), reply
    return reply.word


def wire_as(server, *credential):
    wire = server.wire()
    assert wire.call("AUTH", *credential) == Simple("OK")
    return wire


def test_without_a_credential_nothing_is_done(server):
    with server.wire() as wire:
        for command in (("ACQUIRE", POOL, "acme"), ("ACQUIRE", POOL, "open"), ("PEEK", POOL, "acme"), ("REPORT", "x"),
                        ("AUDIT",), ("INFO",), ("TENANT", "LIST", 0), ("PING",), ("COMMAND",), ("NONSENSE",)):  # fmt: skip
            assert word(wire.call(*command)) == "NOAUTH", command
        assert word(wire.call("AUTH", "acme", "wrong")) == "NOPERM"
        assert word(wire.call("AUTH", "acme", SECRETS["GLOBEX"])) == "NOPERM"
        assert word(wire.call("AUTH", "open", "")) == "NOPERM"
        assert word(wire.call("AUTH", "nobody", "no secret has this value")) == "NOPERM"
        assert word(wire.call("AUTH", "open", "no secret has this value")) == "NOPERM"
        assert word(wire.call("AUTH", SECRETS["ACME"])) == "NOPERM"
        assert word(wire.call("ACQUIRE", POOL, "acme")) == "NOAUTH"
        assert wire.call("AUTH", "acme", SECRETS["ACME"]) == Simple("OK")
        assert wire.fields("ACQUIRE", POOL, "acme")["status"] == "granted"
        assert word(wire.call("AUTH", "acme", "wrong")) == "NOPERM"
        assert wire.fields("ACQUIRE", POOL, "acme")["status"] == "granted", "a failed attempt revokes nothing"
        assert wire.call("RESET") == Simple("RESET")
        assert word(wire.call("ACQUIRE", POOL, "acme")) == "NOAUTH"


def test_a_tenant_acts_for_itself_only(server):
    """A tenant can neither spend, report, nor see another's, nor learn whether it exists."""
    with wire_as(server, "acme", SECRETS["ACME"]) as acme, wire_as(server, "globex", SECRETS["GLOBEX"]) as globex:
        mine = acme.fields("ACQUIRE", POOL, "acme", "tokens", 100)["id"]
        acme.fields("ACQUIRE", POOL, "acme", "tokens", 50, "ID", "order-1")
        for id_ in (mine, "order-1"):
            assert word(globex.call("REPORT", id_, "tokens", 0)) in ("NOPERM", "NOSUCH")
            assert word(globex.call("CANCEL", id_)) in ("NOPERM", "NOSUCH")
            assert word(globex.call("RENEW", id_, "tokens", 1)) in ("NOPERM", "NOSUCH")
        assert word(globex.call("ACQUIRE", POOL, "acme", "tokens", 1)) == "NOPERM"
        assert word(globex.call("ACQUIRE", POOL, "acme", "tokens", 1, "DRYRUN")) == "NOPERM"
        assert word(globex.call("PEEK", POOL, "acme")) == "NOPERM"
        assert word(globex.call("TENANT", "GET", "acme")) == "NOPERM"
        assert word(globex.call("TENANT", "GET", "nobody-at-all")) == "NOPERM"
        for command in (("AUDIT",), ("AUDIT", POOL), ("TENANT", "LIST", 0), ("CONFIG", "GET", "*")):
            assert word(globex.call(*command)) == "NOPERM", command
        assert globex.fields("ACQUIRE", POOL, "globex", "tokens", 5, "ID", "order-1")["status"] == "granted"
        assert globex.fields("CANCEL", "order-1") == {"status": "settled"}
        missing = globex.call("ACQUIRE", "nosuch", "globex")
        assert word(missing) == "NOPOOL" and "acme" not in missing
        assert "acme" not in str(globex.call("INFO"))
        assert as_fields(globex.call("TENANT", "GET", "globex"))["tier"] == "all"
        assert globex.fields("ACQUIRE", POOL, "globex", "tokens", 1000)["status"] == "granted"
        assert acme.fields("REPORT", mine, "tokens", 60) == {"status": "settled"}
        assert acme.fields("REPORT", "order-1", "tokens", 40) == {"status": "settled"}
        rows = [as_fields(row) for row in acme.call("PEEK", POOL, "acme")]
        assert [row["remaining"] for row in rows if row["scope"] == "tenant:acme"] == [900]


def test_the_operator_may_do_everything(server):
    for credential in ((SECRETS["OPERATOR"],), ("default", SECRETS["OPERATOR"]), ("operator", SECRETS["OPERATOR"])):
        with wire_as(server, *credential) as wire:
            id_ = wire.fields("ACQUIRE", POOL, "acme", "tokens", 1)["id"]
            assert wire.fields("REPORT", id_)["status"] == "settled"
            assert wire.fields("ACQUIRE", POOL, "open")["status"] == "granted"
            assert wire.call("TENANT", "LIST", 0)[1]
            assert all(as_fields(row)["balanced"] for row in wire.call("AUDIT"))
            assert wire.call("CONFIG", "GET", "*")


def test_credentials_by_hello_and_by_redis_py(server):
    with server.wire() as wire:
        assert word(wire.call("HELLO", 3, "AUTH", "acme", "wrong")) == "NOPERM"
        assert isinstance(wire.call("HELLO", 3, "AUTH", "acme", SECRETS["ACME"], "SETNAME", "x"), dict)
        assert wire.fields("ACQUIRE", POOL, "acme")["status"] == "granted"
    client = server.client(username="acme", password=SECRETS["ACME"])
    assert as_fields(client.execute_command("ACQUIRE", POOL, "acme"))["status"] == "granted"
    with pytest.raises(redis.exceptions.NoPermissionError, match="acme"):
        client.execute_command("ACQUIRE", POOL, "globex")
    client.close()
    assert as_fields(server.client(password=SECRETS["OPERATOR"]).execute_command("ACQUIRE", POOL, "globex"))


def test_the_tool_takes_its_credential_from_the_environment_or_a_file(lab, server):
    refused = lab.tool(server, "acquire", POOL, "acme")
    assert refused.returncode == 2 and "RATION_SECRET" in refused.stderr, refused
    mine = {"RATION_TENANT": "acme", "RATION_SECRET": SECRETS["ACME"]}
    assert lab.tool(server, "acquire", POOL, "acme", env=mine).returncode == 0
    wrong = lab.tool(server, "acquire", POOL, "globex", env=mine)
    assert wrong.returncode == 2 and "acme" in wrong.stderr
    secret = lab.folder / "secret"
    secret.write_text(SECRETS["OPERATOR"] + "\n")
    secret.chmod(0o600)
    assert lab.tool(server, "acquire", POOL, "globex", "--secret-file", secret).returncode == 0
    assert lab.tool(server, "audit", env={"RATION_SECRET": SECRETS["OPERATOR"]}).returncode == 0


def test_ids_cannot_be_guessed(server):
    """A lone request gets 64 random bits: none repeats, and no bit is constant. Requests granted as
    a group share theirs and differ in their member."""
    with wire_as(server, SECRETS["OPERATOR"]) as wire:
        nonces = [int(wire.fields("ACQUIRE", POOL, "open")["id"].split(".")[2], 16) for _ in range(1000)]
        assert len(set(nonces)) == 1000
        for bit in range(64):
            assert 400 < sum(nonce >> bit & 1 for nonce in nonces) < 600
        for _ in range(1000):
            wire.send("ACQUIRE", POOL, "open")
        ids = {as_fields(wire.read())["id"] for _ in range(1000)}
        assert len(ids) == 1000
