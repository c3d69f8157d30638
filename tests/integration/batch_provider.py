"""A provider whose every answer the test decides, for what a request body cannot ask of the strict
one.

It identifies each call by its `metadata.n` and counts them, so that a test can say which call was
made twice.
"""
import collections
import http.server
import json
import threading
import time


class Call:
    """One call that arrived: which request and try it was, when it came, and its bytes."""

    def __init__(self, n, attempt, at, raw, path, headers):
        self.n, self.attempt, self.at = n, attempt, at
        self.raw, self.path, self.headers = raw, path, headers


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["content-length"]))
        n = int(json.loads(raw).get("metadata", {}).get("n", -1))
        call = self.server.provider.note(n, raw, self.path, self.headers)
        self.server.provider.behave(self, call)

    def answer(self, status, text, **headers):
        data = text.encode() if isinstance(text, str) else text
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.send_header("x-request-id", "req-of-the-test")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def well(self, call, tokens=(7, 3)):
        usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
        message = {"role": "assistant", "content": f"answer {call.n}"}
        # Pretty-printed, as by some servers: a result must still be one line.
        self.answer(200, json.dumps({"object": "chat.completion", "n": call.n, "big": 123456789012345678901234567890,
                                     "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                                     "usage": usage}, indent=1))  # fmt: skip

    def cut(self, status, text):
        """An answer that is shorter than announced."""
        self.close_connection = True
        self.send_response(status)
        self.send_header("content-length", str(len(text) + 100))
        self.end_headers()
        self.wfile.write(text.encode())

    def error(self, status, code="server_error", **headers):
        self.answer(status, json.dumps({"error": {"message": f"as asked: {code}", "type": code, "code": code}}), **headers)

    def reset(self):
        self.close_connection = True
        self.connection.close()

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_):
        pass  # a killed client leaves broken pipes behind


class ScriptedProvider:
    def __init__(self, behave=lambda handler, call: handler.well(call)):
        self.behave = behave
        self.lock = threading.Lock()
        self.calls = []
        self.paths = set()
        self.tries = collections.Counter()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.provider = self
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def note(self, n, raw, path, headers):
        with self.lock:
            self.tries[n] += 1
            self.paths.add(path)
            call = Call(n, self.tries[n], time.monotonic(), raw, path, headers)
            self.calls.append(call)
            return call

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)
