"""A store whose clock was ahead for a moment: what was written then is ahead, and nobody else notices."""
import pytest

from configs import config, limit
from wire import as_fields

HOUR = 3_600_000
DAY = 24 * HOUR


def jump(clock, ms, do):
    """`do` while the store's clock is ahead by so much; then the clock is right again."""
    clock.advance(ms)
    do()
    clock.advance(-ms)


def granted(wire, pool, tenant, times, *more):
    for _ in range(times):
        wire.send("ACQUIRE", pool, tenant, *more)
    return sum(as_fields(wire.read())["status"] == "granted" for _ in range(times))


def test_a_bucket_that_is_ahead_drags_nobody_along(lab):
    """A pool was written three hours from now. All others of its batches keep their own time: a hundred a minute are a hundred."""
    clock = lab.clock()
    server = lab.ration(config(lab.redis(clock=clock), pools={
        "ahead": {"limits": [limit("requests", 10**6, "minute")]},
        "well": {"limits": [limit("requests", 100, "minute", algorithm="bucket"), limit("concurrent", 1000)]},
    }, tier=[limit("tokens", 10**6, "minute")]))  # fmt: skip
    with server.wire() as wire:
        assert granted(wire, "well", "acme", 60) == 60
        jump(clock, 3 * HOUR, lambda: granted(wire, "ahead", "other", 1))
        got = 0
        for n in range(200):  # both in each batch
            wire.send("ACQUIRE", "ahead", "other")
            wire.send("ACQUIRE", "well", "acme")
        for n in range(400):
            got += as_fields(wire.read())["status"] == "granted" and n % 2
        assert got == 40
        refused = wire.fields("ACQUIRE", "well", "acme")
        assert refused["status"] == "denied" and refused["retry_after_ms"] == 600
        clock.advance(600)
        assert wire.fields("ACQUIRE", "well", "acme")["status"] == "granted"
        # Its own requests are decided, by a time that stands still.
        rows = {row["scope"]: row for row in server.peek("ahead", "other")}
        assert rows["pool:ahead"]["ahead_ms"] == 3 * HOUR - 600 and rows["pool:ahead"]["remaining"] == 10**6 - 201
        assert rows["pool:ahead"]["reset_ms"] > 3 * HOUR - 600
        assert all("ahead_ms" not in row for row in server.peek("well", "acme"))
        assert int(server.info()["buckets_ahead"]) > 0
        said = [line for line in server.log().splitlines() if "ahead of the store's clock" in line]
        assert len([line for line in said if "p:ahead" in line]) == 1 and not [line for line in said if "well" in line]
        clock.advance(3 * HOUR)
        assert all("ahead_ms" not in row for row in server.peek("ahead", "other"))
    assert all(row["balanced"] for row in server.audit().values())


def test_a_reservation_that_both_kinds_of_buckets_have(lab):
    """The pool is ahead, the tenant is not: what is held comes back in both, once each, reported or not."""
    clock = lab.clock()
    server = lab.ration(config(lab.redis(clock=clock), pools={
        "ahead": {"limits": [limit("concurrent", 5), limit("output_tokens", 1000, "minute", counted="end")]},
        "well": {"limits": [limit("requests", 10**6, "minute")]},
    }, tier=[limit("concurrent", 3), limit("tokens", 10**6, "minute", algorithm="bucket")]))  # fmt: skip
    with server.wire() as wire:
        jump(clock, HOUR, lambda: wire.fields("CANCEL", wire.fields("ACQUIRE", "ahead", "other")["id"]))
        ids = [wire.fields("ACQUIRE", "ahead", "acme", "output_tokens", 100, "TTL", 60_000)["id"] for _ in range(3)]
        assert wire.fields("ACQUIRE", "well", "acme")["status"] == "denied"
        assert wire.fields("REPORT", ids[0], "output_tokens", 40)["status"] == "settled"
        assert server.remaining("ahead", "acme", "pool", "output_tokens") == 1000 - 200 - 40
        assert server.remaining("ahead", "acme", "pool", "concurrent") == 3
        assert server.remaining("ahead", "acme", "tenant", "concurrent") == 1
        assert wire.fields("RENEW", ids[1], "TTL", 120_000)["status"] == "granted"
        clock.advance(61_000)  # one is never reported: the tenant has its slot back when it expires by the tenant's time
        assert server.remaining("ahead", "acme", "tenant", "concurrent") == 2
        assert server.remaining("ahead", "acme", "tenant", "tokens") == 10**6
        assert wire.fields("REPORT", ids[2], "output_tokens", 100)["status"] == "late"
        assert wire.fields("REPORT", ids[1], "output_tokens", 100)["status"] == "settled"
        assert server.remaining("ahead", "acme", "tenant", "concurrent") == 3
        assert server.remaining("ahead", "acme", "pool", "concurrent") == 5
        clock.advance(2 * HOUR)
        assert server.remaining("ahead", "acme", "pool", "output_tokens") == 1000
    assert all(row["balanced"] for row in server.audit().values())


@pytest.mark.parametrize("unit_of_time, jumped", [("day", 2 * DAY), ("month", 70 * DAY), ("day", 400 * DAY)])
def test_a_clock_that_was_days_ahead_refuses_nobody_for_days(lab, unit_of_time, jumped):
    """Periods are made from each bucket's own time, in one batch with others: no operation is refused as stale."""
    clock = lab.clock()
    daily = limit("requests", 100, unit_of_time, algorithm="calendar", time_zone="America/Los_Angeles")
    server = lab.ration(config(lab.redis(clock=clock), pools={"one": {"limits": [daily]}, "two": {"limits": [daily]}},
                               tier=[limit("tokens", 10**6, "day", algorithm="calendar")]))  # fmt: skip
    with server.wire() as wire:
        assert granted(wire, "one", "acme", 30) == 30
        assert granted(wire, "two", "b", 30) == 30
        jump(clock, jumped, lambda: granted(wire, "one", "acme", 1))
        before = int(server.info()["batches"])
        for n in range(60):
            wire.send("ACQUIRE", "one", "acme")
            wire.send("ACQUIRE", "two", "b")
        answers = [as_fields(wire.read())["status"] for _ in range(120)]
        assert answers == ["granted"] * 120
        assert int(server.info()["batches"]) - before <= 6 * 120  # at most one more each
        assert granted(wire, "one", "acme", 100) == 100 - 61  # the day that it was, and not one more
        assert granted(wire, "two", "b", 100) == 100 - 90
        refused = wire.fields("ACQUIRE", "one", "acme")
        assert refused["retry_after_ms"] > jumped
        clock.advance(refused["retry_after_ms"] - 1)
        assert wire.fields("ACQUIRE", "one", "acme")["status"] == "denied"
        clock.advance(1)
        assert wire.fields("ACQUIRE", "one", "acme")["status"] == "granted"
    assert server.info()["operations_unavailable"] == "0"
    assert "not understood" not in server.log()
