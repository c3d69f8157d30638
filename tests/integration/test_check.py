"""rationd's command line, signals and log."""
import json
import signal

import pytest

from configs import POOL, WIDE, config, limit
from processes import program
from waiting import wait_until
from wire import Simple, WireError, as_fields, as_rows


def check(lab, text):
    path = lab.folder / "checked.json"
    path.write_text(text if isinstance(text, str) else json.dumps(text, indent=2))
    return lab.run(program("rationd"), "--check", path)


def test_check_names_each_problem_and_its_remedy_in_one_run(lab):
    bad = {
        "listen": {"resp": "127.0.0.1:0", "htpp": "127.0.0.1:0", "unix": "ration.sock"},
        "store": {"url": "redis://127.0.0.1:6379/0", "timeout_ms": "fast"},
        "pools": {
            POOL: {"limits": [limit("requests", 10, "day", algorithm="calendar", time_zone="America/Los_Angles")]},
            "other": {"preset": "openai/gpt-4o/tier9", "estimates": "guessed"},
            "third": {"limits": [limit("tokens", 10, "minute")],
                      "breaker": {"failures": 1.5, "at_least": 0, "window": 5, "cool_down_ms": None}},
            "fourth": {"limits": [limit("tokens", 10, "minute")], "breaker": "off"},
            "fifth": {"limits": [limit("tokens", 10, "minute")], "breaker": None},
        },
        "tiers": {"free": {"priority": 5, "limits": [limit("tokns", 10, "minute"), limit("tokens", 10, "fortnight")]}},
        "tenants": {"acme": {"tier": "pro"}},
        "default_tier": "fre",
        "on_outage": "maybe",
    }
    done = check(lab, bad)
    assert done.returncode == 1
    problems = dict(line.split(": ", 1) for line in done.stderr.strip().splitlines())
    expected = {
        "listen.htpp": "http",
        "listen.unix": 'begins with "/"',
        "store.timeout_ms": "use an integer from 10 to 60000",
        f'pools["{POOL}"].limits[0].time_zone': "America/Los_Angeles",
        "pools.other.preset": "openai/gpt-4o/tier",
        "pools.other.estimates": "use stated or learned",
        "pools.third.breaker.failures": "use a number above 0, at most 1, such as 0.5",
        "pools.third.breaker.at_least": "use an integer from 1 to 1000000",
        "pools.third.breaker.window": "window_ms",
        "pools.third.breaker.cool_down_ms": "use an integer from 10",
        "pools.fourth.breaker": "use {...}, or null",
        "tiers.free.priority": "from 0 to 2",
        "tiers.free.limits[0].unit": "tokens",
        "tiers.free.limits[1].per": "minute",
        "tenants.acme.tier": "free",
        "default_tier": "free",
        "on_outage": "deny, allow or local",
    }
    assert set(problems) == set(expected), done.stderr
    for path, remedy in expected.items():
        assert remedy in problems[path], (path, problems[path])


@pytest.mark.parametrize(
    "text, says",
    [
        ('{"pools": {', ":1:"),
        ('{"pools": {},\n "pools": {}}', "pools"),
        ("", "empty"),
        ("[]", "write an object"),
        ('{"default_tier": NaN}', "NaN"),
        ('{"ttl_ms": 99999999999999999999}', "ttl_ms"),
        ('{"ttl_ms": 1.5}', "ttl_ms"),
        ("{}", "pools"),
        ('{"tenants": {"a b": {"tier": "x"}}}', "a b"),
        ('{"store": {"url": "redis+cluster://x"}}', "store.url"),
        ('{"store": {"url": "embedded", "durability": "safe"}}', "store.durability"),
        ('{"auth": {"operator": "hunter2"}}', "auth.operator"),
        ('{"auth": {"operator": {"env": "RATION_NO_SUCH_VARIABLE"}}}', "RATION_NO_SUCH_VARIABLE"),
        ('{"pools": {"p": {"limits": [{"unit": "tokens", "amount": 0, "per": "minute"}]}}}', "pools.p.limits[0].amount"),
        ('{"pools": {"p": {"limits": [{"unit": "concurrent", "amount": 1, "per": "day"}]}}}', "pools.p.limits[0].per"),
    ],
)
def test_check_refuses(lab, text, says):
    done = check(lab, text)
    assert done.returncode == 1
    assert says in done.stderr, done.stderr
    assert "hunter2" not in done.stderr, "a secret is never repeated"


def test_check_accepts_and_starts_nothing(lab):
    done = check(lab, config("redis://192.0.2.1:1/0"))
    assert (done.returncode, done.stderr) == (0, "")
    assert ": ok (1 pool," in done.stdout


def test_check_of_a_missing_file_is_one_clear_line(lab):
    done = lab.run(program("rationd"), "--check", lab.folder / "nosuch.json")
    assert done.returncode == 1 and "nosuch.json" in done.stderr and len(done.stderr.splitlines()) == 1


def test_the_printed_default_is_good(lab):
    text = lab.run(program("rationd"), "--print-default-config").stdout
    assert "openai/gpt-4o" in text and "//" in text
    assert check(lab, text).returncode == 0


def test_help_version_and_a_wrong_command_line(lab):
    usage = lab.run(program("rationd"), "--help")
    assert usage.returncode == 0 and "Exit status" in usage.stdout
    for setting in ("store.url", "pools.<name>.hold_back", "tenants.<name>.secret", "<limit>.slack_ms"):
        assert setting in usage.stdout
    version = lab.run(program("rationd"), "--version")
    assert version.returncode == 0 and version.stdout.startswith("rationd 0.")
    for wrong in (["--chek"], ["--config"], ["stray"], ["--log-level", "loud"]):
        done = lab.run(program("rationd"), *wrong)
        assert done.returncode == 2 and done.stderr, (wrong, done)


def test_a_bad_configuration_starts_nothing(lab):
    server = lab.ration({"pools": {}, "nonsense": 1}, wait=False)
    assert server.child.wait(20) == 1
    assert "nonsense" in server.log() and "listening" not in server.log()
    server.killed = True  # it has ended, with a status other than 0


def test_an_address_in_use_is_one_clear_message(lab):
    store = lab.redis()
    first = lab.ration(config(store))
    second = lab.ration(config(store, listen={"resp": f"127.0.0.1:{first.port}", "http": None}), wait=False)
    assert second.child.wait(20) == 1
    assert str(first.port) in second.log() and "cannot start" in second.log()
    second.killed = True


def test_reload_good_and_bad(lab):
    store = lab.redis()
    settings = config(store, tier=[limit("requests", 3, "day")])
    server = lab.ration(settings)
    with server.wire() as wire:
        assert wire.fields("ACQUIRE", POOL, "acme")["status"] == "granted"
        assert wire.call("ACQUIRE", "new", "acme").word == "NOPOOL"
        assert server.reload(dict(settings, pools=dict(settings["pools"], new={"limits": WIDE}))) == "reloaded"
        assert wire.fields("ACQUIRE", "new", "acme")["status"] == "granted"
        assert server.reload('{"pools": {"x": {"limit": []}}}') == "not reloaded"
        assert "pools.x.limit" in server.log() and "old one stays in force" in server.log()
        assert wire.fields("ACQUIRE", "new", "acme")["status"] == "granted", "the old one stays in force"
        assert wire.fields("ACQUIRE", POOL, "acme")["status"] == "denied", "used stays used"
        assert server.reload(settings) == "reloaded"
        assert wire.call("ACQUIRE", "new", "acme").word == "NOPOOL"
        moved = dict(settings, store={"url": "redis://127.0.0.1:1/0"})
        assert server.reload(moved) == "reloaded"
        assert "restart needed" in server.log() and "store.url" in server.log()
        assert as_fields(wire.call("ACQUIRE", POOL, "acme"))["status"] == "denied", "and the store is unchanged"


def test_reload_while_operations_are_under_way(lab):
    """Operations keep the configuration they began with; nothing is lost or answered twice."""
    settings = config(lab.redis(), tier=[limit("requests", 10**6, "day")])
    server = lab.ration(settings)
    with server.wire() as wire:
        for n in range(30):
            for k in range(100):
                wire.send("ACQUIRE", POOL, f"tenant{k}", "ID", f"{n}-{k}")
            server.write_config(dict(settings, ttl_ms=1000 + n))
            server.signal(signal.SIGHUP)
            for k in range(100):
                assert as_fields(wire.read())["id"] == f"{n}-{k}"
        assert server.audit(POOL)["requests"]["granted"] == 3000


def test_sigterm_drains(lab):
    """Pending requests are answered in full before the connection closes; then the status is 0."""
    store = lab.redis()
    server = lab.ration(config(store, pool=[limit("requests", 10**6, "minute")]))
    idle = server.wire()
    idle.call("PING")
    wires = [server.wire() for _ in range(10)]
    for wire in wires:
        for _ in range(200):
            wire.send("ACQUIRE", POOL, "acme")
        wire.sock.shutdown(1)
    server.signal(signal.SIGTERM)
    answered = 0
    for wire in wires:
        while not wire.at_end():
            pass
        data = wire.buffer[wire.at :]
        answered += data.count(b"granted\r\n")
    assert server.child.wait(20) == 0
    assert idle.at_end()
    assert 'stopped status=0' in server.log()
    ledger = lab.ration(server.config).audit(POOL)["requests"]
    assert ledger["granted"] == answered, "every grant was also answered"


def test_sigint_and_a_second_signal(lab):
    store = lab.redis()
    server = lab.ration(config(store))
    server.signal(signal.SIGINT)
    assert server.child.wait(20) == 0
    stubborn = lab.ration(config(store))
    with stubborn.wire() as wire:
        wire.send_bytes(b"*2\r\n$4\r\nPI")  # half a request keeps nothing alive
        stubborn.signal(signal.SIGTERM)
        stubborn.wait_for_log("stopping signal=SIGTERM")
        while stubborn.child.poll() is None:
            stubborn.signal(signal.SIGTERM)  # further signals during shutdown change nothing
        assert stubborn.child.returncode == 0


def test_it_starts_without_its_store_and_finds_it_later(lab):
    store = lab.redis()
    store.kill()
    settings = config(store, pool=[limit("requests", 5, "minute")])
    settings["store"]["timeout_ms"] = 200
    server = lab.ration(settings, wait=False)
    with server.wire() as wire:
        refused = wire.call("ACQUIRE", POOL, "acme")
        assert isinstance(refused, WireError) and refused.word == "UNAVAILABLE"
        assert wire.call("PING") == Simple("PONG")
        store.restart()
        server.wait_ready()
        assert wire.fields("ACQUIRE", POOL, "acme")["status"] == "granted"


def test_no_secret_in_the_log(lab):
    store = lab.redis("--requirepass", "s3cret-of-the-store")
    settings = config(store, auth={"operator": {"env": "OPERATOR"}})
    settings["store"]["password"] = {"env": "STORE"}
    server = lab.ration(settings, env={"OPERATOR": "s3cret-operator", "STORE": "s3cret-of-the-store"})
    with server.wire() as wire:
        assert wire.call("AUTH", "wrong-s3cret").word in ("NOPERM", "NOAUTH")
        assert wire.call("AUTH", "s3cret-operator") == Simple("OK")
        assert as_rows(wire.call("PEEK", POOL, "acme"))
        shown = wire.call("INFO") + str(wire.call("CONFIG", "GET", "*"))
    wait_until(lambda: "authentication failed" in server.log(), "the failure to be logged")
    assert "s3cret" not in server.log() and "s3cret" not in shown
