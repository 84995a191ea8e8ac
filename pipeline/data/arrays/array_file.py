"""Files of digits that are read at once: arrays, decoded to a DigitTable."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.arrays.contents import Arrays, Part, damaged_array
from pipeline.data.columns import ColumnError, count_columns
from pipeline.data.csv_file import CHUNK_ROWS
from pipeline.data.pixel_format import SIZES, PixelFormat, detect_format
from pipeline.data.table import DigitTable
from pipeline.digits import CLASSES, SIDE, Labels
from pipeline.errors import UserError


@dataclass(frozen=True)
class ArrayFile:
    """A file, or a folder of pictures, whose images are read at once.

    Attributes:
        path: the file or folder.
        load: returns its arrays.
        part: which rows to read, if it contains training and test rows.
        known_format: the format of the pixels, if it is known; otherwise it is detected.
    """

    path: Path
    load: Callable[[Path, Part], Arrays]
    part: Part = "train"
    known_format: PixelFormat | None = None

    def __str__(self) -> str:
        return str(self.path)

    def read(self, *, labels_required: bool) -> DigitTable:
        """Return all rows as one table.

        Raises:
            UserError: the file is missing or damaged; its arrays are not images and labels; a value is out of range;
                it has no labels, and they are required.
        """
        table = self._table
        if labels_required and table.labels is None:
            raise UserError(f"{self}: has no labels; choose a file with labels")
        return table

    def chunks(self, *, labels_required: bool = False) -> Iterator[DigitTable]:
        """Yield the rows in order, CHUNK_ROWS at a time; raises the errors of `read`."""
        table = self.read(labels_required=labels_required)
        for start in range(0, len(table), CHUNK_ROWS):
            labels = None if table.labels is None else table.labels[start : start + CHUNK_ROWS]
            yield DigitTable(table.pixels[start : start + CHUNK_ROWS], labels)

    def parts(self) -> list["ArrayFile"]:
        """Return the file itself: it is one part."""
        return [self]

    def notes(self) -> list[str]:
        """Return what differs from MNIST's format, in words; raises the errors of `read`."""
        rows, _ = self._rows
        return self.pixel_format().notes(rows.shape[1])

    def pixel_format(self) -> PixelFormat:
        """Return the format of the pixels; raises the errors of `read`."""
        rows, labels = self._rows
        return self.known_format or detect_format(rows, labels, rows.min(), rows.max())

    @property
    def names(self) -> list[str] | None:
        """The name of the file of each image, if each has its own."""
        return self._arrays.names

    @cached_property
    def _arrays(self) -> Arrays:
        """The arrays, as they are stored."""
        try:
            return self.load(self.path, self.part)
        except FileNotFoundError:
            raise UserError(f"{self}: there is no such file; check its name") from None
        except UserError:
            raise
        except Exception as error:  # readers raise almost any exception on damaged data
            raise damaged_array(self.path, error) from None

    @cached_property
    def _rows(self) -> tuple[NDArray[Any], Labels | None]:
        """The images as numbers, (N, side * side), and their labels."""
        images, labels, _ = self._arrays
        rows, labels = _to_rows(images, labels, str(self))
        if not len(rows):
            raise UserError(f"{self}: contains no images; choose another file")
        return rows, None if labels is None else _to_labels(labels, len(rows), str(self))

    @cached_property
    def _table(self) -> DigitTable:
        """The table."""
        rows, labels = self._rows
        form = self.pixel_format()
        if not form.within_bounds(rows):
            _raise_out_of_range(rows, form, str(self))
        return DigitTable(form.decode(rows), labels)


def _to_rows(images: NDArray[Any], labels: NDArray[Any] | None, name: str) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return images as numbers, (N, side * side), with their labels, which may be a column of the images."""
    shape = images.shape
    if images.dtype.kind not in "buif":
        raise UserError(f"{name}: the images are of type {images.dtype}; save them as numbers")
    images = images.astype(np.uint8) if images.dtype.kind == "b" else images
    if images.ndim == 4 and 1 in {shape[1], shape[3]}:
        images = images[:, 0] if shape[1] == 1 else images[..., 0]
    elif images.ndim == 4 and shape[3] == 3:
        images = images.mean(axis=3)
    if images.ndim == 3 and images.shape[0] == images.shape[1] != images.shape[2]:
        images = images.transpose(2, 0, 1)  # MATLAB's order
    if images.ndim == 2 and images.shape == (SIDE, SIDE) and labels is None:
        images = images[np.newaxis]
    if images.ndim == 3 and images.shape[1] == images.shape[2]:
        images = images.reshape(len(images), -1)
    count = None if labels is None else max(labels.shape, default=0)
    if images.ndim == 2 and _has_images_as_columns(images.shape, count):
        images = images.T
    if images.ndim == 2 and images.shape[1] in SIZES:
        return images, labels
    if images.ndim == 2 and labels is None:
        try:
            layout = count_columns(images, labels_required=True)
        except ColumnError:
            pass
        else:
            return layout.split(images[:, layout.used])
    raise UserError(f"{name}: images of shape {shape} are not square images; reshape them to (N, {SIDE}, {SIDE})")


def _has_images_as_columns(shape: tuple[int, ...], count: int | None) -> bool:
    """Return whether the columns of a table are images, as in MATLAB's order, with `count` labels in another array."""
    height, width = shape
    if count is None and any(width - labels in SIZES for labels in (1, 2, CLASSES)):  # rows, with an index or labels
        return False
    return height in SIZES and (width not in SIZES or width == count)


def _to_labels(labels: NDArray[Any], count: int, name: str) -> Labels:
    """Return labels as digits, int64 (N,): of any number type or as text, in one row or column, or one-hot."""
    if labels.dtype.kind in "SUO":
        try:
            labels = labels.astype(str).astype(np.float64)
        except ValueError as error:
            raise UserError(f"{name}: the labels are not digits ({error}); save them as 0 to 9") from None
    if labels.ndim == 2 and CLASSES in labels.shape and labels.size == CLASSES * count:
        labels = labels if labels.shape == (count, CLASSES) else labels.T
        if not ((labels == labels.max()).sum(axis=1) == 1).all():
            raise UserError(f"{name}: a row of the one-hot labels does not name one digit; correct it")
        labels = labels.argmax(axis=1)
    if labels.size != count:
        raise UserError(f"{name}: {labels.size} labels for {count} images; save both again")
    flat = labels.reshape(count)
    digits: Labels = flat.astype(np.int64)
    faulty = np.flatnonzero((digits != flat) | (digits < 0) | (digits >= CLASSES))
    if not len(faulty):
        return digits
    if digits.min() == 1 and digits.max() == CLASSES:
        raise UserError(
            f"{name}: the labels are 1 to 10; in some sets 10 is the digit 0, in others every label is one too large: "
            "save them as 0 to 9"
        )
    raise UserError(
        f"{name}: label {flat[faulty[0]]:g} of image {faulty[0] + 1} is outside 0 to 9; sets with letters, such as "
        "EMNIST's, have other labels: choose a set of digits"
    )


def _raise_out_of_range(rows: NDArray[Any], form: PixelFormat, name: str) -> None:
    """Raise a UserError about the first value outside the range of a format."""
    lowest, highest = form.bounds
    row, pixel = np.argwhere(~((rows >= lowest) & (rows <= highest)))[0]
    raise UserError(
        f"{name}, image {row + 1}: pixel {pixel}: {rows[row, pixel]:g} is outside {lowest:g} to {highest:g}; correct it"
    )
