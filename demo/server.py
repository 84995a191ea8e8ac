"""The page on the network: where it listens, what it refuses, and its public link."""

import threading
from urllib.parse import urlsplit

import gradio as gr
from fastapi import APIRouter
from gradio import networking
from gradio.tunneling import CURRENT_TUNNELS

from demo.app import HERE
from demo.theme import theme
from pipeline import UserError

LINK_SECONDS = 25
"""How long a public link is waited for."""
WITHOUT_A_LINK = """\
What works without it:
  --share-server HOST:PORT          a share server of your own (https://github.com/huggingface/frp)
  ssh -R 8080:localhost:{port} HOST  a tunnel to a machine that others reach
  make space                        the page as a folder for Hugging Face Spaces
The page goes on at {address}"""


def launch(page: gr.Blocks, run: str, host: str, port: int, auth: str | None) -> str:
    """Serve the page in the background and return its address.

    Args:
        auth: USER:PASSWORD, without which nobody gets in; None where everyone does.

    Raises:
        UserError: the port is taken, or the host is not this machine's.
    """
    health = APIRouter()
    health.add_api_route("/healthz", lambda: {"status": "ok", "run": run})
    page.queue(max_size=64, api_open=False)
    user, _, password = (auth or "").partition(":")
    try:
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            auth=(user, password) if auth else None,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            inbrowser=False,
            show_error=False,
            run_history=False,
            enable_monitoring=False,
            max_file_size="20mb",
            footer_links=[],
            theme=theme(),
            css_paths=[HERE / "style.css"],
            app_kwargs={"routes": health.routes},
        )
    except OSError:
        raise UserError(f"{host}:{port} is taken, or is no address of this machine; choose another --port") from None
    page.server.config.timeout_graceful_shutdown = 1  # else Ctrl-C waits for every browser that looks at the page
    return address.rstrip("/")


def public_link(page: gr.Blocks, share_server: str | None) -> str:
    """Return a public address of a page that is served.

    Raises:
        UserError: there is none, with the reason and what works without it.
    """
    outcome: list[str | Exception] = []
    given_up = threading.Event()

    def ask() -> None:
        try:
            host, port = page.server_name, page.server_port
            outcome.append(networking.setup_tunnel(host, port, page.share_token, share_server, None))
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
    server = share_server or "Gradio's share server"
    reason = str(outcome[0]).splitlines()[0] if outcome else f"no answer within {LINK_SECONDS} s"
    raise UserError(
        f"There is no public link: {server} could not be used ({reason}). "
        + WITHOUT_A_LINK.format(port=page.server_port, address=page.local_url)
    )
