"""Ports, and waiting for what other processes do."""

import socket
import time
from collections.abc import Callable

import httpx


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def answers(client: httpx.Client, address: str) -> bool:
    """Return whether a page is up."""
    try:
        return client.get(f"{address}/healthz").is_success
    except httpx.TransportError:
        return False


def until(condition: Callable[[], bool], otherwise: str, seconds: float = 60) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, otherwise
        time.sleep(0.05)
