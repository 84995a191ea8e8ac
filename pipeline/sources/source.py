"""Source: a data set of training and test rows."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipeline.data.formats import DigitFile
from pipeline.data.table import DigitTable
from pipeline.digits import COMPETITION_URL
from pipeline.errors import UserError
from pipeline.kaggle.competition import ARCHIVE


@dataclass(frozen=True)
class Source:
    """A data set of training and test rows, read lazily.

    Attributes:
        name: "competition", "mnist", "pendigits", "practice", or "files" for any others.
        path: its file or folder.
        reason: why it was selected, for the log.
        read_train: returns the training rows, with labels; the result is cached.
        read_test: returns the test rows, in order; with labels if they are known.
        data_dir: the data folder, which also stores the extra training data of recipes.
        files: its files, which no output may replace.
        describe: returns how the files differ from the competition's, in words, or "".
        options: options of `train` that select these rows on the command line, for the command that resumes a run.
    """

    name: str
    path: Path
    reason: str
    read_train: Callable[[], DigitTable]
    read_test: Callable[[], DigitTable]
    data_dir: Path = Path("data")
    files: tuple[Path, ...] = ()
    describe: Callable[[], str] = str
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "read_train", cache(self.read_train))

    def __str__(self) -> str:
        line = f"{self.name}, in {self.path} ({self.reason}){self.describe()}"
        if self.name in {"competition", "files"}:
            return line
        return f"{line}; for the competition's data, save {ARCHIVE} from {COMPETITION_URL}/data in data/"


def describe(*files: DigitFile) -> str:
    """Return how files differ from the competition's, in words, or ""; a fault is left to be reported by reading."""
    words = []
    for file in files:
        with suppress(UserError):
            if notes := file.notes():
                words.append(f"; {file.path.name}: {', '.join(notes)}")
    return "".join(dict.fromkeys(words))
