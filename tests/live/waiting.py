"""Waiting for things to become true, never for time to pass."""
import time


class TimedOut(AssertionError):
    """What was waited for did not happen in time."""


def wait_until(condition, what, seconds=10.0, pause=0.02):
    """Returns the first true value of condition(), or raises TimedOut."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimedOut(f"not within {seconds:g} s: {what}")
        time.sleep(pause)
