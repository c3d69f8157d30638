"""What `ration call` sends, byte by byte and header by header, and what it refuses to send, against
a provider that keeps what arrived.
"""
import json
import socket
import threading

import pytest

from configs import POOL, config, limit
from recording_provider import RecordingProvider

KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "AWS_BEARER_TOKEN_BEDROCK", "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION")  # fmt: skip
HELLO = '{"model":"m","max_tokens":10,"messages":[{"role":"user","content":"Hello"}]}'


@pytest.fixture
def server(lab):
    return lab.ration(config(lab.redis(), pool=[limit("requests", 1000, "day"), limit("tokens", 1_000_000, "day")]))


@pytest.fixture
def provider(lab):
    provider = RecordingProvider()
    lab.on_close(provider.close)
    return provider


@pytest.fixture(autouse=True)
def no_keys(monkeypatch):
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)


def call(lab, server, url, *args, body=HELLO, status=0, env=None):
    path = lab.folder / "body.json"
    path.write_bytes(body if isinstance(body, bytes) else body.encode())
    where = ("--url", url) if url else ()
    done = lab.tool(server, "call", "--pool", POOL, "--tenant", "acme", "--body", path, *where, *args,
                    env={"OPENAI_API_KEY": "sk-test", **(env or {})})  # fmt: skip
    assert done.returncode == status, done
    return done


def ledger(server, unit="requests"):
    row = server.audit(POOL)[unit]
    assert row["balanced"] and row["outstanding"] == 0, row
    return row


# ---- Bodies --------------------------------------------------------------------------------------

STRANGE = [
    b'{"seed":123456789012345678901234567890,"n":1.50,"x":1E400}',
    b'{"messages":[{"content":"\\ud800 \\u00e4 \\/"}],"a":1,"a":2}',
    b' {\r\n\t"b" : [ ] , "c":{}\n}\n\n',
    b'\xef\xbb\xbf{"b":"\xff"}',
    b'{"max_tokens":-1,"n":0}',
    b'{"max_tokens":"100","n":null}',
    b'{"deep":' + b"[" * 900 + b"]" * 900 + b"}",
]


@pytest.mark.parametrize("body", STRANGE)
def test_a_body_arrives_as_it_was_written(lab, server, provider, body):
    call(lab, server, provider.url, body=body)
    assert provider.requests[0].body == body
    assert provider.requests[0].headers["content-type"] == "application/json"


@pytest.mark.parametrize("body", STRANGE[:3])
def test_a_stream_adds_its_two_members_and_no_more(lab, server, provider, body):
    call(lab, server, provider.url, "--stream", body=body)
    sent = provider.requests[0].body
    end = body.rindex(b"}")
    begin = len(body[:end].rstrip())
    assert sent == body[:begin] + b',"stream":true,"stream_options":{"include_usage":true}' + body[begin:]
    assert provider.requests[0].headers["accept"] == "text/event-stream"


def test_only_the_caller_says_whether_usage_comes(lab, server, provider):
    body = '{"stream":true, "stream_options": {"include_usage" : false}}'
    call(lab, server, provider.url, body=body)
    assert provider.requests[0].body == body.encode()


def test_gemini_bodies_omit_what_the_url_says(lab, server, provider):
    answer = {"candidates": [{"content": {"parts": [{"text": "Hello"}]}, "finishReason": "STOP"}]}
    provider.server.behave = lambda handler, request: handler.answer(200, answer)
    body = '{"model":"g", "contents":[], "big":123456789012345678901, "stream":false}'
    call(lab, server, provider.url, "--provider", "gemini", "--tries", "1", body=body, env={"GEMINI_API_KEY": "k"})
    assert provider.requests[0].body == b'{"contents":[], "big":123456789012345678901}'
    assert provider.requests[0].target == "/v1beta/models/g:generateContent"


def test_a_server_that_refuses_to_be_asked_for_usage_is_not_asked(lab, server):
    def behave(handler, request):
        if b"stream_options" in request.body:
            handler.answer(422, {"detail": [{"loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]})
        else:
            handler.well(request)

    provider = RecordingProvider(behave)
    lab.on_close(provider.close)
    done = call(lab, server, provider.url, "--stream", "--json", "--tries", "1")
    came = json.loads(done.stdout.splitlines()[-1])
    assert came["tries"] == 2 and came["outcome"] == "answered" and came["waited_ms"] == 0, came
    assert b"stream_options" in provider.requests[0].body
    assert provider.requests[1].body == HELLO[:-1].encode() + b',"stream":true}'
    assert ledger(server)["reported"] == 2


def test_other_refusals_stay_refusals(lab, server):
    provider = RecordingProvider(lambda handler, request: handler.answer(400, {"error": {"message": "no such model"}}))
    lab.on_close(provider.close)
    call(lab, server, provider.url, "--stream", status=4)
    assert len(provider.requests) == 1


# ---- Headers and queries -------------------------------------------------------------------------


def test_headers_of_the_caller_are_sent(lab, server, provider):
    call(lab, server, provider.url, "--header", "OpenAI-Organization: org-1", "--header", "http-referer:https://me",
         "--header", "Content-Type: application/json; charset=utf-8")  # fmt: skip
    request = provider.requests[0]
    assert request.headers["OpenAI-Organization"] == "org-1" and request.headers["HTTP-Referer"] == "https://me"
    assert request.headers.get_all("content-type") == ["application/json; charset=utf-8"]
    assert request.headers["authorization"] == "Bearer sk-test"


def test_a_key_may_come_in_a_header(lab, server, provider):
    provider.server.behave = lambda handler, request: handler.answer(
        200, {"content": [{"type": "text", "text": "Hello"}], "usage": {"input_tokens": 7, "output_tokens": 3}})  # fmt: skip
    call(lab, server, provider.url, "--provider", "anthropic", "--tries", "1", "--header", "X-Api-Key: own",
         "--header", "anthropic-version: 2026-10-21", env={"ANTHROPIC_API_KEY": "other"})  # fmt: skip
    request = provider.requests[0]
    assert request.headers.get_all("x-api-key") == ["own"]
    assert request.headers.get_all("anthropic-version") == ["2026-10-21"]


@pytest.mark.parametrize("header", ["Content-Length: 3", "transfer-encoding: chunked", "Host: x", "sk-secret", ": sk-secret",
                                    "X: sk-secret\r\nY: 1"])  # fmt: skip
def test_headers_that_cannot_be_sent_are_refused(lab, server, provider, header):
    done = call(lab, server, provider.url, "--header", header, status=2)
    assert "header" in done.stderr and "sk-secret" not in done.stderr
    assert not provider.requests and ledger(server)["granted"] == 0


def test_queries_are_merged_and_encoded(lab, server, provider):
    call(lab, server, provider.url + "/v1/?api-version=1&a=b", "--query", "api-version=2", "--query", "q=ä &#=+%20",
         "--query", "beta")  # fmt: skip
    assert provider.requests[0].target == "/v1/chat/completions?a=b&api-version=2&q=%C3%A4%20%26%23%3D%2B%2520&beta"
    done = call(lab, server, provider.url, "--query", "=x", status=2)
    assert "no name" in done.stderr


def test_an_error_does_not_show_the_query(lab, server, provider):
    provider.server.behave = lambda handler, request: handler.answer(400, {"error": {"message": "no"}})
    done = call(lab, server, provider.url, "--query", "key=sk-secret", status=4)
    assert "sk-secret" not in done.stderr and provider.url in done.stderr


# ---- Keys ----------------------------------------------------------------------------------------


def test_a_missing_key_is_reported_before_anything_is_charged(lab, server):
    done = call(lab, server, None, env={"OPENAI_API_KEY": ""}, status=2)
    assert "OPENAI_API_KEY is not set; put the provider's key into it" in done.stderr and "--key-variable" in done.stderr
    done = call(lab, server, None, "--key-variable", "NO_SUCH_KEY", status=2)
    assert "NO_SUCH_KEY is not set" in done.stderr
    assert ledger(server)["granted"] == 0


@pytest.mark.parametrize("key, sent", [("sk-1\n", "sk-1"), (" sk-1\r\n", "sk-1"), ("k" * 4096, "k" * 4096)])
def test_a_key_is_sent_without_what_is_around_it(lab, server, provider, key, sent):
    call(lab, server, provider.url, env={"OPENAI_API_KEY": key})
    assert provider.requests[0].headers["authorization"] == "Bearer " + sent


def test_a_key_of_two_lines_is_refused(lab, server, provider):
    done = call(lab, server, provider.url, env={"OPENAI_API_KEY": "sk-1\nsk-2"}, status=2)
    assert "OPENAI_API_KEY has a line break inside" in done.stderr and "sk-1" not in done.stderr
    assert not provider.requests and ledger(server)["granted"] == 0


def test_a_self_hosted_server_needs_none(lab, server, provider):
    call(lab, server, provider.url, env={"OPENAI_API_KEY": ""})
    assert "authorization" not in provider.requests[0].names()


def test_bedrock_is_signed_for(lab, server, provider):
    provider.server.behave = lambda handler, request: handler.answer(
        200, {"output": {"message": {"content": [{"text": "Hi"}]}}, "usage": {"inputTokens": 1, "outputTokens": 1}})  # fmt: skip
    body = '{"messages":[{"role":"user","content":[{"text":"Hello"}]}]}'
    account = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret\n", "AWS_SESSION_TOKEN": "token",
               "AWS_REGION": "eu-west-1"}  # fmt: skip
    model = ("--provider", "bedrock", "--model", "anthropic.claude-3-5-sonnet-20240620-v1:0")
    call(lab, server, provider.url, *model, body=body, env=account)
    request = provider.requests[0]
    assert request.target == "/model/anthropic.claude-3-5-sonnet-20240620-v1%3A0/converse"
    assert request.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKID/")
    assert "/eu-west-1/bedrock/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token" in (
        request.headers["authorization"])  # fmt: skip
    assert request.headers["x-amz-security-token"] == "token" and request.headers["x-amz-date"]
    call(lab, server, provider.url, *model, body=body, env={**account, "AWS_BEARER_TOKEN_BEDROCK": "bearer"})
    assert provider.requests[1].headers["authorization"] == "Bearer bearer"
    assert "x-amz-date" not in provider.requests[1].names()


# ---- Proxies -------------------------------------------------------------------------------------


class Proxy:
    """Refuses every CONNECT, or closes after reporting a connection."""

    def __init__(self, reply):
        self.reply = reply
        self.seen = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            with peer:
                seen = b""
                while b"\r\n\r\n" not in seen:
                    part = peer.recv(4096)
                    if not part:
                        break
                    seen += part
                self.seen.append(seen)
                peer.sendall(self.reply)

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(10)


REFUSALS = [
    b"HTTP/1.1 403 Forbidden\r\nRetry-After: 3000\r\nContent-Length: 2\r\n\r\nno",
    b'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n',
    b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 Connection established\r\n\r\n",
    b"",
]


@pytest.mark.parametrize("reply", REFUSALS)
def test_a_connect_that_a_proxy_refused_was_never_sent(lab, server, reply):
    proxy = Proxy(reply)
    lab.on_close(proxy.close)
    env = {"HTTPS_PROXY": proxy.url, "https_proxy": proxy.url, "NO_PROXY": "", "no_proxy": "", "ALL_PROXY": ""}
    done = call(lab, server, "https://provider.example.invalid", "--json", "--tries", "1", status=3, env=env)
    came = json.loads(done.stdout)
    assert proxy.seen[0].startswith(b"CONNECT provider.example.invalid:443 ")
    assert came["outcome"] == "unreached" and came["http_status"] == 0, came
    assert ledger(server)["cancelled"] == 1 and ledger(server, "tokens")["used"] == 0
    # a wait from the proxy is not the provider's
    assert 0 <= came["retry_after_ms"] < 60_000
    assert server.remaining(POOL, "acme", "pool", "requests") == 1000


# ---- Estimates -----------------------------------------------------------------------------------


def test_an_invalid_number_of_tokens_is_estimated_by_default(lab, server, provider):
    provider.server.behave = lambda handler, request: handler.answer(200, {"choices": [{"message": {"content": ""}}]})
    call(lab, server, provider.url, body='{"max_tokens":-1,"n":0,"messages":[]}')
    assert ledger(server, "tokens")["used"] == 1024


def test_help_says_it_all(lab, server):
    text = lab.tool(server, "call", "--help").stdout
    for word in ("--header", "--query", "--idle-timeout", "--call-timeout", "--key-variable", "may be repeated"):
        assert word in text

