"""A denial writes nothing: it leaves the store unchanged and charges nobody."""
from configs import POOL, config, limit
from wire import as_fields

MINUTE = 60_000
HOUR = 60 * MINUTE


def test_a_denial_leaves_the_store_as_it_was(lab):
    """DEBUG DIGEST and every key's bytes and expiry, before and after a denial by each limit."""
    clock = lab.clock()
    store = lab.redis(clock=clock)
    tight = {
        "bucket": [limit("tokens", 100, "minute", algorithm="bucket")],
        "rolling": [limit("tokens", 100, "minute")],
        "calendar": [limit("tokens", 100, "day", algorithm="calendar")],
        "end": [limit("tokens", 100, "minute", counted="end")],
        "concurrent": [limit("concurrent", 1)],
    }
    wide = [limit("requests", 10**6, "minute"), limit("usd", 10**6, "day", algorithm="calendar")]
    server = lab.ration(
        config(store, pools={name: {"limits": wide + limits} for name, limits in tight.items()} | {POOL: {"limits": wide}},
               tier=[limit("requests", 100, "minute")],
               tenants={"small": {"tier": "all", "limits": [limit("tokens", 100, "hour"), limit("requests", 5, "day")]}})
    )  # fmt: skip
    with server.wire() as wire:
        for pool in tight:
            assert wire.fields("ACQUIRE", pool, "acme", "tokens", 80, "TTL", HOUR)["status"] == "granted"
        assert wire.fields("ACQUIRE", POOL, "small", "tokens", 80)["status"] == "granted"
        for ms in (0, 1, 999, 7000):
            clock.advance(ms)
            digest, contents = store.digest(), store.contents()
            for pool, tenant in [(pool, "acme") for pool in tight] + [(POOL, "small")]:
                for more in ((), ("ID", "mine"), ("ID", f"r1.mine.{ms:016x}.0.{tenant}@{pool}"), ("DRYRUN",)):
                    command = ("ACQUIRE", pool, tenant, "tokens", 90, "usd", 3, *more)
                    assert wire.fields(*command)["status"] == "denied", command
            assert store.digest() == digest
            assert store.contents() == contents


def test_a_refused_renewal_writes_nothing(lab):
    clock = lab.clock()
    store = lab.redis(clock=clock)
    server = lab.ration(config(store, pool=[limit("tokens", 100, "minute"), limit("concurrent", 3)]))
    with server.wire() as wire:
        id_ = wire.fields("ACQUIRE", POOL, "acme", "tokens", 80)["id"]
        clock.advance(500)
        before = store.contents()
        assert wire.fields("RENEW", id_, "TTL", HOUR, "tokens", 21)["status"] == "denied"
        assert store.contents() == before


def test_denials_within_a_batch_charge_nothing(lab):
    """Of a thousand pipelined acquires, those that fit are charged and the refused ones are not."""
    clock = lab.clock()
    server = lab.ration(config(lab.redis(clock=clock), pool=[limit("requests", 10**6, "minute")],
                               tier=[limit("tokens", 50, "minute")]))  # fmt: skip
    with server.wire() as wire:
        for n in range(1000):
            wire.send("ACQUIRE", POOL, f"t{n % 5}", "tokens", 1)
        granted = sum(as_fields(wire.read())["status"] == "granted" for _ in range(1000))
    assert granted == 250
    assert server.remaining(POOL, "t0", "pool", "requests") == 10**6 - 250
