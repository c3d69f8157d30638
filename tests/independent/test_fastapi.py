"""`ration call` and `ration batch` against a FastAPI server, which itself refuses bad requests."""
import json
import urllib.error
import urllib.request

import pytest

from forms import FORMS, STREAMED, WHOLE, usage_of

TEXT = "Hello from FastAPI, wörld."


def reported(url):
    with urllib.request.urlopen(url + "/reported", timeout=30) as answer:
        return json.load(answer)


def check_usage(profile, came, wanted):
    """The usage is what the server reported; for Gemini only input counts."""
    into, out = wanted
    assert came["used_known"], came
    assert came["used"].get("input_tokens", 0) == into and came["used"].get("output_tokens", 0) == (out if out else 0), came
    assert came["used"]["tokens"] == (into if profile == "gemini" else into + out), came


@pytest.mark.parametrize("profile", WHOLE)
def test_whole(ours, fastapi, profile):
    came = ours.call_json(fastapi, profile)
    assert came["outcome"] == "answered" and came["http_status"] == 200 and came["tries"] == 1
    assert TEXT in json.dumps(came["body"], ensure_ascii=False) or profile == "openai-embeddings"
    check_usage(profile, came, usage_of(profile, came["body"]))


@pytest.mark.parametrize("profile", STREAMED)
def test_streamed(ours, fastapi, profile):
    came = ours.call_json(fastapi, profile, "--stream")
    assert came["outcome"] == "answered" and came["tries"] == 1 and came["events"]
    check_usage(profile, came, reported(fastapi)[-1])
    assert ours.call(fastapi, profile, "--stream").stdout == TEXT + "\n"


@pytest.mark.parametrize("profile", WHOLE)
def test_batch(ours, fastapi, profile):
    body, path, _ = FORMS[profile]
    lines = [{**body, "model": "mocked"} for _ in range(6)]
    summary, results = ours.batch(fastapi, profile, lines, path)
    assert [row["custom_id"] for row in results] == [f"r-{n}" for n in range(6)], summary
    for row in results:
        assert row["error"] is None and row["response"]["status_code"] == 200, row
        assert usage_of(profile, row["response"]["body"])[0] > 0


@pytest.mark.parametrize("profile", WHOLE)
def test_what_fastapi_refuses_is_refused(ours, fastapi, profile):
    """A prompt that is a number: 422 in FastAPI's own form, and no second try."""
    body = FORMS[profile][0]
    [prompt] = [name for name in ("messages", "input", "prompt", "contents") if name in body]
    came = ours.call_json(fastapi, profile, body={**body, prompt: 5}, status=4)
    assert came["outcome"] == "refused" and came["http_status"] == 422 and came["tries"] == 1, came


@pytest.mark.parametrize("profile", WHOLE)
def test_the_server_refuses_a_form(fastapi, profile):
    """The server is strict: it refuses curl's default, so the tests above mean something."""
    body, path, _ = FORMS[profile]
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": "Bearer k", "x-api-key": "k",
               "anthropic-version": "2023-06-01", "x-goog-api-key": "k"}  # fmt: skip
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(fastapi + path, json.dumps(body).encode(), headers), timeout=30)
    assert refused.value.code in (415, 422)
    refused.value.close()
