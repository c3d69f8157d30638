"""`ration presets --from-openai` against a server that follows OpenAI's admin API reference."""
import http.server
import json
import threading
import urllib.parse

import pytest

from processes import program

KEY = "sk-admin-0123456789"
PROJECT = "proj_abc"


def rate_limit(model, **more):
    return {"object": "project.rate_limit", "id": f"rl-{model}", "model": model, **more}


MODELS = [
    rate_limit("gpt-4o", max_requests_per_1_minute=500, max_tokens_per_1_minute=30_000, max_requests_per_1_day=10_000,
               batch_1_day_max_input_tokens=90_000),
    rate_limit("gpt-image-1", max_requests_per_1_minute=5, max_tokens_per_1_minute=100_000, max_images_per_1_minute=50),
    rate_limit("text-embedding-3-small", max_requests_per_1_minute=3000, max_tokens_per_1_minute=1_000_000),
    rate_limit("ft:gpt-4o:acme::9x", max_requests_per_1_minute=10, max_tokens_per_1_minute=0),
    rate_limit("gpt-none", max_requests_per_1_minute=0, max_tokens_per_1_minute=0, max_requests_per_1_day=None),
]  # fmt: skip


class OpenAI:
    """Answers GET /v1/organization/projects/{id}/rate_limits with `size` limits per page whatever
    the limit; or everything with `answer`, a status and a body."""

    def __init__(self, models=(), size=100, answer=None, last_id=True):
        self.models, self.size, self.answer, self.last_id = list(models), size, answer, last_id
        self.requests = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def handler(outer):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append(self.path)
                status, body = outer.answer or outer.page(self.path, self.headers)
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                pass

        return Handler

    def page(self, path, headers):
        parts = urllib.parse.urlsplit(path)
        if headers["Authorization"] != f"Bearer {KEY}":
            return 401, {"error": {"message": "Incorrect API key provided", "type": "invalid_request_error"}}
        if parts.path != f"/v1/organization/projects/{PROJECT}/rate_limits":
            return 404, {"error": {"message": "No such project", "type": "invalid_request_error"}}
        query = dict(urllib.parse.parse_qsl(parts.query, strict_parsing=True))
        assert query.pop("limit") == "100" and set(query) <= {"after"}, path
        ids = [row["id"] for row in self.models]
        begin = ids.index(query["after"]) + 1 if "after" in query else 0
        data = self.models[begin : begin + self.size]
        first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
        more = begin + self.size < len(self.models)
        return 200, {"object": "list", "data": data, "first_id": first, "last_id": last if self.last_id else None, "has_more": more}

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def openai(lab):
    def start(*args, **more):
        server = OpenAI(*args, **more)
        lab.on_close(server.close)
        return server

    return start


def ask(lab, server, *args, project=PROJECT, key=KEY, status=0):
    url = server if isinstance(server, str) else server.url
    env = {"OPENAI_ADMIN_KEY": key, "no_proxy": "127.0.0.1"}
    done = lab.tool(None, "presets", "--from-openai", project, "--url", url, *args, env=env)
    assert done.returncode == status, done
    if status:
        assert done.stdout == "" and KEY not in done.stderr
    return done


@pytest.mark.parametrize("size", [100, 1, 2, 5])
def test_a_project_becomes_pools_that_rationd_takes(lab, openai, size):
    server = openai(MODELS, size)
    done = ask(lab, server)
    minute, day = {"per": "minute"}, {"per": "day"}
    assert json.loads(done.stdout) == {"pools": {
        "openai/gpt-4o": {"limits": [{"unit": "requests", "amount": 500, **minute},
                                     {"unit": "tokens", "amount": 30_000, **minute},
                                     {"unit": "requests", "amount": 10_000, **day}]},
        "openai/gpt-4o/batch": {"limits": [{"unit": "input_tokens", "amount": 90_000, **day}]},
        "openai/gpt-image-1": {"limits": [{"unit": "requests", "amount": 5, **minute},
                                          {"unit": "tokens", "amount": 100_000, **minute}]},
        "openai/text-embedding-3-small": {"limits": [{"unit": "requests", "amount": 3000, **minute},
                                                     {"unit": "tokens", "amount": 1_000_000, **minute}]},
        "openai/ft:gpt-4o:acme::9x": {"limits": [{"unit": "requests", "amount": 10, **minute}]},
    }}  # fmt: skip
    assert len(server.requests) == -(-len(MODELS) // size)
    file = lab.folder / "pools.json"
    file.write_text(done.stdout)
    assert lab.run(program("rationd"), "--check", file).returncode == 0
    assert json.loads(ask(lab, server, "--json").stdout) == json.loads(done.stdout)


def test_limits_that_a_pool_cannot_have_are_reported(lab, openai):
    models = MODELS + [rate_limit("gpt 5\x1b[31m", max_requests_per_1_minute=1), rate_limit("x" * 200, max_requests_per_1_minute=1),
                       {"id": "rl-0"}, 7, rate_limit("half", max_requests_per_1_minute=1.5, max_tokens_per_1_minute=20.0),
                       rate_limit("huge", max_requests_per_1_minute=10**30, max_tokens_per_1_minute="9")]  # fmt: skip
    for row in models:
        if isinstance(row, dict):
            row.setdefault("id", "rl-?")
    server = openai([row for row in models if isinstance(row, dict)])
    server.answer = (200, {"data": models, "has_more": False})
    done = ask(lab, server)
    pools = json.loads(done.stdout)["pools"]
    assert "gpt-image-1: max_images_per_1_minute is 50, which rationd has no unit for" in done.stderr
    assert "gpt-none: no limit that a pool can have" in done.stderr and "openai/gpt-none" not in pools
    assert pools["openai/half"] == {"limits": [{"unit": "tokens", "amount": 20, "per": "minute"}]}
    assert "openai/huge" not in pools and len(pools) == 6
    assert done.stderr.count("a name that no pool can have") == 4 and "\x1b" not in done.stderr


def test_pages_without_a_last_id_go_on_after_their_last_limit(lab, openai):
    server = openai(MODELS, 2, last_id=False)
    assert len(json.loads(ask(lab, server).stdout)["pools"]) == 5 and len(server.requests) == 3


def test_pages_that_do_not_go_on_end(lab, openai):
    page = {"object": "list", "data": MODELS[:1], "last_id": "rl-gpt-4o", "has_more": True}
    server = openai(answer=(200, page))
    assert "not after which one" in ask(lab, server, status=2).stderr and len(server.requests) == 2
    server.answer = (200, {"data": [], "has_more": True})
    assert "not after which one" in ask(lab, server, status=2).stderr


@pytest.mark.parametrize(
    "answer, words",
    [
        ((401, {"error": {"message": "Incorrect API key \x1b]0;x"}}), ["401", "Incorrect API key ?]0;x", "administrator's key"]),
        ((403, {"error": "Missing scopes"}), ["403", "Missing scopes", "administrator's key"]),
        ((404, {"error": {"message": "No such project"}}), ["404", "No such project", "proj_"]),
        ((429, {"error": {"message": "slow down"}}), ["429", "slow down", "later"]),
        ((500, b"<html>"), ["500", "later"]),
        ((302, b""), ["302"]),
        ((200, b""), ["other than a list of limits"]),
        ((200, b"null"), ["other than a list of limits"]),
        ((200, b"<html>hello</html>"), ["other than a list of limits"]),
        ((200, b'{"data": [{"model": "gpt'), ["other than a list of limits"]),
        ((200, b'{"data": []} and more'), ["other than a list of limits"]),
        ((200, {"data": {"model": "gpt-4o"}}), ["other than a list of limits"]),
        ((200, [1]), ["other than a list of limits"]),
        ((200, {"data": [], "has_more": False}), ["no limits for 'proj_abc'"]),
        ((200, {"data": [{}], "has_more": False}), ["no limits for 'proj_abc'"]),
    ],
    ids=str,
)
def test_an_unusable_answer_is_an_error(lab, openai, answer, words):
    done = ask(lab, openai(answer=answer), status=2)
    assert all(word in done.stderr for word in words) and "\x1b" not in done.stderr, done


def test_a_page_that_fails_leaves_nothing_printed(lab, openai):
    server = openai(MODELS, 2)
    first = server.page

    def page(path, headers):
        return (503, {}) if "after" in path else first(path, headers)

    server.page = page
    assert "503" in ask(lab, server, status=2).stderr and len(server.requests) == 2


@pytest.mark.parametrize("key, words", [("", "is not set"), ("sk admin", "blank"), ("sk\n", "line break"), ("k" * 9000, "too long")])
def test_an_invalid_key_is_reported_before_anything_is_sent(lab, openai, key, words):
    server = openai(MODELS)
    done = ask(lab, server, key=key, status=2)
    assert "OPENAI_ADMIN_KEY" in done.stderr and words in done.stderr and server.requests == []


def test_a_long_key_a_wrong_one_and_another_base(lab, openai, monkeypatch):
    server = openai(MODELS)
    assert "401" in ask(lab, server, key="k" * 4096, status=2).stderr
    assert "404" in ask(lab, server, project="proj a/../b?c=d", status=2).stderr
    assert server.requests[-1].startswith("/v1/organization/projects/proj%20a%2F..%2Fb%3Fc%3Dd/rate_limits?")
    for base in (server.url + "/", server.url + "/v1", server.url + "/v1/"):
        assert len(json.loads(ask(lab, base).stdout)["pools"]) == 5
    assert "--url" in ask(lab, "ftp://127.0.0.1", status=2).stderr
    assert "http://127.0.0.1:1" in ask(lab, "http://127.0.0.1:1", status=2).stderr
    assert "PREFIX" in ask(lab, server, "openai", status=2).stderr
