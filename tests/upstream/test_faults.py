"""Faults that calls meet on demand: python3 test_faults.py PATH/TO/strict-provider"""

import email.utils
import http.client
import json
import os
import subprocess
import tempfile
import time

from harness import DEADLINE_S, ProviderTest, main, program
from test_shapes import GEMINIS, SHAPES, call, events

BROKEN = (ConnectionError, http.client.HTTPException)


def fault(provider, name, shape="chat", **more):
    headers = dict(SHAPES[shape][1], **{"x-fault": name})
    return call(provider, shape, headers=headers, **more)


class FaultsTest(ProviderTest):
    def test_each_status_in_each_shape(self):
        p = self.start("--tpm", "10000000", "--rpm", "1000", "--latency-ms", "1")
        types = {400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
                 404: "not_found_error", 408: "invalid_request_error", 409: "invalid_request_error",
                 425: "invalid_request_error", 498: "invalid_request_error",
                 422: "invalid_request_error", 429: "rate_limit_error",
                 500: "api_error", 502: "api_error", 503: "api_error", 504: "timeout_error",
                 529: "overloaded_error"}
        words = {402: "INVALID_ARGUMENT", 408: "INVALID_ARGUMENT", 409: "INVALID_ARGUMENT", 425: "INVALID_ARGUMENT",
                 498: "INVALID_ARGUMENT", 400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED",
                 404: "NOT_FOUND", 422: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL",
                 502: "UNAVAILABLE", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED", 529: "UNAVAILABLE"}
        for shape in SHAPES:
            for status in types:
                for stream in (False, True):
                    answer = fault(p, str(status), shape, stream=stream)
                    self.assertEqual((shape, answer.status), (shape, status))
                    error = answer.json.get("error", answer.json)
                    if shape == "ollama" or shape == "mistral" and status == 401:
                        continue
                    self.assertTrue(error["message"])
                    if shape == "anthropic":
                        self.assertEqual(error["type"], types[status])
                    elif shape in GEMINIS:
                        self.assertEqual((error["code"], error["status"]), (status, words[status]))
        report = p.stop()
        self.assertEqual((report["tokens"], report["counted_tokens"]), (0, 0))
        self.assertEqual(report["granted"], 5 * 2 * len(SHAPES))  # the server errors
        for status in types:
            self.assertEqual(report["failures"][f"fault_{status}"], 2 * len(SHAPES))

    def test_each_form_of_wait(self):
        p = self.start()
        for value in ("20", "1.5", "6m0s", "37s", "Wed, 21 Oct 2026 07:28:00 GMT"):
            answer = fault(p, "429:" + value)
            self.assertEqual((answer.status, answer.headers["Retry-After"]), (429, value))
            self.assertIsNone(answer.headers["retry-after-ms"])
        self.assertEqual(fault(p, "503:7").headers["Retry-After"], "7")
        self.assertEqual(fault(p, "500:0").headers["Retry-After"], "0")
        self.assertAlmostEqual(int(fault(p, "529-epoch:30").headers["Retry-After"]), time.time() + 30, delta=DEADLINE_S)
        self.assertAlmostEqual(int(fault(p, "429-epoch-ms:30").headers["Retry-After"]), time.time() * 1000 + 30000,
                               delta=DEADLINE_S * 1000)
        past = email.utils.parsedate_to_datetime(fault(p, "503-date:-3600").headers["Retry-After"])
        self.assertAlmostEqual(past.timestamp(), time.time() - 3600, delta=DEADLINE_S)
        for name, status in (("400-should:true", 400), ("429-should:false", 429), ("500-should:false", 500)):
            answer = fault(p, name)
            self.assertEqual((answer.status, answer.headers["x-should-retry"]), (status, name.split(":")[1]))
            self.assertIsNone(answer.headers["Retry-After"])
        answer = fault(p, "429-ms:250")
        self.assertEqual((answer.headers["retry-after-ms"], answer.headers["Retry-After"]), ("250", None))
        answer = fault(p, "429-azure:250", "azure")
        self.assertEqual(answer.headers["x-ms-retry-after-ms"], "250")
        now = time.time()
        date = email.utils.parsedate_to_datetime(fault(p, "429-date:30").headers["Retry-After"])
        self.assertAlmostEqual(date.timestamp(), now + 30, delta=DEADLINE_S)
        self.assertRegex(fault(p, "429-rfc3339:30").headers["Retry-After"],
                         r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        details = fault(p, "429-retryinfo:1.5", "gemini").json["error"]["details"]
        self.assertEqual(details[-1]["retryDelay"], "1.5s")
        details = fault(p, "429", "gemini").json["error"]["details"]
        self.assertEqual(details[-1]["retryDelay"], "1s")
        answer = fault(p, "429-reset:360")
        self.assertEqual((answer.headers["x-ratelimit-reset-requests"], answer.headers["Retry-After"]),
                         ("6m0s", None))
        self.assertEqual(answer.headers["x-ratelimit-remaining-requests"], "0")
        self.assertEqual(fault(p, "429-reset:5", "azure").headers["x-ratelimit-reset-requests"], "5")
        self.assertRegex(fault(p, "429-reset:5", "anthropic").headers["anthropic-ratelimit-requests-reset"],
                         r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        for shape in SHAPES:
            answer = fault(p, "429-nowait", shape)
            self.assertEqual(answer.status, 429)
            self.assertFalse([name for name in answer.headers if "retry-after" in name.lower()])
            self.assertNotIn(b"RetryInfo", answer.raw)

    def test_refusals_that_waiting_does_not_help(self):
        p = self.start()
        answer = fault(p, "insufficient_quota")
        error = answer.json["error"]
        self.assertEqual((answer.status, error["type"], error["code"]),
                         (429, "insufficient_quota", "insufficient_quota"))
        answer = fault(p, "enforced_spend_limit_reached", "anthropic")
        error = answer.json["error"]
        self.assertEqual((answer.status, error["type"]), (429, "rate_limit_error"))
        self.assertEqual(error["details"], {"error_code": "enforced_spend_limit_reached"})
        self.assertIsNone(answer.headers["retry-after"])
        self.assertEqual(p.report()["failures"]["fault_quota"], 2)

    def test_broken_answers_in_each_shape(self):
        p = self.start("--tpm", "10000000", "--latency-ms", "20")
        for shape in SHAPES:
            for stream in (False, True):
                for name in ("reset", "reset-body", "truncate"):
                    with self.assertRaises(BROKEN, msg=(shape, stream, name)):
                        fault(p, name, shape, stream=stream)
                answer = fault(p, "badjson", shape, stream=stream)
                self.assertEqual(answer.status, 200)
                with self.assertRaises(ValueError):
                    events(answer.raw, shape) if stream else answer.json
                answer = fault(p, "nousage", shape, stream=stream)
                self.assertEqual(answer.status, 200)
                self.assertNotIn(b'total', answer.raw.replace(b"total_duration", b""))
                self.assertNotIn(b'output_tokens":', answer.raw.replace(b'max_output_tokens":', b""))
        report = p.stop()
        for name in ("reset", "reset_body", "truncate", "badjson", "nousage"):
            self.assertEqual(report["failures"]["fault_" + name], 2 * len(SHAPES))
        self.assertEqual((report["in_flight"], report["completed"]), (0, 0))
        self.assertEqual(report["counted_tokens"], report["tokens"])

    def test_what_was_sent_before_a_break_arrives(self):
        p = self.start("--latency-ms", "40")
        for name in ("reset-body", "truncate", "stall"):
            for stream in (False, True):
                path, headers, body, _, streaming = SHAPES["anthropic"]
                connection = p.connect()
                connection.request("POST", path, json.dumps(
                    dict(body, **(streaming if stream else {}), metadata={"output_tokens": 30})),
                    dict(headers, **{"x-fault": name}))
                response = connection.getresponse()
                if name == "stall":
                    seen = response.read(60)
                    self.assertEqual(p.report()["in_flight"], 1)
                else:
                    try:
                        seen = response.read()
                    except http.client.IncompleteRead as error:
                        seen = error.partial
                    except ConnectionError:
                        seen = b"" if not stream else b"message"
                self.assertTrue(not seen or b"message" in seen, (name, stream, seen))
                response.close()
                connection.close()
                p.wait_for(lambda r: r["in_flight"] == 0)

    def test_a_call_is_counted_once_even_if_its_client_leaves_before_the_reset(self):
        p = self.start("--tpm", "100000", "--latency-ms", "1")
        for seen in range(1, 6):
            path, headers, body, _, _ = SHAPES["anthropic"]
            connection = p.connect()
            connection.request("POST", path, json.dumps(dict(body, metadata={"output_tokens": 30})),
                               dict(headers, **{"x-fault": "reset-body"}))
            connection.getresponse().close()
            connection.close()
            report = p.wait_for(lambda r: r["in_flight"] == 0)
            self.assertEqual(report["tokens"], 50 * seen)

    def test_a_hung_stream_and_a_hung_call_end_with_their_client(self):
        p = self.start("--latency-ms", "20")
        for name in ("hang", "stall"):
            for shape in SHAPES:
                for stream in (False, True):
                    path, headers, body, stream_path, streaming = SHAPES[shape]
                    connection = p.connect()
                    connection.request("POST", (stream and stream_path) or path, json.dumps(
                        dict(body, **(streaming if stream else {}), metadata={"output_tokens": 30})),
                        dict(headers, **{"x-fault": name}))
                    p.wait_for(lambda r: r["in_flight"] == 1)
                    connection.close()
                    p.wait_for(lambda r: r["in_flight"] == 0)

    def test_faults_for_the_next_calls(self):
        p = self.start()
        put = lambda **what: p.ask("POST", "/faults", json.dumps(what)).status  # noqa: E731
        self.assertEqual(put(fault="429:20", calls=2), 200)
        self.assertEqual(put(fault="500"), 200)
        statuses = [call(p, shape).status for shape in ("chat", "anthropic", "gemini", "chat")]
        self.assertEqual(statuses, [429, 429, 500, 200])
        self.assertEqual(put(fault="503", calls=5), 200)
        self.assertEqual(p.ask("DELETE", "/faults").status, 200)
        self.assertEqual(call(p, "chat").status, 200)
        put(fault="503", calls=5)
        p.ask("POST", "/reset")
        self.assertEqual(call(p, "chat").status, 200)
        for wrong in ({}, {"fault": "no"}, {"fault": 5}, {"fault": "500", "calls": 0}):
            self.assertEqual(put(**wrong), 400)
        self.assertEqual(p.ask("POST", "/faults", "{").status, 400)
        for name in ("600", "429-ms:", "429-ms:x", "429:", "429-", "429-ms:-1", "hang:1", "empty:x", "",
                     "429:" + "9" * 100):
            self.assertEqual(fault(p, name).status, 400, name)

    def test_a_share_of_calls(self):
        p = self.start("--fault", "500@0.3,429:20@0.2", "--latency-ms", "0", "--tpm", "10000000")
        statuses = [call(p, "chat").status for _ in range(300)]
        for status, share in ((500, 0.3), (429, 0.2), (200, 0.5)):
            self.assertAlmostEqual(statuses.count(status) / 300, share, delta=0.1)
        for wrong in ("no", "500@2", "500@", "@0.5", "500,,"):
            done = subprocess.run([program[0], "--fault", wrong, "--listen", "127.0.0.1:0"],
                                  capture_output=True, timeout=DEADLINE_S, check=False)
            self.assertEqual((wrong, done.returncode), (wrong, 2))
            self.assertIn(b"--fault", done.stderr)

    def test_lengths_from_a_trace(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "trace.csv")

            def write(text):
                with open(path, "w", encoding="ascii") as f:
                    f.write(text)

            write("TIMESTAMP,ContextTokens,GeneratedTokens\n"
                  "2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,7\n"
                  "2023-11-16 18:15:51.2225670,879,5000\n")
            p = self.start("--lengths", path, "--latency-ms", "0", "--tpm", "1000000")
            lengths = {call(p, "chat", metadata={}).json["usage"]["completion_tokens"] for _ in range(60)}
            self.assertEqual(lengths, {7, 44, 100})  # the last one capped at max_tokens
            for wrong in ("", "TIMESTAMP,ContextTokens,GeneratedTokens\n", "t,1,2\nt,1\n", "t,1,2\nt,1,x\n"):
                write(wrong)
                done = subprocess.run([program[0], "--lengths", path, "--listen", "127.0.0.1:0"],
                                      capture_output=True, timeout=DEADLINE_S, check=False)
                self.assertEqual((wrong, done.returncode), (wrong, 2))
                self.assertIn(b"--lengths", done.stderr)


if __name__ == "__main__":
    main()
