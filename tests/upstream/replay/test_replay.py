"""Each recorded exchange, replayed; conftest.py makes the calls."""
import pytest

import expectation


def test_replayed(came, note_differences):
    """The call is as its sidecar says; without one it must be made, read and accounted for."""
    exchange = came.exchange
    if exchange.expected is None and not came.has_profile:
        pytest.skip(f"this build has no profile {came.plan['profile']}")
    wrong = came.trouble()
    if exchange.expected is not None and not wrong:
        wrong = expectation.differences(came)
    if wrong:
        about = (exchange.expected or {}).get("about", "no sidecar")
        pytest.fail(f"{exchange.name}: {about}\n  " + "\n  ".join(wrong), pytrace=False)
    if exchange.expected is None:
        note_differences(came)
