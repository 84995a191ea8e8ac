"""The installed command, `digit-recognizer`: the commands of `python -m pipeline`, and `demo` for `python -m demo`."""

from pipeline.cli.app import app
from pipeline.cli.app import main as run_command


def main() -> None:
    """Run the command line."""
    from demo.__main__ import serve

    app.command("demo")(serve)
    run_command()
