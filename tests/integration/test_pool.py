"""What one host learns about a provider, all know: two rationd on a store whose clock the test
controls.
"""
import json
import random
import threading

import pytest

from configs import POOL, config, limit
from recording_provider import RecordingProvider
from test_settles_once import World
from wire import WireError, as_fields

MANY = [limit("tokens", 1_000_000, "minute"), limit("requests", 100_000, "minute")]
BREAKER = {"failures": 0.5, "at_least": 10, "window_ms": 8000, "cool_down_ms": 1000}


@pytest.fixture
def world(lab):
    def make(**settings):
        pool = {"limits": MANY, "breaker": BREAKER, **settings}
        return World(lab, pools={POOL: pool, "other": {"limits": MANY}}, tier=[limit("tokens", 10**9, "minute")])

    return make


def acquire(w, *cost, wire=0, pool=POOL):
    return w.wires[wire].fields("ACQUIRE", pool, "acme", *(cost or ("tokens", 1)))


def denied(answer):
    return answer["status"] == "denied" and (answer["limited_by"], answer["retry_after_ms"])


def show(w, *words, wire=0):
    return w.wires[wire].fields("POOL", *(words or ("GET", POOL)))


def fail(w, n, *words, wire=0):
    for id_ in [w.granted("tokens", 1) for _ in range(n)]:
        assert w.status("REPORT", id_, *(words or ("FAILED",)), wire=wire) == "settled"


PAUSES = (("STATUS 429 RETRY_AFTER 5000", 5000), ("STATUS 429", 1000), ("STATUS 429 RETRY_AFTER 0", 0), ("STATUS 503", 0),
          ("STATUS 503 RETRY_AFTER 70", 70), ("STATUS 529 RETRY_AFTER 99999999999", 86_400_000),
          ("STATUS 200 RETRY_AFTER 5000", 0), ("STATUS 500 RETRY_AFTER 5000", 0))  # fmt: skip


@pytest.mark.parametrize("words, ms", PAUSES)
def test_what_pauses_a_pool_and_for_how_long(world, words, ms):
    w = world()
    assert w.status("REPORT", w.granted("tokens", 1), *words.split()) == "settled"
    answer = acquire(w, wire=1)
    assert denied(answer) == (ms > 0 and (f"pool:{POOL} paused", ms))
    assert acquire(w, wire=1, pool="other")["status"] == "granted"
    if ms:
        assert acquire(w, "tokens", 1, "DRYRUN")["status"] == "denied"
        w.clock.advance(ms - 1)
        assert denied(acquire(w)) == (f"pool:{POOL} paused", 1)
        w.clock.advance(1)
        assert acquire(w)["status"] == "granted"


def test_a_pause_is_seen_by_every_host_and_a_duplicate_extends_nothing(world):
    w = world()
    first, second, late = [w.granted("tokens", 1, "TTL", 60_000) for _ in range(3)]
    w.status("REPORT", first, "STATUS", 429, "RETRY_AFTER", 5000)
    w.clock.advance(3000)
    assert w.status("REPORT", first, "STATUS", 429, "RETRY_AFTER", 5000, wire=1) == "duplicate"
    assert denied(acquire(w, wire=1)) == (f"pool:{POOL} paused", 2000)
    digest = w.store.digest()
    for wire in (0, 1):
        assert acquire(w, wire=wire)["status"] == "denied"
    assert w.store.digest() == digest
    assert w.a.fields("RENEW", second, "tokens", 5)["status"] == "granted"
    fields = show(w, wire=1)
    assert list(fields) == ["pool", "state", "reason", "until_ms", "failures", "reports", "cool_down_ms"]
    assert (fields["pool"], fields["state"], fields["until_ms"]) == (POOL, "paused", 2000)
    assert "ration:{default}:k:" + POOL not in w.store.keys_without_expiry()
    w.clock.advance(120_000)
    assert w.status("REPORT", late, "STATUS", 429, "RETRY_AFTER", 700) == "late"
    assert denied(acquire(w)) == (f"pool:{POOL} paused", 700)


def test_a_pool_without_money_stays_closed_until_it_is_opened(world, lab):
    w = world()
    w.status("REPORT", w.granted("tokens", 1), "STATUS", 429, "EXHAUSTED", "insufficient_quota")
    w.clock.advance(30 * 86_400_000)
    assert denied(acquire(w, wire=1)) == (f"pool:{POOL} closed:insufficient_quota", -1)
    for n in range(40):  # some as groups
        w.b.send("ACQUIRE", POOL, "acme", "tokens", n // 10)
    for _ in range(40):
        assert denied(as_fields(w.b.read())) == (f"pool:{POOL} closed:insufficient_quota", -1)
    assert show(w)["reason"] == "insufficient_quota"
    w.store.restart()
    assert denied(acquire(w)) == (f"pool:{POOL} closed:insufficient_quota", -1)

    done = lab.tool(w.servers[0], "pool", "show", POOL)
    assert done.returncode == 1 and f"{POOL} is closed: insufficient_quota; 'ration pool open {POOL}' ends it" in done.stdout
    assert lab.tool(w.servers[1], "pool", "open", POOL).returncode == 0
    assert acquire(w)["status"] == "granted"
    done = lab.tool(w.servers[1], "pool", "close", POOL, "maintenance", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout) == {"pool": POOL, "state": "closed", "reason": "maintenance", "until_ms": -1, "failures": 0,
                                       "reports": 0, "cool_down_ms": 0}  # fmt: skip
    assert denied(acquire(w)) == (f"pool:{POOL} closed:maintenance", -1)
    assert show(w, "close", POOL)["reason"] == "operator"
    assert lab.tool(w.servers[0], "pool", "shut", POOL).returncode == 2
    assert lab.tool(w.servers[0], "pool", "show", "nopool").returncode == 2


@pytest.mark.parametrize("words, ms", (
    ("STATUS 429 EXHAUSTED spend_limit RETRY_AFTER 259200000", 3 * 86_400_000),
    ("STATUS 400 EXHAUSTED spend_limit RETRY_AFTER 1500", 1500),
    ("EXHAUSTED spend_limit RETRY_AFTER 9999999999999", 32 * 86_400_000),
    ("STATUS 429 EXHAUSTED spend_limit RETRY_AFTER 0", None),
    ("STATUS 429 EXHAUSTED spend_limit", None),
))  # fmt: skip
def test_a_pool_without_money_opens_at_the_date_that_was_named(world, lab, words, ms):
    w = world()
    assert w.status("REPORT", w.granted("tokens", 1), *words.split()) == "settled"
    closed = f"pool:{POOL} closed:spend_limit"
    assert denied(acquire(w, wire=1)) == (closed, ms or -1)
    assert (show(w)["state"], show(w)["until_ms"]) == ("closed", ms or -1)
    if ms is None:
        w.clock.advance(400 * 86_400_000)
        assert denied(acquire(w)) == (closed, -1)
        return
    done = lab.tool(w.servers[0], "pool", "show", POOL)
    assert done.returncode == 1 and "opens by itself in" in done.stdout and "UTC" in done.stdout
    w.store.restart()
    w.clock.advance(ms - 1)
    assert denied(acquire(w)) == (closed, 1)
    assert f"ration:{{default}}:k:{POOL}" not in w.store.keys_without_expiry()
    w.clock.advance(1)
    assert acquire(w)["status"] == acquire(w, wire=1)["status"] == "granted"
    assert show(w, wire=1)["state"] == "open"


def test_the_circuit_opens_for_everybody_and_one_probe_closes_it(world):
    w = world()
    fail(w, 5, "STATUS", 500, wire=0)
    fail(w, 4, wire=1)
    assert acquire(w)["status"] == "granted"
    assert w.status("CANCEL", w.granted("tokens", 1), "FAILED", wire=1) == "settled"
    for wire in (0, 1):
        assert denied(acquire(w, wire=wire)) == (f"pool:{POOL} circuit", 1000)
    w.clock.advance(1000)

    probes, lock = [], threading.Lock()

    def crowd(server):
        with server.wire() as wire:
            for _ in range(40):
                answer = as_fields(wire.call("ACQUIRE", POOL, "acme", "tokens", 1))
                if answer["status"] == "granted":
                    with lock:
                        probes.append(answer["id"])
                else:
                    assert answer["limited_by"] == f"pool:{POOL} circuit"

    threads = [threading.Thread(target=crowd, args=(server,)) for server in w.servers * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(probes) == 1
    assert show(w)["state"] == "probing"
    assert w.status("REPORT", probes[0], "STATUS", 502, wire=1) == "settled"
    assert denied(acquire(w)) == (f"pool:{POOL} circuit", 2000)
    assert show(w, wire=1)["cool_down_ms"] == 2000
    w.clock.advance(2000)
    probe = w.granted("tokens", 1, wire=1)
    assert acquire(w)["status"] == "denied"
    assert w.status("REPORT", probe, "tokens", 1, "STATUS", 429) == "settled"  # the provider is back
    assert w.status("REPORT", probe, "FAILED") == "duplicate"
    assert denied(acquire(w)) == (f"pool:{POOL} paused", 1000)
    w.clock.advance(1000)
    assert acquire(w)["status"] == acquire(w)["status"] == "granted"


def test_a_probe_that_nobody_reports_is_followed_by_another(world):
    w = world()
    fail(w, 10)
    w.clock.advance(1000)
    w.granted("tokens", 1, "TTL", 100)
    wait = acquire(w)["retry_after_ms"]
    assert 2100 <= wait <= 2200
    w.clock.advance(wait - 1)
    assert acquire(w)["status"] == "denied"
    w.clock.advance(1)
    assert w.granted("tokens", 1, "ID", "my-probe", wire=1) == "my-probe"
    assert acquire(w)["status"] == "denied"
    assert w.status("REPORT", "my-probe", "tokens", 1) == "settled"
    assert acquire(w)["status"] == "granted"


def test_the_breaker_may_be_switched_off(world):
    w = world(breaker=None)
    fail(w, 60, "STATUS", 500)
    assert acquire(w)["status"] == "granted"
    assert show(w)["failures"] == 0


def test_headers_bring_a_level_down_on_every_host(world):
    w = world()
    assert w.status("REPORT", w.granted("tokens", 100), "REMAINING", "tokens", 400_000, "REMAINING", "requests", 90_000,
                    "LIMIT", 100_000, "PER", 60_000) == "settled"  # fmt: skip
    for wire in (0, 1):
        assert w.remaining("tokens", wire=wire) == 400_000
        assert w.remaining("requests", wire=wire) == 90_000
    assert w.status("REPORT", w.granted("tokens", 100), "REMAINING", "tokens", 900_000) == "settled"
    assert w.remaining("tokens") == 399_900
    assert all(row["balanced"] for row in w.servers[0].audit(POOL).values())
    assert acquire(w, "tokens", 399_901)["limited_by"] == f"pool:{POOL} tokens/minute"


def test_headers_of_the_day_leave_the_minute_alone(world):
    """And headers of the minute leave the day alone; if it is unclear, neither comes down."""
    w = world(limits=[limit("requests", 500, "minute"), limit("requests", 10_000, "day")])

    def left():
        return tuple(w.servers[1].remaining(POOL, "acme", "pool", "requests", per=per) for per in ("minute", "day"))

    def tell(*words):
        assert w.status("REPORT", w.granted("tokens", 1), "REMAINING", "requests", *words) == "settled"
        return left()

    assert tell(9000, "LIMIT", 10_000, "PER", 86_400_000) == (499, 9000)
    assert tell(400, "LIMIT", 10_000, "PER", 86_400_000) == (498, 400)
    tell(7)
    tell(7, "LIMIT", 77)
    assert tell(7, "LIMIT", 10_000, "PER", 60_000) == (495, 397)
    assert tell(300, "LIMIT", 500) == (300, 396)
    assert tell(200, "LIMIT", 600, "PER", 60_000) == (200, 395)


@pytest.mark.parametrize("setting", ["stated", "learned"])
def test_estimates_learn(world, setting):
    w = world(estimates=setting)
    words = ("LEARNED",) if setting == "stated" else ()
    for n in range(20):
        id_ = w.granted("input_tokens", 10, "output_tokens", 1000, *words, wire=n % 2)
        assert w.status("REPORT", id_, "input_tokens", 10, "output_tokens", 100, wire=1 - n % 2) == "settled"
    before = w.remaining("tokens")
    id_ = w.granted("input_tokens", 10, "output_tokens", 1000, *words)
    charged = before - w.remaining("tokens")
    assert 110 <= charged <= 129
    before = w.remaining("tokens", "tenant")
    assert w.status("REPORT", id_, "tokens", 510, "input_tokens", 10) == "settled"
    assert before - w.remaining("tokens", "tenant") == 510 - charged
    info = [server.info() for server in w.servers]
    total = {name: sum(int(i[name]) for i in info) for name in info[0] if name.startswith("estimates_")}
    assert total["estimates_learned"] == 21 and total["estimates_actual_tokens"] == 2500
    assert total["estimates_over_tokens"] >= 8 * 900 and total["estimates_under_tokens"] == 510 - charged
    if setting == "stated":
        answer = w.a.call("ACQUIRE", POOL, "acme", "tokens", 5, "LEARNED")
        assert isinstance(answer, WireError) and "LEARNED needs input_tokens" in answer
        before = w.remaining("tokens")
        w.granted("input_tokens", 10, "output_tokens", 1000)
        assert before - w.remaining("tokens") == 1010


# ---- Learned input -------------------------------------------------------------------------------

COUNTED_ANTHROPIC = [limit("input_tokens", 200_000, "minute"), limit("output_tokens", 80_000, "minute", counted="end")]


class CodingAgent:
    """Sends its whole conversation with each call, as coding agents do. What the provider has read
    before is in its cache and free; what is new is written to the cache and counts (Anthropic)."""

    def __init__(self, w, rng, words):
        self.w, self.rng, self.words, self.prompt, self.used = w, rng, words, 60_000, []

    def begin(self):
        new = int(self.prompt * self.rng.uniform(0.015, 0.025))
        self.prompt = min(self.prompt + new, 180_000)
        answer = acquire(self.w, "input_tokens", self.prompt, "output_tokens", 4096, *self.words)
        if answer["status"] == "granted":
            self.used.append((self.w.clock.ms, new))  # the provider counts it when the call arrives
        return new, answer

    def end(self, id_, new, n=0):
        assert self.w.status("REPORT", id_, "input_tokens", new, "output_tokens", self.rng.randint(100, 700),
                             "STATUS", 200, wire=n % 2) == "settled"  # fmt: skip


def window(used, ms=60_000):
    """The most used in any window."""
    return max(sum(n for at, n in used if start <= at < start + ms) for start, _ in used)


@pytest.mark.parametrize("words", ((), ("LEARNED",)))
def test_a_coding_agent_is_charged_what_its_cache_leaves(lab, words):
    w = World(lab, pools={POOL: {"limits": COUNTED_ANTHROPIC}}, tier=[limit("requests", 10**6, "minute")])
    rng = random.Random(7)
    agents = [CodingAgent(w, rng, words) for _ in range(12)]
    running, begun, charged, refused = [], 0, [], 0
    for turn in range(900):
        w.clock.advance(rng.randint(50, 400))
        if running and (len(running) == len(agents) or rng.random() < 0.5):
            agent, id_, new = running.pop(rng.randrange(len(running)))
            agents.append(agent)
            agent.end(id_, new, turn)
            continue
        agent = agents.pop(0)
        before = w.remaining("input_tokens")
        new, answer = agent.begin()
        if answer["status"] == "granted":
            running.append((agent, answer["id"], new))
            charged.append((before - w.remaining("input_tokens"), agent.prompt))
            begun += 1
        else:
            agents.append(agent)
            refused += 1
            assert answer["retry_after_ms"] > 0, answer
    for agent, id_, new in running:
        agents.append(agent)
        agent.end(id_, new)
    used = sorted(use for agent in agents for use in agent.used)
    assert window(used) <= 200_000
    share = sum(n for n, _ in charged[-50:]) / sum(prompt for _, prompt in charged[-50:])
    print(f"{begun} begun, {refused} refused, {share:.3f} of the prompt charged, {window(used)} of 200000 used in a minute")
    if words:
        assert share < 1 / 10 and begun > 300
        info = [server.info() for server in w.servers]
        total = {name: sum(int(i[name]) for i in info) for name in info[0] if name.startswith("estimates_input_")}
        assert total["estimates_input_learned"] == begun
        assert total["estimates_input_actual_tokens"] == sum(n for _, n in used)
    else:
        assert share == 1 and begun < 200
    # Everything is corrected: only what was used counts.
    recent = sum(n for at, n in used if at > w.clock.ms - 59_000)
    assert 200_000 - w.remaining("input_tokens") <= sum(n for at, n in used if at > w.clock.ms - 62_000)
    assert 200_000 - w.remaining("input_tokens") >= recent
    assert all(row["balanced"] for row in w.servers[0].audit(POOL).values())
    assert not w.store.keys_without_expiry()


def test_tools_that_the_estimate_does_not_see_are_learned(world):
    """573 tokens of tools with a short prompt: the estimate rises to the usage, so debts stop."""
    w = world(limits=[limit("input_tokens", 100_000, "minute"), limit("tokens", 10**6, "minute")])
    rng, prompts, debts = random.Random(3), [], []
    for n in range(120):
        prompt = rng.randint(180, 220)
        before = w.remaining("input_tokens"), w.remaining("tokens")
        id_ = w.granted("input_tokens", prompt, "LEARNED", wire=n % 2)
        charged = before[0] - w.remaining("input_tokens")
        assert before[1] - w.remaining("tokens") == charged
        assert w.status("REPORT", id_, "input_tokens", prompt + 573, "output_tokens", 0, wire=1 - n % 2) == "settled"
        assert before[0] - w.remaining("input_tokens") == prompt + 573
        prompts.append((charged, prompt))
        debts.append(max(0, prompt + 573 - charged))
        w.clock.advance(1000)
    assert all(charged == prompt for charged, prompt in prompts[:8]) and min(debts[:8]) == 573
    assert all(3 * prompt < charged < 6 * prompt for charged, prompt in prompts[8:])
    assert sum(debts[8:]) < 573  # of 112 calls


def test_a_call_is_charged_what_its_cache_leaves_of_the_prompt(lab):
    """Ten thousand tokens by characters, nearly all cached, which Anthropic does not count."""
    both = [limit("input_tokens", 1_000_000, "day"), limit("output_tokens", 1_000_000, "day")]
    server, held, done = lab.ration(config(lab.redis(), pool=both)), [], []

    def left(unit):
        return server.remaining(POOL, "acme", "pool", unit)

    def answer(handler, _):
        held.append(1_000_000 - 200 * len(done) - left("input_tokens"))
        handler.answer(200, {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Done."}],
                             "stop_reason": "end_turn",
                             "usage": {"input_tokens": 30, "cache_creation_input_tokens": 170,
                                       "cache_read_input_tokens": 9800, "output_tokens": 40}})  # fmt: skip

    provider = RecordingProvider(answer)
    lab.on_close(provider.close)
    body = lab.folder / "body.json"
    body.write_text(json.dumps({"model": "m", "max_tokens": 400, "messages": [{"role": "user", "content": "Yes. " * 8000}]}))
    for _ in range(10):
        done.append(lab.tool(server, "call", "--pool", POOL, "--tenant", "acme", "--provider", "anthropic", "--url", provider.url,
                             "--body", body, "--learned", env={"ANTHROPIC_API_KEY": "sk-ant"}))  # fmt: skip
        assert done[-1].returncode == 0, done[-1]
    assert min(held[:8]) >= 10_000 and 200 <= min(held[8:]) <= max(held[8:]) < 250, held
    assert (left("input_tokens"), left("output_tokens")) == (1_000_000 - 2000, 1_000_000 - 400)


def test_only_operators_change_pools(lab, monkeypatch):
    store = lab.redis()
    server = lab.ration(
        config(store, auth={"operator": {"env": "OPERATOR"}}, tenants={"acme": {"tier": "all", "secret": {"env": "ACME"}}}),
        env={"OPERATOR": "op-secret", "ACME": "acme-secret"},
    )
    with server.wire() as wire:
        wire.call("AUTH", "acme", "acme-secret")
        for verb in ("GET", "OPEN", "CLOSE"):
            assert wire.call("POOL", verb, POOL).startswith("NOPERM")
        wire.call("AUTH", "op-secret")
        assert as_fields(wire.call("POOL", "GET", POOL))["state"] == "open"
        assert "no pool" in wire.call("POOL", "GET", "nope")
        assert "printable ASCII" in wire.call("POOL", "CLOSE", POOL, "no money")
        assert "GET, OPEN or CLOSE" in wire.call("POOL", "SHUT", POOL)
