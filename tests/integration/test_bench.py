"""`ration bench`: each mode briefly against a real rationd, compared with the server's counters."""
import json
import signal
import subprocess

import pytest

from configs import POOL, config, limit
from processes import program
from waiting import wait_until

PERCENTILES = ("p50", "p75", "p90", "p95", "p99", "p99.9", "p99.99", "max")


MOST = 10_000_000  # outstanding: what is measured is mostly never reported


@pytest.fixture
def server(lab):
    return lab.ration(config(lab.redis(), max_outstanding=MOST))


def bench(lab, server, *args, status=0, **more):
    """Runs it and returns (JSON, CompletedProcess), after checking what must always hold."""
    path = lab.folder / "bench.json"
    path.unlink(missing_ok=True)
    done = lab.tool(server, "bench", "--json", path, *args, **more)
    assert done.returncode == status, done
    out = json.loads(path.read_text())
    latency = [out["latency_us"][name] for name in PERCENTILES]
    assert latency == sorted(latency) and out["latency_us"]["min"] <= latency[0], out
    if status == 0:
        assert out["errors"] == 0 and out["error"] == "" and out["given_up"] == 0, out
        assert out["requests"] == out["granted"] + out["denied"] == out["latency_us"]["count"] > 0, out
        assert out["per_second"] == pytest.approx(out["requests"] / out["seconds"], rel=0.01)
    return out, done


def total(out, name):
    """Measured and warm-up requests together: what the server saw."""
    return out[name] + out["unmeasured"][name]


def counters(server):
    """The counters of INFO that distinguish the modes."""
    info = server.info()
    return tuple(int(info[name]) for name in ("granted", "denied", "settled", "commands_failed"))


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("--connections", 1),
        ("--pipeline", 64, "--connections", 8),
        ("--tenants", 1000, "--zipf", 0.99),
        ("--tenants", 50, "--tokens", 0, "--ttl", 5000, "--seed", 7),
    ],
)
def test_closed_loop(lab, server, args):
    out, done = bench(lab, server, "--duration", 1, "--warmup", 0.2, *args)
    assert counters(server) == (total(out, "granted"), 0, 0, 0)
    assert out["unmeasured"]["granted"] > 0 and 1 <= out["seconds"] < 5
    assert "p99.99" in done.stdout and "####" in done.stdout and "per second" in done.stdout
    assert "requests" in done.stderr  # the progress line
    assert out["options"]["pool"] == POOL and out["options"]["duration"] == 1


def test_a_number_of_requests_is_met_exactly(lab, server):
    out, done = bench(lab, server, "--requests", 1234, "--warmup", 0, "--pipeline", 3, "--quiet")
    assert out["requests"] == out["granted"] == 1234 and total(out, "granted") == 1234
    assert counters(server) == (1234, 0, 0, 0)
    assert done.stderr == ""


def test_pairs_report_what_was_used(lab, server):
    out, done = bench(lab, server, "--pairs", "--requests", 500, "--warmup", 0, "--pipeline", 4,
                      "--tokens", 1000, "--tenants", 20)  # fmt: skip
    assert out["requests"] == out["granted"] == out["pairs"] == 500
    assert counters(server) == (500, 0, 500, 0)
    assert out["pairs_per_second"] == out["per_second"] and "pairs" in done.stdout


def test_pairs_charge_80_percent_by_default(lab):
    server = lab.ration(config(lab.redis(), max_outstanding=MOST, pool=[limit("tokens", 10**9, "day")]))
    bench(lab, server, "--pairs", "--requests", 100, "--warmup", 0, "--tokens", 1000)
    assert server.remaining(POOL, "acme", "pool", "tokens") == 10**9 - 100 * 800
    bench(lab, server, "--pairs", "--requests", 10, "--warmup", 0, "--tokens", 1000, "--used", 1)
    assert server.remaining(POOL, "acme", "pool", "tokens") == 10**9 - 100 * 800 - 10
    ledger = server.audit(POOL)["tokens"]
    assert ledger["granted"] == 110_000 and ledger["used"] == 80_010 and ledger["outstanding"] == 0


def test_denials_are_not_errors(lab):
    server = lab.ration(config(lab.redis(), max_outstanding=MOST, pool=[limit("tokens", 5000, "day")]))
    out, _ = bench(lab, server, "--requests", 200, "--warmup", 0, "--pairs", "--used", 500)
    assert (out["granted"], out["denied"], out["pairs"], out["requests"]) == (10, 190, 10, 200)
    assert counters(server)[:3] == (10, 190, 10)


@pytest.mark.parametrize("more", [(), ("--poisson",), ("--pairs", "--connections", 8, "--pipeline", 4)])
def test_open_loop_offers_the_rate(lab, server, more):
    out, done = bench(lab, server, "--rate", 500, "--duration", 1, "--warmup", 0.2, *more)
    assert out["options"]["rate"] == 500 and "500 requests/s offered" in done.stdout
    if "--poisson" in more:
        assert 350 < out["requests"] < 650  # 500 arrivals, 6 standard deviations
    else:
        assert out["requests"] == 500
    assert counters(server)[0] == total(out, "granted")


def test_open_loop_counts_the_time_in_the_queue(lab, server):
    """The server stops for a while: requests due meanwhile show it, though only one was sent."""
    path = lab.folder / "stall.json"
    run = lab.process("bench", program("ration"), "bench", "--server", f"127.0.0.1:{server.port}", "--json", path,
                      "--connections", 1, "--rate", 200, "--requests", 400, "--warmup", 0)  # fmt: skip
    wait_until(lambda: counters(server)[0] >= 20, "some grants")
    server.signal(signal.SIGSTOP)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            run.child.wait(0.5)
    finally:
        server.signal(signal.SIGCONT)
    assert run.child.wait(30) == 0, run.log()
    out = json.loads(path.read_text())
    assert out["requests"] == out["granted"] == 400 == counters(server)[0]
    # Half a second at 200 a second: about 100 of 400 waited, evenly from 0 to 500 ms.
    assert out["latency_us"]["max"] >= 450_000 and out["latency_us"]["p95"] >= 200_000, out
    assert out["longest_wait_for_connection_us"] >= 400_000


def test_more_than_the_server_can_do_is_said(lab, server):
    out, done = bench(lab, server, "--connections", 1, "--rate", 1_000_000, "--duration", 0.3, "--warmup", 0,
                      "--timeout", 300, status=2)  # fmt: skip
    assert out["given_up"] == out["errors"] > 0 and "had no answer" in done.stderr
    # Every scheduled arrival is accounted for, and those given up have waited longest.
    assert out["requests"] == pytest.approx(300_000, abs=2) == out["latency_us"]["count"]
    assert out["latency_us"]["max"] >= 500_000


def test_idle_connections_and_reservations(lab):
    server = lab.ration(config(lab.redis(), max_outstanding=MOST, pool=[limit("tokens", 10**9, "day")]))
    out, _ = bench(lab, server, "--idle", 100, "--reserve", 777, "--requests", 100, "--warmup", 0, "--pipeline", 8,
                   "--pairs")  # fmt: skip
    assert out["reserved"] == 777 and out["requests"] == 100
    info = server.info()
    assert int(info["granted"]) == 877 and int(info["connections_accepted"]) >= 150
    assert server.audit(POOL)["tokens"]["outstanding"] == 777 * 500


def test_reservations_that_are_denied_are_an_error(lab):
    server = lab.ration(config(lab.redis(), max_outstanding=MOST, pool=[limit("tokens", 5000, "day")]))
    out, done = bench(lab, server, "--reserve", 11, "--requests", 1, status=2)
    assert out["reserved"] == 10 and "only 10 of 11" in done.stderr and out["requests"] == 0


def test_several_servers_share_the_load(lab):
    store = lab.redis()
    servers = [lab.ration(config(store, max_outstanding=MOST)) for _ in range(2)]
    addresses = ",".join(f"127.0.0.1:{one.port}" for one in servers)
    out, _ = bench(lab, None, "--server", addresses, "--requests", 2000, "--warmup", 0)
    granted = [counters(one)[0] for one in servers]
    assert sum(granted) == out["granted"] == 2000 and min(granted) > 0


def test_an_interrupted_run_prints_what_it_has(lab, server):
    path = lab.folder / "interrupted.json"
    run = lab.process("bench", program("ration"), "bench", "--server", f"127.0.0.1:{server.port}", "--json", path,
                      "--duration", 600, "--warmup", 0)  # fmt: skip
    wait_until(lambda: counters(server)[0] > 0, "some grants")
    run.signal(signal.SIGINT)
    assert run.child.wait(20) == 0, run.log()
    out = json.loads(path.read_text())
    assert out["interrupted"] is True and out["granted"] == counters(server)[0]


def test_a_server_that_goes_away_is_an_error(lab, server):
    path = lab.folder / "gone.json"
    run = lab.process("bench", program("ration"), "bench", "--server", f"127.0.0.1:{server.port}", "--json", path,
                      "--duration", 600, "--connections", 4)  # fmt: skip
    wait_until(lambda: counters(server)[0] > 0, "some grants")
    server.kill()
    assert run.child.wait(20) == 2, run.log()
    assert json.loads(path.read_text())["lost_connections"] == 4 and "connections ended" in run.log()


def test_credentials(lab):
    """The operator's and a tenant's, and none."""
    for name in ("operator", "acme"):
        (lab.folder / name).write_text(f"{name}-secret-0123456789\n")
        (lab.folder / name).chmod(0o600)
    server = lab.ration(
        config(lab.redis(), max_outstanding=MOST, tenants={"acme": {"tier": "all", "secret": {"file": str(lab.folder / "acme")}}},
               auth={"operator": {"file": str(lab.folder / "operator")}})
    )  # fmt: skip
    for user in ("default", "acme"):
        secret = lab.folder / ("acme" if user == "acme" else "operator")
        out, _ = bench(lab, server, "--requests", 100, "--warmup", 0, "--idle", 3, "--secret-file", secret,
                       env={"RATION_TENANT": user})  # fmt: skip
        assert out["granted"] == 100
    none = lab.tool(server, "bench", "--requests", 100)
    assert none.returncode == 2 and "RATION_SECRET" in none.stderr


def test_wrong_use_is_reported_before_anything_is_sent(lab, server):
    for wrong, word in (
        (("--pool", "nosuch"), "nosuch"),
        (("--poisson",), "--rate"),
        (("--connections", 0), "--connections"),
        (("--connections", 1000, "--pipeline", 4096), "--pipeline"),
        (("--duration", 0), "--duration"),
        (("--server", "127.0.0.1:1"), "rationd"),
        (("--zipf", -1), "--zipf"),
    ):
        done = lab.tool(server, "bench", "--quiet", "--timeout", 500, *wrong)
        assert done.returncode == 2 and word in done.stderr and not done.stdout, (wrong, done)
    assert counters(server)[:3] == (0, 0, 0)
    text = lab.tool(None, "bench", "--help").stdout
    assert "oordinated" in text and "exit status: 0" in text
