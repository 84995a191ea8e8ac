"""HTTP server of the page, its additional routes, and its public link."""

import os
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import gradio as gr
import uvicorn
from anyio import create_task_group
from fastapi import FastAPI
from gradio import networking
from gradio.tunneling import CURRENT_TUNNELS
from starlette.types import ASGIApp

from demo.connections import TimedProtocol
from demo.document import Document
from demo.gateway import MAX_UPLOAD_BYTES, Gateway
from demo.listener import BACKLOG, raise_file_limit
from demo.page_cache import PageCache
from demo.schema import Schema
from demo.static_files import STATIC, URL_PATH, StaticFiles
from demo.theme import theme
from demo.uploads import Uploads, upload_routes
from pipeline import UserError

MAX_SESSIONS = 64
"""Maximum number of Gradio sessions in memory."""
CLOSE_SECONDS = 0.5
"""Time for the requests in progress when the server stops."""
LINK_SECONDS = 25
"""Time-out for a public link."""
LINK_ALTERNATIVES = """\
Alternatives:
  --share-server HOST:PORT          your own share server (https://github.com/huggingface/frp)
  ssh -R 8080:localhost:{port} HOST  a tunnel to a machine that others can reach
  make space SPACE=USER/NAME        the page as a Hugging Face Space
The page is still running at {address}"""


class Server:
    """Serves the page in a background thread.

    Attributes:
        address: URL of the page.
    """

    def __init__(self, listener: socket.socket, page: gr.Blocks, uploads: Uploads, run: str, auth: str | None) -> None:
        """Start the server.

        Args:
            listener: a socket from `open_socket`.
            page: the page.
            uploads: the uploads of all visitors.
            run: name of the run that `/healthz` reports.
            auth: required login as USER:PASSWORD, or None for an open page.

        Raises:
            UserError: the server does not start.
        """
        host, self.port = listener.getsockname()[:2]
        self.host = "localhost" if host in {"0.0.0.0", "::"} else host
        self.address = f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"
        self.page = page
        raise_file_limit()
        application: ASGIApp = Document(build_application(page, uploads, run, auth), login=bool(auth))
        if not auth:
            application = PageCache(application)
        config = uvicorn.Config(
            Gateway(application, Schema(page), uploads, login=bool(auth)),
            loop="asyncio",  # whether uvloop, which others install, is there or not
            http=TimedProtocol,
            ws="none",
            log_level="error",
            access_log=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=1,  # otherwise it waits for every open browser
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.01)
            if not self._thread.is_alive():
                raise UserError("The page could not start; see the error above")

    def close(self) -> None:
        """Stop the server; abandon what it has not finished within `CLOSE_SECONDS`."""
        _close_tunnels()
        self._server.should_exit = True
        self._thread.join(CLOSE_SECONDS)


def build_application(page: gr.Blocks, uploads: Uploads, run: str, auth: str | None) -> FastAPI:
    """Return Gradio's application of the page, with additional routes for uploads and `/healthz`."""

    @asynccontextmanager
    async def sweep(_: FastAPI) -> AsyncIterator[None]:
        async with create_task_group() as tasks:
            tasks.start_soon(uploads.sweep_for_ever)
            yield
            tasks.cancel_scope.cancel()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=sweep)
    app.add_api_route("/healthz", lambda: {"status": "ok", "run": run})
    app.include_router(upload_routes(uploads))
    app.mount(f"/{URL_PATH}", StaticFiles())
    page.state_session_capacity = MAX_SESSIONS
    user, _, password = (auth or "").partition(":")
    gr.mount_gradio_app(
        app,
        page,
        path="/",
        auth=(user, password) if auth else None,
        root_path=os.environ.get("GRADIO_ROOT_PATH"),
        show_error=False,
        run_history=False,
        enable_monitoring=False,
        max_file_size=MAX_UPLOAD_BYTES,
        footer_links=[],
        favicon_path=str(STATIC / "favicon.ico"),
        theme=theme(),
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
    )
    return app


def public_link(server: Server, share_server: str | None) -> str:
    """Return a public URL of the page.

    Raises:
        UserError: the share server fails or times out; the message gives the reason and the alternatives.
    """
    outcome: list[str | Exception] = []
    timed_out = threading.Event()

    def request_link() -> None:
        try:
            token = server.page.share_token
            outcome.append(networking.setup_tunnel(server.host, server.port, token, share_server, None))
        except Exception as error:  # of many types: it sends requests, downloads and starts a program
            outcome.append(error)
        if timed_out.is_set():  # the page was reported as private and must stay so
            _close_tunnels()

    thread = threading.Thread(target=request_link, daemon=True)
    thread.start()
    thread.join(LINK_SECONDS)
    timed_out.set()
    if outcome and isinstance(outcome[0], str):
        return urlsplit(outcome[0])._replace(scheme="http" if share_server else "https").geturl()
    name = share_server or "Gradio's share server"
    reason = str(outcome[0]).splitlines()[0] if outcome else f"no response within {LINK_SECONDS} s"
    raise UserError(
        f"No public link: {name} failed ({reason}). "
        + LINK_ALTERNATIVES.format(port=server.port, address=server.address)
    )


def _close_tunnels() -> None:
    """End the programs that serve public links."""
    for tunnel in CURRENT_TUNNELS:
        tunnel.kill()  # type: ignore[no-untyped-call]
