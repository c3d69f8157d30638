"""`ration batch`: requests in each provider's form, sent unchanged to the endpoint they name."""
import json

import pytest

from batch_run import FAST, Batch, body, provider, request, server, write_lines  # noqa: F401 (fixtures)

KEYS = {"ANTHROPIC_API_KEY": "key-a", "GEMINI_API_KEY": "key-g", "DEEPSEEK_API_KEY": "key-d", "GROQ_API_KEY": "key-q"}
CLAUDE = {"model": "claude-x", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
GEMINI = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], "generationConfig": {"maxOutputTokens": 5}}
MESSAGE = {"type": "message", "content": [{"type": "text", "text": "Hello"}], "usage": {"input_tokens": 11, "output_tokens": 4}}
CANDIDATES = {"candidates": [{"content": {"parts": [{"text": "Hello"}]}}],
              "usageMetadata": {"promptTokenCount": 11, "candidatesTokenCount": 4, "totalTokenCount": 15}}  # fmt: skip
EMBEDDING = {"object": "list", "data": [{"embedding": [0.5]}], "usage": {"prompt_tokens": 3, "total_tokens": 3}}


def nth(upstream, answers):
    """Gives the n-th call the n-th answer, one at a time."""

    def behave(handler, call):
        status, answer = answers[len(upstream.calls) - 1]
        handler.answer(status, answer if isinstance(answer, str) else json.dumps(answer))

    upstream.behave = behave


# ---- Forms ---------------------------------------------------------------------------------------


def test_anthropics_form_in_and_out(lab, server, provider):
    upstream = provider()
    lines = [{"custom_id": f"c-{n}", "params": CLAUDE} for n in range(3)]
    refused = {"type": "error", "error": {"type": "invalid_request_error", "message": "as asked"}, "request_id": "req_1"}
    nth(upstream, [(200, MESSAGE), (400, refused), (500, "<html>")])
    batch = Batch(lab, server, upstream.url, lines, "--provider", "anthropic", "--in-flight", 1, "--tries", 1, env=KEYS)
    summary, _ = batch.run(status=1)
    rows = batch.results()
    assert rows[0] == {"custom_id": "c-0", "result": {"type": "succeeded", "message": MESSAGE}}
    assert rows[1] == {"custom_id": "c-1", "result": {"type": "errored", "error": refused, "outcome": "refused",
                                                      "status_code": 400, "body": None}}  # fmt: skip
    result = rows[2]["result"]
    assert rows[2]["custom_id"] == "c-2" and result["type"] == "errored" and result["outcome"] == "failed"
    assert result["error"]["type"] == "error" and result["error"]["error"]["type"] == "failed"
    assert "status 500" in result["error"]["error"]["message"] and result["body"] == "<html>" and result["status_code"] == 500
    assert all(call.path == "/v1/messages" and json.loads(call.raw) == CLAUDE for call in upstream.calls)
    assert summary["input_tokens"] == 11 and summary["output_tokens"] == 4
    upstream.behave = lambda handler, call: handler.answer(200, json.dumps(MESSAGE))
    summary, _ = batch.run("--retry-failed")
    assert summary["done_before"] == 1 and [row["result"]["type"] for row in batch.results()] == ["succeeded"] * 3


def test_geminis_form_in_and_out(lab, server, provider):
    upstream = provider()
    error = {"code": 400, "message": "as asked", "status": "INVALID_ARGUMENT"}
    lines = [{"key": f"k-{n}", "request": GEMINI} for n in range(2)] + [{"key": "k-2", "request": {"model": "gemini-y", **GEMINI}}]
    nth(upstream, [(200, CANDIDATES), (400, {"error": error}), (404, "")])
    batch = Batch(lab, server, upstream.url, lines, "--provider", "gemini", "--model", "gemini-x", "--in-flight", 1, env=KEYS)
    batch.run(status=1)
    rows = batch.results()
    assert rows[0] == {"key": "k-0", "response": CANDIDATES}
    assert rows[1] == {"key": "k-1", "error": error, "outcome": "refused", "status_code": 400, "body": None}
    assert rows[2]["error"]["code"] == 404 and rows[2]["error"]["status"] == "refused" and "response" not in rows[2]
    assert [json.loads(call.raw) for call in upstream.calls] == [GEMINI] * 3, "the model is the URL's"
    assert upstream.paths == {"/v1beta/models/gemini-x:generateContent"}


@pytest.mark.parametrize(
    "name, url, one, answer, tokens",
    [
        ("openai-embeddings", "/v1/embeddings", {"model": "e", "input": ["Hello"]}, EMBEDDING, (3, 0)),
        ("openai-responses", "/v1/responses", {"model": "m", "input": "Hello"},
         {"status": "completed", "output": [{"content": [{"type": "output_text", "text": "Hi"}]}],
          "usage": {"input_tokens": 9, "output_tokens": 2, "total_tokens": 11}}, (9, 2)),
        ("openai-completions", "/v1/completions", {"model": "m", "prompt": "Hello"},
         {"choices": [{"text": "Hi"}], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}}, (9, 2)),
    ],
)  # fmt: skip
def test_openais_other_endpoints(lab, server, provider, name, url, one, answer, tokens):
    upstream = provider(lambda handler, call: handler.answer(200, json.dumps(answer)))
    lines = [{"custom_id": "a", "method": "POST", "url": url, "body": one}]
    batch = Batch(lab, server, upstream.url, lines, "--provider", name)
    summary, _ = batch.run()
    assert upstream.paths == {url} and batch.results()[0]["response"]["body"] == answer
    assert (summary["input_tokens"], summary["output_tokens"]) == tokens


@pytest.mark.parametrize(
    "args, lines, words",
    [
        ((), [{"custom_id": "a", "params": CLAUDE}], ["Anthropic's batch format", "--provider anthropic"]),
        (("--provider", "anthropic"), [{"key": "a", "request": GEMINI}], ["Gemini's batch format", "--provider gemini"]),
        (("--provider", "anthropic"), [{"custom_id": "a", "params": CLAUDE}, {"custom_id": "b", "body": CLAUDE}], ["line 2"]),
        (("--provider", "anthropic"), [{"custom_id": "a", "params": CLAUDE}] * 2, ["line 2", '"custom_id" "a"', "line 1"]),
        (("--provider", "gemini", "--model", "x"), [{"key": "a", "request": GEMINI}] * 2, ["line 2", '"key" "a"', "line 1"]),
        (("--provider", "gemini", "--model", "x"), [{"key": 5, "request": GEMINI}], ["line 1", '"key"']),
        (("--provider", "gemini", "--model", "x"), [{"request": GEMINI}], ["line 1", '"key"']),
        (("--provider", "anthropic"), [{"custom_id": "a", "params": {**CLAUDE, "stream": True}}], ["line 1", '"stream"']),
    ],
)
def test_forms_that_are_refused(lab, server, provider, args, lines, words):
    upstream = provider()
    batch = Batch(lab, server, upstream.url, lines, *args, env=KEYS)
    _, done = batch.run(status=2)
    assert all(word in done.stderr for word in words), done.stderr
    assert not upstream.calls and not batch.journal.exists()


# ---- Endpoints -----------------------------------------------------------------------------------


def with_url(url, n=0):
    return dict(request(n), url=url)


@pytest.mark.parametrize(
    "args, lines, words",
    [
        ((), [with_url("/v1/embeddings")], ["use --provider openai-embeddings"]),
        ((), [with_url("/v1/responses")], ["use --provider openai-responses"]),
        ((), [with_url("/v1/completions")], ["use --provider openai-completions"]),
        (("--provider", "openai-completions"), [dict(with_url("/v1/chat/completions"), body={"prompt": "x"})],
         ["use --provider openai\n"]),
        (("--provider", "anthropic"), [with_url("/v1/chat/completions")], ["use --provider openai, groq"]),
        (("--provider", "groq"), [with_url("/v1/embeddings")], ["use --provider openai-embeddings"]),
        (("--provider", "azure", "--model", "d"), [with_url("/openai/deployments/e/chat/completions")], ["--model"]),
        ((), [with_url("/openai/deployments/e/chat/completions")], ["use --provider azure"]),
        # A prefix or suffix of the path is not the path.
        ((), [with_url("/chat/completion")], ["no profile has that path"]),
        ((), [with_url("/completions")], ["no profile has that path"]),
        ((), [with_url("/v1/chat")], ["no profile has that path"]),
        ((), [with_url("/v1/chat/completions/")], ["no profile has that path"]),
        ((), [with_url("/v1/x/chat/completions")], ["no profile has that path"]),
        ((), [with_url("https://elsewhere.example/v1/chat/completions")], ["no profile has that path"]),
        ((), [with_url("")], ["no profile has that path"]),
        ((), [request(0), with_url("/v1/embeddings", 1)],
         ["line 2", "split it", "/v1/chat/completions", "use --provider openai-embeddings"]),
    ],
)  # fmt: skip
def test_another_endpoint_is_refused(lab, server, provider, args, lines, words):
    upstream = provider()
    batch = Batch(lab, server, upstream.url, lines, *args, env=KEYS)
    _, done = batch.run(status=2)
    assert all(word in done.stderr for word in words), done.stderr
    assert not upstream.calls and not batch.journal.exists()


@pytest.mark.parametrize(
    "args, base, url, path",
    [
        ((), "/v1beta/openai/", "/v1/chat/completions", None),
        ((), "", "/v1/chat/completions?x=1", "/v1/chat/completions"),
        ((), "", "/chat/completions", "/v1/chat/completions"),  # as in Azure's files
        (("--provider", "deepseek"), "", "/v1/chat/completions", "/chat/completions"),
        (("--provider", "groq"), "/openai", "/v1/chat/completions", "/openai/v1/chat/completions"),
        (("--provider", "groq"), "/openai", "/openai/v1/chat/completions", "/openai/v1/chat/completions"),
        (("--provider", "azure", "--model", "d"), "", "/v1/chat/completions",
         "/openai/deployments/d/chat/completions?api-version=2024-10-21"),
        (("--provider", "azure", "--model", "d"), "", "/openai/deployments/d/chat/completions",
         "/openai/deployments/d/chat/completions?api-version=2024-10-21"),
    ],
)  # fmt: skip
def test_the_same_endpoint_elsewhere(lab, server, provider, args, base, url, path):
    upstream = provider()
    batch = Batch(lab, server, upstream.url + base, [with_url(url)], *args, env={**KEYS, "AZURE_OPENAI_API_KEY": "z"})
    batch.run()
    assert len(upstream.calls) == 1 and (path is None or upstream.paths == {path})


# ---- Bytes ---------------------------------------------------------------------------------------

ODD = (
    '{"model":"gpt-4o" ,  "max_tokens":5,"seed":123456789012345678901234567890, "top_p":1.000000000000000000001,'
    '"messages":[{"role":"user","content":"half \\ud83d, \\u00e9\\/ caf\u00e9 \\u0000"}],"x":-0, "y":1E2, "y":1e3}'
)


@pytest.mark.parametrize("text", ['{{"custom_id":"a","url":"/v1/chat/completions","body": {} ,"method":"POST"}}', "{}",
                                  '{{"body":{{}},"custom_id":"a","b\\u006fdy":{}}}'])  # fmt: skip
def test_bodies_are_sent_as_they_stand_in_the_file(lab, server, provider, text):
    upstream = provider()
    batch = Batch(lab, server, upstream.url, [text.format(ODD)])
    batch.run()
    assert [call.raw for call in upstream.calls] == [ODD.encode()]


def test_bodies_in_other_forms_too(lab, server, provider):
    upstream = provider(lambda handler, call: handler.answer(200, json.dumps(MESSAGE)))
    odd = '{"max_tokens":5, "model":"c","messages":[{"role":"user","content":"\\ud83d"}],"big":99999999999999999999}'
    batch = Batch(lab, server, upstream.url, ['{"custom_id":"a","params":%s}' % odd], "--provider", "anthropic", env=KEYS)
    batch.run()
    assert [call.raw for call in upstream.calls] == [odd.encode()]


def test_a_byte_order_mark_is_skipped(lab, server, provider):
    upstream = provider()
    batch = Batch(lab, server, upstream.url, [request(0)])
    batch.input.write_bytes(b"\xef\xbb\xbf" + batch.input.read_bytes())
    batch.run()
    assert batch.results()[0]["custom_id"] == "request-0"


# ---- Headers, parameters and keys ----------------------------------------------------------------


def test_headers_parameters_and_a_key_with_blanks(lab, server, provider):
    upstream = provider()
    batch = Batch(lab, server, upstream.url + "?a=1", [request(n) for n in range(2)], "--header", "OpenAI-Organization: org-1",
                  "--header", "Authorization: Bearer other", "--header", "Content-Type: application/json; charset=utf-8",
                  "--query", "beta=true", "--query", "b=x y&z")  # fmt: skip
    batch.run()
    for call in upstream.calls:
        assert call.headers["openai-organization"] == "org-1"
        assert call.headers.get_all("authorization") == ["Bearer other"]
        assert call.headers.get_all("content-type") == ["application/json; charset=utf-8"]
        path, query = call.path.split("?")
        assert path == "/v1/chat/completions" and sorted(query.split("&")) == ["a=1", "b=x%20y%26z", "beta=true"]
    for variable in ("OPENAI_API_KEY", "ANOTHER_KEY"):
        args = ("--key-variable", variable) if variable == "ANOTHER_KEY" else ()
        batch = Batch(lab, server, upstream.url, [request(0)], "--overwrite", *args, env={variable: " \tsk-of-the-test\n"})
        batch.run()
        assert upstream.calls[-1].headers["authorization"] == "Bearer sk-of-the-test"


def test_a_missing_key_is_reported_before_anything_is_asked(lab, server, provider):
    upstream = provider()
    batch = Batch(lab, server, "https://api.openai.com", [request(0)])
    for key in ("", " \n"):
        batch.env["OPENAI_API_KEY"] = key
        _, done = batch.run(status=2)
        assert "OPENAI_API_KEY is not set" in done.stderr and not batch.journal.exists()
    batch.env["OPENAI_API_KEY"] = "two\nlines"
    _, done = batch.run(status=2)
    assert "OPENAI_API_KEY has a line break" in done.stderr
    assert int(server.info()["granted"]) == 0
    # A self-hosted server may need none.
    batch = Batch(lab, server, upstream.url, [request(0)], env={"OPENAI_API_KEY": ""})
    batch.run()
    assert upstream.calls[0].headers["authorization"] is None


def test_requests_are_signed_each_anew(lab, server, provider):
    answer = {"output": {"message": {"content": [{"text": "Hi"}]}},
              "usage": {"inputTokens": 9, "outputTokens": 2, "totalTokens": 11}}  # fmt: skip
    upstream = provider(lambda handler, call: handler.answer(200, json.dumps(answer)))
    lines = [{"model": f"claude:{n}", "messages": [{"role": "user", "content": [{"text": "Hi"}]}]} for n in range(3)]
    env = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1"}
    batch = Batch(lab, server, upstream.url, lines, "--provider", "bedrock", env=env)
    batch.run()
    signed = {call.headers["authorization"] for call in upstream.calls}
    assert len(signed) == 3 and all(one.startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") for one in signed)
    assert all(b'"model"' not in call.raw for call in upstream.calls)


# ---- Whole answers -------------------------------------------------------------------------------


@pytest.mark.parametrize("before, after", [('{"model":"llama","n":123456789012345678901}', None),
                                           ('{"model":"llama", "stream" : null}', '{"model":"llama", "stream" : false}'),
                                           ('{"stream":false,"model":"llama"}', '{"stream":false,"model":"llama"}')])  # fmt: skip
def test_an_api_that_streams_by_itself_is_asked_not_to(lab, server, provider, before, after):
    answer = {"message": {"role": "assistant", "content": "Hi"}, "done": True, "prompt_eval_count": 9, "eval_count": 2}
    upstream = provider(lambda handler, call: handler.answer(200, json.dumps(answer)))
    batch = Batch(lab, server, upstream.url, [before], "--provider", "ollama")
    summary, _ = batch.run()
    raw = upstream.calls[0].raw.decode()
    assert raw == (after or before[:-1] + ',"stream":false}') and batch.results()[0]["body"] == answer
    assert (summary["input_tokens"], summary["output_tokens"]) == (9, 2)


@pytest.mark.parametrize("more", [{"max_tokens": -1}, {"n": 0}, {"max_tokens": "100"}, {"n": "2"}, {"max_tokens": None}])
def test_what_the_provider_may_take_is_passed_on(lab, server, provider, more):
    upstream = provider()
    line = request(0)
    line["body"].update(more)
    batch = Batch(lab, server, upstream.url, [line])
    batch.run()
    assert json.loads(upstream.calls[0].raw) == line["body"]


# ---- Success is proven ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status, answer",
    [(200, ""), (200, "null"), (200, "<html>"), (200, '{"choices": ['), (204, ""), (200, '{"choices": []}'),
     (200, '{"base_resp": {"status_code": 1002}}'), (200, '{"error": "broken"}'), (200, '{"data": [1]}')],
)  # fmt: skip
def test_a_2xx_without_an_answer_has_failed(lab, server, provider, status, answer):
    upstream = provider(lambda handler, call: handler.answer(status, answer))
    batch = Batch(lab, server, upstream.url, [request(0)], *FAST, "--tries", 2)
    summary, _ = batch.run(status=1)
    row = batch.results()[0]
    assert row["error"]["code"] == "failed" and row["error"]["message"] and row["response"]["status_code"] == status
    assert row["response"]["body"] in (answer, None) or row["response"]["body"] == json.loads(answer)
    assert summary["outcomes"]["failed"] == {"requests": 1, "tries": 2, "tried_again": 1}
    upstream.behave = lambda handler, call: handler.well(call)
    batch.run("--retry-failed")
    assert batch.results()[0]["error"] is None


def test_an_answer_that_was_cut_off_is_kept_with_its_error(lab, server, provider):
    upstream = provider(lambda handler, call: handler.cut(200, '{"choices": ['))
    batch = Batch(lab, server, upstream.url, [request(0)], *FAST, "--tries", 2)
    batch.run(status=1)
    row = batch.results()[0]
    assert row["response"]["status_code"] == 200 and row["response"]["body"] == '{"choices": ['
    assert row["error"]["code"] == "unreached" and row["error"]["message"] and upstream.tries[0] == 2
    write_lines(batch.input, [body(0)])
    batch.journal.unlink()
    batch.run("--overwrite", status=1)
    row = batch.results()[0]
    assert row["status_code"] == 200 and row["error"]["code"] == "unreached"
    upstream.behave = lambda handler, call: handler.well(call)
    batch.run("--retry-failed")
    assert batch.results()[0]["error"] is None
