"""The only retry policy. For idempotent calls only, and never for a restore test: a test that was retried
hides the failure and spoils the RTO."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from ccdr.host.interrupts import GLANCE, tick

T = TypeVar("T")


def patiently(call: Callable[[], T], *, on: tuple[type[Exception], ...], seconds: float, wait: float = 2.0) -> T:
    """Call until it succeeds or `seconds` have passed; then the last error is raised as it came."""
    # Read once something is to be tried again: it takes longer to read than many a command takes to answer.
    from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

    policy = Retrying(
        retry=retry_if_exception_type(on),
        stop=stop_after_delay(seconds),
        wait=wait_random_exponential(multiplier=0.05, max=wait),
        reraise=True,
        sleep=_sleep,
    )
    return policy(call)


def _sleep(seconds: float) -> None:
    """In a thread too, whoever waits for the next try can be told to give up."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        tick()
        time.sleep(min(left, GLANCE))
