"""A provider that keeps every request byte for byte and answers as the test says."""
import http.server
import json
import threading


class Request:
    def __init__(self, method, target, headers, body):
        self.method, self.target, self.headers, self.body = method, target, headers, body

    def names(self):
        return [name.lower() for name in self.headers.keys()]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        request = Request(self.command, self.path, self.headers, body)
        self.server.requests.append(request)
        self.server.behave(self, request)

    def answer(self, status, data, content_type="application/json"):
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def well(self, request=None):
        if request is not None and b'"stream":true' in request.body.replace(b" ", b""):
            chunks = [{"choices": [{"delta": {"content": "Hello"}}]},
                      {"choices": [{"delta": {}, "finish_reason": "stop"}],
                       "usage": {"prompt_tokens": 7, "completion_tokens": 3}}]  # fmt: skip
            text = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
            self.answer(200, text.encode(), "text/event-stream")
            return
        self.answer(200, {"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}],
                          "usage": {"prompt_tokens": 7, "completion_tokens": 3}})  # fmt: skip

    def log_message(self, *_):
        pass


class RecordingProvider:
    def __init__(self, behave=lambda handler, request: handler.well(request)):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.requests = []
        self.server.behave = behave
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    @property
    def requests(self):
        return self.server.requests

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)
