"""MNIST's IDX files."""

from pathlib import Path

import numpy as np

from pipeline.data.arrays.contents import Arrays, Part, find_labels
from pipeline.data.table import DigitTable
from pipeline.errors import UserError, quote
from pipeline.utils.compressed import DAMAGE_ERRORS, open_decompressed


def read_idx(images: Path, labels: Path) -> DigitTable:
    """Return the table in two of MNIST's IDX files (http://yann.lecun.com/exdb/mnist), plain or compressed.

    Raises:
        UserError: a file is missing, is not IDX, or its length differs from its header; the numbers of images and
            labels differ.
    """
    pixels = _read_array(images, dimensions=3)
    classes = _read_array(labels, dimensions=1)
    if len(pixels) != len(classes):
        raise UserError(
            f"{labels}: {len(classes)} labels for the {len(pixels)} images of {images.name}; download both again"
        )
    return DigitTable(pixels, classes.astype(np.int64))


def load_idx(path: Path, part: Part) -> Arrays:
    """Return the images of an IDX file, with the labels of the file that is named alike; see `read_idx`."""
    labels = find_labels(path)
    return Arrays(_read_array(path, dimensions=3), None if labels is None else _read_array(labels, dimensions=1))


def _read_array(path: Path, dimensions: int) -> np.ndarray:
    """Return the uint8 array in an IDX file: 0, 0, type 8, the number of dimensions, their sizes, the values."""
    try:
        with open_decompressed(path) as stream:
            content = stream.read()
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; download it again") from None
    except DAMAGE_ERRORS as error:
        raise UserError(f"{path}: cannot be read ({quote(error)}); download it again") from error
    start = 4 + 4 * dimensions
    if len(content) < start or content[:4] != bytes([0, 0, 8, dimensions]):
        raise UserError(f"{path}: this is not an IDX file of {dimensions} dimension(s); download it again")
    shape = np.frombuffer(content, dtype=">u4", count=dimensions, offset=4).astype(int)
    if len(content) != start + shape.prod():
        raise UserError(f"{path}: {len(content)} bytes, expected {start + shape.prod()}; download it again")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
