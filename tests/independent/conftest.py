"""Fixtures: a lab with a real rationd, and servers that others wrote, each started once for all
tests.
"""
import os
import pathlib
import socket
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "integration"), str(HERE.parent / "upstream" / "replay")]

from configs import config, limit  # noqa: E402
from forms import POOL, Ours  # noqa: E402
from processes import Lab  # noqa: E402

VENV = pathlib.Path(os.environ.get("RATION_INDEPENDENT", HERE.parents[1] / "build" / "independent"))
START_SECONDS = 180  # importing LiteLLM takes ten seconds of processor time


@pytest.fixture(scope="session")
def venv():
    assert (VENV / "bin" / "python").exists(), f"{VENV} does not exist; tests/independent/run.sh makes it"
    return VENV


@pytest.fixture(scope="session")
def place():
    lab = Lab()
    try:
        yield lab
    finally:
        lab.close()


@pytest.fixture(scope="session")
def ours(place):
    limits = [limit(unit, 10**9, "day") for unit in ("requests", "tokens", "input_tokens", "output_tokens")]
    server = place.ration(config(place.redis(), pools={POOL: {"limits": limits, "breaker": None}}))
    return Ours(place, server)


@pytest.fixture(scope="session")
def fastapi(place, venv):
    server = place.process("fastapi", venv / "bin" / "uvicorn", "--app-dir", HERE, "--host", "127.0.0.1", "--port", "0",
                           "fastapi_server:app")  # fmt: skip
    port = server.wait_for_log(r"Uvicorn running on http://127\.0\.0\.1:(\d+)", START_SECONDS).group(1)
    return f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def litellm(place, venv):
    # The proxy needs an explicit port; it must not fetch prices.
    port = free_port()
    server = place.process("litellm", venv / "bin" / "litellm", "--config", HERE / "litellm.yaml", "--host", "127.0.0.1",
                           "--port", port, env={"LITELLM_LOCAL_MODEL_COST_MAP": "True"})  # fmt: skip
    server.wait_for_log(r"Uvicorn running on http://127\.0\.0\.1", START_SECONDS)
    return f"http://127.0.0.1:{port}"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    lab = getattr(item, "funcargs", {}).get("place")
    if report.failed and lab is not None:
        for name, text in lab.logs():
            report.sections.append((f"log of {name}", text[-3000:]))
