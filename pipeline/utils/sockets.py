"""Time-outs for libraries that open connections without one."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def default_socket_timeout(seconds: float) -> Iterator[None]:
    """Set the default time-out of new sockets, in seconds, while the block runs."""
    previous = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(previous)
