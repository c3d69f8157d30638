"""Requests, answers and streams in each shape: python3 test_shapes.py PATH/TO/strict-provider

The heads of the shape_*.c files say where each shape is documented.
"""

import json
import struct
import threading
import time
import zlib

from harness import DEADLINE_S, Answer, ProviderTest, main

JSON = {"Content-Type": "application/json"}
BEARER = {"Authorization": "Bearer any", **JSON}
METADATA = {"output_tokens": 30, "cached_tokens": 4, "cache_write_tokens": 2, "reasoning_tokens": 5}
TEXT = "x" * 80  # 20 tokens
MESSAGES = [{"role": "user", "content": TEXT}]
VERTEX = "/v1/projects/p-1/locations/us-central1/publishers/google/models/g"
CONTENTS = [{"role": "user", "parts": [{"text": TEXT}]}]

# path, headers, body, the streaming path, and what a streaming body adds
SHAPES = {
    "chat": ("/v1/chat/completions", BEARER, {"model": "m", "messages": MESSAGES, "max_tokens": 100},
             None, {"stream": True, "stream_options": {"include_usage": True}}),
    "groq": ("/openai/v1/chat/completions", BEARER,
             {"model": "m", "messages": MESSAGES, "max_completion_tokens": 100},
             None, {"stream": True, "stream_options": {"include_usage": True}}),
    "azure": ("/openai/deployments/d1/chat/completions?api-version=2024-10-21", {"api-key": "any", **JSON},
              {"messages": MESSAGES, "max_tokens": 100},
              None, {"stream": True, "stream_options": {"include_usage": True}}),
    "responses": ("/v1/responses", BEARER, {"model": "m", "input": TEXT, "max_output_tokens": 100},
                  None, {"stream": True}),
    "anthropic": ("/v1/messages", {"x-api-key": "any", "anthropic-version": "2023-06-01", **JSON},
                  {"model": "m", "messages": MESSAGES, "max_tokens": 100}, None, {"stream": True}),
    "gemini": ("/v1beta/models/g:generateContent", {"x-goog-api-key": "any", **JSON},
               {"contents": CONTENTS, "generationConfig": {"maxOutputTokens": 100}},
               "/v1beta/models/g:streamGenerateContent?alt=sse", {}),
    "vertex": (VERTEX + ":generateContent", BEARER,
               {"contents": CONTENTS, "generation_config": {"max_output_tokens": 100}},
               VERTEX + ":streamGenerateContent?alt=sse", {}),
    "completions": ("/v1/completions", BEARER, {"model": "m", "prompt": TEXT, "max_tokens": 100},
                    None, {"stream": True, "stream_options": {"include_usage": True}}),
    "mistral": ("/mistral/v1/chat/completions", BEARER,
                {"model": "m", "messages": MESSAGES, "max_tokens": 100}, None, {"stream": True}),
    "cohere": ("/v2/chat", BEARER, {"model": "m", "messages": MESSAGES, "max_tokens": 100},
               None, {"stream": True}),
    "ollama": ("/api/chat", JSON,
               {"model": "m", "messages": MESSAGES, "stream": False, "options": {"num_predict": 100}},
               None, {"stream": True}),
    "bedrock": ("/model/anthropic.claude-v1%3A0/converse", BEARER,
                {"messages": [{"role": "user", "content": [{"text": TEXT}]}], "inferenceConfig": {"maxTokens": 100}},
                "/model/anthropic.claude-v1%3A0/converse-stream", {}),
}
CHATS = ("chat", "groq", "azure", "mistral", "completions")  # all report usage in the same way
GEMINIS = ("gemini", "vertex")


def call(provider, shape, stream=False, headers=None, metadata=None, **more):
    path, mine, body, stream_path, streaming = SHAPES[shape]
    request = dict(body, metadata=METADATA if metadata is None else metadata, **more)
    if stream:
        request.update(streaming)
        path = stream_path or path
    return provider.ask("POST", path, json.dumps(request),
                        **{**(mine if headers is None else headers), "Content-Type": "application/json"})


def events(raw, shape="chat"):
    """The events of a stream as (name, data) pairs; the name may be None."""
    if shape == "ollama":
        return [(None, json.loads(line)) for line in raw.decode().splitlines()]
    if shape == "bedrock":
        return frames(raw)
    found = []
    for block in raw.decode().replace("\r\n", "\n").split("\n\n"):
        lines = [line.split(": ", 1) for line in block.split("\n") if line]
        if lines:
            fields = dict(lines)
            data = fields["data"]
            found.append((fields.get("event"), data if data == "[DONE]" else json.loads(data)))
    return found


def frames(raw):
    """Decodes Amazon's binary framing and checks both checksums; exceptions keep their names."""
    found = []
    while raw:
        total, head, crc = struct.unpack(">III", raw[:12])
        if zlib.crc32(raw[:8]) != crc or zlib.crc32(raw[:total - 4]) != struct.unpack(">I", raw[total - 4:total])[0]:
            raise ValueError("wrong checksum")
        fields, at = {}, 12
        while at < 12 + head:
            name = raw[at + 1:at + 1 + raw[at]].decode()
            at += 1 + raw[at]
            kind, length = struct.unpack(">BH", raw[at:at + 3])
            assert kind == 7, kind
            fields[name] = raw[at + 3:at + 3 + length].decode()
            at += 3 + length
        assert fields[":content-type"] == "application/json", fields
        name = fields[":event-type"] if fields[":message-type"] == "event" else fields[":exception-type"]
        found.append((name, json.loads(raw[at:total - 4])))
        raw = raw[total:]
    return found


class ShapesTest(ProviderTest):
    def usage(self, shape, answer):
        """Checks usage field by field and returns input and output."""
        if shape in CHATS:
            self.assertEqual(answer["usage"], {
                "prompt_tokens": 20, "completion_tokens": 30, "total_tokens": 50,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 5}})
        elif shape == "responses":
            self.assertEqual(answer["usage"], {
                "input_tokens": 20, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 30,
                "output_tokens_details": {"reasoning_tokens": 5}, "total_tokens": 50})
        elif shape == "anthropic":
            self.assertEqual(answer["usage"], {
                "input_tokens": 14, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 4,
                "output_tokens": 30})
        elif shape == "cohere":
            self.assertEqual(answer["usage"], {
                "billed_units": {"input_tokens": 20, "output_tokens": 30},
                "tokens": {"input_tokens": 20, "output_tokens": 30}, "cached_tokens": 4})
        elif shape == "ollama":
            self.assertEqual((answer["prompt_eval_count"], answer["eval_count"]), (20, 30))
        elif shape == "bedrock":
            self.assertEqual(answer["usage"], {
                "inputTokens": 14, "outputTokens": 30, "totalTokens": 50, "cacheReadInputTokens": 4,
                "cacheWriteInputTokens": 2})
        else:
            self.assertEqual(answer["usageMetadata"], {
                "promptTokenCount": 20, "cachedContentTokenCount": 4, "candidatesTokenCount": 25,
                "thoughtsTokenCount": 5, "totalTokenCount": 50})

    def test_usage_of_whole_answers(self):
        p = self.start("--tpm", "100000")
        for shape in SHAPES:
            answer = call(p, shape)
            self.assertEqual((shape, answer.status), (shape, 200))
            self.usage(shape, answer.json)
        report = p.stop()
        self.assertEqual((report["tokens"], report["completed"]), (50 * len(SHAPES), len(SHAPES)))
        self.assertEqual(report["estimated_tokens"], 120 * len(SHAPES))

    def test_answers_say_something(self):
        p = self.start("--tpm", "100000")
        self.assertTrue(call(p, "chat").json["choices"][0]["message"]["content"])
        answer = call(p, "responses").json
        self.assertEqual((answer["object"], answer["status"]), ("response", "completed"))
        self.assertTrue(answer["output"][0]["content"][0]["text"])
        answer = call(p, "anthropic").json
        self.assertEqual((answer["type"], answer["stop_reason"]), ("message", "end_turn"))
        self.assertTrue(answer["content"][0]["text"])
        answer = call(p, "gemini").json
        self.assertEqual(answer["candidates"][0]["finishReason"], "STOP")
        self.assertTrue(answer["candidates"][0]["content"]["parts"][0]["text"])
        cut = {"output_tokens": 1000}
        self.assertEqual(call(p, "chat", metadata=cut).json["choices"][0]["finish_reason"], "length")
        self.assertEqual(call(p, "responses", metadata=cut).json["status"], "incomplete")
        self.assertEqual(call(p, "anthropic", metadata=cut).json["stop_reason"], "max_tokens")
        self.assertEqual(call(p, "gemini", metadata=cut).json["candidates"][0]["finishReason"], "MAX_TOKENS")

    def test_streams(self):
        p = self.start("--tpm", "100000", "--latency-ms", "40")
        names = {}
        for shape in SHAPES:
            answer = call(p, shape, stream=True)
            self.assertEqual((shape, answer.status), (shape, 200))
            kind = {"ollama": "application/x-ndjson", "bedrock": "application/vnd.amazon.eventstream"}
            self.assertTrue(answer.headers["Content-Type"].startswith(kind.get(shape, "text/event-stream")))
            seen = events(answer.raw, shape)
            names[shape] = [name for name, _ in seen]
            if shape == "mistral":
                self.assertEqual(seen[-1][1], "[DONE]")
                self.usage(shape, seen[-2][1])
                self.assertEqual(seen[-2][1]["choices"][0]["finish_reason"], "stop")
            elif shape == "completions":
                self.usage(shape, seen[-2][1])
                self.assertTrue(all(data["object"] == "text_completion" for _, data in seen[:-1]))
            elif shape == "cohere":
                self.usage(shape, seen[-1][1]["delta"])
                self.assertTrue(all(name == data["type"] for name, data in seen))
            elif shape == "ollama":
                self.usage(shape, seen[-1][1])
                self.assertEqual([data["done"] for _, data in seen], [False] * 20 + [True])
            elif shape == "bedrock":
                self.usage(shape, seen[-1][1])
                self.assertEqual([name for name, _ in seen], ["messageStart"] + ["contentBlockDelta"] * 20 +
                                 ["contentBlockStop", "messageStop", "metadata"])
            elif shape in CHATS:
                self.assertEqual(seen[-1][1], "[DONE]")
                self.assertEqual(seen[-2][1]["choices"], [])
                self.usage(shape, seen[-2][1])
                self.assertEqual(seen[-3][1]["choices"][0]["finish_reason"], "stop")
                self.assertTrue(all(data["usage"] is None for _, data in seen[:-2]))
            elif shape == "responses":
                self.usage(shape, seen[-1][1]["response"])
                self.assertEqual([data["sequence_number"] for _, data in seen], list(range(len(seen))))
                self.assertTrue(all(name == data["type"] for name, data in seen))
            elif shape == "anthropic":
                start = dict(seen)["message_start"]["message"]["usage"]
                self.assertEqual((start["input_tokens"], start["cache_creation_input_tokens"],
                                  start["cache_read_input_tokens"]), (14, 2, 4))
                self.assertEqual(dict(seen)["message_delta"]["usage"]["output_tokens"], 30)
            else:
                totals = [data["usageMetadata"]["totalTokenCount"] for _, data in seen]
                self.assertEqual(totals, sorted(totals))
                self.usage(shape, seen[-1][1])
                self.assertIn(b"\r\n\r\n", answer.raw)
        self.assertEqual(names["anthropic"], ["message_start", "content_block_start", "ping"] +
                         ["content_block_delta"] * 20 +
                         ["content_block_stop", "message_delta", "message_stop"])
        self.assertEqual((names["responses"][0], names["responses"][-1]),
                         ("response.created", "response.completed"))
        report = p.stop()
        self.assertEqual((report["tokens"], report["completed"]), (50 * len(SHAPES), len(SHAPES)))

    def test_chat_streams_report_usage_only_if_asked(self):
        p = self.start()
        path, headers, body, _, _ = SHAPES["chat"]
        for options in ({}, {"stream_options": {}}, {"stream_options": {"include_usage": False}}):
            content = json.dumps(dict(body, stream=True, **options))
            seen = events(p.ask("POST", path, content, **headers).raw)
            self.assertTrue(all("usage" not in data for _, data in seen[:-1]))
            self.assertEqual(seen[-1][1], "[DONE]")

    def test_a_stream_is_spread_over_its_time(self):
        p = self.start("--latency-ms", "600")
        path, headers, body, _, streaming = SHAPES["anthropic"]
        connection = p.connect()
        start = time.monotonic()
        connection.request("POST", path, json.dumps(dict(body, **streaming, metadata=METADATA)), headers)
        response = connection.getresponse()
        response.read(20)
        self.assertLess(time.monotonic() - start, 0.5)
        response.read()
        self.assertGreater(time.monotonic() - start, 0.59)
        connection.close()

    def test_a_stream_whose_client_leaves_is_charged_what_it_sent(self):
        for count in ("start", "end"):
            p = self.start("--latency-ms", "4000", "--count", count)
            path, headers, body, _, streaming = SHAPES["anthropic"]
            for how in ("before", "within"):
                connection = p.connect()
                connection.request("POST", path,
                                   json.dumps(dict(body, **streaming, metadata={"output_tokens": 40})),
                                   headers)
                p.wait_for(lambda r: r["in_flight"] == 1)
                if how == "within":
                    response = connection.getresponse()
                    while b"content_block_delta" not in response.readline():
                        pass
                    response.close()
                connection.close()
                p.wait_for(lambda r: r["in_flight"] == 0)
            report = p.stop()
            self.assertEqual((report["failures"]["client_gone"], report["completed"]), (2, 0))
            self.assertTrue(40 + 2 <= report["tokens"] < 40 + 30, report["tokens"])
            self.assertEqual(report["counted_tokens"], report["tokens"])

    def test_only_known_paths_exist(self):
        p = self.start()
        for path in ("/v1beta/models/:generateContent", "/v1beta/models/a/b:generateContent",
                     "/openai/deployments/" + "d" * 200 + "/chat/completions", "/v1/projects/p/locations//publishers/"
                     "google/models/m:generateContent", "/model/a/b/converse", "/v1/chat/completions/", "/mistral/v1/x"):
            self.assertEqual(p.ask("POST", path, "{}", **BEARER).status, 404, path)
        for path in ("/api/v1/chat/completions", "/chat/completions", "/v1beta/openai/chat/completions",
                     "/api/paas/v4/chat/completions", "/inference/v1/chat/completions"):
            self.assertEqual(p.ask("POST", path, json.dumps(SHAPES["chat"][2]), **BEARER).status, 200, path)

    def test_embeddings_have_no_output(self):
        p = self.start("--tpm", "100")
        for given, count, tokens in ((TEXT, 1, 20), ([TEXT, TEXT], 2, 40), ([1, 2, 3], 3, 3), ([[1, 2], [3]], 2, 3)):
            answer = p.ask("POST", "/v1/embeddings", json.dumps({"model": "e", "input": given}), **BEARER)
            self.assertEqual(answer.status, 200, answer.raw)
            self.assertEqual(answer.usage, {"prompt_tokens": tokens, "total_tokens": tokens})
            self.assertEqual([one["index"] for one in answer.json["data"]], list(range(count)))
        report = p.stop()
        self.assertEqual((report["input_tokens"], report["output_tokens"], report["estimated_tokens"]), (66, 0, 66))

    def test_old_completions_take_16_by_default(self):
        p = self.start()
        answer = p.ask("POST", "/v1/completions", json.dumps({"model": "c", "prompt": TEXT}), **BEARER)
        self.assertTrue(answer.json["choices"][0]["text"])
        self.assertLessEqual(answer.usage["completion_tokens"], 16)
        self.assertEqual(p.stop()["estimated_tokens"], 36)

    def test_ollama_streams_by_default(self):
        p = self.start()
        answer = p.ask("POST", "/api/chat", json.dumps({"model": "m", "messages": MESSAGES}))
        self.assertEqual(answer.headers["Content-Type"], "application/x-ndjson")

    def test_bedrock_reads_lengths_from_its_own_field_too(self):
        p = self.start()
        path, headers, body, _, _ = SHAPES["bedrock"]
        request = dict(body, requestMetadata={"input_tokens": "9", "output_tokens": "8"})
        usage = p.ask("POST", path, json.dumps(request), **headers).usage
        self.assertEqual((usage["inputTokens"], usage["outputTokens"]), (9, 8))

    def test_headers_report_limits_in_each_shape(self):
        for shape in SHAPES:
            p = self.start("--rpm", "1", "--tpm", "30000", "--window-ms", "60000")
            now = time.time()
            answer = call(p, shape)
            headers = answer.headers
            refused = call(p, shape)
            self.assertEqual((shape, refused.status), (shape, 429))
            if shape == "mistral":
                self.assertEqual([headers[f"x-ratelimit-{what}-{unit}-minute"] for unit in ("req", "tokens")
                                  for what in ("limit", "remaining")], ["1", "0", "30000", "29950"])
                self.assertEqual(refused.headers["Retry-After"], "60")
                self.assertEqual((refused.json["object"], refused.json["type"]), ("error", "rate_limited"))
            elif shape in ("cohere", "ollama", "bedrock"):
                self.assertFalse([name for name in headers if "ratelimit" in name.lower()])
                self.assertIsNone(refused.headers["Retry-After"])
                if shape == "bedrock":
                    self.assertTrue(refused.headers["x-amzn-ErrorType"].startswith("ThrottlingException:"))
                self.assertIn("Over the limit", str(refused.json["error" if shape == "ollama" else "message"]))
            elif shape in GEMINIS:
                self.assertFalse([name for name in headers if "ratelimit" in name.lower()])
                self.assertIsNone(refused.headers["Retry-After"])
                error = refused.json["error"]
                self.assertEqual(error["status"], "RESOURCE_EXHAUSTED")
                details = {one["@type"].rsplit(".", 1)[1]: one for one in error["details"]}
                self.assertIn("PerMinute", details["QuotaFailure"]["violations"][0]["quotaId"])
                self.assertRegex(details["RetryInfo"]["retryDelay"], r"^(60|59(\.\d+)?)s$")
            elif shape == "anthropic":
                self.assertEqual(headers["anthropic-ratelimit-requests-limit"], "1")
                self.assertEqual(headers["anthropic-ratelimit-requests-remaining"], "0")
                for which in ("tokens", "input-tokens", "output-tokens"):
                    self.assertEqual(headers[f"anthropic-ratelimit-{which}-remaining"], "30000")
                stamp = headers["anthropic-ratelimit-requests-reset"]
                reset = time.mktime(time.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
                self.assertAlmostEqual(reset, now + 60, delta=DEADLINE_S)
                self.assertEqual(refused.headers["retry-after"], "60")
                self.assertEqual(refused.json["error"]["type"], "rate_limit_error")
            else:
                self.assertEqual(headers["x-ratelimit-limit-tokens"], "30000")
                self.assertEqual(headers["x-ratelimit-remaining-tokens"], "29950")
                self.assertEqual(headers["x-ratelimit-remaining-requests"], "0")
                self.assertRegex(headers["x-ratelimit-reset-requests"],
                                 r"^(60|59)$" if shape == "azure" else r"^(1m0s|59(\.\d+)?s)$")
                self.assertEqual(refused.headers["Retry-After"], "60")
                self.assertLessEqual(int(refused.headers["retry-after-ms"]), 60000)
                self.assertEqual(refused.json["error"]["code"],
                                 "429" if shape == "azure" else "rate_limit_exceeded")
                self.assertEqual("x-ms-retry-after-ms" in refused.headers, shape == "azure")
            p.stop()

    def test_a_stream_over_the_limit_at_its_end_says_so_in_an_event(self):
        for shape in SHAPES:
            p = self.start("--count", "end", "--tpm", "60", "--latency-ms", "300", "--window-ms", "3600000")
            answers = []
            calls = [threading.Thread(target=lambda: answers.append(call(p, shape, stream=True)))
                     for _ in range(2)]
            for one in calls:
                one.start()
            for one in calls:
                one.join()
            self.assertEqual([answer.status for answer in answers], [200, 200])
            ends = sorted("Over the limit" in json.dumps(events(answer.raw, shape)[-1]) for answer in answers)
            self.assertEqual(ends, [False, True], shape)
            report = p.stop()
            self.assertEqual((report["status_429_at_end"], report["status_429"]), (1, 1))
            self.assertEqual((report["completed"], report["tokens"]), (1, 50))

    def test_a_connection_serves_after_a_stream(self):
        p = self.start("--tpm", "100000")
        connection = p.connect()
        path, headers, body, _, streaming = SHAPES["chat"]
        for more in (streaming, {}, streaming):
            connection.request("POST", path, json.dumps(dict(body, **more)), headers)
            self.assertEqual(Answer(connection.getresponse()).status, 200)
        connection.close()


if __name__ == "__main__":
    main()
