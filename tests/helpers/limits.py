"""Limits of time for code that may hang."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import pytest

WAIT_SECONDS = 60
"""Limit of the time by the clock, for code that waits; it is long because other processes may keep the machine busy."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Fail the test if the block computes for longer than this, or waits for longer than WAIT_SECONDS."""

    def fail(_number: int, _frame: FrameType | None) -> NoReturn:
        pytest.fail(f"still busy after {seconds:g} s of computing, or {WAIT_SECONDS} s")

    timers = [(signal.ITIMER_PROF, signal.SIGPROF, seconds), (signal.ITIMER_REAL, signal.SIGALRM, WAIT_SECONDS)]
    before = [signal.signal(number, fail) for _, number, _ in timers]
    for timer, _, limit in timers:
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for (timer, number, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)
