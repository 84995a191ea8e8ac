"""Parts: ink that belongs together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.vision.mask import Box, Mask, stroke_width


@dataclass(frozen=True, eq=False)
class Part:
    """Ink that belongs together: one digit, several that touch, or a mark.

    Attributes:
        box: its bounding box.
        mask: its ink, bool, cropped to the box.
        border: whether it touches the border of the picture.
    """

    box: Box
    mask: Mask
    border: bool = False

    @property
    def height(self) -> int:
        """Its number of rows."""
        return len(self.mask)

    @property
    def width(self) -> int:
        """Its number of columns."""
        return int(self.mask.shape[1])

    @property
    def thickness(self) -> float:
        """Its area divided by its longer side, in pixels."""
        return float(self.mask.sum() / max(self.mask.shape))

    @property
    def stroke(self) -> float:
        """Its stroke width, in pixels."""
        return stroke_width(np.pad(self.mask, 1))

    @property
    def half_width(self) -> float:
        """Half of its largest stroke width, in pixels."""
        return float(ndimage.distance_transform_edt(np.pad(self.mask, 1)).max())

    @property
    def middle(self) -> float:
        """Its middle row."""
        return float(self.box[0].start + self.box[0].stop) / 2


def typical_height(heights: Sequence[int]) -> float:
    """Return the median of at least one height, weighted by height: low components count little."""
    ordered = np.sort(heights)
    weights = np.cumsum(ordered)
    return float(ordered[np.searchsorted(weights, weights[-1] / 2)])


def gap(left: Part, right: Part) -> int:
    """Return the number of columns between two parts; negative if they share columns."""
    return int(right.box[1].start - left.box[1].stop)


def join(parts: Sequence[Part]) -> Part:
    """Return several parts as one."""
    rows = slice(min(part.box[0].start for part in parts), max(part.box[0].stop for part in parts))
    columns = slice(min(part.box[1].start for part in parts), max(part.box[1].stop for part in parts))
    mask = np.zeros((rows.stop - rows.start, columns.stop - columns.start), dtype=bool)
    for part in parts:
        top, left = part.box[0].start - rows.start, part.box[1].start - columns.start
        mask[top : top + part.height, left : left + part.width] |= part.mask
    return Part((rows, columns), mask, any(part.border for part in parts))


def crop(part: Part, rows: slice = slice(None), columns: slice = slice(None)) -> Part:
    """Return the ink of a part in some of its rows and columns, in its bounding box; all of it if there is none."""
    inside = part.mask[rows, columns]
    if not inside.any():
        return part
    (top, bottom), (left, right) = (_extent(np.flatnonzero(inside.any(axis=axis))) for axis in (1, 0))
    first_row = part.box[0].start + (rows.start or 0) + top
    first_column = part.box[1].start + (columns.start or 0) + left
    box = slice(first_row, first_row + bottom - top), slice(first_column, first_column + right - left)
    return Part(box, inside[top:bottom, left:right], part.border)


def _extent(places: NDArray[np.int64]) -> tuple[int, int]:
    """Return the first of ordered places, and the one after the last."""
    return int(places[0]), int(places[-1]) + 1


def overlap(a: Box, b: Box) -> tuple[int, int]:
    """Return the numbers of rows and of columns that two boxes share; a gap is negative."""
    rows, columns = (min(p.stop, q.stop) - max(p.start, q.start) for p, q in zip(a, b, strict=True))
    return rows, columns


def size(box: Box) -> tuple[int, int]:
    """Return the height and width of a box."""
    rows, columns = box
    return rows.stop - rows.start, columns.stop - columns.start
