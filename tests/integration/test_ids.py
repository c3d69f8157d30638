"""What an id is good for: one request of one tenant, while its reservation is outstanding."""

import pytest

from configs import POOL, config, limit
from wire import WireError

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
    assert wire.fields("ACQUIRE", POOL, "acme", "tokens", 1, "ID", id_) == first, "sent again, as it was"
    assert server.remaining(POOL, "acme", "tenant", "tokens") == 999
    assert wire.fields("REPORT", id_, "tokens", 1) == {"status": "settled"}
    for cost in (1, 1000):
        assert text(wire.call("ACQUIRE", POOL, "acme", "tokens", cost, "ID", id_)).startswith("NOSUCH reservation has ended")
    assert server.remaining(POOL, "acme", "tenant", "tokens") == 999


def test_a_cancelled_id_is_not_granted_again(lab):
    server = lab.ration(config(lab.redis(), tier=[limit("tokens", 1000, "day")]))
    with server.wire() as wire:
        assert wire.fields("ACQUIRE", POOL, "acme", "tokens", 600, "ID", FREE)["status"] == "granted"
        assert wire.fields("CANCEL", FREE) == {"status": "settled"}
        assert text(wire.call("ACQUIRE", POOL, "acme", "tokens", 600, "ID", FREE)).startswith("NOSUCH")
    assert server.remaining(POOL, "acme", "tenant", "tokens") == 1000


def test_what_was_learned_meanwhile_is_no_other_request(lab):
    """The same request, charged by what calls came to when it was first made."""
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
