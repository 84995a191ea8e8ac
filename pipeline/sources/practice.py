"""The practice set: scikit-learn's 1,797 real digits, available without a network."""

import csv
from pathlib import Path

import numpy as np

from pipeline.data.columns import PIXEL_COLUMNS
from pipeline.data.csv_file import CsvFile
from pipeline.data.table import DigitTable
from pipeline.errors import UserError
from pipeline.sources.competition import competition_source
from pipeline.sources.source import Source
from pipeline.utils.files import open_atomic
from pipeline.vision.frame import frame_8x8

PRACTICE_TEST_ROWS = 500


def practice_source(folder: Path, reason: str) -> Source:
    """Return scikit-learn's 1,797 real digits as a competition: 1,297 training rows and 500 test rows.

    The files are in Kaggle's format, as in the competition. `answers.csv` contains the labels of the test rows.
    """
    answers = folder / "answers.csv"
    if not all((folder / name).exists() for name in ("train.csv", "test.csv", "answers.csv")):
        _write_practice(folder)

    def read_test() -> DigitTable:
        table = CsvFile(folder / "test.csv").read(labels_required=False)
        try:
            with answers.open(newline="") as file:
                labels = [int(row["Label"]) for row in csv.DictReader(file, strict=True)]
            return DigitTable(table.pixels, np.array(labels, dtype=np.int64))
        except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
            raise UserError(
                f"{answers}: missing or damaged ({error}); delete {folder}, and it is created again"
            ) from None

    files = competition_source(folder, reason)
    return Source("practice", folder, reason, files.read_train, read_test, files=(*files.files, answers))


def _write_practice(folder: Path) -> None:
    """Write the files of the practice set: UCI's "Optical Recognition of Handwritten Digits", test part (set 80)."""
    from sklearn.datasets import load_digits

    bundle = load_digits()
    frames = np.stack([frame_8x8(image) for image in bundle.images])
    table = DigitTable(frames, bundle.target.astype(np.int64))
    train, test = table.split(PRACTICE_TEST_ROWS / len(table), seed=0)
    assert train.labels is not None and test.labels is not None
    rows = np.column_stack([train.labels, train.pixels.reshape(len(train), -1)])
    _write_csv(folder / "train.csv", ["label", *PIXEL_COLUMNS], rows)
    _write_csv(folder / "test.csv", PIXEL_COLUMNS, test.pixels.reshape(len(test), -1))
    _write_csv(
        folder / "answers.csv", ["ImageId", "Label"], np.column_stack([np.arange(1, len(test) + 1), test.labels])
    )


def _write_csv(path: Path, columns: list[str], rows: np.ndarray) -> None:
    """Write a header and rows of integers."""
    with open_atomic(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows.tolist())
