"""The practice set: scikit-learn's 1,797 real digits, which need no network."""

import csv
from pathlib import Path

import numpy as np

from pipeline.data.csv_file import PIXEL_COLUMNS, CsvFile
from pipeline.data.table import DigitTable
from pipeline.digits import SIDE, Pixels
from pipeline.errors import UserError
from pipeline.sources.competition import competition_source
from pipeline.sources.source import Source
from pipeline.utils.files import open_atomic

PRACTICE_TEST_ROWS = 500


def practice_source(folder: Path, reason: str) -> Source:
    """Return scikit-learn's 1,797 real digits as a competition: 1,297 to learn from, 500 whose answers are kept apart.

    The files are in Kaggle's format, so that a newcomer sees what an entrant sees; `answers.csv` is what the 500 are.
    """
    answers = folder / "answers.csv"
    if not all((folder / name).exists() for name in ("train.csv", "test.csv", "answers.csv")):
        _write_practice(folder)

    def read_test() -> DigitTable:
        table = CsvFile(folder / "test.csv").read(labels_required=False)
        try:
            with answers.open(newline="") as file:
                labels = [int(row["Label"]) for row in csv.DictReader(file)]
            return DigitTable(table.pixels, np.array(labels, dtype=np.int64))
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{answers}: damaged ({error}); delete {folder}, which will be made again") from None

    files = competition_source(folder, reason)
    return Source("practice", folder, reason, files.read_train, read_test)


def _write_practice(folder: Path) -> None:
    """Make the practice set's files: the UCI "Optical Recognition of Handwritten Digits" test part (set 80)."""
    from sklearn.datasets import load_digits

    bundle = load_digits()
    frames = np.stack([_frame_8x8(image) for image in bundle.images])
    table = DigitTable(frames, bundle.target.astype(np.int64))
    train, test = table.split(PRACTICE_TEST_ROWS / len(table), seed=0)
    assert train.labels is not None and test.labels is not None
    rows = np.column_stack([train.labels, train.pixels.reshape(len(train), -1)])
    _write_csv(folder / "train.csv", ["label", *PIXEL_COLUMNS], rows)
    _write_csv(folder / "test.csv", PIXEL_COLUMNS, test.pixels.reshape(len(test), -1))
    _write_csv(
        folder / "answers.csv", ["ImageId", "Label"], np.column_stack([np.arange(1, len(test) + 1), test.labels])
    )


def _frame_8x8(image: np.ndarray) -> Pixels:
    """Return a digit of 8x8 values 0 to 16 as MNIST frames one: 20x20, its centre of mass in the middle of 28x28."""
    from PIL import Image

    small = Image.fromarray((image * (255 / 16)).astype(np.uint8))
    large = np.asarray(small.resize((20, 20), Image.Resampling.BICUBIC), dtype=np.float64)
    places = np.arange(20) + 0.5
    middle = [large.sum(axis=1) @ places / large.sum(), large.sum(axis=0) @ places / large.sum()]
    top, left = (int(np.clip(round(SIDE / 2 - centre), 0, SIDE - 20)) for centre in middle)
    frame = np.zeros((SIDE, SIDE), dtype=np.uint8)
    frame[top : top + 20, left : left + 20] = large
    return frame


def _write_csv(path: Path, columns: list[str], rows: np.ndarray) -> None:
    """Write whole numbers under a header."""
    with open_atomic(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows.tolist())
