"""Interrupts: SIGINT, which Ctrl-C sends, and SIGTERM, which schedulers and `docker stop` send."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

SIGNALS = (signal.SIGINT, signal.SIGTERM)
REPEAT_SECONDS = 0.05
"""Delay until an interrupt is sent again. Python then has left the finaliser or callback that swallowed it."""
MAX_REPEATS = 200
"""An import that lasts for this number of delays, 10 s, is interrupted: it may be a script that is imported."""
IMPORT_SYSTEM = "<frozen importlib._bootstrap>"


@contextmanager
def exit_on_interrupt() -> Iterator[None]:
    """Let SIGINT and SIGTERM raise KeyboardInterrupt in the block, and then exit with status 130 or 143, silently.

    The exit status is the same if a library turns the KeyboardInterrupt into another error. If a finaliser or a
    callback swallows it, it is raised again. During an import, the signal is sent again until the import is complete:
    torch's import calls Python from C++, where an exception aborts the process. If the block ends before that, the exit
    status is still that of the interrupt: a loop of commands ends. Ignored signals stay ignored.
    """
    received: list[int] = []
    timers: list[Timer] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if not _is_importing(frame) or len(timers) >= MAX_REPEATS:
            raise KeyboardInterrupt
        send_later(number)

    def repeat(ignored: "UnraisableHookArgs") -> None:
        if issubclass(ignored.exc_type, KeyboardInterrupt) and received:
            send_later(received[0])
        else:
            report_ignored(ignored)

    def send_later(number: int) -> None:
        timer = Timer(REPEAT_SECONDS, os.kill, (os.getpid(), number))
        timer.daemon = True
        timer.start()
        timers.append(timer)

    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    handlers = {number: handler for number, handler in handlers.items() if handler != signal.SIG_IGN}
    report_ignored, sys.unraisablehook = sys.unraisablehook, repeat
    for number in handlers:
        signal.signal(number, interrupt)
    try:
        yield
        if received:
            raise KeyboardInterrupt
    except BaseException:
        if received:
            # An interrupt that has passed through code in a string, as in imports of dataclasses, is marked as not
            # handled, and `python -m` would end by SIGINT. Other code in a string removes the mark.
            exec("")
            raise SystemExit(128 + received[0]) from None
        raise
    finally:
        for timer in timers:
            timer.cancel()
        for number, handler in handlers.items():
            signal.signal(number, handler)
        sys.unraisablehook = report_ignored


def _is_importing(frame: FrameType | None) -> bool:
    """Return whether a frame, or one that called it, belongs to Python's import system."""
    while frame is not None and frame.f_code.co_filename != IMPORT_SYSTEM:
        frame = frame.f_back
    return frame is not None


@contextmanager
def defer_interrupts() -> Iterator[None]:
    """Let SIGINT and SIGTERM take effect at the end of the block, which must be short and in the main thread."""
    received: list[int] = []
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    handlers = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in handlers:
        signal.signal(number, lambda number, _: received.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if received:
            os.kill(os.getpid(), received[0])
