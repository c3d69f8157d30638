"""Fixtures of the integration tests: `lab` starts what a test needs and checks that it ends
cleanly.
"""
import pytest

from processes import Lab


@pytest.fixture
def lab():
    place = Lab()
    try:
        yield place
    finally:
        place.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    place = getattr(item, "funcargs", {}).get("lab")
    if report.when == "call" and report.failed and place is not None:
        for name, text in place.logs():
            report.sections.append((f"log of {name}", text[-8000:]))
