"""A provider that gives recorded answers: status line, headers and body, byte for byte.

What belongs to the connection rather than the answer is made anew: the length or the chunks of a
body, and whether the connection stays open. Each server serves one exchange at a time, set by
put_up(); each try gets the next recorded answer, and after the last one that one again.
"""
import datetime
import email.utils
import http.server
import socket
import threading
import time

from cassette import Headers, Request

OF_THE_CONNECTION = ("content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection")
CHUNK_BYTES = 1000


def moment(form, after_ms):
    """A header value that depends on when it is sent."""
    at = time.time() + after_ms / 1000
    forms = {
        "http-date": lambda: email.utils.formatdate(at, usegmt=True),
        "rfc3339": lambda: datetime.datetime.fromtimestamp(at, datetime.timezone.utc).isoformat(timespec="milliseconds"),
        "epoch-s": lambda: str(int(at)),
        "epoch-ms": lambda: str(int(at * 1000)),
    }
    return forms[form]()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536

    def log_message(self, *args):
        pass

    def do_POST(self):
        body = self._read_body()
        self.server.seen.append(Request(self.command, self.path, Headers(self.headers.items()), body))
        self._answer(self.server.next_answer(), self.server.serve)

    do_GET = do_PUT = do_DELETE = do_PATCH = do_POST

    def _read_body(self):
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        out = b""
        while True:
            size = int(self.rfile.readline().split(b";")[0], 16)
            out += self.rfile.read(size)
            self.rfile.readline()
            if size == 0:
                return out

    def _answer(self, answer, serve):
        chunked = answer.headers.get("transfer-encoding", "").lower() == "chunked"
        bodyless = answer.status in (204, 304)
        cut = serve.get("cut_at")
        body = answer.body if cut is None else answer.body[:cut]
        moments = {name.lower(): moment(**how) for name, how in serve.get("moments", {}).items()}
        lines = [f"HTTP/1.1 {answer.status} {answer.reason}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.without(*OF_THE_CONNECTION, *moments)]
        lines += [f"{name}: {value}" for name, value in moments.items()]
        if chunked:
            lines.append("Transfer-Encoding: chunked")
        elif not bodyless:
            lines.append(f"Content-Length: {len(answer.body)}")
        self.wfile.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace"))
        if not bodyless:
            self._send(body, chunked, cut is None)
        if cut is not None:
            self.close_connection = True

    def _send(self, body, chunked, to_the_end):
        if not chunked:
            self.wfile.write(body)
            return
        for at in range(0, len(body), CHUNK_BYTES):
            piece = body[at : at + CHUNK_BYTES]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.flush()
        if to_the_end:
            self.wfile.write(b"0\r\n\r\n")


class RecordedServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    address_family = socket.AF_INET

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen, self.answers, self.serve, self.used = [], [], {}, 0
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def put_up(self, answers, serve):
        with self.lock:
            self.seen, self.answers, self.serve, self.used = [], answers, serve, 0

    def next_answer(self):
        with self.lock:
            answer = self.answers[min(self.used, len(self.answers) - 1)]
            self.used += 1
            return answer

    def handle_error(self, request, client_address):
        """A caller that leaves in the middle of an answer is nothing to report."""

    def close(self):
        self.shutdown()
        self.server_close()
        self.thread.join()
