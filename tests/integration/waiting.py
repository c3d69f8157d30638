"""Waiting for conditions. Nothing here sleeps for a time that somebody guessed: it looks until the condition holds."""
import threading
import time

_never = threading.Event()


def wait_until(condition, what, seconds=10.0):
    """Gives the first true value of condition(), looked at every few milliseconds; fails when `seconds` are over."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for {what}")
        _never.wait(0.003)
