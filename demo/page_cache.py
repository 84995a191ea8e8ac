"""Cache of the rendered page. Rendering it blocks the event loop for about 8 ms, a stored response hardly at all."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_ADDRESSES = 16
_ADDRESS_HEADERS = ("host", "x-forwarded-host", "x-forwarded-proto")


class PageCache:
    """ASGI middleware: renders the page once for each address at which it is requested.

    The page contains its own address, and otherwise is the same for all visitors. A page with a login is not: do not
    cache it.

    Args:
        app: Gradio's application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._pages: dict[tuple[str | None, ...], list[Message]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stored page, or forward the request."""
        if scope["type"] != "http" or (scope["method"], scope["path"], scope["query_string"]) != ("GET", "/", b""):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        address = (scope["scheme"], *(headers.get(name) for name in _ADDRESS_HEADERS))
        for message in self._pages.get(address) or await self._render(address, scope, receive):
            await send({**message})  # a copy, to which a visitor's cookie is added

    async def _render(self, address: tuple[str | None, ...], scope: Scope, receive: Receive) -> list[Message]:
        """Return the page for an address. Store it unless it is an error; drop the oldest page if it is full."""
        page: list[Message] = []

        async def record(message: Message) -> None:
            page.append(message)

        await self.app(scope, receive, record)
        if page[0]["status"] == 200:
            if len(self._pages) >= MAX_ADDRESSES:
                del self._pages[next(iter(self._pages))]
            self._pages[address] = page
        return page
