"""Connections: how long a client may take, so that slow clients do not use up the server."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10
"""For the first line and the headers of a request."""
BODY_SECONDS = 120
"""For a whole request: 20 MB at 1.4 Mbit/s."""
STALL_SECONDS = 30
"""For the next 48 KiB of an answer."""
MIN_FILES = 4096


class TimedProtocol(H11Protocol):
    """HTTP/1.1 with time limits: clients that send or receive slowly, or not at all, do not use up the server."""

    since = 0.0
    """When the last request was answered, or the connection made."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock."""
        super().connection_made(transport)
        self.since = self.loop.time()
        self.check = self.loop.call_later(HEAD_SECONDS, self.close_if_late)
        self.stall: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        self.check.cancel()
        self.resume_writing()
        super().connection_lost(exc)

    def is_waiting(self) -> bool:
        """Return whether this side waits for a request, or for the rest of one."""
        return self.conn.their_state in {h11.IDLE, h11.SEND_BODY}

    def close_if_late(self) -> None:
        """Close the connection if its request is not there in time; else look again later."""
        limit = BODY_SECONDS if self.conn.their_state is h11.SEND_BODY else HEAD_SECONDS
        if self.is_waiting() and self.loop.time() - self.since >= limit:
            self.transport.abort()
        else:
            self.check = self.loop.call_later(HEAD_SECONDS, self.close_if_late)

    def on_response_complete(self) -> None:
        """Start the clock again for the next request."""
        self.since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait for the client to take what it was sent, but not for ever."""
        super().pause_writing()
        self.stall = self.loop.call_later(STALL_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on sending."""
        if self.stall is not None:
            self.stall.cancel()
        super().resume_writing()


def raise_file_limit() -> None:
    """Let this process open thousands of files, each connection being one. Some systems allow 256 unless asked."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MIN_FILES if hard == resource.RLIM_INFINITY else min(MIN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
