"""Time limits for libraries that open connections without one."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def default_socket_timeout(seconds: float) -> Iterator[None]:
    """Give new sockets a time limit, until the block ends."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
