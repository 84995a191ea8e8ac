"""Test data as CSV and IDX files."""

import struct
from collections.abc import Sequence

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


def encode_idx(array: np.ndarray) -> bytes:
    """Return a uint8 array in the IDX format of MNIST."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
