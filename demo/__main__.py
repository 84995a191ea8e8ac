"""The command line, `python -m demo`: serve the page until Ctrl-C."""

import gc
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

app = Typer(help="Draw a number, and see what a run reads.", add_completion=False, pretty_exceptions_enable=False)


def account(text: str) -> str:
    """Return USER:PASSWORD as it is, where it is that."""
    user, _, password = text.partition(":")
    if not user or not password:
        raise BadParameter("give it as USER:PASSWORD")
    return text


def address(text: str) -> str:
    """Return HOST:PORT as it is, where it is that."""
    host, _, port = text.partition(":")
    if not host or not port.isdecimal():
        raise BadParameter("give it as HOST:PORT")
    return text


@app.command()
def serve(
    run: Annotated[str, Option(metavar="RUN", help="The folder of a run, or its name in checkpoints/.")] = "sketchpad",
    host: Annotated[str, Option(help="0.0.0.0 is any machine that reaches this one.")] = "127.0.0.1",
    port: Annotated[int, Option(envvar="PORT", min=1, max=65535)] = 7860,
    share: Annotated[bool, Option("--share", help="Ask for a public link, which lasts about a week.")] = False,
    share_server: Annotated[
        str | None, Option(metavar="HOST:PORT", parser=address, help="Ask this server, not Gradio's.")
    ] = None,
    auth: Annotated[str | None, Option(metavar="USER:PASSWORD", parser=account, help="Let in who knows these.")] = None,
    open_: Annotated[bool, Option("--open", help="Open the page in a browser.")] = False,
    keep_corrections: Annotated[
        bool, Option("--keep-corrections", help=f"Ask for the right number, and keep it in {CORRECTIONS}.")
    ] = False,
) -> None:
    """Serve the page on which anyone draws a number."""
    from demo.predictors import PredictorPool

    pool = PredictorPool(run)
    from demo.app import build_page
    from demo.server import Server, open_socket, public_link
    from demo.uploads import Uploads

    listener = open_socket(host, port)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with closing(Uploads()) as uploads, suppress(KeyboardInterrupt):
        blocks = build_page(pool, CORRECTIONS if keep_corrections else None)
        with closing(Server(listener, blocks, uploads, pool.first.folder.name, auth)) as server:
            print(f"The page: {server.address}  (Ctrl-C ends it)", flush=True)
            if open_:
                webbrowser.open(server.address)
            if share or share_server:
                try:
                    print(f"For everyone, about a week long: {public_link(server, share_server)}", flush=True)
                except UserError as error:
                    print(error, file=sys.stderr, flush=True)
            threading.Event().wait()
    print("The page is closed.")


def main() -> None:
    """Run the command line; a UserError is one line on stderr and status 2."""
    gc.set_threshold(50_000)  # imports make many objects and no garbage: looking for it is a quarter of the start
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
