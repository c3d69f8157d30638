"""The same call by a provider's own SDK and by `ration call`: a server records both requests, which
must match.

Method, path, query, content type, accept, the form of the key, the version headers and the body's
bytes are compared; any other header that an SDK sends and we do not must be in a list below, with
its reason. Both get the same recorded answer and must read the same text in it. Usage, which each
SDK names and adds up in its own way, must agree if it has OpenAI's form.
"""
import dataclasses
import json
import pathlib
import subprocess
import urllib.parse

import cassette
import pytest
from recorded_server import RecordedServer

CASSETTES = pathlib.Path(cassette.__file__).parent / "cassettes"
KEY = "sdk-key"


@dataclasses.dataclass
class Case:
    profile: str
    recording: str  # the answer
    base: str = ""  # what the user gives after the host, just as to the SDK
    args: tuple = ()


CASES = {
    "openai-chat": Case("openai", "openai/chat", "/v1"),
    "openai-chat-streamed": Case("openai", "openai/chat-stream", "/v1", ("--stream",)),
    "openai-organization": Case("openai", "openai/chat", "/v1",
                                ("--header", "OpenAI-Organization: org-1", "--header", "OpenAI-Project: proj_1")),
    "openai-responses": Case("openai-responses", "openai-responses/response", "/v1"),
    "openai-responses-streamed": Case("openai-responses", "openai-responses/stream", "/v1", ("--stream",)),
    "openai-embeddings": Case("openai-embeddings", "openai-embeddings/embeddings", "/v1"),
    "openai-completions": Case("openai-completions", "openai-completions/completion", "/v1"),
    "azure-chat": Case("azure", "azure/chat", "", ("--model", "gpt-4o")),
    "azure-chat-streamed": Case("azure", "azure/stream", "", ("--model", "gpt-4o", "--stream")),
    "anthropic": Case("anthropic", "anthropic/message"),
    "anthropic-streamed": Case("anthropic", "anthropic/stream", "", ("--stream",)),
    "anthropic-beta": Case("anthropic", "anthropic/message", "", ("--header", "anthropic-beta: one-2025-01-01", "--query", "beta=true")),
    "gemini": Case("gemini", "gemini/generate", "", ("--model", "gemini-2.5-flash")),
    "gemini-streamed": Case("gemini", "gemini/stream", "", ("--model", "gemini-2.5-flash", "--stream")),
    "gemini-default-version": Case("gemini", "gemini/generate", "/v1", ("--model", "gemini-2.5-flash")),
}  # fmt: skip

# Headers that an SDK sends and we need not. Any other missing header is a failure.
NOT_NEEDED = {
    "host": "the server's own address, compared by the connection",
    "connection": "HTTP/1.1 keeps connections open anyway",
    "content-length": "compared by the body's bytes",
    "accept-encoding": "an offer; compressed answers are decoded whether or not they were asked for",
    "user-agent": "ours names Ration",
    "x-goog-api-client": "Google's statistics about its SDKs",
}
STATISTICS = "x-stainless-"  # OpenAI's and Anthropic's statistics about their SDKs

# (profile, header): our header and value, if both forms are documented and ours is the other one.
OTHER_FORM = {
    # Anthropic's SDK sends an API key as a bearer token since 2.0; its reference for plain HTTP
    # names x-api-key.
    ("anthropic", "authorization"): ("x-api-key", KEY),
    # The version selects a shape. Ours is the first, which all models accept; a caller's own takes
    # precedence.
    ("anthropic", "anthropic-version"): ("anthropic-version", "2023-06-01"),
}
# SDKs say that they accept JSON even if they ask for a stream; a stream's own type is just as right
# and tells proxies more.
STREAM_ACCEPT = "text/event-stream"


def recorded(name):
    return cassette.read(CASSETTES / f"{name}.yaml", CASSETTES)[0].responses


@pytest.fixture(scope="module")
def by_sdk(venv):
    """{case: (the requests that the SDK sent, what it read in the answer)}."""
    servers = {}
    try:
        for name, case in CASES.items():
            servers[name] = RecordedServer()
            servers[name].put_up(recorded(case.recording), {})
        urls = json.dumps({name: server.url for name, server in servers.items()})
        script = pathlib.Path(__file__).with_name("sdk_calls.py")
        done = subprocess.run([venv / "bin" / "python", script], input=urls, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        made = json.loads(done.stdout)
        yield {name: (servers[name].seen, made[name]) for name in CASES}
    finally:
        for server in servers.values():
            server.close()


@pytest.fixture(scope="module")
def recorder():
    server = RecordedServer()
    yield server
    server.close()


def by_us(ours, recorder, name, body):
    """Returns (the request, the result)."""
    case = CASES[name]
    recorder.put_up(recorded(case.recording), {})
    came = ours.call_json(recorder.url + case.base, case.profile, *case.args, body=body, key="SDK_KEY", env={"SDK_KEY": KEY})
    return recorder.seen[0], came


def query(request):
    return sorted(urllib.parse.parse_qsl(request.parts.query, keep_blank_values=True))


def headers_that_differ(profile, sdk, us):
    for name, value in sdk.headers:
        name = name.lower()
        if name in NOT_NEEDED or name.startswith(STATISTICS):
            continue
        seen = us.headers.get(name)
        if seen == value or (name == "accept" and seen == STREAM_ACCEPT and is_stream(us)):
            continue
        other, other_value = OTHER_FORM.get((profile, name), (None, None))
        if other is None or us.headers.get(other) != other_value:
            yield f"{name}: the SDK sends {value!r}, we send {seen!r}"


def is_stream(request):
    return ":streamGenerateContent" in request.uri or request.json().get("stream") is True


@pytest.mark.parametrize("name", CASES)
def test_the_request_is_the_sdks(ours, recorder, by_sdk, name):
    [sdk], _ = by_sdk[name]
    us, _ = by_us(ours, recorder, name, sdk.body)
    assert (us.method, us.parts.path, query(us)) == (sdk.method, sdk.parts.path, query(sdk))
    assert us.body == sdk.body
    differences = list(headers_that_differ(CASES[name].profile, sdk, us))
    assert not differences, differences


@pytest.mark.parametrize("name", CASES)
def test_the_answer_is_read_as_the_sdk_reads_it(ours, recorder, by_sdk, name):
    [sdk], made = by_sdk[name]
    assert "error" not in made, made
    _, came = by_us(ours, recorder, name, sdk.body)
    assert came["outcome"] == "answered" and came["used_known"], came
    if CASES[name].profile.startswith(("openai", "azure")):
        used = came["used"]
        assert (used["input_tokens"], used.get("output_tokens", 0)) == (made["input"], made["output"]), (came, made)
    if "--stream" in CASES[name].args:
        case = CASES[name]
        recorder.put_up(recorded(case.recording), {})
        printed = ours.call(recorder.url + case.base, case.profile, *case.args, body=sdk.body, key="SDK_KEY", env={"SDK_KEY": KEY})
        assert printed.stdout == made["text"] + "\n"
    elif made["text"] is not None:
        assert json.dumps(made["text"])[1:-1] in json.dumps(came["body"])
