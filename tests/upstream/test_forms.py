"""Every form of forms.json, and ad-hoc forms: python3 test_forms.py PATH/TO/strict-provider"""

import gzip
import http.client
import json
import os
import re

from harness import PATH, ProviderTest, body, main
from test_shapes import GEMINIS, SHAPES, TEXT, call, events

HERE = os.path.dirname(os.path.abspath(__file__))
FAMILY = {"groq": "chat", "azure": "chat", "mistral": "chat", "vertex": "gemini", "chat": "chat"}
LENGTHS = {"break", "big"}


def forms():
    with open(os.path.join(HERE, "forms.json"), encoding="utf-8") as f:
        return json.loads(re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S))


def form_of(shape, name, all_forms=forms()):
    """The form of that name for this shape; None if there is none."""
    named = all_forms[name]
    return named.get(shape, named.get(FAMILY.get(shape, shape), named.get("any")))


def fault(provider, name, shape="chat", stream=False, headers=None, **more):
    given = {**SHAPES[shape][1], "x-fault": name, **(headers or {})}
    return call(provider, shape, stream=stream, headers=given, **more)


def use_of(shape, answer):
    return answer["usageMetadata"] if shape in GEMINIS else answer["usage"]


class FormsTest(ProviderTest):
    def start(self, *options):
        return super().start("--rpm", "100000", "--tpm", "100000000", "--latency-ms", "0", *options)

    def test_each_form_in_each_shape_is_answered_and_counted(self):
        """Status, headers and usage are as forms.json says, for every form in it."""
        p = self.start()
        asked = granted = tokens = 0
        for name in forms():
            length = 700 if name.split("-")[0] in LENGTHS else 0
            for shape in SHAPES:
                form = form_of(shape, name)
                if form is None:
                    self.assertEqual(fault(p, name, shape).status, 400, (name, shape))
                    continue
                for stream in (False, True):
                    if "when" in form:
                        continue
                    asked += 1
                    full = f"{name}:{length}" if length else name
                    status, used = form.get("status", 200), form.get("used", "all")
                    try:
                        answer = fault(p, full, shape, stream)
                        self.assertEqual((name, shape, answer.status), (name, shape, status))
                        for header, value in form.get("headers", {}).items():
                            self.assertEqual(answer.headers[header], value, (name, shape))
                        self.assertFalse(stream and "end" in form, (name, shape))
                    except http.client.IncompleteRead:
                        self.assertTrue(stream and "end" in form, (name, shape))
                    granted += not 400 <= status < 500
                    if status < 400 and used != "nothing":
                        tokens += 20 + (30 if used == "all" else 100)
        report = p.wait_for(lambda r: r["in_flight"] == 0)
        self.assertGreater(asked, 500)
        self.assertEqual((report["failures"]["fault_form"], report["granted"]), (asked, granted))
        self.assertEqual((report["tokens"], report["counted_tokens"]), (tokens, tokens))
        self.assertEqual(report["completed"], 0)

    # ---- Success without an answer ----

    def test_success_without_an_answer(self):
        p = self.start()
        for name, raw in (("empty", b""), ("null", b"null"), ("204", b"")):
            for shape in SHAPES:
                for stream in (False, True):
                    answer = fault(p, name, shape, stream)
                    self.assertEqual((answer.status, answer.raw), (204 if name == "204" else 200, raw))
        self.assertTrue(fault(p, "html").raw.startswith(b"<!DOCTYPE html>"))
        with self.assertRaises(ValueError):
            fault(p, "cut").json
        self.assertEqual(fault(p, "base-resp").json["base_resp"]["status_code"], 1002)
        for name, code in (("number", 429), ("server", 503), ("text", "rate_limit_exceeded")):
            answer = fault(p, f"error-200-{name}").json
            self.assertEqual((answer["error"]["code"], answer["usage"]["total_tokens"]), (code, 0))
        self.assertIsInstance(fault(p, "error-200-bare").json["error"], str)

    def test_errors_in_streams(self):
        p = self.start()
        for name, text in (("text", '{"error":"the model has failed"}'), ("plain", "event: error\ndata: upstream"),
                           ("object", '{"object":"error","message":'), ("top", 'event: error\ndata: {"type":"error","code":')):
            for shape in ("chat", "anthropic"):
                raw = fault(p, f"stream-error-{name}", shape, True).raw.decode()
                self.assertIn(text, raw)
                self.assertTrue(len(raw) > len(text) + 40, "it has begun")
        for name, type_ in (("response-failed", "response.failed"), ("stream-error-top", "error")):
            seen = events(fault(p, name, "responses", True).raw)
            self.assertEqual([one for one, _ in seen][0], "response.created")
            self.assertEqual((seen[-1][0], seen[-1][1]["type"]), (type_, type_))
        self.assertEqual(seen[-1][1]["code"], "rate_limit_exceeded")
        answer = fault(p, "response-failed", "responses").json
        self.assertEqual((answer["status"], answer["error"]["code"]), ("failed", "server_error"))

    def test_errors_before_and_after_the_first_text(self):
        p = self.start()
        pieces = {"anthropic": "content_block_delta", "responses": "response.output_text.delta",
                  "bedrock": "contentBlockDelta", "cohere": "content-delta"}
        for shape in SHAPES:
            for name in ("first-error", "early-error", "late-error"):
                if form_of(shape, name) is None:
                    continue
                seen = events(fault(p, name, shape, True).raw.replace(b": still here\n\n", b""), shape)
                self.assertRegex(json.dumps(seen[-1]), "[eE]rror|Exception", (shape, name))
                if name == "first-error":
                    self.assertEqual(len(seen), 1, shape)
                elif shape in pieces:
                    found = [one for one, _ in seen].count(pieces[shape])
                    self.assertEqual((shape, name, found), (shape, name, 2 if name == "late-error" else 0))
        self.assertEqual([name for name, _ in events(fault(p, "early-error", "anthropic", True).raw)],
                         ["message_start", "content_block_start", "ping", "ping", "ping", "error"])

    # ---- Requested streams ----

    def test_a_whole_answer_instead_of_a_stream(self):
        p = self.start()
        for shape in SHAPES:
            for name, label in (("whole", "application/json"), ("whole-unlabelled", None)):
                answer = fault(p, name, shape, True)
                self.assertEqual((shape, answer.headers["Content-Type"]), (shape, label))
                self.assertTrue(answer.json)
        answer = fault(p, "error-as-stream", stream=True)
        self.assertEqual((answer.headers["Content-Type"], answer.json["error"]["type"]), ("text/event-stream", "server_error"))
        self.assertEqual(fault(p, "nothing", stream=True).raw, b"")

    def test_streams_with_other_labels_and_ends(self):
        p = self.start()
        for shape in SHAPES:
            for name, label in (("stream-as-json", "application/json"), ("stream-unlabelled", None)):
                answer = fault(p, name, shape, True)
                self.assertEqual(answer.headers["Content-Type"], label)
                self.assertTrue(len(events(answer.raw, shape)) > 20, shape)
            raw = fault(p, "no-end", shape, True).raw
            self.assertNotRegex(raw, rb'\[DONE\]|message_stop|response\.completed|"finish_?[rR]eason":"|messageStop|message-end|"done":true')
            self.assertTrue(events(raw, shape))
        self.assertTrue(fault(p, "bom", stream=True).raw.startswith(b"\xef\xbb\xbfdata: {"))
        answer = fault(p, "bom")
        self.assertTrue(answer.raw.startswith(b"\xef\xbb\xbf{"))
        self.assertTrue(json.loads(answer.raw.decode("utf-8-sig"))["usage"])
        self.assertTrue(fault(p, "keep-alive", stream=True).raw.startswith(b": OPENROUTER"))

    def test_one_event_of_several_mib(self):
        p = self.start()
        size = 5 << 20
        for shape in ("chat", "responses", "anthropic", "gemini"):
            answer = fault(p, f"big-event:{size}", shape, True)
            self.assertTrue(size < max(len(line) for line in answer.raw.split(b"\n")) < size + 1000, shape)
            events(answer.raw)

    def test_content_as_parts(self):
        p = self.start()
        for shape in ("chat", "mistral"):
            parts = fault(p, "content-parts", shape).json["choices"][0]["message"]["content"]
            self.assertEqual([part["type"] for part in parts], ["thinking", "text"])
            contents = [data["choices"][0]["delta"].get("content") for _, data in events(fault(p, "content-parts", shape, True).raw)
                        if data != "[DONE]" and data["choices"]]
            self.assertEqual([content[0]["type"] for content in contents if isinstance(content, list)], ["thinking", "text"])

    def test_streams_that_break(self):
        p = self.start()
        fields = {"break-text": None, "break-reasoning": "reasoning|thinking|thought", "break-thinking": "thinking|reasoning",
                  "break-refusal": "refusal", "break-tool": "arguments|partial_json|functionCall|toolUse"}
        for name, field in fields.items():
            for shape in SHAPES:
                if form_of(shape, name) is None:
                    continue
                with self.assertRaises(http.client.IncompleteRead, msg=(name, shape)) as broken:
                    fault(p, f"{name}:7000", shape, True, metadata={})
                seen = json.dumps(events(broken.exception.partial, shape))
                self.assertEqual(len(re.findall("well then |well then", seen)), 700, (name, shape))
                self.assertTrue(field is None or re.search(field, seen), (name, shape))
        p.ask("POST", "/reset")
        with self.assertRaises(http.client.IncompleteRead):
            fault(p, "break-tool:7000", "chat", True, max_tokens=5000)
        with self.assertRaises(http.client.IncompleteRead):
            fault(p, "break-tool:7000", "chat", True, max_tokens=100)
        report = p.wait_for(lambda r: r["in_flight"] == 0)
        self.assertEqual((report["output_tokens"], report["input_tokens"]), (1750 + 100, 40))

    # ---- Usage ----

    def usage(self, p, name, shape, stream):
        """As the answer or the end of the stream reports it; Anthropic's two places merged."""
        answer = fault(p, name, shape, stream)
        if not stream:
            return use_of(shape, answer.json)
        seen = [data for _, data in events(answer.raw, shape) if data != "[DONE]"]
        if shape == "responses":
            return seen[-1]["response"]["usage"]
        if shape == "anthropic":
            return {**seen[0]["message"]["usage"], **[data for data in seen if data["type"] == "message_delta"][0]["usage"]}
        reported = [use_of(shape, data) for data in seen if data.get("usage") or data.get("usageMetadata")]
        return reported[-1]

    def test_zeros(self):
        p = self.start()
        for shape in SHAPES:
            if shape in ("cohere", "ollama", "bedrock"):
                continue
            for stream in (False, True):
                usage = self.usage(p, "usage-zero", shape, stream)
                self.assertEqual({value for value in usage.values() if not isinstance(value, dict)}, {0}, shape)
        seen = events(fault(p, "usage-zero", "bedrock", True).raw, "bedrock")
        self.assertEqual(seen[-1][1]["usage"], {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0})
        answer = fault(p, "usage-zero", "ollama").json
        self.assertEqual((answer["prompt_eval_count"], answer["eval_count"]), (0, 0))

    def test_numbers_in_other_notations(self):
        p = self.start()
        for shape in ("chat", "responses", "anthropic", "gemini"):
            first = {"chat": "prompt_tokens", "gemini": "promptTokenCount"}.get(shape, "input_tokens")
            fresh = 14 if shape == "anthropic" else 20
            for stream in (False, True):
                self.assertEqual(self.usage(p, "usage-text", shape, stream)[first], str(fresh))
                value = self.usage(p, "usage-float", shape, stream)[first]
                self.assertEqual((type(value), value), (float, fresh))
                self.assertEqual(self.usage(p, "usage-over", shape, stream)[first], fresh - 0.08)
        self.assertIn(b'"prompt_tokens":20.0', fault(p, "usage-float").raw)

    def test_totals(self):
        p = self.start()
        for shape, total in (("chat", "total_tokens"), ("responses", "total_tokens"), ("gemini", "totalTokenCount")):
            for stream in (False, True):
                self.assertEqual(self.usage(p, "usage-total-only", shape, stream), {total: 50})
                usage = self.usage(p, "usage-beside", shape, stream)
                self.assertEqual(sum(v for k, v in usage.items() if isinstance(v, int) and k != total), 45)
                self.assertEqual(usage[total], 50)
                usage = self.usage(p, "usage-absurd", shape, stream)
                self.assertGreaterEqual(max(v for v in usage.values()), 10**12)
        self.assertEqual(self.usage(p, "usage-tool", "gemini", False), {
            "promptTokenCount": 14, "toolUsePromptTokenCount": 4, "candidatesTokenCount": 25, "thoughtsTokenCount": 5,
            "totalTokenCount": 50})
        self.assertEqual(self.usage(p, "usage-output-only", "gemini", True), {"candidatesTokenCount": 25, "thoughtsTokenCount": 5})
        self.assertEqual(self.usage(p, "usage-no-output", "completions", False), {"prompt_tokens": 20, "total_tokens": 20})
        answer = p.ask("POST", "/v1/embeddings", json.dumps({"model": "e", "input": TEXT}),
                       **{**SHAPES["chat"][1], "x-fault": "usage-total-only"})
        self.assertEqual(answer.usage, {"total_tokens": 20})

    def test_other_places(self):
        p = self.start()
        expected = {"prompt_tokens": 20, "completion_tokens": 30, "total_tokens": 50}
        for name, place in (("usage-in-choice", lambda o: o["choices"][0].get("usage") if o["choices"] else None),
                            ("usage-x-groq", lambda o: o.get("x_groq", {}).get("usage")),
                            ("usage-with-finish", lambda o: o.get("usage"))):
            self.assertEqual(place(fault(p, name).json), expected)
            seen = [data for _, data in events(fault(p, name, stream=True).raw) if data != "[DONE]"]
            self.assertEqual([place(data) for data in seen if place(data)], [expected])
            if name != "usage-with-finish":
                self.assertFalse([data for data in seen if data.get("usage")])

    def test_what_anthropic_says_twice(self):
        p = self.start()
        seen = [data for _, data in events(fault(p, "usage-delta-zero", "anthropic", True).raw)]
        self.assertEqual(seen[0]["message"]["usage"]["input_tokens"], 14)
        self.assertEqual(seen[-2]["usage"], {"input_tokens": 0, "cache_creation_input_tokens": 0,
                                            "cache_read_input_tokens": 0, "output_tokens": 30})
        seen = [data for _, data in events(fault(p, "usage-delta-input", "anthropic", True).raw)]
        self.assertEqual((seen[0]["message"]["usage"]["input_tokens"], seen[-2]["usage"]["input_tokens"]), (0, 14))
        for stream in (False, True):
            usage = self.usage(p, "usage-compaction", "anthropic", stream)
            self.assertEqual([one["type"] for one in usage["iterations"]], ["compaction", "message"])
            self.assertEqual((usage["iterations"][0]["input_tokens"], usage["iterations"][1]["output_tokens"]), (98000, 30))

    def test_details(self):
        p = self.start()
        answer = fault(p, "usage-details").json
        self.assertEqual(answer["service_tier"], "flex")
        self.assertEqual(answer["usage"]["prompt_tokens_details"],
                         {"cached_tokens": 4, "cache_write_tokens": 2, "audio_tokens": 3, "text_tokens": 1})
        self.assertEqual(fault(p, "usage-details", "responses").json["service_tier"], "priority")
        usage = fault(p, "usage-details", "anthropic").usage
        self.assertEqual((usage["service_tier"], usage["cache_creation"]["ephemeral_5m_input_tokens"]), ("priority", 2))
        answer = fault(p, "usage-details", "gemini")
        self.assertEqual(answer.headers["x-gemini-service-tier"], "flex")
        self.assertEqual(answer.json["usageMetadata"]["promptTokensDetails"][1], {"modality": "AUDIO", "tokenCount": 4})

    # ---- Refusals and headers ----

    def test_stream_options_may_be_refused(self):
        p = self.start("--fault", "no-stream-options")
        self.assertEqual(call(p, "chat", stream=True).status, 400)
        self.assertEqual(call(p, "chat").status, 200)
        request = dict(SHAPES["chat"][2], stream=True)
        self.assertEqual(p.ask("POST", PATH, json.dumps(request), **SHAPES["chat"][1]).status, 200)
        report = p.stop()
        self.assertEqual((report["failures"]["fault_form"], report["completed"]), (1, 2))

    def test_money(self):
        p = self.start()
        for name, status in (("billing_hard_limit_reached", 429), ("billing_hard_limit_reached-400", 400),
                             ("billing_not_active", 429), ("account_deactivated", 403)):
            answer = fault(p, name)
            self.assertEqual((answer.status, answer.json["error"]["code"]), (status, name.split("-")[0]))
        for name, status, words in (("usage-limits", 400, "regain access on 2099-01-01"), ("monthly-cap", 429, "regain access"),
                                    ("credit-too-low", 400, "credit balance")):
            answer = fault(p, name, "anthropic")
            self.assertEqual((answer.status, answer.headers["retry-after"]), (status, None))
            self.assertIn(words, answer.json["error"]["message"])
        report = p.report()
        self.assertEqual((report["granted"], report["failures"]["fault_form"]), (0, 7))

    def test_waits_and_limits(self):
        p = self.start()
        answer = fault(p, "retryinfo-list")
        self.assertEqual((answer.status, answer.headers["Retry-After"]), (429, None))
        self.assertEqual(answer.json[0]["error"]["details"][1]["retryDelay"], "2s")
        answer = fault(p, "403-retry-after", "azure")
        self.assertEqual((answer.status, answer.headers["Retry-After"]), (403, "2"))
        answer = fault(p, "day-requests")
        self.assertEqual([answer.headers[f"x-ratelimit-{what}-requests"] for what in ("limit", "remaining", "reset")],
                         ["10000", "9992", "1m9.12s"])
        self.assertEqual(len(answer.headers.get_all("x-ratelimit-limit-requests")), 1)
        self.assertEqual(fault(p, "azure-reset-ms", "azure").headers["x-ratelimit-reset-tokens"], "2000")
        answer = fault(p, "azure-reset-ms-429", "azure")
        self.assertEqual((answer.status, answer.headers["x-ratelimit-reset-tokens"], answer.headers["Retry-After"]),
                         (429, "60000", None))
        answer = fault(p, "azure-renewalperiod", "azure")
        self.assertEqual([answer.headers[f"x-ratelimit-renewalperiod-{unit}"] for unit in ("requests", "tokens")], ["10", "60"])

    # ---- Compression ----

    def test_compression(self):
        accepts = {"Accept-Encoding": "deflate, gzip"}
        plain = self.start()
        packing = self.start("--gzip", "yes")
        for shape in SHAPES:
            for stream in (False, True):
                for p, name, headers, packed in (
                        (plain, None, accepts, False), (plain, "gzip", accepts, True), (plain, "gzip", {}, False),
                        (plain, "gzip-unasked", {"Accept-Encoding": "identity"}, True), (packing, None, accepts, True),
                        (packing, None, {"Accept-Encoding": "identity"}, False), (packing, "429", accepts, True)):
                    answer = fault(p, name, shape, stream, headers=headers)
                    self.assertEqual((shape, name, answer.headers["Content-Encoding"]), (shape, name, "gzip" if packed else None))
                    raw = gzip.decompress(answer.raw) if packed else answer.raw
                    self.assertTrue(events(raw, shape) if stream and name != "429" else json.loads(raw))
        answer = fault(plain, "gzip-error")
        self.assertEqual((answer.status, answer.headers["Retry-After"]), (429, "1"))
        self.assertEqual(json.loads(gzip.decompress(answer.raw))["error"]["code"], "rate_limit_exceeded")
        self.assertEqual(packing.ask("GET", "/report", None, **accepts).headers["Content-Encoding"], "gzip")

    # ---- Ad-hoc forms ----

    def test_any_answer_byte_for_byte(self):
        p = self.start()

        def put(**form):
            answer = p.ask("POST", "/faults", json.dumps({"fault": "body", **form}))
            self.assertEqual(answer.status, 200, answer.raw)

        put(status=418, body="short and stout\x00 ä", headers={"Content-Type": "text/plain", "X-Pot": "1",
                                                                "x-ratelimit-limit-tokens": None})
        answer = p.call(body())
        self.assertEqual((answer.status, answer.raw), (418, "short and stout\x00 ä".encode()))
        self.assertEqual((answer.headers["Content-Type"], answer.headers["X-Pot"]), ("text/plain", "1"))
        self.assertIsNone(answer.headers["x-ratelimit-limit-tokens"])
        put(hex="ff00FE0d0a", calls=2)
        for _ in range(2):
            self.assertEqual(p.call(body()).raw, b"\xff\0\xfe\r\n")
        put(body={"n": "$in", "m": "$model", "l": ["$out-text", "$none"]})
        self.assertEqual(p.call(body(output=7)).json, {"n": 10, "m": "gpt-4o", "l": ["7", "$none"]})
        put(status=500, body={"error": "x"})
        self.assertEqual(p.call(body()).status, 500)
        put(events=["data: 1\n\n", {"$event": "x", "data": {"a": "$out"}}, "$end"])
        raw = call(p, "chat", True).raw
        self.assertTrue(raw.startswith(b'data: 1\n\nevent: x\ndata: {"a":30}\n\ndata: {"id":'), raw)
        self.assertTrue(raw.endswith(b"data: [DONE]\n\n"))
        put(patch=[{"at": "choices.0.message.content", "set": "patched"}, {"at": "a.b", "set": 1}, {"at": "c", "add": None},
                   {"at": "usage.total_tokens", "drop": True}, {"at": "d", "with": "e", "add": 1}])
        answer = p.call(body()).json
        self.assertEqual((answer["choices"][0]["message"]["content"], answer["c"]), ("patched", None))
        self.assertFalse({"total_tokens", "d", "a"} & (set(answer) | set(answer["usage"])))
        report = p.report()
        self.assertEqual((report["failures"]["fault_form"], report["other_failures"]), (7, 7))
        for wrong in ({"status": 99}, {"status": 600}, {"headers": []}, {"headers": {"a": 1}}, {"headers": {"a": "b\r\nc: d"}},
                      {"hex": "f"}, {"hex": "gg"}, {"events": {}}, {"patch": "x"}, {"calls": 0}):
            self.assertEqual(p.ask("POST", "/faults", json.dumps({"fault": "body", **wrong})).status, 400, wrong)
        self.assertEqual(p.call(body()).status, 200)

    def test_a_form_that_a_shape_does_not_have(self):
        p = self.start()
        self.assertEqual(fault(p, "usage-compaction", "chat").status, 400)
        for name in ("break-text:0", "break-text:-5", "break-text:x", "break-text:99999999999", "Empty"):
            self.assertEqual(fault(p, name).status, 400, name)


if __name__ == "__main__":
    main()
