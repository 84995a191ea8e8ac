"""Free ports, and waiting for other processes."""

import socket
import time
from collections.abc import Callable

import httpx


def free_port() -> int:
    """Return a TCP port that no process listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def is_up(client: httpx.Client, address: str) -> bool:
    """Return whether a page responds to a health check."""
    try:
        return client.get(f"{address}/healthz").is_success
    except httpx.TransportError:
        return False


def wait_until(condition: Callable[[], bool], otherwise: str, seconds: float = 60) -> None:
    """Wait until a condition is true; fail with the message `otherwise` after the time-out."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)
