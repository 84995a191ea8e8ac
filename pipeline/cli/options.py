"""Options that several commands share, and what they print."""

import logging
import os
import sys
from pathlib import Path
from typing import Annotated, TextIO

from typer import Argument, Option

from pipeline.utils.distributed import is_main_process

SOURCES = "auto, kaggle, mnist, pendigits, practice, or the path of a file or folder."

DataDir = Annotated[Path, Option("--data", metavar="DIR", help="Folder for data.")]
SourceName = Annotated[str, Option("--source", help=SOURCES)]
RecipeName = Annotated[str, Argument(metavar="RECIPE", help="Name of a recipe, or path of a YAML file.")]
RunName = Annotated[str, Argument(metavar="RUN", help="Folder of a run, or its name in checkpoints/.")]
On = Annotated[str, Option("--on", metavar="mnist|validation|FILE", help="Labelled digits to score on.")]
AllowLeak = Annotated[bool, Option("--allow-leak", help="Allow images that the run was trained on.")]
Quiet = Annotated[bool, Option("--quiet", help="Print neither progress nor results.")]

log = logging.getLogger("pipeline")


def log_to_stdout(quiet: bool) -> None:
    """Print what the library logs as plain lines on stdout, on the main process only, and not if `quiet`."""
    if not quiet and is_main_process():
        log.setLevel(logging.INFO)
        log.addHandler(LineHandler(sys.stdout))


class LineHandler(logging.StreamHandler[TextIO]):
    """Prints lines for a reader who may leave early, as `head` does; the work then continues silently."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, the name is logging's
        """Discard further output once the pipe is broken; treat other errors as logging does."""
        if isinstance(sys.exception(), BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())
        else:
            super().handleError(record)
