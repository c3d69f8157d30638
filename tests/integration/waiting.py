"""Waiting for conditions: nothing sleeps for a guessed time, it polls until the condition holds."""
import threading
import time

_never = threading.Event()


def wait_until(condition, what, seconds=10.0):
    """Returns the first true value of condition(), polled often; fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for {what}")
        _never.wait(0.003)
