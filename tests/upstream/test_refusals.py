"""Refusals in each provider's words: python3 test_refusals.py PATH/TO/strict-provider

The heads of the shape_*.c files say where words, codes and statuses are documented.
"""

import hashlib
import hmac
import json
import shutil
import subprocess
import time

from harness import DEADLINE_S, ProviderTest, main
from test_shapes import GEMINIS, JSON, SHAPES, TEXT

EMBEDDINGS = ("/v1/embeddings", SHAPES["chat"][1], {"model": "m", "input": TEXT}, None, {})
ALL = dict(SHAPES, embeddings=EMBEDDINGS)
OPENAIS = ("chat", "groq", "completions", "embeddings", "responses")
MODEL = "you must provide a model parameter"


def ask(provider, shape, content=None, drop=(), headers=None, **changed):
    """Sends the shape's request with some fields changed or dropped, or other content."""
    path, mine, body, _, _ = ALL[shape]
    if content is None:
        content = json.dumps({k: v for k, v in {**body, **changed}.items() if k not in drop})
    given = {**mine, **(headers or {})}
    return provider.ask("POST", path, content, **given)


def refusal(shape, answer):
    """What distinguishes refusals in this shape, and the words; checks the body's form, too."""
    body = answer.json
    if shape in OPENAIS or shape == "azure" and answer.status == 400:
        assert set(body) == {"error"} and set(body["error"]) == {"message", "type", "param", "code"}, body
        assert body["error"]["type"] == "invalid_request_error", body
        return body["error"]["code"], body["error"]["param"], body["error"]["message"]
    if shape == "azure":
        assert set(body["error"]) == {"code", "message"} and body["error"]["code"] == str(answer.status), body
        return None, None, body["error"]["message"]
    if shape == "anthropic":
        assert set(body) == {"type", "error"} and body["type"] == "error", body
        return body["error"]["type"], None, body["error"]["message"]
    if shape in GEMINIS:
        error = body["error"]
        assert error["code"] == answer.status, body
        details = error.get("details", [{}])[0]
        return details.get("reason", error["status"]), None, error["message"]
    if shape == "mistral":
        if answer.status == 401:
            return None, None, body["detail"]
        assert body["object"] == "error", body
        if answer.status != 422:
            return body["type"], None, body["message"]
        one = body["message"]["detail"][0]
        assert one["loc"][0] == "body", body
        return one["type"], one["loc"][-1], one["msg"]
    if shape == "ollama":
        return None, None, body["error"]
    if shape == "bedrock":
        return answer.headers["x-amzn-ErrorType"].split(":")[0], None, body["message"]
    assert shape == "cohere" and set(body) == {"message"}, body
    return None, None, body["message"]


class RefusalsTest(ProviderTest):
    def refused(self, shape, answer, status, code, words, param=None):
        self.assertEqual(answer.status, status, (shape, answer.raw))
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        seen = refusal(shape, answer)
        self.assertEqual((shape, seen[0], seen[1]), (shape, code, param), answer.raw)
        self.assertIn(words, seen[2], shape)

    def each(self, expected, provider, shapes=ALL, **how):
        """expected: {shape or tuple of shapes: (status, code, words[, param])}."""
        rows = {}
        for key, row in expected.items():
            rows.update({shape: row for shape in ((key,) if isinstance(key, str) else key)})
        self.assertEqual(set(rows), set(shapes))
        for shape, row in rows.items():
            self.refused(shape, ask(provider, shape, **how), *row)

    def test_every_valid_request_is_answered(self):
        p = self.start("--rpm", "1000", "--tpm", "1000000")
        for shape in ALL:
            self.assertEqual(ask(p, shape).status, 200, shape)
            charset = {"Content-Type": "Application/JSON; charset=utf-8"}
            self.assertEqual(ask(p, shape, headers=charset).status, 200, shape)

    def test_missing_and_malformed_keys(self):
        keyed = [shape for shape in ALL if shape != "ollama"]
        p = self.start()
        no_key = {"Authorization": None, "api-key": None, "x-api-key": None, "x-goog-api-key": None}
        self.each({OPENAIS: (401, None, "You didn't provide an API key"), "azure": (401, None, "Access denied"),
                   "anthropic": (401, "authentication_error", "x-api-key header is required"),
                   "gemini": (403, "PERMISSION_DENIED", "unregistered callers"),
                   "vertex": (401, "UNAUTHENTICATED", "missing required authentication"),
                   "mistral": (401, None, "Unauthorized"), "cohere": (401, None, "no api key supplied"),
                   "bedrock": (403, "MissingAuthenticationTokenException", "Missing Authentication Token")},
                  p, keyed, headers=no_key)
        bad = {OPENAIS: (401, "invalid_api_key", "Incorrect API key"), "azure": (401, None, "Access denied"),
               "anthropic": (401, "authentication_error", "invalid x-api-key"),
               "gemini": (400, "API_KEY_INVALID", "API key not valid"),
               "vertex": (401, "UNAUTHENTICATED", "invalid authentication"),
               "mistral": (401, None, "Unauthorized"), "cohere": (401, None, "invalid api token"),
               "bedrock": (403, "UnrecognizedClientException", "security token")}
        for key in ("two words", '"quoted"', "tab\there"):
            self.each(bad, p, keyed, headers={"Authorization": f"Bearer {key}", "api-key": key, "x-api-key": key,
                                              "x-goog-api-key": key})
        self.assertEqual(p.stop()["failures"]["unauthorized"], 4 * len(keyed))
        p = self.start("--key", "right")
        self.each(bad, p, keyed)
        right = {"Authorization": "Bearer right", "api-key": "right", "x-api-key": "right", "x-goog-api-key": "right"}
        for shape in ALL:
            self.assertEqual(ask(p, shape, headers=right).status, 200, shape)
        path, _, body, _, _ = ALL["gemini"]
        for key, status in (("right", 200), ("wrong", 400), ("", 403)):
            self.assertEqual(p.ask("POST", f"{path}?key={key}", json.dumps(body)).status, status)

    def test_content_types(self):
        p = self.start()
        others = {"azure": (415, None, "media type"),
                  "anthropic": (400, "invalid_request_error", "Content-Type must be application/json"),
                  GEMINIS: (400, "INVALID_ARGUMENT", "Cannot bind query parameter"),
                  "mistral": (422, "model_attributes_type", "valid dictionary", "body"),
                  "cohere": (400, None, "content type"),
                  "bedrock": (415, "UnsupportedMediaTypeException", "not application/json")}
        typed = [shape for shape in ALL if shape != "ollama"]
        for type_ in ("application/x-www-form-urlencoded", ""):
            self.each({OPENAIS: (400, None, MODEL), **others}, p, typed, headers={"Content-Type": type_})
        self.each({OPENAIS: (415, "unsupported_content_type", "Unsupported content type: 'text/plain'"), **others},
                  p, typed, headers={"Content-Type": "text/plain"})
        self.assertEqual(ask(p, "ollama", headers={"Content-Type": "text/plain"}).status, 200)  # like the real server

    def test_bodies_that_are_not_json(self):
        p = self.start()
        for content in ("", "{", "[]", "null", '{"model": "m"} x', "model=m&messages=hi"):
            self.each({OPENAIS + ("azure",): (400, None, "could not parse the JSON body"),
                       "anthropic": (400, "invalid_request_error", "not valid JSON"),
                       GEMINIS: (400, "INVALID_ARGUMENT", "Invalid JSON payload"),
                       "mistral": (422, "json_invalid", "JSON", "body"), "cohere": (400, None, "not valid JSON"),
                       "ollama": (400, None, "invalid character"),
                       "bedrock": (400, "SerializationException", "not valid JSON")}, p, content=content)

    def test_required_fields(self):
        p = self.start()
        models = [shape for shape in ALL if shape not in GEMINIS + ("azure", "bedrock")]
        self.each({OPENAIS: (400, None, MODEL), "anthropic": (400, "invalid_request_error", "model: Field required"),
                   "mistral": (422, "missing", "Field required", "model"), "cohere": (400, None, "model must be provided"),
                   "ollama": (400, None, "model is required")}, p, models, drop=("model",))
        field = {"responses": "input", "embeddings": "input", "completions": "prompt", "gemini": "contents",
                 "vertex": "contents"}
        for shape in ALL:
            name = field.get(shape, "messages")
            row = {"anthropic": (400, "invalid_request_error", f"{name}: Field required"),
                   "gemini": (400, "INVALID_ARGUMENT", name), "vertex": (400, "INVALID_ARGUMENT", name),
                   "mistral": (422, "missing", "Field required", name), "cohere": (400, None, name),
                   "ollama": (400, None, name), "bedrock": (400, "ValidationException", name)}.get(
                       shape, (400, "missing_required_parameter", f"'{name}'", name))
            self.refused(shape, ask(p, shape, drop=(name,)), *row)
            self.refused(shape, ask(p, shape, **{name: None}), *row)
        self.refused("anthropic", ask(p, "anthropic", drop=("max_tokens",)), 400, "invalid_request_error",
                     "max_tokens: Field required")

    def test_unknown_fields(self):
        p = self.start()
        strict = [shape for shape in ALL if shape not in ("ollama", "bedrock")]
        chats = ("chat", "groq", "completions", "embeddings", "azure")
        self.each({chats: (400, None, "Unrecognized request argument supplied: tenant"),
                   "responses": (400, "unknown_parameter", "Unknown parameter: 'tenant'", "tenant"),
                   "anthropic": (400, "invalid_request_error", "tenant: Extra inputs are not permitted"),
                   GEMINIS: (400, "INVALID_ARGUMENT", 'Unknown name "tenant"'),
                   "mistral": (422, "extra_forbidden", "Extra inputs", "tenant"),
                   "cohere": (422, None, "'tenant' is not a valid field")}, p, strict, tenant=1)
        for shape in ("ollama", "bedrock"):
            self.assertEqual(ask(p, shape, tenant=1).status, 200)
        self.refused("gemini", ask(p, "gemini", generationConfig={"max_tokens": 5}), 400, "INVALID_ARGUMENT",
                     'Unknown name "generation_config.max_tokens"')
        self.refused("gemini", ask(p, "gemini", stream=True), 400, "INVALID_ARGUMENT", 'Unknown name "stream"')
        self.refused("chat", ask(p, "chat", stream=True, stream_options={"usage": True}), 400, None, "stream_options.usage")
        for shape, name in (("responses", "max_tokens"), ("responses", "messages"), ("anthropic", "n"),
                            ("anthropic", "stream_options"), ("mistral", "stream_options"), ("embeddings", "max_tokens")):
            self.assertIn(ask(p, shape, **{name: None}).status, (400, 422), (shape, name))

    def test_values_of_the_wrong_type(self):
        p = self.start()
        length = {"responses": "max_output_tokens"}
        for shape in ("chat", "azure", "completions", "responses", "anthropic", "mistral", "cohere"):
            name = length.get(shape, "max_tokens")
            kind = {"anthropic": (400, "invalid_request_error", f"{name}: Input should be an integer"),
                    "mistral": (422, "type_error", "an integer", name), "cohere": (400, None, name)}.get(
                        shape, (400, "invalid_type", f"Invalid type for '{name}': expected an integer, but got a string", name))
            drop = ("max_completion_tokens",)
            self.refused(shape, ask(p, shape, drop=drop, **{name: "5"}), *kind)
            small = {"anthropic": (400, "invalid_request_error", f"{name}: Input should be greater than or equal to 1"),
                     "mistral": (422, "greater_than_equal", "greater than or equal to 0", name),
                     "cohere": (400, None, "at least 0")}.get(shape, (400, "integer_below_min_value", "got -1 instead", name))
            self.refused(shape, ask(p, shape, **{name: -1}), *small)
        self.refused("gemini", ask(p, "gemini", generationConfig={"maxOutputTokens": "5"}), 400, "INVALID_ARGUMENT",
                     "generation_config.maxOutputTokens")
        self.refused("gemini", ask(p, "gemini", generationConfig={"maxOutputTokens": -1}), 400, "INVALID_ARGUMENT", "-1")
        self.refused("bedrock", ask(p, "bedrock", inferenceConfig={"maxTokens": -1}), 400, "ValidationException",
                     "greater than or equal to 1")
        self.refused("chat", ask(p, "chat", n=0), 400, "integer_below_min_value",
                     "Invalid 'n': integer below minimum value. Expected a value >= 1, but got 0 instead.", "n")
        self.refused("chat", ask(p, "chat", n=1000), 400, "integer_above_max_value", "'n'", "n")
        self.refused("chat", ask(p, "chat", stream="yes"), 400, "invalid_type", "a boolean", "stream")
        self.refused("responses", ask(p, "responses", max_output_tokens=15), 400, "integer_below_min_value",
                     ">= 16", "max_output_tokens")
        self.refused("chat", ask(p, "chat", messages="hi"), 400, "invalid_type", "an array", "messages")
        self.assertEqual(ask(p, "chat", max_tokens=None).status, 200)

    def test_messages(self):
        p = self.start()
        self.refused("chat", ask(p, "chat", messages=[]), 400, None, "at least one", "messages")
        self.refused("chat", ask(p, "chat", messages=[{"role": "boss", "content": "x"}]), 400, None,
                     "Invalid value: 'boss'", "messages[0].role")
        self.refused("chat", ask(p, "chat", messages=[{"content": "x"}]), 400, "missing_required_parameter",
                     "messages[0].role", "messages[0].role")
        self.refused("anthropic", ask(p, "anthropic", messages=[{"role": "system", "content": "x"}]), 400,
                     "invalid_request_error", "messages[0].role: ")
        for role in ("us", "user ", ""):
            self.assertEqual(ask(p, "chat", messages=[{"role": role, "content": "x"}]).status, 400, role)
        items = [{"role": "user", "content": "x"}, {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                 {"type": "function_call_output", "call_id": "c", "output": "y"}]
        self.assertEqual(ask(p, "responses", input=items).status, 200)

    def test_fields_that_require_or_exclude_each_other(self):
        p = self.start()
        usage = {"stream_options": {"include_usage": True}}
        for shape in ("chat", "azure", "completions"):
            self.refused(shape, ask(p, shape, **usage), 400, None, "only allowed when 'stream' is enabled", "stream_options")
            self.assertEqual(ask(p, shape, stream=True, **usage).status, 200)
        self.refused("chat", ask(p, "chat", max_completion_tokens=5), 400, None, "not supported", "max_tokens")
        path, headers, body, _, _ = SHAPES["azure"]
        answer = p.ask("POST", path.split("?")[0], json.dumps(body), **headers)
        self.refused("azure", answer, 404, None, "Resource not found")
        answer = p.ask("POST", "/v1beta/models/g:streamGenerateContent", json.dumps(SHAPES["gemini"][2]), **SHAPES["gemini"][1])
        self.refused("gemini", answer, 400, "INVALID_ARGUMENT", "alt=sse")

    def test_versions_of_anthropic(self):
        p = self.start()
        for version in (None, "2020-01-01", "latest"):
            self.refused("anthropic", ask(p, "anthropic", headers={"anthropic-version": version}), 400,
                         "invalid_request_error", "anthropic-version")
        for name, value in (("temperature", 0.5), ("top_p", 0.9), ("top_k", 5)):
            self.assertEqual(ask(p, "anthropic", **{name: value}).status, 200)
            self.refused("anthropic", ask(p, "anthropic", headers={"anthropic-version": "2026-10-21"}, **{name: value}),
                         400, "invalid_request_error", f"{name}: Extra inputs are not permitted")
        self.assertEqual(ask(p, "anthropic", headers={"anthropic-version": "2026-10-21"}).status, 200)

    def test_bodies_that_are_too_large(self):
        p = self.start("--max-body", "2000")
        self.each({OPENAIS: (413, None, "2000 bytes"), "azure": (413, None, "2000 bytes"),
                   "anthropic": (413, "request_too_large", "maximum size"),
                   GEMINIS: (400, "INVALID_ARGUMENT", "payload size exceeds the limit: 2000"),
                   "mistral": (413, "invalid_request_error", "2000"), "cohere": (413, None, "2000"),
                   "ollama": (413, None, "2000"), "bedrock": (413, "RequestEntityTooLargeException", "2000")},
                  p, content="x" * 2001)
        self.assertEqual(p.stop()["failures"]["too_large_body"], len(ALL))
        p = self.start("--tpm", "100000000")
        request = json.dumps(dict(SHAPES["anthropic"][2], messages=[{"role": "user", "content": "x" * (33 << 20)}]))
        self.refused("anthropic", ask(p, "anthropic", content=request), 413, "request_too_large", str(32 << 20))
        self.assertEqual(ask(p, "anthropic", content=request.replace("x" * (2 << 20), "")).status, 200)

    def test_methods_and_paths(self):
        p = self.start()
        for shape, (path, headers, _, _, _) in ALL.items():
            answer = p.ask("GET", path, **headers)
            self.assertEqual((shape, answer.status), (shape, 405))
            refusal(shape, answer)
        answer = p.ask("GET", "/v1/chat/completions")
        self.assertEqual(answer.json["error"]["message"], "Not allowed to GET on /v1/chat/completions.")
        for path, shape, code in (("/v1/none", "chat", None), ("/v1/messages/none", "anthropic", "not_found_error"),
                                  ("/v1beta/none", "gemini", "NOT_FOUND"), ("/mistral/v1/none", "mistral", "invalid_request_error"),
                                  ("/v2/none", "cohere", None), ("/model/x/none", "bedrock", "UnknownOperationException"),
                                  ("/openai/deployments/d/none", "azure", None), ("/api/none", "ollama", None)):
            answer = p.ask("POST", path, "{}", **JSON)
            self.assertEqual((path, answer.status, refusal(shape, answer)[0]), (path, 404, code))

    def test_nothing_refused_is_counted(self):
        p = self.start()
        for shape in ALL:
            ask(p, shape, content="{")
        report = p.stop()
        self.assertEqual((report["granted"], report["counted_tokens"]), (0, 0))
        self.assertEqual(report["failures"]["bad_request"], len(ALL))


# ---- AWS signatures ----

def sign(host, path, content, secret="s3cret", when=None, service="bedrock", day=None, signed=None):
    """Version 4, straight from its documentation; the path is encoded once more than when sent."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() if when is None else when))
    day = day or stamp[:8]
    headers = {"content-type": "application/json", "host": host, "x-amz-date": stamp}
    names = signed or sorted(headers)
    canonical = "\n".join(["POST", path.replace("%", "%25").replace(":", "%3A"), "",
                           *(f"{name}:{headers[name]}" for name in names), "", ";".join(names),
                           hashlib.sha256(content).hexdigest()])
    scope = f"{day}/eu-west-1/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = b"AWS4" + secret.encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    headers["Authorization"] = (f"AWS4-HMAC-SHA256 Credential=AKID/{scope}, SignedHeaders={';'.join(names)}, "
                                f"Signature={signature}")
    del headers["host"]
    return headers


class SignaturesTest(ProviderTest):
    def ask(self, provider, content=None, sent=None, path=None, **how):
        path = path or SHAPES["bedrock"][0]
        content = json.dumps(SHAPES["bedrock"][2]).encode() if content is None else content
        headers = sign(f"127.0.0.1:{provider.port}", path, content, **how)
        return provider.ask("POST", path, sent or content, **headers)

    def test_a_right_one_is_accepted_and_any_other_refused(self):
        p = self.start("--aws-secret", "s3cret", "--rpm", "1000", "--tpm", "1000000")
        for size in [*range(64), 1000, 100000]:  # every possible remainder of a hash block
            messages = [{"role": "user", "content": [{"text": "x" * size}]}]
            answer = self.ask(p, json.dumps({"messages": messages}).encode())
            self.assertEqual((size, answer.status), (size, 200), answer.raw)
        for path in ("/model/plain/converse", "/model/a:0/converse", "/model/a%2Fb/converse"):
            self.assertEqual(self.ask(p, path=path).status, 200, path)
        body = json.dumps(SHAPES["bedrock"][2]).encode()
        for how, words in (({"secret": "other"}, "does not match"), ({"sent": body + b" "}, "does not match"),
                           ({"when": time.time() - 1000}, "expired"), ({"when": time.time() + 1000}, "expired"),
                           ({"service": "s3"}, "'bedrock'"), ({"day": "20200101"}, "Date in Credential"),
                           ({"signed": ["host"]}, "must be signed")):
            answer = self.ask(p, **how)
            self.assertEqual((answer.status, answer.headers["x-amzn-ErrorType"].split(":")[0]),
                             (403, "UnrecognizedClientException"), how)
            self.assertIn(words, answer.json["message"])
        answer = p.ask("POST", SHAPES["bedrock"][0], body, Authorization="AWS4-HMAC-SHA256 nothing")
        self.assertEqual(answer.status, 403)
        self.assertEqual(p.report()["failures"]["unauthorized"], 8)

    def test_without_a_secret_only_what_it_claims_is_checked(self):
        p = self.start()
        self.assertEqual(self.ask(p, secret="whatever").status, 200)
        self.assertEqual(self.ask(p, when=0).status, 403)

    def test_curls_own(self):
        curl = shutil.which("curl")
        if curl is None:
            self.skipTest("curl is not installed")
        p = self.start("--aws-secret", "s3cret")
        for secret, status in (("s3cret", "200"), ("other", "403")):
            done = subprocess.run(
                [curl, "-s", "-o", "/dev/null", "-w", "%{http_code}", "--aws-sigv4", "aws:amz:us-east-1:bedrock",
                 "--user", f"AKID:{secret}", "-H", "Content-Type: application/json", "-d",
                 json.dumps(SHAPES["bedrock"][2]), f"http://127.0.0.1:{p.port}/model/plain/converse"],
                capture_output=True, text=True, timeout=DEADLINE_S, check=True)
            self.assertEqual(done.stdout, status, p.log_text())


if __name__ == "__main__":
    main()
