"""The reader of cassettes and its rules, on the forms that recorders write."""
import base64
import gzip
import json

import pytest

import cassette
import derived
import dialect
import expectation
import replaying

CALL = "https://api.openai.com/v1/chat/completions"
HEAD = f"interactions:\n- request:\n    method: POST\n    uri: {CALL}\n    headers: {{content-type: [application/json]}}\n"


def read(tmp_path, text, name="one.yaml"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return cassette.read(path, tmp_path)


@pytest.mark.parametrize(
    "body",
    [
        "body: {string: '{\"a\":\"\\u00e4\"}'}",
        "body: '{\"a\":\"\\u00e4\"}'",
        "body: {string: !!binary " + base64.b64encode(b'{"a":"\\u00e4"}').decode() + "}",
        "body: {encoding: ASCII-8BIT, base64_string: " + base64.b64encode(b'{"a":"\\u00e4"}').decode() + "}",
        "content: '{\"a\":\"\\u00e4\"}'",
    ],
)
def test_every_form_of_a_body(tmp_path, body):
    text = HEAD + f"    body: '{{}}'\n  response:\n    status: {{code: 200, message: OK}}\n    headers: {{}}\n    {body}\n"
    [one] = read(tmp_path, text)
    assert one.answer.body == b'{"a":"\\u00e4"}' and one.answer.reason == "OK"
    assert one.request.body == b"{}" and one.request.headers.get("Content-Type") == "application/json"


def test_a_parsed_body_is_serialised_again(tmp_path):
    text = HEAD + "    parsed_body: {model: m}\n  response:\n    status_code: 200\n    headers: []\n    parsed_body: {id: 1}\n"
    [one] = read(tmp_path, text)
    assert json.loads(one.request.body) == {"model": "m"} and json.loads(one.answer.body) == {"id": 1}


def test_compressed_bodies_stay_and_decompressed_ones_lose_the_label(tmp_path):
    packed = base64.b64encode(gzip.compress(b"{}")).decode()
    head = HEAD + "    body: ''\n  response:\n    status: {code: 200, message: OK}\n    headers: {Content-Encoding: [gzip]}\n"
    [one] = read(tmp_path, head + f"    body: {{string: !!binary {packed}}}\n")
    assert one.answer.headers.get("content-encoding") == "gzip" and one.answer.body[:2] == b"\x1f\x8b"
    assert one.answer.plain_body() == b"{}"
    [one] = read(tmp_path, head + "    body: {string: '{}'}\n")
    assert one.answer.headers.get("content-encoding") is None and one.answer.plain_body() == b"{}"


def interaction(body, status):
    return {"request": {"method": "POST", "uri": CALL, "headers": {}, "body": body},
            "response": {"status": {"code": status, "message": ""}, "headers": {}, "body": {"string": "{}"}}}  # fmt: skip


def test_tries_of_one_call_are_not_separate_calls(tmp_path):
    several = {"interactions": [interaction("a", 429), interaction("a", 200), interaction("a", 200), interaction("b", 500)]}
    exchanges = read(tmp_path, json.dumps(several), "many.json")
    assert [[r.status for r in one.responses] for one in exchanges] == [[429, 200], [200], [500]]
    assert [one.name for one in exchanges] == ["many#1", "many#2", "many#3"]


def test_a_sidecar_makes_a_file_one_call(tmp_path):
    (tmp_path / "many.expect.json").write_text('{"expect": {}}')
    [one] = read(tmp_path, json.dumps({"interactions": [interaction("a", 200), interaction("a", 200)]}), "many.json")
    assert len(one.responses) == 2 and one.expected == {"expect": {}}


def test_unreadable_files_are_reported(tmp_path):
    (tmp_path / "bad.yaml").write_text("interactions: [")
    (tmp_path / "empty.yaml").write_text("")
    exchanges, unreadable = cassette.read_all(tmp_path)
    assert not exchanges and len(unreadable) == 1 and "bad.yaml" in unreadable[0]


@pytest.mark.parametrize(
    "uri, profile, base, model",
    [
        (CALL, "openai", "/v1", None),
        ("https://generativelanguage.googleapis.com/v1beta/models/g-2:streamGenerateContent?alt=sse", "gemini", "/v1beta", "g-2"),
        ("https://r.openai.azure.com/openai/deployments/d/chat/completions?api-version=1", "azure", "", "d"),
        ("https://bedrock-runtime.us-east-1.amazonaws.com/model/us.anthropic.claude-sonnet-4-20250514-v1%3A0/converse",
         "bedrock-claude", "", "us.anthropic.claude-sonnet-4-20250514-v1:0"),
        ("https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.nova-lite-v1%3A0/converse-stream", "bedrock", "", "amazon.nova-lite-v1:0"),
        ("http://127.0.0.1:8000/v1/chat/completions", "openai-compatible", "/v1", None),
    ],
)  # fmt: skip
def test_an_address_selects_the_profile(uri, profile, base, model):
    request = cassette.Request("POST", uri, cassette.Headers(), b"{}")
    assert dialect.of(request) == {"profile": profile, "base": base, "model": model}


def test_other_addresses_have_none():
    for method, uri in (("GET", CALL), ("POST", "https://api.openai.com/v1/files")):
        assert dialect.of(cassette.Request(method, uri, cassette.Headers(), b"")) is None


def test_what_fits():
    assert expectation._fits([10, 20], 15) and not expectation._fits([10, 20], 21) and not expectation._fits([10, 20], None)
    assert expectation._fits({"a": 1}, {"a": 1, "b": 2}) and not expectation._fits({"a": 1}, {"b": 1})
    assert expectation._fits(0, None) and not expectation._fits(1, None) and not expectation._fits(True, 1.5)


def test_an_insertion_keeps_all_bytes_of_the_caller():
    assert expectation._common_ends(b'{"a":1}', b'{"a":1,"b":2}') == 7
    assert expectation._common_ends(b'{"a":1.0}', b'{"a":1,"b":2}') < 9


def test_events_of_a_stream():
    assert list(derived.events("event: x\r\ndata: 1\r\ndata: 2\r\n\r\n: ping\n\ndata: 3")) == [("x", "1\n2"), ("", "3")]


def came_of(tmp_path, expect):
    """A call that went as recorded."""
    text = HEAD.replace("headers: {", "headers: {authorization: [Bearer X], ") + (
        "    body: '{\"model\":\"m\"}'\n  response:\n    status: {code: 200, message: OK}\n    headers: {}\n    body: {string: '{}'}\n"
    )
    (tmp_path / "one.expect.json").write_text(json.dumps({"expect": expect}))
    [one] = read(tmp_path, text)
    headers = cassette.Headers([("Content-Type", "application/json"), ("Authorization", f"Bearer {replaying.KEY}")])
    sent = cassette.Request("POST", "/v1/chat/completions", headers, one.request.body)
    result = {"outcome": "answered", "tries": 1, "usage": {"input_tokens": 5}, "retry_after_ms": 0}
    return replaying.Came(one, {}, requests=[sent], result=result, charged={"tokens": 7})


def test_what_is_as_recorded_does_not_differ(tmp_path):
    assert not expectation.differences(came_of(tmp_path, {"outcome": "answered", "tries": 1, "exit": 0, "charged": {"tokens": 7}}))


@pytest.mark.parametrize("expect", [{"outcome": "failed"}, {"tries": 2}, {"exit": 3}, {"usage": {"input_tokens": 6}}, {"charged": {"tokens": 8}},
                                    {"retry_after_ms": [10, 20]}, {"text": "Hi"}, {"left": {"requests/day": 1}}, {"pool": {"state": "closed"}}])  # fmt: skip
def test_each_expectation_can_fail(tmp_path, expect):
    assert len(expectation.differences(came_of(tmp_path, expect))) == 1


@pytest.mark.parametrize("change", [("method", "GET"), ("uri", "/v1/completions"), ("uri", "/v1/chat/completions?a=b"), ("body", b"{}")])
def test_each_part_of_a_request_can_fail(tmp_path, change):
    came = came_of(tmp_path, {})
    setattr(came.requests[0], *change)
    assert len(expectation.differences(came)) >= 1


@pytest.mark.parametrize("header", [("Content-Type", "application/x-www-form-urlencoded"), ("Authorization", replaying.KEY), ("Authorization", "Bearer other")])
def test_each_header_can_fail(tmp_path, header):
    came = came_of(tmp_path, {})
    came.requests[0].headers[:] = [header if name == header[0] else (name, value) for name, value in came.requests[0].headers]
    assert len(expectation.differences(came)) == 1
