"""Shared by the tests of `ration batch`: a batch's files and command, its provider, and its
requests.
"""
import json

import pytest

from batch_provider import ScriptedProvider
from configs import POOL, config
from processes import program

IN_FLIGHT = 16
NAMES = ("--pool", POOL, "--tenant", "acme")
FAST = ("--retry-min", 1, "--retry-max", 20)


@pytest.fixture
def server(lab):
    return lab.ration(config(lab.redis()))


@pytest.fixture
def provider(lab):
    """Call it with a behaviour; by default the provider answers."""

    def start(*behave):
        one = ScriptedProvider(*behave)
        lab.on_close(one.close)
        return one

    return start


def body(n, **more):
    return {"model": "gpt-4o", "max_tokens": 5, "messages": [{"role": "user", "content": f"Question {n}"}],
            "metadata": {"n": str(n)}, **more}  # fmt: skip


def request(n, **more):
    return {"custom_id": f"request-{n}", "method": "POST", "url": "/v1/chat/completions", "body": body(n, **more)}


def write_lines(path, lines):
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


class Batch:
    """One batch's files and command."""

    def __init__(self, lab, server, url, lines, *args, env=None):
        self.lab, self.url = lab, url
        self.input = write_lines(lab.folder / "requests.jsonl", lines) if lines is not None else "-"
        self.output = lab.folder / "results.jsonl"
        self.journal = lab.folder / "results.jsonl.journal"
        self.server = server
        self.env = {"OPENAI_API_KEY": "key-of-the-test", **(env or {})}
        self.args = [program("ration"), "batch", self.input, "--output", self.output, "--url", url, *NAMES,
                     "--in-flight", IN_FLIGHT, "--json", "--server", f"127.0.0.1:{server.port}", *args]  # fmt: skip

    def start(self, *more):
        return self.lab.process("batch", *self.args, *more, env=self.env)

    def run(self, *more, status=0, **options):
        """Runs it to its end and returns (summary, CompletedProcess)."""
        done = self.lab.run(*self.args, *more, env=self.env, **options)
        assert done.returncode == status, done
        return json.loads(done.stdout) if done.stdout else None, done

    def results(self):
        return read_lines(self.output)

    def journaled(self):
        return self.journal.read_bytes().count(b"\n") - 1 if self.journal.exists() else 0


def check_order(results, n):
    assert [row["custom_id"] for row in results] == [f"request-{i}" for i in range(n)]
    assert len({row["id"] for row in results}) == n
