"""`ration call` and `ration batch` against LiteLLM's proxy, whose answers have their own habits: a
whole answer to a request for a stream, usage beside a choice, counts of zero in every chunk, and
errors labelled as streams.
"""
import json

import pytest

from forms import FORMS, STREAMED, WHOLE, usage_of

TEXT = "Hello from the proxy."
# This release's mock cannot stream responses: it answers with an error, which has its own test
# below. To Anthropic's form it always gives a whole answer.
STREAMS = [name for name in STREAMED if name not in ("openai-responses", "anthropic")]


@pytest.mark.parametrize("profile", WHOLE)
def test_whole(ours, litellm, profile):
    came = ours.call_json(litellm, profile)
    assert came["outcome"] == "answered" and came["http_status"] == 200 and came["tries"] == 1, came
    into, out = usage_of(profile, came["body"])
    assert came["used_known"] and came["used"]["input_tokens"] == into, came
    assert profile == "openai-embeddings" or came["used"]["output_tokens"] == out, came
    assert TEXT in json.dumps(came["body"])


@pytest.mark.parametrize("profile", STREAMS)
def test_streamed(ours, litellm, profile):
    came = ours.call_json(litellm, profile, "--stream")
    assert came["outcome"] == "answered" and came["tries"] == 1 and len(came["events"]) > 2, came
    assert came["used"]["tokens"] > 0
    assert ours.call(litellm, profile, "--stream").stdout == TEXT + "\n"


@pytest.mark.parametrize("profile", ["openai", "openai-completions"])
def test_the_usage_of_a_stream(ours, litellm, profile):
    """The legacy form reports 0, 0, 0 in every earlier chunk: the most that was reported counts."""
    came = ours.call_json(litellm, profile, "--stream")
    totals = [event["usage"]["total_tokens"] for event in map(_data, came["events"]) if event.get("usage")]
    assert max(totals) > 0, came["events"]
    assert came["used_known"] and came["used"]["tokens"] == max(totals), came


def test_a_whole_answer_to_a_request_for_a_stream(ours, litellm):
    """The answer is passed on and its usage read."""
    came = ours.call_json(litellm, "anthropic", "--stream")
    assert came["outcome"] == "answered" and came["tries"] == 1, came
    assert came["used_known"] and came["used"]["input_tokens"] > 100 and came["used"]["output_tokens"] > 100, came
    assert TEXT in ours.call(litellm, "anthropic", "--stream").stdout


def test_an_error_labelled_as_a_stream(ours, litellm):
    came = ours.call_json(litellm, "openai-responses", "--stream", "--tries", "2", status=3)
    assert came["outcome"] == "failed" and came["http_status"] == 500 and came["tries"] == 2, came


@pytest.mark.parametrize("profile", WHOLE)
def test_batch(ours, litellm, profile):
    body, path, _ = FORMS[profile]
    lines = [{**body, "model": "mocked"} for _ in range(6)]
    summary, results = ours.batch(litellm, profile, lines, path)
    assert [row["custom_id"] for row in results] == [f"r-{n}" for n in range(6)], summary
    for row in results:
        assert row["error"] is None and row["response"]["status_code"] == 200, row
        assert TEXT in json.dumps(row["response"]["body"])


@pytest.mark.parametrize("profile", ["openai", "anthropic"])  # its mock of responses has no errors
@pytest.mark.parametrize("model, outcome, http_status, status, tries",
                         [("limited", "limited", 429, 3, 2), ("broken", "failed", 500, 3, 2), ("too-long", "refused", 400, 4, 1)])  # fmt: skip
def test_its_errors(ours, litellm, profile, model, outcome, http_status, status, tries):
    came = ours.call_json(litellm, profile, "--tries", "2", body={**FORMS[profile][0], "model": model}, status=status)
    assert (came["outcome"], came["http_status"], came["tries"]) == (outcome, http_status, tries), came
    ours.open_pool()


def test_a_wrong_key_is_refused(ours, litellm):
    came = ours.call_json(litellm, "openai", status=4, env={"INDEPENDENT_KEY": "sk-wrong"})
    assert came["outcome"] == "refused" and came["http_status"] in (400, 401) and came["tries"] == 1, came


def _data(event):
    try:
        data = json.loads(event["data"])
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}
