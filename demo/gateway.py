"""Gateway: middleware that checks every request before it reaches Gradio. Only the routes listed here exist."""

import asyncio
import json
import os
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from weakref import WeakValueDictionary

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.schema import RefusedError, Schema
from demo.uploads import Uploads

MAX_UPLOAD_BYTES = 20_000_000
_MAX_FORM_BYTES = MAX_UPLOAD_BYTES + 10_000
_MAX_JSON_BYTES = 3_000_000
DISCARD_SECONDS = 5
"""Time spent on reading the rest of a refused body."""
COOKIE = "visitor"
RUN, QUEUE = "/gradio_api/run/", "/gradio_api/queue/join"
RUN_ANY = f"{RUN}*"


@dataclass(frozen=True)
class Route:
    """An open route.

    Attributes:
        methods: HTTP methods, separated by spaces.
        path: exact path, or a prefix if it ends with an asterisk.
        max_bytes: maximum size of the body.
        public: whether the route needs no login even if the page has one.
    """

    methods: str
    path: str
    max_bytes: int = 0
    public: bool = False

    def matches(self, method: str, path: str) -> bool:
        """Return whether a request matches this route."""
        if method not in self.methods.split():
            return False
        return path.startswith(self.path[:-1]) if self.path.endswith("*") else path == self.path


ROUTES = (
    Route("GET", "/healthz", public=True),
    Route("GET HEAD", "/", public=True),
    Route("GET HEAD", "/page/*", public=True),
    Route("GET", "/assets/*", public=True),
    Route("GET", "/static/*", public=True),
    Route("GET", "/theme.css", public=True),
    Route("GET", "/favicon.ico", public=True),
    Route("POST", "/login", 10_000, public=True),
    Route("GET", "/logout", public=True),
    Route("GET", "/config"),
    Route("GET", "/gradio_api/info"),
    Route("POST", "/gradio_api/upload", _MAX_FORM_BYTES),
    Route("GET", "/gradio_api/upload_progress"),
    Route("GET", "/gradio_api/file=*"),
    Route("POST", RUN_ANY, _MAX_JSON_BYTES),
    Route("POST", QUEUE, _MAX_JSON_BYTES),
    Route("GET", "/gradio_api/queue/data"),
)


class FairQueue:
    """Limits the number of concurrent requests, and each visitor to half of the slots.

    Requests wait in order of arrival. A visitor's requests beyond that half wait separately and do not delay other
    visitors.
    """

    def __init__(self, slots: int) -> None:
        self._slots = asyncio.Semaphore(slots)
        self._per_visitor = max(1, slots // 2)
        self._visitors: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def slot(self, visitor: str) -> AsyncIterator[None]:
        """Wait for a slot of a visitor and hold it."""
        own = self._visitors.setdefault(visitor, asyncio.Semaphore(self._per_visitor))
        async with own, self._slots:
            yield


class Gateway:
    """ASGI middleware: closes all routes except `ROUTES`, identifies visitors, limits bodies, and checks events.

    Each visitor has a random cookie. Pages of other sites have no access, because responses carry no CORS headers and
    browsers block cross-site JSON requests without them.

    Args:
        app: Gradio's application with the page's additional routes.
        schema: the accepted events and values.
        uploads: the uploads of all visitors.
        login: whether the page requires a login.
    """

    def __init__(self, app: ASGIApp, schema: Schema, uploads: Uploads, login: bool) -> None:
        self.app = app
        self.schema = schema
        self.uploads = uploads
        self.login = login
        self.queue = FairQueue(2 * (os.cpu_count() or 1))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request or forward it to the application."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        visitor, send = _identify(scope, send)
        if scope["path"] == "/":
            scope["query_string"] = b""  # Gradio's parameters select what does not exist here, with a traceback
        scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"origin"]
        with suppress(ClientDisconnect):
            try:
                await self._forward(scope, receive, send, visitor)
            except RefusedError as refusal:
                await _refuse(refusal, send)

    async def _forward(self, scope: Scope, receive: Receive, send: Send, visitor: str) -> None:
        """Check a request and forward it; raise a RefusedError if it is not allowed."""
        path = scope["path"]
        try:
            route = _check_request(HTTPConnection(scope))
            if self.login and not (route.public or await self._is_signed_in(scope)):
                raise RefusedError(401, "Sign in first.")
        except RefusedError:
            await _discard(receive)  # a client that is still sending would miss the response
            raise
        if not path.startswith((RUN, QUEUE)):
            try:
                await self.app(scope, receive, send)
            except RuntimeError as error:
                if not isinstance(error.__cause__, HTTPException):
                    raise
                await send({"type": "http.response.body"})  # Gradio aborts responses to an unknown session
            return
        body = await _read(receive)
        find = partial(self.uploads.find, visitor)
        if path == QUEUE:
            await self.app(*_with_body(scope, receive, self.schema.check_queued(body, find)), send)
            return
        checked = self.schema.check(body, path.removeprefix(RUN), find)
        owner = HTTPConnection(scope).cookies.get(COOKIE, "")  # clients without a cookie share the slots of one visitor
        async with self.queue.slot(owner):
            await self.app(*_with_body(scope, receive, checked), _with_status(scope, send))

    async def _is_signed_in(self, scope: Scope) -> bool:
        """Return whether Gradio accepts the client's login cookie."""
        status = 0

        async def send(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        path = "/gradio_api/login_check"
        await self.app({**scope, "method": "GET", "path": path, "raw_path": path.encode()}, receive, send)
        return status == 200


def _identify(scope: Scope, send: Send) -> tuple[str, Send]:
    """Return the visitor of a request, and a `send` that sets a cookie for a new visitor."""
    connection = HTTPConnection(scope)
    known = connection.cookies.get(COOKIE, "")
    visitor = known if re.fullmatch("[0-9a-f]{32}", known) else secrets.token_hex(16)
    scope["state"]["visitor"] = visitor
    if visitor == known:
        return visitor, send
    # In a frame of another site, such as Hugging Face Spaces, browsers keep only cookies with these attributes.
    secure = "https" in (scope["scheme"], connection.headers.get("x-forwarded-proto"))
    attributes = "SameSite=None; Secure; Partitioned" if secure else "SameSite=Lax"

    async def send_with_cookie(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).append("set-cookie", f"{COOKIE}={visitor}; Path=/; HttpOnly; {attributes}")
        await send(message)

    return visitor, send_with_cookie


def _check_request(request: HTTPConnection) -> Route:
    """Return the route of a request; raise a RefusedError if no route matches or its body is not allowed."""
    route = next((route for route in ROUTES if route.matches(request.scope["method"], request.scope["path"])), None)
    if route is None:
        raise RefusedError(404, "Page not found.")
    size = request.headers.get("content-length")  # the server reads at most this much of a body
    if size is None and (route.max_bytes or "transfer-encoding" in request.headers):
        raise RefusedError(411, "Send the size of the body in the header Content-Length.")
    if int(size or 0) > route.max_bytes:
        raise RefusedError(413, f"The body exceeds the limit of {route.max_bytes:,} bytes.")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if route.path in {RUN_ANY, QUEUE} and kind != "application/json":
        raise RefusedError(415, "Send JSON with the header Content-Type: application/json.")
    return route


async def _discard(receive: Receive) -> None:
    """Read and drop the rest of a body, for at most `DISCARD_SECONDS`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_SECONDS):
            while (await receive()).get("more_body", False):
                pass


async def _read(receive: Receive) -> bytes:
    """Return the body of a request; raise a ClientDisconnect if the client disconnects."""
    chunks = []
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(chunks)


def _with_body(scope: Scope, receive: Receive, body: bytes) -> tuple[Scope, Receive]:
    """Return a request with its body replaced."""
    headers = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
    unread = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_body() -> Message:
        return unread.pop() if unread else await receive()

    return {**scope, "headers": [*headers, (b"content-length", str(len(body)).encode())]}, receive_body


def _with_status(scope: Scope, send: Send) -> Send:
    """Return a `send` that sets the status chosen by the handler, because Gradio reports every error as 500."""

    async def send_with_status(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["status"] = scope["state"].get("status", message["status"])
        await send(message)

    return send_with_status


async def _refuse(refusal: RefusedError, send: Send) -> None:
    """Send an error in the format that Gradio's clients expect."""
    body = json.dumps({"error": str(refusal), "detail": str(refusal)}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
