"""`ration presets`: what rationd and libration know of providers, listed without asking a server."""
import json
import re
import subprocess

from processes import program


def presets(*args, status=0):
    done = subprocess.run([program("ration"), "presets", *args], capture_output=True, text=True, timeout=20)
    assert done.returncode == status, done
    return done


def test_every_preset_has_its_limits_its_source_and_the_day_it_was_checked():
    rows = json.loads(presets("--json").stdout)
    assert len(rows) >= 19 and rows[0]["name"] == "openai/gpt-4o/free"
    for row in rows:
        assert row["source"].startswith("https://") and re.fullmatch(r"20\d\d-\d\d-\d\d", row["checked"]), row
        assert row["limits"] and all(limit["amount"] > 0 for limit in row["limits"]), row
    table = presets().stdout
    assert all(row["name"] in table and row["source"] in table for row in rows)


def test_a_preset_that_is_listed_is_one_that_rationd_takes(tmp_path):
    file = tmp_path / "rationd.json"
    names = [row["name"] for row in json.loads(presets("--json").stdout)]
    file.write_text(json.dumps({"pools": {f"pool-{i}": {"preset": name} for i, name in enumerate(names)}}))
    checked = subprocess.run([program("rationd"), "--check", str(file)], capture_output=True, text=True, timeout=20)
    assert checked.returncode == 0, checked


def test_a_prefix_chooses_and_a_wrong_one_is_said_so():
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
