"""Damaged files of every format: each is read, or refused in one line; nothing else is raised."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from helpers.files import csv_text
from helpers.formats import write_emnist, write_idx, write_keras, write_libsvm, write_npy, write_pictures, zip_folder
from pyarrow import parquet

from pipeline import DigitTable, UserError
from pipeline.data.formats import open_digits

SECONDS = 0.4
"""Time for each format."""


def write_parquet(path: Path, table: DigitTable) -> None:
    pixels = table.pixels.reshape(len(table), -1)
    parquet.write_table(pyarrow.table({"pixels": list(pixels), "label": table.known_labels}), path)


def write_picture_zip(path: Path, table: DigitTable) -> None:
    write_pictures(path.parent / "pictures", table)
    zip_folder(path.parent / "pictures", path)


def write_images(path: Path, table: DigitTable) -> None:
    write_idx(path.parent / "idx", table)
    (path.parent / "idx" / "train-images-idx3-ubyte").rename(path)


WRITERS: dict[str, Callable[[Path, DigitTable], object]] = {
    "csv": lambda path, table: path.write_text(csv_text(table)),
    "utf-16": lambda path, table: path.write_text(csv_text(table), encoding="utf-16"),
    "no header": lambda path, table: path.write_text(csv_text(table).partition("\n")[2].replace(",", " ")),
    "parquet": write_parquet,
    "npz": write_keras,
    "npy": write_npy,
    "mat": write_emnist,
    "idx": write_images,
    "libsvm": write_libsvm,
    "pictures": write_picture_zip,
}
PIECES = [b"", b'"', b"\n", b"\r", b"\0", b",", b";", b"-", b".", b"e9", b"nan", b"\xff\xfe", b"<html>", b"9" * 400]


def damage(content: bytes, random: np.random.Generator) -> bytes:
    """Return content with a few bytes changed, a piece inserted in place of some, or its end cut off."""
    changed = bytearray(content)
    for _ in range(random.integers(1, 4)):
        place = int(min(random.integers(len(changed)), random.integers(20_000)))
        kind = random.integers(3)
        if kind == 0:
            changed[place] = int(random.integers(256))
        elif kind == 1:
            changed[place : place + int(random.integers(4))] = PIECES[random.integers(len(PIECES))]
        else:
            del changed[len(changed) - int(random.integers(1, len(changed) // 2)) :]
    return bytes(changed)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_damaged_file_is_read_or_refused_in_one_line(kind: str, digits: DigitTable, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "digits"
    WRITERS[kind](path, digits.select(np.arange(20)))
    content, random, end = path.read_bytes(), np.random.default_rng(0), time.monotonic() + SECONDS
    tried = refused = 0
    while time.monotonic() < end or not refused:
        path.write_bytes(damage(content, random))
        tried += 1
        try:
            assert len(open_digits(path).read(labels_required=False))
        except UserError as error:
            refused += 1
            assert "\n" not in str(error)
            assert str(path.parent) in str(error) or "digits" in str(error)
    assert tried >= refused > 0
