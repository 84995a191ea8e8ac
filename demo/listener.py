"""The listening socket. It is opened before anything slow, so that a port in use is reported at once."""

import socket

from pipeline import UserError

BACKLOG = 512
"""Maximum number of connections that wait to be accepted."""
MIN_OPEN_FILES = 4096


def open_socket(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        UserError: the port is in use, or the host is not an address of this machine.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError:
        raise UserError(
            f"{host}:{port} is in use, or is not an address of this machine; choose another --port"
        ) from None


def raise_file_limit() -> None:
    """Raise the limit of open files, because each connection counts as one. Some systems default to 256."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MIN_OPEN_FILES if hard == resource.RLIM_INFINITY else min(MIN_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
