"""Source: a place that tables of digits can be read from."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipeline.data.table import DigitTable
from pipeline.digits import COMPETITION_URL
from pipeline.kaggle.competition import ARCHIVE


@dataclass(frozen=True)
class Source:
    """A place that tables can be read from; nothing is read until it is asked for.

    Attributes:
        name: "competition", "mnist", "pendigits" or "practice".
        path: the file or folder that holds it.
        reason: why it was taken, for the line that says so.
        read_train: the rows to learn from, with labels; read once, and kept.
        read_test: the rows to predict, in their order; with labels where the answers are known.
        data_dir: the folder for data, where what a recipe trains on beside the source is kept too.
    """

    name: str
    path: Path
    reason: str
    read_train: Callable[[], DigitTable]
    read_test: Callable[[], DigitTable]
    data_dir: Path = Path("data")

    def __post_init__(self) -> None:
        object.__setattr__(self, "read_train", cache(self.read_train))

    def __str__(self) -> str:
        line = f"{self.name}, in {self.path} ({self.reason})"
        if self.name == "competition":
            return line
        return f"{line}; the competition's own: {ARCHIVE} from {COMPETITION_URL}/data into data/"
