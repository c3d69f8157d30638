"""Usage is charged once, where it belongs."""
import random
import threading

import pytest

from configs import POOL, config, limit
from crowd import Crowd
from waiting import wait_until
from wire import WireError, as_fields, as_rows

MINUTE = 60_000
DAY = 1440 * MINUTE


class World:
    """Two rationd on one store with a held clock; one connection to each."""

    def __init__(self, lab, **settings):
        self.clock = lab.clock()
        self.store = lab.redis(clock=self.clock)
        self.settings = config(self.store, **settings)
        self.servers = [lab.ration(self.settings), lab.ration(self.settings)]
        self.wires = [server.wire() for server in self.servers]
        self.a, self.b = self.wires

    def granted(self, *cost, wire=0, tenant="acme", pool=POOL):
        answer = self.wires[wire].fields("ACQUIRE", pool, tenant, *cost)
        assert answer["status"] == "granted", answer
        return answer["id"]

    def status(self, *command, wire=0):
        answer = self.wires[wire].fields(*command)
        return answer.word if isinstance(answer, WireError) else answer["status"]

    def remaining(self, unit, scope="pool", tenant="acme", pool=POOL, wire=0):
        return self.servers[wire].remaining(pool, tenant, scope, unit)

    def levels(self, tenant="acme", pool=POOL):
        return [(row["limit"], row["remaining"]) for row in as_rows(self.a.call("PEEK", pool, tenant))]


@pytest.fixture
def world(lab):
    return lambda **settings: World(lab, **settings)


# ---- Beyond the estimate -------------------------------------------------------------------------


def test_reported_is_charged_whatever_the_estimate(world):
    """Sum reported = sum charged, over random estimates and reports, on either server."""
    w = world(pool=[limit("tokens", 10**9, "day"), limit("usd", 10**9, "month", algorithm="calendar")],
              tier=[limit("tokens", 10**9, "day")])  # fmt: skip
    rng = random.Random(2)
    open_, used, used_usd = [], 0, 0
    for n in range(1500):
        if open_ and rng.random() < 0.5:
            id_ = open_.pop(rng.randrange(len(open_)))
            actual, usd = rng.choice([0, 1, rng.randrange(5000), 10**6]), rng.randrange(100)
            assert w.status("REPORT", id_, "tokens", actual, "usd", usd, wire=n % 2) == "settled"
            used += actual
            used_usd += usd
        else:
            open_.append(w.granted("tokens", rng.randrange(1, 5000), "usd", rng.randrange(100), wire=n % 2))
    for id_ in open_:
        assert w.status("REPORT", id_, "tokens", 7, "usd", 1) == "settled"
        used += 7
        used_usd += 1
    assert w.remaining("tokens") == 10**9 - used
    assert w.remaining("tokens", "tenant") == 10**9 - used
    assert w.remaining("usd") == 10**9 - used_usd
    ledger = w.servers[0].audit(POOL)
    assert (ledger["tokens"]["used"], ledger["usd"]["used"]) == (used, used_usd)
    assert all(row["balanced"] for row in ledger.values())
    assert ledger["tokens"]["outstanding"] == 0


def test_debt_delays_and_is_not_forgotten(world):
    w = world(tier=[limit("tokens", 1000, "minute")], pool=[limit("tokens", 5000, "minute")])
    assert w.status("REPORT", w.granted("tokens", 100), "tokens", 7000) == "settled"
    assert w.remaining("tokens", "tenant") == -6000
    assert w.remaining("tokens") == -2000
    for _ in range(3):
        answer = w.b.fields("ACQUIRE", POOL, "acme", "tokens", 1)
        assert (answer["status"], answer["limited_by"]) == ("denied", "tenant:acme tokens/minute")
        w.clock.advance(MINUTE)
    assert w.remaining("tokens", "tenant") == -3000


# ---- Refunds that come too late ------------------------------------------------------------------


def test_settled_after_the_window_has_turned(world):
    """The refund of an old window is not given to the new one, in any algorithm."""
    pools = {name: {"limits": [made]} for name, made in {
        "rolling": limit("tokens", 1000, "minute"),
        "calendar": limit("tokens", 1000, "day", algorithm="calendar"),
        "bucket": limit("tokens", 1000, "minute", algorithm="bucket"),
    }.items()}  # fmt: skip
    w = world(pools=pools)
    w.clock.set((w.clock.ms // DAY + 1) * DAY - MINUTE)
    old = {pool: w.granted("tokens", 900, "TTL", ttl, pool=pool) for pool, ttl in zip(pools, (100, 100, 3_600_000))}
    w.clock.advance(2 * MINUTE)
    for pool in pools:
        w.granted("tokens", 600, pool=pool)
        assert w.status("REPORT", old[pool], "tokens", 0) == ("settled" if pool == "bucket" else "late")
        assert w.remaining("tokens", pool=pool) == 400, pool
        assert not w.store.keys_without_expiry()


def test_a_refund_never_fills_above_capacity(world):
    """Random grants, waits and reports: no level above its limit, every key with an expiry."""
    w = world(pool=[limit("tokens", 1000, "minute"), limit("output_tokens", 500, "minute", counted="end"),
                    limit("concurrent", 50)],
              tier=[limit("tokens", 700, "minute"), limit("input_tokens", 9000, "day", algorithm="calendar")])  # fmt: skip
    rng = random.Random(3)
    open_ = []
    for _ in range(600):
        turn = rng.random()
        if turn < 0.45:
            answer = w.a.fields("ACQUIRE", POOL, "acme", "input_tokens", rng.randrange(80), "output_tokens",
                                rng.randrange(40), "TTL", rng.choice([100, 5000, 90_000]))  # fmt: skip
            if answer["status"] == "granted":
                open_.append(answer["id"])
        elif turn < 0.8 and open_:
            id_ = open_.pop(rng.randrange(len(open_)))
            command = rng.choice([("CANCEL", id_), ("REPORT", id_, "input_tokens", 0, "output_tokens", 0),
                                  ("REPORT", id_, "output_tokens", rng.randrange(60))])  # fmt: skip
            assert w.status(*command, wire=rng.randrange(2)) in ("settled", "late", "NOSUCH")
        else:
            w.clock.advance(rng.choice([1, 500, 7000, 61_000, 400_000]))
        for most, remaining in w.levels():
            assert remaining <= most
        assert not w.store.keys_without_expiry()


def test_nothing_is_left_behind(world):
    """What no longer matters is gone: an idle store is empty."""
    w = world(pool=[limit("tokens", 1000, "minute"), limit("concurrent", 5)], tier=[limit("tokens", 500, "hour")])
    for n in range(40):
        id_ = w.granted("tokens", 10, "TTL", 1000, tenant=f"t{n}", wire=n % 2)
        if n % 2:
            w.status("REPORT", id_, "tokens", n)
        w.clock.advance(2000)
    w.clock.advance(4 * 3_600_000)
    assert w.a.call("PEEK", POOL, "t1")
    wait_until(lambda: w.store.connection.dbsize() == 0, "an empty store")


# ---- Repeated reports, and reports by others -----------------------------------------------------


def test_a_second_report_changes_nothing(world):
    w = world(pool=[limit("tokens", 1000, "minute"), limit("concurrent", 2)], tier=[limit("tokens", 900, "minute")])
    first, second = w.granted("tokens", 300), w.granted("tokens", 200)
    assert w.status("REPORT", first, "tokens", 100) == "settled"
    before = w.store.contents()
    for command in (("REPORT", first, "tokens", 0), ("CANCEL", first), ("REPORT", first, "PARTIAL"), ("REPORT", first)):
        for wire in (0, 1):
            assert w.status(*command, wire=wire) == "duplicate"
    assert w.store.contents() == before
    assert w.remaining("concurrent") == 1, "the other's slot is its own"
    assert w.status("CANCEL", second) == "settled"
    assert w.status("CANCEL", second) == "duplicate"
    assert w.status("REPORT", second, "tokens", 500) == "duplicate"
    assert (w.remaining("tokens"), w.remaining("concurrent")) == (900, 2)


def test_a_refused_call_has_nothing_to_release(world):
    w = world(pool=[limit("concurrent", 1)])
    w.granted()
    for free_form in (False, True):
        more = ("ID", "order-1") if free_form else ()
        refused = w.a.fields("ACQUIRE", POOL, "acme", *more)
        assert refused["status"] == "denied"
        before = w.store.contents()
        for command in (("CANCEL", refused["id"]), ("REPORT", refused["id"]), ("RENEW", refused["id"])):
            assert w.status(*command, wire=1) == "NOSUCH"
        assert w.store.contents() == before
        assert w.remaining("concurrent") == 0


def test_an_id_that_is_nearly_right(world):
    """With another slice, nonce, member, tenant or pool: no such reservation, no change."""
    w = world(pools={POOL: {"limits": [limit("tokens", 1000, "minute")]},
                     "other": {"limits": [limit("tokens", 1000, "minute")]}})  # fmt: skip
    id_ = w.granted("tokens", 300)
    prefix, rest = id_.split(".", 1)
    slice_, nonce, member, names = rest.split(".", 3)
    other_nonce = f"{int(nonce, 16) ^ 1:016x}"
    before = w.store.contents()
    for wrong in (
        f"{prefix}.{slice_}x.{nonce}.{member}.{names}",
        f"{prefix}.{slice_}.{other_nonce}.{member}.{names}",
        f"{prefix}.{slice_}.{nonce}.1.{names}",
        f"{prefix}.{slice_}.{nonce}.255.{names}",
        f"{prefix}.{slice_}.{nonce}.{member}.globex@{POOL}",
        f"{prefix}.{slice_}.{nonce}.{member}.acme@other",
    ):
        for verb in ("REPORT", "CANCEL", "RENEW"):
            answer = w.a.call(verb, wrong)
            assert isinstance(answer, WireError), (verb, wrong, answer)
    assert w.store.contents() == before
    assert w.status("REPORT", id_, "tokens", 5) == "settled"


def test_a_callers_own_id_is_for_one_call(world):
    w = world(pool=[limit("tokens", 1000, "minute")])
    assert w.granted("tokens", 100, "ID", "order-17") == "order-17"
    assert w.granted("tokens", 100, "ID", "order-17", wire=1) == "order-17"
    assert w.remaining("tokens") == 900
    assert w.status("ACQUIRE", POOL, "acme", "tokens", 101, "ID", "order-17") == "ERR"
    assert w.status("REPORT", "order-17", "tokens", 40, wire=1) == "settled"
    assert w.status("ACQUIRE", POOL, "acme", "tokens", 100, "ID", "order-17") == "NOSUCH", "it has ended"
    assert w.remaining("tokens") == 960


def test_the_same_ids_many_times_in_flight(world):
    """Each id forty times, pipelined to both servers, in one batch or several: charged once."""
    w = world(pool=[limit("tokens", 1000, "day")])
    ids = [f"order-{n}" for n in range(20)] + [f"r1.many{n % 3}.{n:016x}.0.acme@{POOL}" for n in range(20)]
    for _ in range(20):
        for id_ in ids:
            for wire in w.wires:
                wire.send("ACQUIRE", POOL, "acme", "tokens", 10, "ID", id_)
    assert all(as_fields(wire.read())["status"] == "granted" for _ in range(20 * len(ids)) for wire in w.wires)
    assert w.remaining("tokens") == 1000 - 10 * len(ids)
    for _ in range(20):
        for id_ in ids:
            for wire in w.wires:
                wire.send("REPORT", id_, "tokens", 3)
    statuses = [as_fields(wire.read())["status"] for _ in range(20 * len(ids)) for wire in w.wires]
    assert (statuses.count("settled"), statuses.count("duplicate")) == (len(ids), 39 * len(ids))
    assert w.remaining("tokens") == 1000 - 3 * len(ids)
    assert all(row["balanced"] for row in w.servers[0].audit().values())


@pytest.mark.parametrize("names", [("openai/gpt-4", "openai/gpt-5"), ("replay/8", "replay/9"), ("a", "b")])
def test_a_report_is_for_the_pool_that_granted(world, names):
    """An id names its tenant and pool; with another pool's name, however alike, it is nobody's."""
    w = world(pools={name: {"limits": [limit("tokens", 1000, "day")]} for name in names})
    one, other = names
    w.granted("tokens", 900, pool=other)
    id_ = w.granted("tokens", 800, pool=one)
    forged = id_.replace("@" + one, "@" + other)
    assert forged != id_
    assert w.status("REPORT", forged, "tokens", 0) == "NOSUCH"
    assert w.remaining("tokens", pool=other) == 100 and w.remaining("tokens", pool=one) == 200
    forged = id_.replace("acme", "acmf")
    assert w.status("REPORT", forged, "tokens", 0) == "NOSUCH"
    assert w.status("REPORT", id_, "tokens", 0) == "settled"
    audit = {name: w.servers[0].audit(name)["tokens"] for name in names}
    assert all(row["balanced"] for row in audit.values()), audit


# ---- Aborted streams -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "estimate, report, charged",
    [
        (("input_tokens", 100, "output_tokens", 400), (), (100, 100, 0)),
        (("input_tokens", 100, "output_tokens", 400), ("output_tokens", 10), (110, 100, 10)),
        (("input_tokens", 100, "output_tokens", 400), ("tokens", 30), (100, 100, 0)),
        (("input_tokens", 100, "output_tokens", 400), ("tokens", 300), (300, 100, 0)),
        (("input_tokens", 100, "output_tokens", 400), ("input_tokens", 20, "output_tokens", 10), (110, 100, 10)),
        (("input_tokens", 100, "output_tokens", 400), ("input_tokens", 150, "output_tokens", 10), (160, 150, 10)),
        (("tokens", 500), (), (500, 500, 500)),
        (("tokens", 500), ("tokens", 20), (500, 500, 20)),
        (("tokens", 500), ("tokens", 600), (600, 600, 600)),
    ],
)
def test_partial_charges_the_larger_of_report_and_input(world, estimate, report, charged):
    """(tokens, input_tokens, output_tokens). A broken stream is neither free nor fully refunded."""
    w = world(pool=[limit(unit, 10_000, "minute") for unit in ("tokens", "input_tokens", "output_tokens")])
    id_ = w.granted(*estimate)
    assert w.status("REPORT", id_, *report, "PARTIAL") == "settled"
    tokens, input_, _ = (10_000 - w.remaining(unit) for unit in ("tokens", "input_tokens", "output_tokens"))
    assert (tokens, input_) == charged[:2]
    assert w.servers[0].audit(POOL)["tokens"]["used"] == charged[0]


def test_no_report_at_all_keeps_the_charge(world):
    w = world(pool=[limit("tokens", 1000, "day"), limit("concurrent", 1)])
    id_ = w.granted("tokens", 400, "TTL", 1024)
    w.clock.advance(3000)
    assert (w.remaining("tokens"), w.remaining("concurrent")) == (600, 1)
    assert w.servers[1].audit(POOL)["tokens"]["expired"] == 400
    assert w.status("REPORT", id_, "tokens", 500) == "late"
    assert w.status("REPORT", id_, "tokens", 500) == "duplicate"
    assert (w.remaining("tokens"), w.remaining("concurrent")) == (500, 1)
    assert w.servers[1].audit(POOL)["tokens"]["balanced"]


def test_a_report_without_amounts_is_as_estimated(world):
    w = world(pool=[limit("tokens", 1000, "minute")])
    assert w.status("REPORT", w.granted("tokens", 400), "STATUS", 200) == "settled"
    assert w.remaining("tokens") == 600


# ---- Limits that change under load ---------------------------------------------------------------


def test_a_limit_is_changed_under_load(lab, world):
    """Usage stays; the first decision after the reload applies the new limit; no client fails."""
    w = world(tier=[limit("tokens", 5000, "day")])
    load = Crowd([server.port for server in w.servers], POOL, costs=(1, 2), processes=4, connections=8)
    lab.on_close(load.kill)
    load.start()
    wait_until(lambda: w.remaining("tokens", "tenant") == 0, "the first limit to be used up", 60)
    tiers = {amount: {"all": {"priority": 1, "limits": [limit("tokens", amount, "day")]}} for amount in (8000, 3000)}
    for server in w.servers:
        assert server.reload(dict(w.settings, tiers=tiers[8000])) == "reloaded"
    wait_until(lambda: w.remaining("tokens", "tenant") == 0, "the second limit to be used up", 60)
    for server in w.servers:
        assert server.reload(dict(w.settings, tiers=tiers[3000])) == "reloaded"
    assert w.a.fields("ACQUIRE", POOL, "acme", "tokens", 1)["status"] == "denied"
    total = load.stop()
    assert not total["errors"], total["errors"][:3]
    assert total["sum"] == 8000
    assert w.remaining("tokens", "tenant") == 3000 - 8000


@pytest.mark.parametrize(
    "before, after",
    [
        (limit("tokens", 1000, "minute"), limit("tokens", 1000, "minute", algorithm="rolling")),
        (limit("tokens", 1000, "minute", algorithm="rolling"), limit("tokens", 1000, "hour", algorithm="rolling")),
        (limit("tokens", 1000, "day", algorithm="calendar"), limit("tokens", 1000, "day")),
        (limit("tokens", 1000, "minute"), limit("tokens", 1000, "minute", counted="end")),
        (limit("tokens", 1000, "minute"), limit("tokens", 1000, "minute", burst=2000)),
    ],
)
def test_another_kind_of_limit_keeps_what_was_used(world, before, after):
    w = world(tier=[before])
    open_ = w.granted("tokens", 300)
    assert w.status("REPORT", w.granted("tokens", 400), "tokens", 350) == "settled"
    for server in w.servers:
        server.reload(dict(w.settings, tiers={"all": {"priority": 1, "limits": [after]}}))
    capacity = after.get("burst", 1000)
    assert w.remaining("tokens", "tenant") == capacity - 650
    answer = w.b.fields("ACQUIRE", POOL, "acme", "tokens", capacity - 649)
    assert answer["status"] == "denied" and answer["retry_after_ms"] > 0
    w.granted("tokens", capacity - 650)
    assert w.status("REPORT", open_, "tokens", 300) == "settled"
    assert w.remaining("tokens", "tenant") <= 0


def test_a_limit_that_goes_and_comes(world):
    w = world(pool=[limit("tokens", 1000, "minute"), limit("requests", 5, "minute")])
    for _ in range(5):
        w.granted("tokens", 10)
    assert w.status("ACQUIRE", POOL, "acme") == "denied"
    for server in w.servers:
        server.reload(dict(w.settings, pools={POOL: {"limits": [limit("tokens", 1000, "minute")]}}))
    w.granted("tokens", 10)
    assert w.remaining("tokens") == 940


# ---- Calendar limits under constant load ---------------------------------------------------------


def test_a_calendar_limit_under_constant_load_resets_on_the_instant(world):
    """EXPIRE on every hit would postpone the end forever; this resets at midnight under load."""
    w = world(pool=[limit("requests", 100, "day", algorithm="calendar", time_zone="Asia/Kolkata")])
    midnight = (w.clock.ms + 5 * 3_600_000 + 30 * MINUTE) // DAY * DAY - 5 * 3_600_000 - 30 * MINUTE
    day, left = 0, 100
    while day < 3:
        next_day = (w.clock.ms - midnight) // DAY
        if next_day > day:
            day, left = next_day, 100
        answer = w.wires[w.clock.ms // 1000 % 2].fields("ACQUIRE", POOL, "acme")
        assert (answer["status"] == "granted") == (left > 0), (w.clock.ms, left)
        if left == 0:
            assert answer["retry_after_ms"] == midnight + (day + 1) * DAY - w.clock.ms
        left = max(0, left - 1)
        w.clock.set(min(w.clock.ms + 600_000, midnight + (day + 1) * DAY))


# ---- What one server learns, all know ------------------------------------------------------------


def test_a_report_on_one_server_is_seen_by_the_next_acquire_on_the_other(world):
    w = world(pool=[limit("tokens", 1000, "day"), limit("concurrent", 1)])
    for n in range(100):
        id_ = w.granted("tokens", 1000, wire=n % 2)
        assert w.status("ACQUIRE", POOL, "acme", "tokens", 1, wire=1) == "denied"
        assert w.status("ACQUIRE", POOL, "acme", "tokens", 1, wire=0) == "denied"
        assert w.status("REPORT", id_, "tokens", 0, wire=(n + 1) % 2) == "settled"
    assert w.remaining("tokens") == 1000


def test_under_concurrency_a_slot_is_never_given_twice(lab, world):
    """Threads on both servers share three slots; at most three ever hold one at once."""
    w = world(pool=[limit("concurrent", 3)])
    holding, most, done = [0], [0], [0]
    lock = threading.Lock()
    failures = []

    def work(server):
        try:
            with server.wire() as wire:
                for _ in range(150):
                    answer = wire.fields("ACQUIRE", POOL, "acme")
                    if answer["status"] != "granted":
                        continue
                    with lock:
                        holding[0] += 1
                        most[0] = max(most[0], holding[0])
                        done[0] += 1
                    with lock:
                        holding[0] -= 1
                    assert wire.fields("REPORT", answer["id"]) == {"status": "settled"}
        except Exception as error:  # a thread's failure must fail the test
            failures.append(error)

    threads = [threading.Thread(target=work, args=(w.servers[n % 2],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert 1 <= most[0] <= 3 and done[0] >= 150
    assert w.remaining("concurrent") == 3
