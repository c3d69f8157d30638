"""The `ration` tool, and through it libration: exit codes, JSON, servers, calls to a provider."""
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios

import pytest

from configs import POOL, config, limit
from processes import HERE, program
from strict_provider import StrictProvider
from waiting import wait_until


@pytest.fixture
def server(lab):
    return lab.ration(
        config(lab.redis(), pool=[limit("requests", 100, "day"), limit("tokens", 10_000, "day")],
               tier=[limit("tokens", 1000, "day"), limit("concurrent", 2)])
    )  # fmt: skip


def line(done, status):
    """The one line of a command that must end with this status."""
    assert done.returncode == status, done
    return done.stdout.strip()


def test_ask_report_renew_cancel_and_their_exit_codes(lab, server):
    id_ = line(lab.tool(server, "acquire", POOL, "acme", "--tokens", 500), 0)
    assert re.fullmatch(rf"r1\.[a-z0-9]+\.[0-9a-f]{{16}}\.0\.acme@{POOL}", id_)
    denied = lab.tool(server, "acquire", POOL, "acme", "--tokens", 501)
    assert line(denied, 1) == "" and "tenant:acme tokens/day" in denied.stderr
    never = lab.tool(server, "acquire", POOL, "acme", "--tokens", 1001)
    assert line(never, 1) == "" and "more than the limit can ever hold" in never.stderr
    assert line(lab.tool(server, "renew", id_, "--tokens", 100), 0) == "renewed"
    assert lab.tool(server, "renew", id_, "--tokens", 900).returncode == 1
    assert line(lab.tool(server, "report", id_, "--tokens", 321), 0) == "settled"
    assert line(lab.tool(server, "report", id_, "--tokens", 321), 0) == "duplicate"
    other = line(lab.tool(server, "acquire", "--pool", POOL, "--tenant", "acme", "--id", "order-9"), 0)
    assert other == "order-9"
    assert line(lab.tool(server, "cancel", other), 0) == "settled"
    assert server.remaining(POOL, "acme", "tenant", "tokens") == 1000 - 321
    assert line(lab.tool(server, "ping"), 0) == "ok"
    for wrong in (("acquire", "nosuch", "acme"), ("report", "order-77"), ("cancel", "r1.x")):
        done = lab.tool(server, *wrong)
        assert done.returncode == 2 and done.stderr and not done.stdout, (wrong, done)


def test_json_for_programs(lab, server):
    def tool(status, *args):
        return json.loads(line(lab.tool(server, *args, "--json"), status))

    granted = tool(0, "acquire", POOL, "acme", "--tokens", 500)
    assert granted["status"] == "granted" and granted["mode"] == "exact" and granted["retry_after_ms"] == 0
    denied = tool(1, "acquire", POOL, "acme", "--tokens", 900)
    assert (denied["status"], denied["limited_by"]) == ("denied", "tenant:acme tokens/day")
    assert denied["retry_after_ms"] > 0
    assert tool(0, "renew", granted["id"], "--ttl", 5000)["status"] == "granted"
    assert tool(0, "report", granted["id"], "--tokens", 1, "--status", 200)["status"] == "settled"
    rows = tool(0, "peek", POOL, "acme")
    rows = rows["rows"] if isinstance(rows, dict) else rows
    assert [row["unit"] for row in rows] == ["requests", "tokens", "tokens", "concurrent"]
    assert {"scope", "unit", "per", "limit", "remaining", "reset_ms"} <= set(rows[0])
    assert tool(0, "audit")["balanced"] is True
    dry = tool(0, "acquire", POOL, "acme", "--tokens", 10, "--dry-run")
    assert dry["status"] == "granted"


def test_peek_is_a_table_for_people(lab, server):
    lab.tool(server, "acquire", POOL, "acme", "--tokens", 100)
    text = line(lab.tool(server, "peek", POOL, "acme"), 0)
    for words in ("remaining", f"pool:{POOL}", "tenant:acme", "9,900", "900"):
        assert words in text or words.replace(",", "") in text, (words, text)


COMMANDS = ("acquire", "report", "renew", "cancel", "peek", "audit", "call", "pool", "tenant", "exec", "presets", "ping",
            "replay", "batch", "bench")  # fmt: skip


def test_help_of_every_command(lab):
    """Each says what it takes and how it exits, and fits a terminal of 80 columns."""
    top = line(lab.tool(None, "--help"), 0)
    helps = {command: line(lab.tool(None, command, "--help"), 0) for command in COMMANDS}
    for command, text in helps.items():
        assert f"\n  {command} " in top and text.startswith(f"usage: ration {command} ")
        assert "\n  --server " in text and "\nexit status: " in text
    for text in (top, *helps.values()):
        assert all(len(row) <= 80 for row in text.splitlines()), text
    assert line(lab.tool(None, "--version"), 0).startswith("ration 0.")


@pytest.mark.parametrize(
    "args, words",
    [
        ((), "which command? 'ration --help' lists them"),
        (("nosuch",), "there is no command 'nosuch'; there are: acquire"),
        (("--nosuch",), "'ration' has no option '--nosuch'\nration: 'ration --help' lists the options"),
        (("renew",), "renew needs the reservation's id; see 'ration renew --help'"),
        (("peek", POOL), "peek needs a tenant; see 'ration peek --help'"),
        (("exec", "--tenant", "acme", "--", "true"), "exec needs --pool; see 'ration exec --help'"),
        (("exec", "--pool", POOL, "--tenant", "acme"), "exec needs a command after --; see 'ration exec --help'"),
        (("pool", "shut", POOL), "pool takes show, open or close, not 'shut'"),
        (("tenant", "pardon", "acme"), "tenant takes forgive, not 'pardon'"),
        (("acquire", POOL, "acme", "500"), "unexpected argument '500'; usage: ration acquire POOL TENANT"),
        (("acquire", "--pool", POOL, "--tenant", "acme", "more"), "unexpected argument 'more'"),
        (("acquire", POOL, "acme", "--tokns", "5"), "'ration acquire' has no option '--tokns'\nration: 'ration acquire --help'"),
        (("acquire", POOL, "acme", "--tokens"), "--tokens needs a value"),
        (("acquire", POOL, "acme", "--tokens", "5.5"), "--tokens takes a whole number, 0 - 1000000000000, not '5.5'"),
        (("acquire", POOL, "acme", "--priority", "3"), "--priority takes a whole number, 0 - 2, not '3'"),
        (("acquire", POOL, "acme", "--usd", "0.1234567"), "--usd takes dollars, 0 - 1000000 with at most 6 decimals"),
        (("exec", "--wait-max", "soon"), "--wait-max takes a number, 0 - 86400, not 'soon'"),
        (("peek", POOL, "acme", "--server", ":::"), "':::' is not a list of servers"),
        (("peek", POOL, "acme", "--secret-file", "/nonexistent"), "--secret-file /nonexistent: No such file or directory"),
    ],
)  # fmt: skip
def test_wrong_use_says_what_to_do(lab, args, words):
    done = lab.tool(None, *args)
    assert done.returncode == 2 and not done.stdout and f"ration: {words}" in done.stderr, done


def test_a_progress_line_fits_the_terminal(lab, server):
    """A line that wraps would be repeated instead of redrawn."""
    terminal, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    bench = subprocess.Popen(
        [program("ration"), "bench", "--pool", POOL, "--connections", "2", "--warmup", "0", "--duration", "1"],
        env=dict(os.environ, RATION_SERVERS=f"127.0.0.1:{server.port}"), stdout=subprocess.DEVNULL, stderr=other,
    )  # fmt: skip
    lab.on_close(lambda: bench.poll() is None and bench.kill())
    os.close(other)
    shown = b""
    try:
        while more := os.read(terminal, 65536):
            shown += more
    except OSError:  # the other side is closed
        pass
    os.close(terminal)
    assert bench.wait(20) == 0
    lines = shown.decode().rstrip().split("\r\x1b[K")[1:]
    assert len(lines) > 2 and "requests" in lines[-1], shown
    assert all(len(row) < 40 for row in lines), lines


def test_no_server_is_a_clear_message(lab):
    done = lab.tool(None, "acquire", POOL, "acme", "--server", "127.0.0.1:1", "--timeout", "500")
    assert done.returncode == 2 and "127.0.0.1:1" in done.stderr and "rationd" in done.stderr, done


def test_several_servers_are_tried_in_turn(lab, server):
    """The first is gone; the second answers, and a retry is charged once."""
    servers = f"127.0.0.1:1,127.0.0.1:{server.port}"
    assert lab.tool(None, "acquire", POOL, "acme", "--tokens", "10", "--server", servers).returncode == 0
    by_environment = lab.run(program("ration"), "acquire", POOL, "acme", "--tokens", "10", env={"RATION_SERVERS": servers})
    assert by_environment.returncode == 0
    assert server.audit(POOL)["tokens"]["granted"] == 20


def test_exec_runs_the_command_and_gives_its_status(lab, server):
    def run(*command, tokens=100, more=()):
        return lab.tool(server, "exec", "--pool", POOL, "--tenant", "acme", "--tokens", tokens, *more, "--", *command)

    assert run("sh", "-c", 'echo "$RATION_ID"; exit 7').returncode == 7
    assert server.remaining(POOL, "acme", "tenant", "concurrent") == 2, "reported when it ended"
    assert run("sh", "-c", "kill -9 $$").returncode == 128 + 9
    assert run("/nonexistent").returncode == 127
    assert server.remaining(POOL, "acme", "tenant", "tokens") == 800, "a command that never ran is not charged"
    refused = run("sh", "-c", "echo ran", tokens=801)
    assert refused.returncode == 1 and "ran" not in refused.stdout and refused.stderr
    assert lab.tool(server, "exec", "--pool", "nosuch", "--tenant", "acme", "--", "echo", "ran").returncode == 2
    own = run("sh", "-c", f'{program("ration")} report "$RATION_ID" --tokens 5')
    assert own.returncode == 0
    assert server.remaining(POOL, "acme", "tenant", "tokens") == 795, "the command's own report counts"


def test_exec_passes_signals_on_and_still_reports(lab, server):
    child = subprocess.Popen(
        [program("ration"), "exec", "--pool", POOL, "--tenant", "acme", "--tokens", "100", "--ttl", "1000", "--",
         "sh", "-c", "trap 'exit 42' TERM; echo ready; while :; do read line < /dev/null; done"],
        env=dict(os.environ, RATION_SERVERS=f"127.0.0.1:{server.port}"), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    lab.on_close(lambda: child.poll() is None and child.kill())
    assert child.stdout.readline() == "ready\n"
    assert server.remaining(POOL, "acme", "tenant", "concurrent") == 1
    child.send_signal(signal.SIGTERM)
    assert child.wait(20) == 42
    assert server.remaining(POOL, "acme", "tenant", "concurrent") == 2
    assert server.audit(POOL)["tokens"]["reported"] == 100


def test_exec_renews_while_the_command_runs(lab, server):
    """It runs three times as long as the reservation lives, and holds the slot all the time."""
    child = subprocess.Popen(
        [program("ration"), "exec", "--pool", POOL, "--tenant", "acme", "--ttl", "1000", "--", "cat"],
        env=dict(os.environ, RATION_SERVERS=f"127.0.0.1:{server.port}"), stdin=subprocess.PIPE,
    )  # fmt: skip
    lab.on_close(lambda: child.poll() is None and child.kill())
    wait_until(lambda: int(server.info()["granted"]) >= 1 + 7, "seven renewals", 30)
    assert server.remaining(POOL, "acme", "tenant", "concurrent") == 1
    child.stdin.close()
    assert child.wait(20) == 0
    assert server.remaining(POOL, "acme", "tenant", "concurrent") == 2
    assert server.audit(POOL)["requests"]["reported"] == 1


# ---- Against the strict provider -----------------------------------------------------------------


def test_replay_keeps_the_quota_of_a_strict_provider(lab):
    """ration_call() from several processes over two servers, arrivals above the quota: no 429."""
    provider = StrictProvider(lab, rpm=40, tpm=12_000, window_ms=2000, latency_ms=15)
    quota = {POOL: {"limits": [limit("requests", 40, "2s"), limit("tokens", 12_000, "2s")], "hold_back": [0, 0.1, 0.3]}}
    tiers = {
        "free": {"priority": 2, "limits": [limit("requests", 10, "second")]},
        "pro": {"priority": 1, "limits": [limit("requests", 100, "second")]},
        "enterprise": {"priority": 0, "limits": [limit("tokens", 100_000, "second")]},
    }
    tenants = {"acme": {"tier": "pro"}, "globex": {"tier": "enterprise"}, "initech": {"tier": "free"}}
    settings = config(lab.redis(), pools=quota, tiers=tiers, tenants=tenants, default_tier="free")
    a, b = lab.ration(settings), lab.ration(settings)
    result = lab.folder / "result.json"
    done = lab.tool(None, "replay", "--trace", HERE / "data" / "sample_trace.csv", "--url", provider.url, "--pool", POOL,
                    "--hosts", 3, "--threads", 8, "--speed", 20, "--duration", 7, "--output-cap", 200, "--wait-max", 1,
                    "--json", result, "--server", f"127.0.0.1:{a.port},127.0.0.1:{b.port}")  # fmt: skip
    assert done.returncode == 0, done
    seen = provider.report()
    assert seen["status_429"] == 0
    assert seen["max_requests_in_window"] <= 40 and seen["max_tokens_in_window"] <= 12_000
    assert seen["completed"] > 40, "it did call"
    assert "none: the quota was kept" in done.stdout
    assert json.loads(result.read_text())
    wait_until(lambda: a.remaining(POOL, "acme", "pool", "requests") >= 0, "the ledger to be read")
    ledger = b.audit(POOL)
    assert all(row["balanced"] for row in ledger.values()), ledger


def test_replay_goes_on_when_a_server_is_killed(lab):
    provider = StrictProvider(lab, rpm=2000, tpm=10_000_000, window_ms=10_000, latency_ms=5)
    settings = config(lab.redis(), pools={POOL: {"limits": [limit("requests", 2000, "10s"), limit("usd", 10**9, "day")]}})
    a, b = lab.ration(settings), lab.ration(settings)
    command = [program("ration"), "replay", "--trace", str(HERE / "data" / "sample_trace.csv"), "--url", provider.url,
               "--hosts", "2", "--threads", "4", "--speed", "50", "--duration", "4", "--wait-max", "1",
               "--server", f"127.0.0.1:{a.port},127.0.0.1:{b.port}"]  # fmt: skip
    replay = lab.process("replay", *command)
    wait_until(lambda: provider.report()["completed"] > 50, "calls to be made", 20)
    a.kill()
    before = provider.report()["completed"]
    wait_until(lambda: provider.report()["completed"] > before + 50, "calls to go on", 20)
    assert replay.child.wait(60) == 0, replay.log()
    seen = provider.report()
    assert seen["status_429"] == 0
    row = b.audit(POOL)["requests"]
    assert row["balanced"] and row["reported"] + row["cancelled"] + row["outstanding"] + row["expired"] >= seen["granted"]


def test_replay_says_so_when_the_quota_was_not_kept(lab):
    """A provider stricter than Ration believes: the table and the exit status show it."""
    provider = StrictProvider(lab, rpm=5, tpm=12_000, window_ms=2000, latency_ms=5)
    server = lab.ration(config(lab.redis(), pool=[limit("requests", 500, "2s")]))
    done = lab.tool(None, "replay", "--trace", HERE / "data" / "sample_trace.csv", "--url", provider.url, "--hosts", 1,
                    "--threads", 4, "--speed", 50, "--duration", 2, "--server", f"127.0.0.1:{server.port}")  # fmt: skip
    assert done.returncode == 1, done
    assert "NOT KEPT" in done.stdout
