"""MNIST's IDX files."""

import gzip
import zlib
from pathlib import Path

import numpy as np

from pipeline.data.table import DigitTable
from pipeline.errors import UserError


def read_idx(images: Path, labels: Path) -> DigitTable:
    """Return the table in two of MNIST's IDX files (http://yann.lecun.com/exdb/mnist), plain or gzipped.

    Raises:
        UserError: a file is missing, is not IDX, or is not as long as its header says; the two differ in rows.
    """
    pixels = _idx_array(images, dimensions=3)
    answers = _idx_array(labels, dimensions=1)
    if len(pixels) != len(answers):
        raise UserError(
            f"{labels}: {len(answers)} labels for the {len(pixels)} images of {images.name}; fetch both again"
        )
    return DigitTable(pixels, answers.astype(np.int64))


def _idx_array(path: Path, dimensions: int) -> np.ndarray:
    """Return the uint8 array in an IDX file: 0, 0, type 8, the number of dimensions, their sizes, the values."""
    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; fetch MNIST again") from None
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read ({error}); delete it and fetch MNIST again") from error
    start = 4 + 4 * dimensions
    if len(content) < start or content[:4] != bytes([0, 0, 8, dimensions]):
        raise UserError(
            f"{path}: this is not an IDX file of {dimensions} dimension(s); delete it and fetch MNIST again"
        )
    shape = np.frombuffer(content, dtype=">u4", count=dimensions, offset=4).astype(int)
    if len(content) != start + shape.prod():
        raise UserError(
            f"{path}: {len(content)} bytes where {start + shape.prod()} are expected; delete it and fetch MNIST again"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
