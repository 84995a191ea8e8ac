"""Options that several commands share, and the log output of all commands."""

import logging
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

from typer import Argument, Option

from pipeline.utils.processes.distributed import is_main_process

if TYPE_CHECKING:
    from pipeline.sources.source import Source

DEFAULT_SOLUTION = Path("submissions/solution.csv")
SOURCE_HELP = "Data source: auto, kaggle, mnist, pendigits, practice, or the path of a file or folder."

DataDir = Annotated[Path, Option("--data", metavar="DIR", help="Folder for data.")]
SourceName = Annotated[str, Option("--source", help=SOURCE_HELP)]
RecipeName = Annotated[str, Argument(metavar="RECIPE", help="Name of a recipe, or path of a YAML file.")]
RunName = Annotated[str, Argument(metavar="RUN", help="Folder of a run, or its name in checkpoints/.")]
On = Annotated[
    str, Option("--on", metavar="mnist|validation|FILE", help="Labelled digits to evaluate on; FILE may be a folder.")
]
Overrides = Annotated[list[str] | None, Option("--set", metavar="KEY=VALUE", help="Override a setting; repeatable.")]
AllowLeak = Annotated[bool, Option("--allow-leak", help="Allow test images that the run was trained on.")]
Quiet = Annotated[bool, Option("--quiet", help="Print no progress and no results.")]

log = logging.getLogger("pipeline")


def log_to_stdout(quiet: bool) -> None:
    """Print the library's log messages as plain lines on stdout, from the main process only, unless `quiet`."""
    if not quiet and is_main_process():
        log.setLevel(logging.INFO)
        log.addHandler(LineHandler(sys.stdout))


def with_options(found: "Source", source: str, with_: Path | None = None, limit: int | None = None) -> "Source":
    """Return a source with the options of `train` that select the same rows again; one that `auto` found is named."""
    named = found.name if source == "auto" and found.name != "competition" else source
    chosen = {"--source": named, "--data": found.data_dir, "--with": with_, "--limit": limit}
    words = (word for option, value in chosen.items() if value is not None for word in (option, value))
    return replace(found, options=tuple(map(str, words)))


class LineHandler(logging.StreamHandler[TextIO]):
    """Prints log lines. If the reader closes the pipe early, as `head` does, the command continues silently."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, the name is logging's
        """Discard all further output if the pipe is broken; handle other errors as `logging` does."""
        if isinstance(sys.exception(), BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())
        else:
            super().handleError(record)
