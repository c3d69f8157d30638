"""What tests/bench/quota.sh measures with: `ration replay` without Ration, its warm-up, and a short run of the whole."""
import json
import subprocess
import sys
import xml.etree.ElementTree

import pytest

from processes import BUILD, HERE, TOP
from strict_provider import StrictProvider

BENCH = TOP / "tests" / "bench"
TRACE = HERE / "data" / "sample_trace.csv"


def replay(lab, provider, *args):
    path = lab.folder / "replay.json"
    done = lab.tool(None, "replay", "--url", provider.url, "--json", path, *args)
    return done, json.loads(path.read_text())


def quota_modules():
    sys.path.insert(0, str(BENCH))
    try:
        import quota_plan
        import quota_result
    finally:
        sys.path.remove(str(BENCH))
    return quota_plan, quota_result


@pytest.mark.parametrize("patience", [0, 2])
def test_without_ration_every_try_and_every_429_is_counted(lab, patience):
    """The clients' count and the provider's are the same; without patience nothing is tried again."""
    provider = StrictProvider(lab, rpm=30, tpm=1_000_000, window_ms=1000, latency_ms=5)
    done, out = replay(lab, provider, "--trace", TRACE, "--without-ration", "--hosts", 2, "--threads", 8, "--speed", 50,
                       "--duration", 3, "--wait-max", patience, "--server", "127.0.0.1:1")  # fmt: skip
    seen, clients = provider.report(), out["all"]
    assert done.returncode == 1, done
    assert clients["tries"] == seen["requests"] and clients["status_429"] == seen["status_429"] > 0
    assert clients["granted"] == seen["completed"] > 0 and clients["tokens"] == seen["tokens"]
    assert clients["arrivals"] == clients["granted"] + clients["denied"] and clients["errors"] == 0
    assert clients["tries"] == clients["granted"] + clients["status_429"]
    if patience == 0:
        assert clients["tries"] == clients["arrivals"]
    else:
        assert clients["tries"] > clients["arrivals"]


def test_a_provider_that_is_not_there_is_an_error_without_ration_too(lab):
    done = lab.tool(None, "replay", "--url", "http://127.0.0.1:1", "--trace", TRACE, "--without-ration", "--hosts", 1,
                    "--threads", 1, "--speed", 100, "--duration", 1)  # fmt: skip
    assert done.returncode == 2 and "The first error" in done.stdout, done


def test_the_warm_up_runs_at_its_own_speed(lab):
    """The trace's first 0.3 s in 3 s, the other 0.7 s as they are."""
    provider = StrictProvider(lab, rpm=1000, tpm=1_000_000, window_ms=1000, latency_ms=1)
    trace = lab.folder / "trace.csv"
    rows = [f"2024-01-01 00:00:00.{n:02d}0000,10,10" for n in range(100)]
    trace.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + "\n".join(rows) + "\n")
    done, out = replay(lab, provider, "--trace", trace, "--without-ration", "--hosts", 1, "--warm-up", 3, "--warm-up-speed", 0.1)
    assert done.returncode == 0, done
    seen = provider.report()
    assert out["all"]["granted"] == seen["completed"] == 100
    assert seen["elapsed_ms"] >= 3600
    second = {row["second"] - seen["first_ms"] // 1000: row["requests"] for row in seen["per_second"]}
    assert second[0] + second.get(1, 0) <= 20 + 1, "ten a second while it warms up"
    assert sum(second.values()) - sum(second.get(n, 0) for n in range(3)) >= 70


def run_quota(*args):
    command = ["sh", BENCH / "quota.sh", "--build", BUILD, *args]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=240, check=False)


def test_a_short_run_has_a_table_a_document_and_a_picture(lab):
    """Too short for the bars, as windows of 2 s lose an eighth to the slack: the verdict says so."""
    path = lab.folder / "quota.json"
    done = run_quota("--trace", TRACE, "--modes", "rolling,backoff", "--window", 2, "--seconds", 6, "--patience", 1,
                     "--threads", 16, "--json", path)  # fmt: skip
    assert done.returncode in (0, 1), done
    document = json.loads(path.read_text())
    (mode,), alone = document["modes"], document["baseline"]
    assert (mode["mode"], mode["ok"]) == ("rolling", done.returncode == 0), done
    assert mode["ok"] == (mode["provider_429s"] == 0 and mode["quota_used"] >= 0.97)
    assert 0.3 < mode["quota_used"] <= 1 and alone["provider_429s"] > 0
    assert mode["sent"] < alone["sent"] and document["books_balance"]
    assert "MISSED" in done.stdout or mode["ok"]
    strips = xml.etree.ElementTree.parse(path.with_suffix(".svg")).getroot().findall("{*}text")
    assert any("quota used" in text.text for text in strips)


def test_what_cannot_be_run_is_status_2(lab):
    trace = lab.folder / "trace.csv"
    trace.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2024-01-01 00:00:00,10,ten\n")
    for args, words in (
        (["--trace", trace], "line 2"),
        (["--trace", lab.folder / "none"], "No such file"),
        (["--modes", "weekly"], "weekly"),
        (["--window", 60, "--seconds", 60], "warm-up"),
    ):
        done = run_quota(*args)
        assert done.returncode == 2 and words in done.stderr, done


def test_the_plan_is_the_load_that_was_asked_for():
    quota_plan, _ = quota_modules()
    rows = quota_plan.read(TRACE)
    plan = quota_plan.make(TRACE, rows, 20, 120, 3)
    total = sum(row.tokens for row in rows)
    assert total == pytest.approx(plan.tpm * (1 + 3 * plan.windows), rel=0.001)
    assert plan.warm_speed < plan.speed and 1 < plan.lowest <= 3


def test_every_window_of_the_steady_state_is_judged():
    quota_plan, quota_result = quota_modules()
    plan = quota_plan.make(TRACE, quota_plan.read(TRACE), 10, 40, 3)
    flat = [plan.tpm // 10] * 45
    assert quota_result.windows_of(flat, plan) == pytest.approx([1] * 21, rel=0.001)
    ended_early = quota_result.windows_of(flat[:30], plan)
    assert ended_early[-1] == 0 and ended_early[10] == pytest.approx(1, rel=0.001)


def test_a_trace_may_have_other_columns_and_zones(lab):
    quota_plan, _ = quota_modules()
    trace = lab.folder / "trace.csv"
    trace.write_text("id,GeneratedTokens,TIMESTAMP,ContextTokens\n"
                     "2,7,2024-05-10 01:00:02.1234567+01:00,70\n1,5,2024-05-10T00:00:01Z,50\n")  # fmt: skip
    rows = quota_plan.read(trace)
    assert [(row.tokens, row.output) for row in rows] == [(55, 5), (77, 7)]
    quota_plan.write(rows, trace)
    again = quota_plan.read(trace)
    assert [row.at for row in again] == pytest.approx([row.at for row in rows], abs=1e-6)
    assert again[1].at == pytest.approx(1.1234567, abs=1e-6)
    assert trace.read_text().splitlines()[0] == ",".join(quota_plan.COLUMNS)
