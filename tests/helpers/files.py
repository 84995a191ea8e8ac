"""Test data as CSV and IDX files."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline import DigitTable


def csv_text(table: DigitTable, columns: Sequence[str] | None = None) -> str:
    """Return a table as CSV in Kaggle's format."""
    pixels = table.pixels.reshape(len(table), -1)
    names = [f"pixel{index}" for index in range(784)]
    if table.labels is not None:
        pixels = np.column_stack([table.labels, pixels])
        names = ["label", *names]
    rows = [",".join(map(str, row)) for row in pixels.tolist()]
    return "\n".join([",".join(columns or names), *rows]) + "\n"


def write_competition(folder: Path, digits: DigitTable) -> None:
    """Write 30 training rows and 20 test rows under the names of the competition's files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.csv").write_text(csv_text(digits.select(np.arange(30))))
    (folder / "test.csv").write_text(csv_text(DigitTable(digits.pixels[30:50])))


def encode_idx(array: np.ndarray) -> bytes:
    """Return a uint8 array in the IDX format of MNIST."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
