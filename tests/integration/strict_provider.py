"""The strict provider (tests/upstream) as a process of a test."""
import json
import urllib.request

from processes import program


class StrictProvider:
    """The strict provider, whose report says independently how often it was called."""

    def __init__(self, lab, **options):
        args = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        self.process = lab.process("provider", program("strict-provider"), "--listen", "127.0.0.1:0", *args)
        port = self.process.wait_for_log(r"listening on 127\.0\.0\.1:(\d+)").group(1)
        self.url = f"http://127.0.0.1:{port}"

    def report(self):
        with urllib.request.urlopen(self.url + "/report", timeout=10) as answer:
            return json.load(answer)
