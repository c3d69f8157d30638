"""The strict provider over HTTP: python3 test_http.py PATH/TO/strict-provider

Uses only the standard library. Tests limits, the report and the command line; test_shapes.py has
shapes and streams, test_faults.py faults.
"""

import http.client
import json
import os
import select
import socket
import struct
import subprocess
import tempfile
import threading
import time

from harness import DEADLINE_S, HEADERS, PATH, Answer, ProviderTest, body, main, program


class StrictProviderTest(ProviderTest):
    def test_usage_and_headers(self):
        p = self.start("--rpm", "10", "--tpm", "1000")
        answer = p.call(body(output=7))
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.usage, {
            "prompt_tokens": 10, "completion_tokens": 7, "total_tokens": 17,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0}})
        self.assertEqual(answer.headers["x-ratelimit-limit-requests"], "10")
        self.assertEqual(answer.headers["x-ratelimit-remaining-requests"], "9")
        self.assertEqual(answer.headers["x-ratelimit-limit-tokens"], "1000")
        self.assertEqual(answer.headers["x-ratelimit-remaining-tokens"], "983")
        self.assertRegex(answer.headers["x-ratelimit-reset-tokens"], r"^(1m0s|59(\.\d+)?s)$")
        self.assertEqual(p.call(body(output=7, max_tokens=5)).usage["completion_tokens"], 5)
        self.assertEqual(p.call(body(output=7, prompt=456)).usage["prompt_tokens"], 456)
        report = p.stop()
        self.assertEqual((report["requests"], report["granted"], report["completed"]), (3, 3, 3))
        self.assertEqual(report["tokens"], 17 + 15 + 463)
        self.assertEqual(report["estimated_tokens"], 110 + 15 + 556)
        self.assertEqual(report["counted_tokens"], report["tokens"])

    def test_characters_are_counted_over_all_contents(self):
        p = self.start()
        parts = [{"type": "text", "text": "äöüß"}, {"type": "image_url", "image_url": {"url": "u"}}]
        messages = [{"role": "system", "content": "ab"}, {"role": "user", "content": parts},
                    {"role": "assistant", "content": None}]
        self.assertEqual(p.call(body(messages=messages)).usage["prompt_tokens"], 2)

    def test_drawn_lengths_are_shorter_and_repeat_with_the_seed(self):
        lengths = []
        for seed in ("5", "5", "6"):
            p = self.start("--seed", seed, "--latency-ms", "0", "--tpm", "1000000")
            lengths.append([p.call(body(max_tokens=1000)).usage["completion_tokens"]
                            for _ in range(40)])
        self.assertEqual(lengths[0], lengths[1])
        self.assertNotEqual(lengths[0], lengths[2])
        self.assertTrue(all(200 <= n <= 1000 for n in lengths[0]))
        self.assertLess(sum(lengths[0]) / 40, 600)

    def test_request_limit(self):
        p = self.start("--rpm", "2", "--window-ms", "60000", "--latency-ms", "0")
        for _ in range(2):
            self.assertEqual(p.call(body()).status, 200)
        answer = p.call(body())
        self.assertEqual(answer.status, 429)
        error = answer.json["error"]
        self.assertEqual((error["type"], error["code"]), ("requests", "rate_limit_exceeded"))
        self.assertEqual(answer.headers["Retry-After"], "60")
        self.assertTrue(58000 < int(answer.headers["retry-after-ms"]) <= 60000)
        self.assertEqual(answer.headers["x-ratelimit-remaining-requests"], "0")
        report = p.stop()
        self.assertEqual((report["status_429"], report["status_429_requests"]), (1, 1))
        self.assertEqual(report["max_requests_in_window"], 2)

    def test_token_limit_settles_and_retry_after_is_true(self):
        p = self.start("--tpm", "300", "--rpm", "100", "--window-ms", "400", "--latency-ms", "0")
        self.assertEqual(p.call(body(output=190, max_tokens=290)).status, 200)  # 300, then 200
        self.assertEqual(p.call(body(output=90, max_tokens=90)).status, 200)    # 100
        answer = p.call(body(max_tokens=90))
        self.assertEqual((answer.status, answer.json["error"]["type"]), (429, "tokens"))
        self.assertEqual(answer.headers["Retry-After"], "1")
        wait_s = int(answer.headers["retry-after-ms"]) / 1000
        end = time.monotonic() + wait_s
        while time.monotonic() < end:
            select.select([], [], [], end - time.monotonic())
        self.assertEqual(p.call(body(max_tokens=90)).status, 200)
        report = p.stop()
        self.assertEqual(report["max_tokens_in_window"], 300)
        self.assertEqual((report["status_429_tokens"], report["status_429_requests"]), (1, 0))

    def test_without_settling_the_estimate_stays(self):
        p = self.start("--tpm", "300", "--settle", "no", "--latency-ms", "0")
        self.assertEqual(p.call(body(output=1, max_tokens=290)).status, 200)
        self.assertEqual(p.call(body(output=1, max_tokens=1)).status, 429)
        report = p.stop()
        self.assertEqual((report["tokens"], report["counted_tokens"]), (11, 300))

    def test_what_never_fits_has_no_retry_after(self):
        p = self.start("--tpm", "300")
        answer = p.call(body(max_tokens=291))
        self.assertEqual((answer.status, answer.json["error"]["type"]), (429, "tokens"))
        self.assertIsNone(answer.headers["Retry-After"])

    def test_a_bucket_fills_evenly(self):
        p = self.start("--mode", "bucket", "--tpm", "300", "--latency-ms", "0", "--settle", "no")
        self.assertEqual(p.call(body(max_tokens=290)).status, 200)
        answer = p.call(body(max_tokens=20))  # 30 tokens: a tenth of the minute
        self.assertEqual((answer.status, answer.json["error"]["type"]), (429, "tokens"))
        self.assertTrue(5000 < int(answer.headers["retry-after-ms"]) <= 6000)
        self.assertEqual(p.stop()["mode"], "bucket")

    def test_a_minute_is_one_of_the_clock(self):
        p = self.start("--mode", "minute", "--rpm", "1", "--window-ms", "86400000")
        self.assertEqual(p.call(body()).status, 200)
        answer = p.call(body())
        self.assertEqual((answer.status, answer.json["error"]["type"]), (429, "requests"))
        midnight_ms = 86400000 - time.time() * 1000 % 86400000
        self.assertAlmostEqual(int(answer.headers["retry-after-ms"]), midnight_ms, delta=5000)

    def test_counting_at_the_end(self):
        for mode in ("rolling", "bucket", "minute"):
            p = self.start("--mode", mode, "--count", "end", "--tpm", "300", "--latency-ms", "300",
                           "--window-ms", "3600000")
            statuses = []
            calls = [threading.Thread(target=lambda: statuses.append(
                p.call(body(output=190, max_tokens=5000)).status)) for _ in range(2)]
            for call in calls:
                call.start()
            for call in calls:
                call.join()
            self.assertEqual(sorted(statuses), [200, 429])  # both admitted, the second over the limit at its end
            self.assertEqual(p.call(body(output=90)).status, 200)
            answer = p.call(body(output=1))
            self.assertEqual((answer.status, answer.json["error"]["type"]), (429, "tokens"))
            self.assertEqual(p.call(body(output=400, max_tokens=400)).status, 429)
            report = p.stop()
            self.assertEqual((report["count"], report["granted"]), ("end", 3))
            self.assertEqual((report["status_429_tokens"], report["status_429_at_end"]), (3, 1))
            self.assertEqual((report["counted_tokens"], report["wasted_tokens"]), (300, 200))
            self.assertEqual((report["tokens"], report["max_tokens_in_window"]), (300, 300))

    def test_per_second_adds_up(self):
        p = self.start("--tpm", "300", "--latency-ms", "1")
        before = int(time.time())
        for _ in range(3):
            p.call(body(output=50))
        report = p.stop()
        seconds = report["per_second"]
        for field, total in (("tokens", "counted_tokens"), ("used", "tokens"), ("granted", "granted"),
                             ("requests", "requests"), ("status_429", "status_429")):
            self.assertEqual(sum(one[field] for one in seconds), report[total], field)
        self.assertTrue(before <= seconds[0]["second"] <= before + DEADLINE_S)
        self.assertFalse(report["per_second_cut"])

    def test_refused_calls_count_only_if_asked(self):
        for option, expected in (("no", 200), ("yes", 429)):
            p = self.start("--tpm", "300", "--rpm", "3", "--count-failed", option)
            self.assertEqual(p.call(body(max_tokens=291)).status, 429)
            self.assertEqual(p.call(body(max_tokens=291)).status, 429)
            self.assertEqual(p.call("{").status, 400)
            self.assertEqual(p.call(body(max_tokens=1)).status, expected)

    def test_authorization_and_paths(self):
        p = self.start()
        for headers in ({}, {"Authorization": "Basic x"}, {"Authorization": "Bearer "}):
            answer = p.ask("POST", PATH, json.dumps(body()), **headers)
            self.assertEqual((answer.status, answer.json["error"]["code"]), (401, None))
        self.assertEqual(p.ask("GET", PATH).status, 405)
        self.assertEqual(p.ask("POST", "/v1/none", "{}").status, 404)
        self.assertEqual(p.ask("GET", "/healthz").json, {"status": "ok"})
        self.assertEqual(p.report()["failures"]["unauthorized"], 3)

    def test_malformed_requests(self):
        p = self.start("--latency-ms", "0")
        wrong = ["", "{", "[]", "{}", json.dumps(body()) + "x", b'{"model":"\xff"}', "[" * 500,
                 body(model=5), body(model="m" * 129), body(messages=[]), body(messages="hi"),
                 body(messages=[{"content": "x"}]), body(messages=[{"role": "user", "content": 5}]),
                 body(max_tokens=0), body(max_tokens=-1), body(max_tokens="5"),
                 body(max_tokens=10**30), body(max_tokens=1.5), body(n=0), body(n=129),
                 body(max_completion_tokens=0), body(metadata=[]),
                 body(output=-1), body(output="1x"), body(prompt=10**10)]
        for request in wrong:
            answer = p.call(request)
            self.assertEqual(answer.status, 400, request)
            self.assertEqual(answer.json["error"]["type"], "invalid_request_error")
            self.assertEqual(answer.headers["x-ratelimit-remaining-tokens"], "30000")
        report = p.report()
        self.assertEqual(report["failures"]["bad_request"], len(wrong))
        self.assertEqual(report["granted"], 0)

    def test_sizes_are_bounded(self):
        p = self.start("--max-body", "2000", "--max-in-flight", "1")
        self.assertEqual(p.call(body(messages=[{"role": "user", "content": "x" * 2500}])).status, 413)
        try:
            self.assertEqual(p.call("x" * 20000).status, 413)
        except (ConnectionError, http.client.HTTPException):
            pass  # closed while we were still sending
        hung = p.connect()
        hung.request("POST", PATH, json.dumps(body()), {**HEADERS, "x-fault": "hang"})
        p.wait_for(lambda r: r["in_flight"] == 1)
        self.assertEqual(p.call(body()).status, 503)
        hung.close()
        p.wait_for(lambda r: r["in_flight"] == 0)
        self.assertEqual(p.call(body()).status, 200)

    def test_faults(self):
        p = self.start("--tpm", "1000", "--latency-ms", "1")
        for status in (400, 429, 500, 503):
            answer = p.call(body(output=1), x_fault=str(status))
            self.assertEqual(answer.status, status)
            self.assertIn("message", answer.json["error"])
        self.assertEqual(p.report()["counted_tokens"], 0)
        with self.assertRaises((ConnectionError, http.client.RemoteDisconnected)):
            p.call(body(output=1), x_fault="reset")
        with self.assertRaises(http.client.IncompleteRead):
            p.call(body(output=1), x_fault="truncate")
        answer = p.call(body(output=1), x_fault="badjson")
        self.assertEqual(answer.status, 200)
        with self.assertRaises(ValueError):
            answer.json
        self.assertEqual(p.call(body(), x_fault="flood").status, 400)
        report = p.stop()
        self.assertEqual((report["granted"], report["tokens"], report["status_429"]), (5, 33, 0))
        self.assertTrue(all(report["failures"]["fault_" + name] == 1 for name in
                            ("400", "429", "500", "503", "reset", "truncate", "badjson")))
        self.assertEqual(report["in_flight"], 0)

    def test_a_call_whose_client_left_is_charged(self):
        p = self.start("--latency-ms", "200")
        gone = p.connect()
        gone.request("POST", PATH, json.dumps(body(output=5)), {**HEADERS})
        p.wait_for(lambda r: r["in_flight"] == 1)
        gone.close()
        report = p.wait_for(lambda r: r["in_flight"] == 0)
        self.assertEqual((report["failures"]["client_gone"], report["completed"]), (1, 0))
        self.assertEqual((report["tokens"], report["counted_tokens"]), (15, 15))

    def test_a_hung_call_ends_with_its_client_however_it_left(self):
        p = self.start()
        content = json.dumps(body())
        for leave in ("close", "reset", "pipelined", "pipelined reset"):
            connection = p.connect()
            connection.request("POST", PATH, content, {**HEADERS, "x-fault": "hang"})
            p.wait_for(lambda r: r["in_flight"] == 1)
            if "pipelined" in leave:
                connection.sock.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
            if "reset" in leave:
                connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                           struct.pack("ii", 1, 0))
            connection.close()
            p.wait_for(lambda r: r["in_flight"] == 0)

    def test_pipelined_requests_are_answered_in_turn(self):
        p = self.start("--latency-ms", "5", "--tpm", "1000000")
        content = json.dumps(body(output=1)).encode()
        one = (f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\nContent-Type: application/json\r\n"
               f"Content-Length: {len(content)}\r\n\r\n").encode() + content
        with socket.create_connection(("127.0.0.1", p.port), DEADLINE_S) as connection:
            connection.sendall(one * 20)
            seen = b""
            while seen.count(b"HTTP/1.1 200 ") < 20:
                more = connection.recv(65536)
                self.assertTrue(more)
                seen += more

    def test_reset_forgets_also_what_is_in_flight(self):
        p = self.start("--rpm", "2", "--latency-ms", "300")
        late = p.connect()
        late.request("POST", PATH, json.dumps(body(output=5)), {**HEADERS})
        p.wait_for(lambda r: r["in_flight"] == 1)
        self.assertEqual(p.ask("POST", "/reset").status, 200)
        self.assertEqual(Answer(late.getresponse()).status, 200)
        late.close()
        report = p.report()
        self.assertEqual((report["requests"], report["tokens"], report["in_flight"]), (0, 0, 0))
        for expected in (200, 200, 429):
            self.assertEqual(p.call(body(output=1)).status, expected)

    def test_latency_follows_the_length(self):
        p = self.start("--latency-ms", "50", "--latency-per-token-us", "2000")
        start = time.monotonic()
        p.call(body(output=50))
        self.assertGreaterEqual(time.monotonic() - start, 0.149)

    def test_many_at_once_are_held_to_the_limits(self):
        p = self.start("--rpm", "150", "--tpm", "4000", "--window-ms", "500", "--latency-ms", "30")
        statuses = []
        end = time.monotonic() + 2

        def load(seed):
            connection = p.connect()
            while time.monotonic() < end:
                answer = p.call(body(output=seed * 3, max_tokens=60), connection=connection)
                statuses.append(answer.status)
            connection.close()

        threads = [threading.Thread(target=load, args=(i,)) for i in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        report = p.stop()
        self.assertEqual(report["granted"], statuses.count(200))
        self.assertEqual(report["status_429"], statuses.count(429))
        self.assertEqual(report["requests"], len(statuses))
        self.assertLessEqual(report["max_requests_in_window"], 150)
        self.assertLessEqual(report["max_tokens_in_window"], 4000)
        self.assertGreater(report["max_tokens_in_window"], 3900)
        self.assertTrue(report["peaks_complete"])

    def test_a_thousand_in_flight(self):
        p = self.start("--rpm", "5000", "--tpm", "1000000", "--latency-ms", "1500")
        content = json.dumps(body(output=1)).encode()
        head = (f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(content)}\r\n\r\n").encode()
        sockets = []
        for _ in range(900):
            sockets.append(socket.create_connection(("127.0.0.1", p.port), DEADLINE_S))
            sockets[-1].sendall(head + content)
        for one in sockets:
            self.assertTrue(one.recv(4096).startswith(b"HTTP/1.1 200 "))
            one.close()
        self.assertGreater(p.stop()["max_in_flight"], 300)

    def test_port_file_and_command_line(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "port")
            p = self.start("--port-file", path, "--window-ms=1000")
            with open(path, encoding="ascii") as f:
                self.assertEqual(int(f.read()), p.port)
            self.assertEqual(p.stop()["window_ms"], 1000)
            self.assertEqual(os.listdir(folder), [])
        wrong = (["--rpm", "0"], ["--rpm"], ["--none", "1"], ["x"], ["--settle", "maybe"],
                 ["--listen", "nowhere"], ["--tpm", "1e3"], ["--mode", "roll"], ["--count", ""])
        for options in wrong:
            done = subprocess.run([program[0], *options], capture_output=True, timeout=DEADLINE_S,
                                  check=False)
            self.assertEqual(done.returncode, 2, options)
            self.assertIn(b"strict-provider: ", done.stderr)
        for option, expected in (("--help", b"--window-ms"), ("--version", b"strict-provider ")):
            done = subprocess.run([program[0], option], capture_output=True, timeout=DEADLINE_S,
                                  check=True)
            self.assertIn(expected, done.stdout)


if __name__ == "__main__":
    main()
