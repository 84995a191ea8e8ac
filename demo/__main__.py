"""Command line, `python -m demo`: serves the page until Ctrl-C."""

import gc
import os
import signal
import sys
import threading
import webbrowser
from contextlib import closing, suppress
from pathlib import Path
from typing import Annotated

from typer import BadParameter, Option, Typer

from pipeline import UserError

CORRECTIONS = Path("data/corrections")

app = Typer(
    help="Serve a web page that recognises drawn numbers.", add_completion=False, pretty_exceptions_enable=False
)


def parse_credentials(text: str) -> str:
    """Return `text` unchanged; raise a BadParameter if it is not USER:PASSWORD."""
    user, _, password = text.partition(":")
    if not user or not password:
        raise BadParameter("use the form USER:PASSWORD")
    return text


def parse_address(text: str) -> str:
    """Return `text` unchanged; raise a BadParameter if it is not HOST:PORT."""
    host, _, port = text.partition(":")
    if not host or not port.isdecimal():
        raise BadParameter("use the form HOST:PORT")
    return text


@app.command()
def serve(
    run: Annotated[str, Option(metavar="RUN", help="Folder of a run, or its name in checkpoints/.")] = "sketchpad",
    host: Annotated[str, Option(help="Address to listen on; 0.0.0.0 accepts other machines.")] = "127.0.0.1",
    port: Annotated[int, Option(envvar="PORT", min=1, max=65535, help="Port to listen on.")] = 7860,
    share: Annotated[bool, Option("--share", help="Request a public link, valid for about a week.")] = False,
    share_server: Annotated[
        str | None, Option(metavar="HOST:PORT", parser=parse_address, help="Use this share server.")
    ] = None,
    auth: Annotated[
        str | None,
        Option(metavar="USER:PASSWORD", parser=parse_credentials, help="Require this username and password."),
    ] = None,
    open_: Annotated[bool, Option("--open", help="Open the page in a browser.")] = False,
    keep_corrections: Annotated[
        bool,
        Option("--keep-corrections", help=f"Let visitors correct a number, and save its picture in {CORRECTIONS}."),
    ] = False,
) -> None:
    """Serve a web page that recognises drawn numbers."""
    from demo.listener import open_socket

    listener = open_socket(host, port)
    from demo.lean_imports import import_gradio, leave_out_unused_modules

    leave_out_unused_modules()
    from demo.predictors import PredictorPool

    pool = PredictorPool(run)
    import_gradio()
    from demo.app import build_page
    from demo.server import Server, public_link
    from demo.uploads import Uploads

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with closing(Uploads()) as uploads, suppress(KeyboardInterrupt):
        blocks = build_page(pool, CORRECTIONS if keep_corrections else None, login=bool(auth))
        with closing(Server(listener, blocks, uploads, pool.first.folder.name, auth)) as server:
            gc.freeze()  # what the imports have created stays; collections need not look at it again
            gc.enable()
            print(f"Page: {server.address}  (press Ctrl-C to stop)", flush=True)
            if open_:
                webbrowser.open(server.address)
            if share or share_server:
                try:
                    print(f"Public link, valid for about a week: {public_link(server, share_server)}", flush=True)
                except UserError as error:
                    print(error, file=sys.stderr, flush=True)
            threading.Event().wait()
    print("Page closed.", flush=True)
    os._exit(0)  # the interpreter would spend seconds on deleting what the operating system frees at once


def main() -> None:
    """Run the command line; print a UserError as one line on stderr and exit with status 2."""
    gc.disable()  # imports create many objects and no garbage: collections take a quarter of the start-up time
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    finally:
        gc.enable()


if __name__ == "__main__":
    main()
