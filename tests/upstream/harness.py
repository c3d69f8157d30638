"""Starts a strict provider and talks to it; shared by the test_*.py of this folder.

Each test starts its own provider on a free port and stops it. The test fails if the provider exits
with a status other than 0 or leaves a sanitizer report in its log.
"""

import http.client
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import unittest

program = [os.environ.get("STRICT_PROVIDER", "strict-provider")]
PATH = "/v1/chat/completions"
HEADERS = {"Authorization": "Bearer a", "Content-Type": "application/json"}
DEADLINE_S = 20


def body(output=None, prompt=None, max_tokens=100, **more):
    metadata = {}
    if output is not None:
        metadata["output_tokens"] = str(output)
    if prompt is not None:
        metadata["input_tokens"] = str(prompt)
    request = {"model": "gpt-4o", "messages": [{"role": "user", "content": "x" * 40}],
               "max_tokens": max_tokens, "metadata": metadata}
    request.update(more)
    return request


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.raw = response.read()

    @property
    def json(self):
        return json.loads(self.raw)

    @property
    def usage(self):
        return self.json["usage"]


class Provider:
    def __init__(self, *options):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen([program[0], "--listen", "127.0.0.1:0", *options],
                                        stdout=subprocess.PIPE, stderr=self.log)
        ready, _, _ = select.select([self.process.stdout], [], [], DEADLINE_S)
        line = self.process.stdout.readline().decode() if ready else ""
        if not line.startswith("listening on 127.0.0.1:"):
            self.process.kill()
            raise AssertionError(f"not ready: {line!r} {self.log_text()}")
        self.port = int(line.rsplit(":", 1)[1])

    def log_text(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            out, _ = self.process.communicate(timeout=DEADLINE_S)
        finally:
            self.process.kill()  # does nothing if it has ended
        log = self.log_text()
        self.log.close()
        assert self.process.returncode == 0, log
        assert "Sanitizer" not in log and "runtime error" not in log, log
        return json.loads(out)

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)

    def ask(self, method, path, content=None, connection=None, **headers):
        mine = connection or self.connect()
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        if content is not None and "Content-Type" not in headers:
            headers["Content-Type"] = "application/json"
        try:
            mine.request(method, path, content, {k: v for k, v in headers.items() if v is not None})
            return Answer(mine.getresponse())
        finally:
            if connection is None:
                mine.close()

    def call(self, request, **headers):
        headers.setdefault("Authorization", "Bearer any")
        content = request if isinstance(request, (str, bytes)) else json.dumps(request)
        return self.ask("POST", PATH, content, **headers)

    def report(self):
        return self.ask("GET", "/report").json

    def wait_for(self, condition):
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            report = self.report()
            if condition(report):
                return report
        raise AssertionError(f"the report never got there: {report}")


class ProviderTest(unittest.TestCase):
    def start(self, *options):
        provider = Provider(*options)
        self.addCleanup(lambda: provider.process.poll() is None and provider.stop())
        return provider


def main():
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        program[0] = os.path.abspath(sys.argv.pop(1))
    unittest.main()
