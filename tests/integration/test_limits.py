"""What each kind of limit does, on a store whose clock stands still unless the test moves it."""
import datetime
import math
import zoneinfo

import pytest

from configs import POOL, WIDE, config, limit
from wire import WireError, as_rows

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Held:
    """One rationd on a store with a held clock."""

    def __init__(self, lab, **settings):
        self.clock = lab.clock()
        self.redis = lab.redis(clock=self.clock)
        self.server = lab.ration(config(self.redis, **settings))
        self.wire = self.server.wire()

    def ask(self, *args, tenant="acme", pool=POOL):
        return self.wire.fields("ACQUIRE", pool, tenant, *args)

    def granted(self, *args, **more):
        answer = self.ask(*args, **more)
        assert answer["status"] == "granted", answer
        assert (answer["retry_after_ms"], answer["limited_by"], answer["mode"]) == (0, "", "exact")
        return answer["id"]

    def denied(self, *args, by, retry_after_ms, **more):
        answer = self.ask(*args, **more)
        assert answer["status"] == "denied", answer
        assert (answer["limited_by"], answer["retry_after_ms"]) == (by, retry_after_ms)

    def report(self, id_, *args):
        answer = self.wire.fields("REPORT", id_, *args)
        return answer if isinstance(answer, WireError) else answer["status"]

    def row(self, unit, tenant="acme", pool=POOL, per=None):
        rows = as_rows(self.wire.call("PEEK", pool, tenant))
        found = [row for row in rows if row["unit"] == unit and per in (None, row["per"])]
        assert len(found) == 1, rows
        return found[0]

    def remaining(self, unit, **more):
        return self.row(unit, **more)["remaining"]


@pytest.fixture
def held(lab):
    return lambda **settings: Held(lab, **settings)


def test_bucket_refills_continuously(held):
    h = held(tier=[limit("tokens", 100, "minute")])
    h.granted("tokens", 100)
    h.denied("tokens", 1, by="tenant:acme tokens/minute", retry_after_ms=600)
    h.clock.advance(599)
    h.denied("tokens", 1, by="tenant:acme tokens/minute", retry_after_ms=1)
    h.clock.advance(1)
    h.granted("tokens", 1)
    h.clock.advance(10 * MINUTE)
    assert h.row("tokens") == {
        "scope": "tenant:acme", "unit": "tokens", "per": "minute", "limit": 100, "remaining": 100, "reset_ms": 0,
    }  # fmt: skip


def test_bucket_holds_its_burst(held):
    h = held(tier=[limit("tokens", 60, "minute", burst=200)])
    h.denied("tokens", 201, by="tenant:acme tokens/minute", retry_after_ms=-1)
    h.granted("tokens", 200)
    h.clock.advance(1000)
    h.granted("tokens", 1)
    h.denied("tokens", 3, by="tenant:acme tokens/minute", retry_after_ms=3000)
    small = held(tier=[limit("tokens", 1000, "minute", burst=10)])
    small.denied("tokens", 11, by="tenant:acme tokens/minute", retry_after_ms=-1)
    small.granted("tokens", 10)
    small.denied("tokens", 10, by="tenant:acme tokens/minute", retry_after_ms=600)


def test_bucket_carries_the_fraction(held):
    """Seven a minute, asked at every relevant millisecond: a thousand grants lose no fraction."""
    h = held(tier=[limit("tokens", 7, "minute")])
    h.granted("tokens", 7)
    start = h.clock.ms
    for n in range(1, 300):
        due = start + -(-n * MINUTE // 7)
        h.clock.set(due - 1)
        h.denied("tokens", 1, by="tenant:acme tokens/minute", retry_after_ms=1)
        h.clock.set(due)
        h.granted("tokens", 1)


def test_rolling_counts_each_slot_for_a_period_and_the_slack(held):
    h = held(pool=[limit("tokens", 1000, "minute")])
    h.clock.advance(123)  # slots of 500 ms: this one ends 377 ms from now
    h.granted("tokens", 600)
    h.clock.advance(30_000)
    h.granted("tokens", 400)
    h.denied("tokens", 600, by=f"pool:{POOL} tokens/minute", retry_after_ms=30_000 + 377 + 250)
    h.denied("tokens", 601, by=f"pool:{POOL} tokens/minute", retry_after_ms=60_000 + 377 + 250)
    h.clock.advance(30_000 + 377 + 250 - 1)
    h.denied("tokens", 1, by=f"pool:{POOL} tokens/minute", retry_after_ms=1)
    h.clock.advance(1)
    h.granted("tokens", 600)
    assert h.remaining("tokens") == 0


def test_calendar_day_resets_at_midnight_of_its_zone(held):
    """The day when clocks go forward has 23 hours."""
    zone = "America/Los_Angeles"
    h = held(pool=[limit("requests", 3, "day", algorithm="calendar", time_zone=zone)])
    local = datetime.datetime(2027, 3, 14, 0, 30, tzinfo=zoneinfo.ZoneInfo(zone))
    h.clock.set(int(local.timestamp() * 1000))
    for _ in range(3):
        h.granted()
    left = 22 * HOUR + 30 * MINUTE
    h.denied(by=f"pool:{POOL} requests/day", retry_after_ms=left)
    assert h.row("requests")["reset_ms"] == left
    h.clock.advance(left - 1)
    h.denied(by=f"pool:{POOL} requests/day", retry_after_ms=1)
    h.clock.advance(1)
    assert h.remaining("requests") == 3
    for _ in range(3):
        h.granted()
    h.denied(by=f"pool:{POOL} requests/day", retry_after_ms=24 * HOUR)
    h.clock.advance(40 * DAY)
    assert h.remaining("requests") == 3


def test_calendar_month_resets_on_the_first(held):
    h = held(tier=[limit("usd", 5_000_000, "month", algorithm="calendar")])
    at = datetime.datetime(2028, 2, 28, 12, 0, tzinfo=datetime.timezone.utc)
    h.clock.set(int(at.timestamp() * 1000))
    h.granted("usd", 5_000_000)
    left = DAY + 12 * HOUR  # a leap year
    h.denied("usd", 1, by="tenant:acme usd/month", retry_after_ms=left)
    h.clock.advance(left)
    h.granted("usd", 5_000_000)
    h.denied("usd", 1, by="tenant:acme usd/month", retry_after_ms=31 * DAY)


def test_concurrent_is_freed_by_report_and_by_expiry(held):
    h = held(pool=[limit("concurrent", 2)])
    first = h.granted("TTL", 1024)
    h.granted("TTL", 2048)
    h.denied(by=f"pool:{POOL} concurrent", retry_after_ms=1024)
    assert h.report(first) == "settled"
    h.granted("TTL", 4096)
    h.clock.advance(2047)
    h.denied(by=f"pool:{POOL} concurrent", retry_after_ms=1)
    h.clock.advance(1)
    h.granted("TTL", 4096)
    assert h.row("concurrent")["per"] == ""


def test_concurrent_may_be_more_than_one(held):
    h = held(tier=[limit("concurrent", 5)])
    id_ = h.granted("concurrent", 4)
    assert h.remaining("concurrent") == 1
    h.denied("concurrent", 6, by="tenant:acme concurrent", retry_after_ms=-1)
    assert h.report(id_) == "settled"
    assert h.remaining("concurrent") == 5


def test_counted_at_the_end_charges_when_reported(held):
    """Neither the starts nor the ends in any window exceed the amount: held, charged at the end."""
    h = held(pool=[limit("output_tokens", 100, "minute", counted="end", slack_ms=0)])
    h.clock.advance(499)  # at the end of a slot: the next millisecond is in the next one
    id_ = h.granted("output_tokens", 60, "TTL", 600_000)
    assert h.remaining("output_tokens") == 40
    h.clock.advance(120_000)
    assert h.remaining("output_tokens") == 40, "held tokens do not leave the window by themselves"
    assert h.report(id_, "output_tokens", 20) == "settled"
    assert h.remaining("output_tokens") == 80
    h.clock.advance(60_000)
    assert h.remaining("output_tokens") == 80, "the charge counts from the time of the report"
    h.clock.advance(1)
    assert h.remaining("output_tokens") == 100


def test_counted_at_the_end_unreported_is_charged_at_its_deadline(held):
    h = held(pool=[limit("output_tokens", 100, "minute", counted="end", slack_ms=0)])
    h.granted("output_tokens", 60, "TTL", 1024)
    h.clock.advance(1024 + 60_000 - 600)
    assert h.remaining("output_tokens") == 40
    h.clock.advance(1200)
    assert h.remaining("output_tokens") == 100


def test_settle_gives_back_unless_it_is_off(held):
    h = held(pools={POOL: {"limits": [limit("tokens", 1000, "minute")]},
                    "azure": {"limits": [limit("tokens", 1000, "minute", settle=False)]}})  # fmt: skip
    for pool, after in ((POOL, 900), ("azure", 500)):
        id_ = h.granted("tokens", 500, pool=pool)
        assert h.report(id_, "tokens", 100) == "settled"
        assert h.remaining("tokens", pool=pool) == after
    id_ = h.granted("tokens", 500, pool="azure")
    assert h.report(id_, "tokens", 700) == "settled"
    assert h.remaining("tokens", pool="azure") == -200, "more than estimated is still debt"


def test_cancel_gives_everything_back(held):
    h = held(pool=[limit("requests", 10, "minute"), limit("tokens", 1000, "minute"), limit("concurrent", 3)],
             tier=[limit("tokens", 800, "minute"), limit("requests", 5, "day", algorithm="calendar")])  # fmt: skip
    before = h.wire.call("PEEK", POOL, "acme")
    id_ = h.granted("tokens", 500)
    h.clock.advance(0)
    assert h.wire.fields("CANCEL", id_) == {"status": "settled"}
    assert h.wire.call("PEEK", POOL, "acme") == before


def test_hold_back_stops_background_work_first(held):
    tiers = {name: {"priority": priority, "limits": []} for priority, name in enumerate(("real", "standard", "back"))}
    tenants = {name: {"tier": name} for name in tiers}
    h = held(pool=[limit("requests", 10, "minute")], hold_back=[0, 0.1, 0.3], tiers=tiers, tenants=tenants,
             default_tier=None)  # fmt: skip
    for tenant, n in (("back", 7), ("standard", 2), ("real", 1)):
        for _ in range(n):
            h.granted(tenant=tenant)
        assert h.ask(tenant=tenant)["status"] == "denied"
    assert h.remaining("requests", tenant="real") == 0


def test_a_small_limit_is_not_held_back_as_a_whole(held):
    """Whatever the share, one is left for every priority, and no more than the share is taken otherwise."""
    shares = [[0, 0.01, 0.1], [0.1, 0.1, 0.3], [0.5, 0.5, 0.5], [0.9, 0.99, 0.999999999]]
    pools = {f"p{i}.{n}": {"limits": [limit("requests", n, "day"), limit("concurrent", n)], "hold_back": share}
             for i, share in enumerate(shares) for n in range(1, 21)}  # fmt: skip
    tiers = {f"t{priority}": {"priority": priority, "limits": []} for priority in range(3)}
    h = held(pools=pools, tiers=tiers, tenants={name: {"tier": name} for name in tiers}, default_tier=None)
    for i, share in enumerate(shares):
        for n in range(1, 21):
            for priority in (2, 1, 0):
                got, pool = [], f"p{i}.{n}"
                while (answer := h.wire.fields("ACQUIRE", pool, f"t{priority}"))["status"] == "granted":
                    got.append(answer["id"])
                assert len(got) == max(1, n - math.ceil(share[priority] * n - 1e-9)), (share, n, priority)
                assert answer["retry_after_ms"] > 0
                for id_ in got:
                    assert h.wire.fields("CANCEL", id_)["status"] == "settled"


def test_priority_may_be_lowered_and_not_raised(held):
    h = held(pool=[limit("requests", 10, "minute")], hold_back=[0, 0, 0.9])
    h.granted("PRIORITY", 2)
    h.denied("PRIORITY", 2, by=f"pool:{POOL} requests/minute", retry_after_ms=60_750)
    h.granted("PRIORITY", 1)
    answer = h.ask("PRIORITY", 0)
    assert isinstance(answer, WireError) and answer.word == "ERR" and "PRIORITY" in answer


def test_more_than_hold_back_leaves_is_never(held):
    h = held(pool=[limit("tokens", 1000, "minute")], hold_back=[0, 0.5, 0.5])
    h.denied("tokens", 501, by=f"pool:{POOL} tokens/minute", retry_after_ms=-1)
    h.granted("tokens", 500)


def test_in_pool_limits_a_tenant_there_and_nowhere_else(held):
    tiers = {"all": {"limits": [limit("requests", 10, "minute")], "in_pool": {POOL: [limit("tokens", 100, "minute")]}}}
    tenants = {"globex": {"tier": "all", "in_pool": {POOL: [limit("tokens", 50, "minute")]}}}
    h = held(pools={POOL: {"limits": WIDE}, "other": {"limits": WIDE}}, tiers=tiers, tenants=tenants)
    h.denied("tokens", 101, by=f"tenant:acme@{POOL} tokens/minute", retry_after_ms=-1)
    h.denied("tokens", 51, by=f"tenant:globex@{POOL} tokens/minute", retry_after_ms=-1, tenant="globex")
    h.granted("tokens", 100)
    h.granted("tokens", 5000, pool="other")
    assert h.remaining("requests") == 8, "the tenant's own limits apply across all pools"
    assert [row["scope"] for row in as_rows(h.wire.call("PEEK", "other", "acme"))] == ["pool:other", "tenant:acme"]


def test_tenants_do_not_share_their_limits(held):
    h = held(tier=[limit("requests", 1, "minute")])
    for tenant in ("a", "b", "c"):
        h.granted(tenant=tenant)
    for tenant in ("a", "b", "c"):
        h.denied(by=f"tenant:{tenant} requests/minute", retry_after_ms=MINUTE, tenant=tenant)


def test_all_or_nothing_over_every_limit(held):
    """The answer is the longest wait of all refusing limits, and none of the others is charged."""
    h = held(pool=[limit("requests", 5, "minute"), limit("tokens", 1000, "minute")],
             tier=[limit("tokens", 100, "minute"), limit("input_tokens", 50, "hour")])  # fmt: skip
    h.granted("input_tokens", 30, "output_tokens", 60)
    before = h.wire.call("PEEK", POOL, "acme")
    h.denied("input_tokens", 30, "output_tokens", 10, by="tenant:acme input_tokens/hour", retry_after_ms=12 * MINUTE)
    assert h.wire.call("PEEK", POOL, "acme") == before


def test_tokens_are_the_sum_of_their_parts(held):
    h = held(pool=[limit("tokens", 1000, "minute"), limit("input_tokens", 1000, "minute"),
                   limit("output_tokens", 1000, "minute")])  # fmt: skip
    id_ = h.granted("input_tokens", 100, "output_tokens", 200)
    assert [h.remaining(unit) for unit in ("tokens", "input_tokens", "output_tokens")] == [700, 900, 800]
    h.report(id_, "input_tokens", 90, "output_tokens", 50)
    assert [h.remaining(unit) for unit in ("tokens", "input_tokens", "output_tokens")] == [860, 910, 950]
    id_ = h.granted("tokens", 300)
    assert [h.remaining(unit) for unit in ("tokens", "input_tokens", "output_tokens")] == [560, 610, 650]
    h.report(id_, "input_tokens", 10, "output_tokens", 20)
    assert [h.remaining(unit) for unit in ("tokens", "input_tokens", "output_tokens")] == [830, 900, 930]


def test_debt_is_paid_by_refill(held):
    h = held(tier=[limit("tokens", 60, "minute")])
    id_ = h.granted("tokens", 60)
    assert h.report(id_, "tokens", 150) == "settled"
    assert h.remaining("tokens") == -90
    h.denied("tokens", 1, by="tenant:acme tokens/minute", retry_after_ms=91_000)
    h.granted()  # a request without that unit passes despite debt
    h.clock.advance(91_000)
    h.granted("tokens", 1)


def test_renew_lengthens_and_adds(held):
    h = held(pool=[limit("tokens", 1000, "minute"), limit("concurrent", 1)])
    id_ = h.granted("tokens", 400, "TTL", 1024)
    h.clock.advance(1000)
    answer = h.wire.fields("RENEW", id_, "TTL", 4096, "tokens", 100)
    assert list(answer) == ["status", "id", "retry_after_ms", "limited_by", "mode"]
    assert (answer["status"], answer["id"]) == ("granted", id_)
    assert h.remaining("tokens") == 500
    h.clock.advance(4000)
    assert h.remaining("concurrent") == 0
    refused = h.wire.fields("RENEW", id_, "TTL", 60_000, "tokens", 501)
    assert (refused["status"], refused["limited_by"]) == ("denied", f"pool:{POOL} tokens/minute")
    h.clock.advance(1096)
    assert h.remaining("concurrent") == 1, "a denied addition does not change the time to live"
    ended = h.wire.call("RENEW", id_, "TTL", 60_000)
    assert isinstance(ended, WireError) and ended.word == "NOSUCH"
    assert h.report(id_, "tokens", 0) == "late"


def test_peek_and_dryrun_write_nothing(held):
    h = held(pool=[limit("tokens", 1000, "minute"), limit("requests", 10, "day", algorithm="calendar")],
             tier=[limit("tokens", 100, "minute"), limit("concurrent", 3)])  # fmt: skip
    before = h.redis.digest()
    assert h.ask("tokens", 50, "DRYRUN") == {
        "status": "granted", "id": "", "retry_after_ms": 0, "limited_by": "", "mode": "exact",
    }  # fmt: skip
    assert len(h.wire.call("PEEK", POOL, "acme")) == 4
    assert h.redis.digest() == before
    h.granted("tokens", 80)
    h.clock.advance(1000)
    before = h.redis.digest()
    assert h.ask("tokens", 20, "DRYRUN")["status"] == "granted"
    assert h.ask("tokens", 50, "DRYRUN")["status"] == "denied"
    h.wire.call("PEEK", POOL, "acme")
    assert h.redis.digest() == before


def test_priority_decides_within_a_pipeline_of_one_batch(held):
    """Reports first, then acquires by priority: the most urgent one gets what its batch frees."""
    tiers = {"real": {"priority": 0, "limits": []}, "back": {"priority": 2, "limits": []}}
    tenants = {"r": {"tier": "real"}, "b": {"tier": "back"}}
    h = held(pool=[limit("requests", 2, "minute"), limit("concurrent", 1)], tiers=tiers, tenants=tenants,
             default_tier=None)  # fmt: skip
    id_ = h.granted(tenant="b")
    for command in (("ACQUIRE", POOL, "b"), ("ACQUIRE", POOL, "r"), ("REPORT", id_)):
        h.wire.send(*command)
    answers = [h.wire.read() for _ in range(3)]
    assert answers[2] == ["status", "settled"]
    assert sum("granted" in answer for answer in answers[:2]) <= 1
