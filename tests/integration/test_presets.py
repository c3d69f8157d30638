"""`ration presets`: what rationd and libration know about providers, listed without asking a
server.
"""
import json
import re
import subprocess

import pytest

from configs import config
from processes import TOP, program


def presets(*args, status=0):
    done = subprocess.run([program("ration"), "presets", *args], capture_output=True, text=True, timeout=20)
    assert done.returncode == status, done
    return done


def test_every_preset_has_its_limits_its_source_and_the_day_it_was_checked():
    rows = json.loads(presets("--json").stdout)
    assert len(rows) >= 30 and rows[0]["name"] == "openai/gpt-4o/free"
    for row in rows:
        assert row["source"].startswith("https://") and re.fullmatch(r"20\d\d-\d\d-\d\d", row["checked"]), row
        assert row["limits"] and all(limit["amount"] > 0 for limit in row["limits"]), row
    table = presets().stdout
    assert all(row["name"] in table and row["source"] in table and row.get("note", "") in table for row in rows)


def test_every_listed_preset_is_one_that_rationd_accepts(tmp_path):
    file = tmp_path / "rationd.json"
    names = [row["name"] for row in json.loads(presets("--json").stdout)]
    file.write_text(json.dumps({"pools": {f"pool-{i}": {"preset": name} for i, name in enumerate(names)}}))
    checked = subprocess.run([program("rationd"), "--check", str(file)], capture_output=True, text=True, timeout=20)
    assert checked.returncode == 0, checked


def test_a_prefix_selects_and_a_wrong_one_is_an_error():
    lines = presets("groq/gpt-oss-20b").stdout.splitlines()
    assert [line.split()[:4] for line in lines[1:3]] == [["groq/gpt-oss-20b/free", "30", "requests", "a"],
                                                         ["1,000", "requests", "a", "day"]]  # fmt: skip
    assert "never given back" in presets("azure").stdout
    assert "counted at the end" in presets("anthropic/2026").stdout
    wrong = presets("grok", status=2)
    assert "'ration presets' lists them all" in wrong.stderr and wrong.stdout == ""


def test_profiles_are_listed_in_full():
    rows = {row["name"]: row for row in json.loads(presets("--profiles", "--json").stdout)}
    assert {"openai", "openai-responses", "anthropic", "gemini", "groq", "azure", "openai-compatible"} <= set(rows)
    assert rows["groq"]["path"] == rows["openai"]["path"] and "like" not in rows["groq"]
    assert all(row["source"].startswith("https://") and row["checked"] for row in rows.values())
    table = presets("--profiles").stdout
    assert "GEMINI_API_KEY" in table and "(your URL)/openai/deployments/{model}" in table


# ---- What the providers publish, row by row ----


def rpm(n):
    return ("requests", n, "minute")


def tpm(n):
    return ("tokens", n, "minute")


def rpd(n, *more):
    return ("requests", n, "day", *more)


def tpd(n):
    return ("tokens", n, "day")


def claude(requests, read, written, dollars):
    """Output counts when a call ends; the month is a calendar month in UTC."""
    return [rpm(requests), ("input_tokens", read, "minute"), ("output_tokens", written, "minute", "end"),
            ("usd", dollars * 10**6, "month", "calendar", "UTC")]  # fmt: skip


def deployment(tokens):
    """Six requests a minute per 1,000 tokens, judged over one second or ten; estimates stay."""
    return [("requests", 6 * tokens // 1000 // 60, "second"), ("requests", 6 * tokens // 1000 // 6, "10s"),
            ("tokens", tokens, "minute", "kept")]  # fmt: skip


PUBLISHED = {
    "openai/gpt-4o/free": [rpm(3), tpm(40_000), rpd(200)],
    "openai/gpt-4o/tier1": [rpm(500), tpm(30_000), rpd(10_000)],
    "openai/gpt-4o/tier2": [rpm(5_000), tpm(450_000)],
    "openai/gpt-4o/tier3": [rpm(5_000), tpm(800_000)],
    "openai/gpt-4o/tier4": [rpm(10_000), tpm(2_000_000)],
    "openai/gpt-4o/tier5": [rpm(10_000), tpm(30_000_000)],
    "anthropic/2025/build-free": [rpm(5), tpm(20_000)],
    "anthropic/2025/build": [rpm(50), tpm(40_000)],
    "anthropic/2025/scale": [rpm(1_000), tpm(100_000)],
    "anthropic/2026/start": claude(1_000, 2_000_000, 400_000, 500),
    "anthropic/2026/build": claude(5_000, 5_000_000, 1_000_000, 1_000),
    "anthropic/2026/scale": claude(10_000, 10_000_000, 2_000_000, 200_000),
    "anthropic/2026/fable-5/start": claude(1_000, 500_000, 100_000, 500),
    "anthropic/2026/fable-5/build": claude(2_000, 1_500_000, 300_000, 1_000),
    "anthropic/2026/fable-5/scale": claude(4_000, 4_000_000, 800_000, 200_000),
    "gemini/free": [rpm(15), ("input_tokens", 1_000_000, "minute"), rpd(1_500, "calendar", "America/Los_Angeles")],
    "gemini/paid": [rpm(360), ("input_tokens", 4_000_000, "minute")],
    "gemini/2026/tier1": [("usd", 10 * 10**6, "10m", "rolling")],
    "gemini/2026/tier2": [("usd", 50 * 10**6, "10m", "rolling")],
    "gemini/2026/tier3": [("usd", 200 * 10**6, "10m", "rolling")],
    "groq/llama-3.1-8b-instant/free": [rpm(30), rpd(14_400), tpm(6_000), tpd(500_000)],
    "groq/llama-3.3-70b/free": [rpm(30), rpd(1_000), tpm(12_000), tpd(100_000)],
    "groq/gpt-oss-120b/free": [rpm(30), rpd(1_000), tpm(8_000), tpd(200_000)],
    "groq/gpt-oss-20b/free": [rpm(30), rpd(1_000), tpm(8_000), tpd(200_000)],
    "azure/gpt-4o/10k": deployment(10_000),
    "azure/gpt-4o/30k": deployment(30_000),
    "azure/gpt-4o/120k": deployment(120_000),
    "azure/gpt-4o/450k": deployment(450_000),
    "bedrock/200k": [tpm(200_000), tpd(200_000 * 1440)],
    "bedrock/1m": [tpm(1_000_000), tpd(1_000_000 * 1440)],
}
UNVERIFIED = {"anthropic/2025/build-free", "anthropic/2025/build", "anthropic/2025/scale", "gemini/free", "gemini/paid"}


def in_short(limit):
    words = [limit["unit"], limit["amount"], limit["per"]]
    words += [limit[key] for key in ("algorithm", "time_zone") if key in limit]
    words += ["end"] if limit.get("counted") == "end" else []
    words += ["kept"] if not limit.get("settle", True) else []
    assert set(limit) <= {"unit", "amount", "per", "algorithm", "time_zone", "counted", "settle"}, limit
    return tuple(words)


@pytest.fixture(scope="module")
def listed():
    return {row["name"]: row for row in json.loads(presets("--json").stdout)}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_limits_are_those_that_the_provider_published(listed, name):
    assert [in_short(limit) for limit in listed[name]["limits"]] == PUBLISHED[name]


def test_every_presets_numbers_are_checked_here(listed):
    assert set(listed) == set(PUBLISHED)


def test_unverified_presets_are_marked(listed):
    assert {name for name, row in listed.items() if row.get("unverified")} == UNVERIFIED
    lines = presets().stdout.splitlines()
    assert {line.split()[0] for line in lines if re.search(r"\d, unverified ", line)} == UNVERIFIED
    assert any(line.startswith("unverified: ") for line in lines)
    assert "unverified" not in presets("groq").stdout


def test_the_table_names_time_zones_and_shows_dollars():
    table = presets("gemini").stdout
    assert "1,500  requests a day of the calendar, America/Los_Angeles" in table
    assert re.search(r"gemini/2026/tier2 +\$50\.00 +usd per 10m ", table)
    notes = presets("bedrock").stdout.split("\n\n")[1].splitlines()
    assert [note.split(":")[0] for note in notes] == ["bedrock/200k, bedrock/1m"]
    assert "anthropic-fast-*" in presets("anthropic/2026/build").stdout


def test_a_spend_limit_holds_for_any_ten_minutes(lab):
    clock = lab.clock()
    pools = {"gemini/pro": {"preset": "gemini/2026/tier1"}}
    server = lab.ration(config(lab.redis(clock=clock), pools=pools, tiers={"all": {}}))
    wire = server.wire()
    assert wire.fields("ACQUIRE", "gemini/pro", "acme", "usd", 10**7 - 1)["status"] == "granted"
    denied = wire.fields("ACQUIRE", "gemini/pro", "acme", "usd", 2)
    assert (denied["status"], denied["limited_by"]) == ("denied", "pool:gemini/pro usd/10m")
    assert 600_000 < denied["retry_after_ms"] <= 610_000
    clock.advance(denied["retry_after_ms"] - 1)
    assert wire.fields("ACQUIRE", "gemini/pro", "acme", "usd", 2)["status"] == "denied"
    clock.advance(1)
    assert wire.fields("ACQUIRE", "gemini/pro", "acme", "usd", 2)["status"] == "granted"


def test_a_day_of_gemini_ends_at_midnight_in_california(lab):
    clock = lab.clock()  # 2027-01-15 08:00:00 UTC, exactly midnight there
    pools = {"gemini/flash": {"preset": "gemini/free"}}
    server = lab.ration(config(lab.redis(clock=clock), pools=pools, tiers={"all": {}}))
    clock.advance(3_600_000)
    (day,) = [row for row in server.peek("gemini/flash", "acme") if row["per"] == "day"]
    assert (day["unit"], day["limit"], day["reset_ms"]) == ("requests", 1500, 0)
    server.wire().fields("ACQUIRE", "gemini/flash", "acme", "requests", 1)
    (day,) = [row for row in server.peek("gemini/flash", "acme") if row["per"] == "day"]
    assert (day["remaining"], day["reset_ms"]) == (1499, 23 * 3_600_000)


def test_requests_to_an_azure_deployment_are_spread_over_its_seconds(lab):
    """Whichever window judges them: 180 a minute is 3 in any second and 30 in any ten."""
    clock = lab.clock()
    pools = {"azure/gpt-4o": {"preset": "azure/gpt-4o/30k"}}
    wire = lab.ration(config(lab.redis(clock=clock), pools=pools, tiers={"all": {}})).wire()
    grants = []
    for at_ms in range(0, 60_000, 100):
        while wire.fields("ACQUIRE", "azure/gpt-4o", "acme", "tokens", 1)["status"] == "granted":
            grants.append(at_ms)
        clock.advance(100)
    for window, most in ((1_000, 3), (10_000, 30), (60_000, 180)):
        assert max(sum(begin <= at < begin + window for at in grants) for begin in grants) <= most
    assert len(grants) >= 0.7 * 180


def test_the_user_tiers_of_the_built_in_configuration():
    text = (TOP / "server/config/default.json").read_text()
    tiers = json.loads(re.sub(r"^\s*//.*", "", text, flags=re.MULTILINE))["tiers"]
    for name, priority, requests, tokens in (("free", 2, 5, 5_000), ("pro", 1, 50, 50_000)):
        assert tiers[name]["priority"] == priority
        assert [in_short(limit) for limit in tiers[name]["limits"]] == [rpm(requests), tpm(tokens)]
    assert tiers["enterprise"]["priority"] == 0
