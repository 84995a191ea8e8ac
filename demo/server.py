"""The page on the network: its server, its own routes, and its public link."""

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

from demo.app import HERE
from demo.connections import TimedProtocol, raise_file_limit
from demo.gateway import MAX_UPLOAD_BYTES, Gateway
from demo.schema import Schema
from demo.theme import theme
from demo.uploads import Uploads, upload_routes
from pipeline import UserError

BACKLOG = 512
"""Connections that the system holds until the page takes them."""
MAX_SESSIONS = 64
"""Sessions of Gradio's clients that are kept in memory."""
LINK_SECONDS = 25
"""How long a public link is waited for."""
WITHOUT_A_LINK = """\
What works without it:
  --share-server HOST:PORT          a share server of your own (https://github.com/huggingface/frp)
  ssh -R 8080:localhost:{port} HOST  a tunnel to a machine that others reach
  make space                        the page as a folder for Hugging Face Spaces
The page goes on at {address}"""


class Server:
    """The page, served in the background.

    Attributes:
        address: of the page.
    """

    def __init__(self, listener: socket.socket, page: gr.Blocks, uploads: Uploads, run: str, auth: str | None) -> None:
        """Start it.

        Args:
            listener: from `open_socket`.
            run: the name that `/healthz` tells.
            auth: USER:PASSWORD, without which nobody gets in; None where everyone does.
        """
        host, self.port = listener.getsockname()[:2]
        self.host = "localhost" if host in {"0.0.0.0", "::"} else host
        self.address = f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"
        self.page = page
        raise_file_limit()
        config = uvicorn.Config(
            Gateway(build_application(page, uploads, run, auth), Schema(page), uploads, login=bool(auth)),
            http=TimedProtocol,
            ws="none",
            log_level="error",
            access_log=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=1,  # else it waits for every browser that looks at the page
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.01)
            if not self._thread.is_alive():
                raise UserError("The page could not start; what is printed above says why")

    def close(self) -> None:
        """Stop serving."""
        self._server.should_exit = True
        self._thread.join(5)


def open_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        UserError: the port is taken, or the host is not this machine's.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError:
        raise UserError(f"{host}:{port} is taken, or is no address of this machine; choose another --port") from None


def build_application(page: gr.Blocks, uploads: Uploads, run: str, auth: str | None) -> FastAPI:
    """Return the page as an application: Gradio's, with routes of its own for uploads, and `/healthz`."""

    @asynccontextmanager
    async def sweep(_: FastAPI) -> AsyncIterator[None]:
        async with create_task_group() as tasks:
            tasks.start_soon(uploads.sweep_for_ever)
            yield
            tasks.cancel_scope.cancel()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=sweep)
    app.add_api_route("/healthz", lambda: {"status": "ok", "run": run})
    app.include_router(upload_routes(uploads))
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
        theme=theme(),
        css_paths=[HERE / "style.css"],
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
    )
    return app


def public_link(server: Server, share_server: str | None) -> str:
    """Return a public address of the page.

    Raises:
        UserError: there is none, with the reason and what works without it.
    """
    outcome: list[str | Exception] = []
    given_up = threading.Event()

    def ask() -> None:
        try:
            token = server.page.share_token
            outcome.append(networking.setup_tunnel(server.host, server.port, token, share_server, None))
        except Exception as error:  # of many kinds, for it asks, downloads and starts a program
            outcome.append(error)
        if given_up.is_set():  # a page that was said to be private must not become public
            for tunnel in CURRENT_TUNNELS:
                tunnel.kill()  # type: ignore[no-untyped-call]

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(LINK_SECONDS)
    given_up.set()
    if outcome and isinstance(outcome[0], str):
        return urlsplit(outcome[0])._replace(scheme="http" if share_server else "https").geturl()
    asked = share_server or "Gradio's share server"
    reason = str(outcome[0]).splitlines()[0] if outcome else f"no answer within {LINK_SECONDS} s"
    raise UserError(
        f"There is no public link: {asked} could not be used ({reason}). "
        + WITHOUT_A_LINK.format(port=server.port, address=server.address)
    )
