"""One clock: only the store's TIME decides, and time that steps back changes nothing."""
import random

import pytest

from configs import POOL, config, limit

MINUTE = 60_000
HOUR = 60 * MINUTE


def play(wire, clock, tenant):
    """Plays a fixed sequence; returns all answers without their ids."""
    rng = random.Random(15)
    heard, open_ = [], []
    for _ in range(250):
        clock.advance(rng.choice([0, 10, 900, 15_000, 400_000]))
        answer = wire.fields("ACQUIRE", POOL, tenant, "tokens", rng.randrange(400), "TTL", 5000)
        if answer["status"] == "granted":
            open_.append(answer["id"])
        heard.append([value for name, value in answer.items() if name != "id"])
        if open_ and rng.random() < 0.5:
            heard.append(wire.fields("REPORT", open_.pop(0), "tokens", rng.randrange(500)))
        heard.append([row[-3:] for row in wire.call("PEEK", POOL, tenant)])
    return heard


@pytest.mark.parametrize("off", [HOUR, -HOUR, 40 * 24 * HOUR])
def test_a_server_whose_clock_is_off_decides_the_same(lab, off):
    limits = [limit("tokens", 1000, "minute"), limit("requests", 30, "day", algorithm="calendar", time_zone="Asia/Tokyo"),
              limit("requests", 90, "month", algorithm="calendar"), limit("concurrent", 4)]  # fmt: skip
    heard = []
    for added in (0, off):
        clock, own = lab.clock(), lab.clock()
        own.run(added)
        settings = config(lab.redis(clock=clock), pool=limits, tier=[limit("tokens", 700, "minute")])
        server = lab.ration(settings, clock=own)
        with server.wire() as wire:
            heard.append(play(wire, clock, "acme"))
    assert heard[0] == heard[1]


def test_servers_whose_clocks_disagree_share_one_truth(lab):
    clock = lab.clock()
    store = lab.redis(clock=clock)
    settings = config(store, pool=[limit("tokens", 1000, "minute"), limit("requests", 200, "day", algorithm="calendar")])
    servers = []
    for added in (HOUR, -HOUR, 0):
        own = lab.clock()
        own.run(added)
        servers.append(lab.ration(settings, clock=own))
    wires = [server.wire() for server in servers]
    for n in range(200):
        wire = wires[n % 3]
        assert wire.fields("ACQUIRE", POOL, "acme", "tokens", 5)["status"] == "granted"
        if n % 3 == 2:
            assert len({str(other.call("PEEK", POOL, "acme")) for other in wires}) == 1
    refused = [wire.fields("ACQUIRE", POOL, "acme", "tokens", 5) for wire in wires]
    assert len({(answer["status"], answer["retry_after_ms"]) for answer in refused}) == 1
    client_clock = lab.clock()
    client_clock.run(-HOUR)
    done = lab.tool(servers[0], "acquire", POOL, "acme", env=lab.clock_env(client_clock))
    assert done.returncode == 1, "the client's clock does not matter either"


def test_store_time_that_steps_back_changes_nothing(lab):
    clock = lab.clock()
    store = lab.redis(clock=clock)
    pools = {
        "bucket": {"limits": [limit("tokens", 1000, "minute", algorithm="bucket")]},
        "rolling": {"limits": [limit("tokens", 1000, "minute")]},
        "calendar": {"limits": [limit("tokens", 1000, "day", algorithm="calendar")]},
        "slots": {"limits": [limit("concurrent", 2)]},
    }
    server = lab.ration(config(store, pools=pools))
    with server.wire() as wire:
        for pool in pools:
            assert wire.fields("ACQUIRE", pool, "acme", "tokens", 900)["status"] == "granted"
        clock.advance(12_000)
        for pool in ("bucket", "rolling", "calendar"):
            assert wire.fields("ACQUIRE", pool, "acme", "tokens", 50)["status"] == "granted"
        before = {pool: server.peek(pool, "acme") for pool in pools}
        now = clock.ms
        for back in (1, 500, HOUR, 26 * HOUR):
            clock.set(now - back)
            for pool in ("bucket", "rolling", "calendar"):
                then = [row | {"reset_ms": row["reset_ms"] + back, "ahead_ms": back} for row in before[pool]]
                assert server.peek(pool, "acme") == then, (pool, back)
                refused = wire.fields("ACQUIRE", pool, "acme", "tokens", 400)
                assert refused["status"] == "denied"
        clock.set(now - HOUR)
        held = wire.fields("ACQUIRE", "bucket", "acme", "tokens", 10)
        assert held["status"] == "granted"
        assert wire.fields("REPORT", held["id"], "tokens", 10)["status"] == "settled"
        clock.set(now)
        assert server.remaining("bucket", "acme", "pool", "tokens") == 250 - 10
        assert server.remaining("rolling", "acme", "pool", "tokens") == 50
        clock.set(now + 61_000)
        assert server.remaining("rolling", "acme", "pool", "tokens") == 1000
        assert server.remaining("slots", "acme", "pool", "concurrent") == 2
