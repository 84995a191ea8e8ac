"""Time-outs of connections. They prevent slow clients from exhausting the server."""

import asyncio
import socket

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10
"""Time-out for the request line and the headers."""
BODY_SECONDS = 120
"""Time-out for a complete request: 20 MB at 1.4 Mbit/s."""
STALL_SECONDS = 30
"""Time-out for the client to accept the next 48 KiB of a response."""


class TimedProtocol(H11Protocol):
    """HTTP/1.1 with time-outs for clients that send or receive slowly."""

    since = 0.0
    """Time of the last response, or of the connection, on the event loop's clock."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer, and send small responses at once.

        asyncio leaves Nagle's algorithm on for a socket that it did not open. With it, the body of a response waits
        for the client to acknowledge its head, which takes 40 ms.
        """
        super().connection_made(transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.since = self.loop.time()
        self.check = self.loop.call_later(HEAD_SECONDS, self.close_if_late)
        self.stall: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers."""
        self.check.cancel()
        self.resume_writing()
        super().connection_lost(exc)

    def is_waiting(self) -> bool:
        """Return whether the server is waiting for a request or for the rest of one."""
        return self.conn.their_state in {h11.IDLE, h11.SEND_BODY}

    def close_if_late(self) -> None:
        """Close the connection if its request is overdue; otherwise check again later."""
        limit = BODY_SECONDS if self.conn.their_state is h11.SEND_BODY else HEAD_SECONDS
        if self.is_waiting() and self.loop.time() - self.since >= limit:
            self.transport.abort()
        else:
            self.check = self.loop.call_later(HEAD_SECONDS, self.close_if_late)

    def on_response_complete(self) -> None:
        """Restart the timer for the next request."""
        self.since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Start a time-out for the client to accept buffered data."""
        super().pause_writing()
        self.stall = self.loop.call_later(STALL_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Cancel that time-out."""
        if self.stall is not None:
            self.stall.cancel()
        super().resume_writing()
