"""Source: a data set of training and test rows."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipeline.data.table import DigitTable
from pipeline.digits import COMPETITION_URL
from pipeline.kaggle.competition import ARCHIVE


@dataclass(frozen=True)
class Source:
    """A data set of training and test rows, read lazily.

    Attributes:
        name: "competition", "mnist", "pendigits" or "practice".
        path: its file or folder.
        reason: why it was selected, for the log.
        read_train: returns the training rows, with labels; the result is cached.
        read_test: returns the test rows, in order; with labels if they are known.
        data_dir: the data folder, which also stores the extra training data of recipes.
        options: options of `train` that select these rows on the command line, for the command that resumes a run.
    """

    name: str
    path: Path
    reason: str
    read_train: Callable[[], DigitTable]
    read_test: Callable[[], DigitTable]
    data_dir: Path = Path("data")
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "read_train", cache(self.read_train))

    def __str__(self) -> str:
        line = f"{self.name}, in {self.path} ({self.reason})"
        if self.name == "competition":
            return line
        return f"{line}; for the competition's data, save {ARCHIVE} from {COMPETITION_URL}/data in data/"
