"""Rows: group parts of ink into the digits and marks of rows."""

from dataclasses import dataclass

import numpy as np

from pipeline.vision.binarise import Ink
from pipeline.vision.mask import Box
from pipeline.vision.part import Part, join, overlap, size, typical_height
from pipeline.vision.segment import find_parts, join_stacked, split_stacked

MAX_SIDE_TO_HEIGHT = 40
"""Digits in a photo are higher than the photo's longer side divided by this. Lower marks are noise."""
FULL_PAGE_PARTS, FULL_PAGE_SIDE_TO_HEIGHT = 20, 50
"""Parts of a page full of numbers, and its longer side divided by their height, which is above that of noise."""
MIN_DIGIT_HEIGHT = 0.45
"""Digits are higher than the median digit of the picture times this."""
MIN_HEIGHT_TO_WIDTH = 0.25
"""Digits are higher than their width times this; dashes are lower."""
MAX_ROW_OFFSET = 0.6
"""A digit lies at most this many heights above or below the row that it continues."""
MAX_ROW_SLOPE = 0.3
"""Slope of a row, in rows per column."""
MIN_MARK_THICKNESS = 0.55
"""Marks are at least this thick, relative to the strokes of their row; thinner ones are rests of printed lines."""


@dataclass(frozen=True, eq=False)
class Row:
    """A row of handwriting.

    Attributes:
        parts: parts as high as digits, from left to right.
        marks: lower parts beside them, from left to right: points, commas, dashes.
    """

    parts: tuple[Part, ...]
    marks: tuple[Part, ...] = ()

    @property
    def height(self) -> float:
        """The median height of its parts."""
        return float(np.median([part.height for part in self.parts]))


def find_rows(ink: Ink) -> list[Row]:
    """Return the rows of handwriting in a picture, from top to bottom.

    Raises:
        UserError: the picture contains over MAX_MARKS marks.
    """
    parts = find_parts(ink)
    if not parts:
        return []
    typical = typical_height([part.height for part in parts])
    parts = split_stacked(join_stacked(parts, typical), typical)
    side = max(ink.mask.shape)
    full_page = len(parts) >= FULL_PAGE_PARTS and typical > side / FULL_PAGE_SIDE_TO_HEIGHT
    lowest = max(MIN_DIGIT_HEIGHT * typical, 0 if ink.even or full_page else side / MAX_SIDE_TO_HEIGHT)
    high, low = list[Part](), list[Part]()
    for part in parts:
        (high if part.height > max(lowest, MIN_HEIGHT_TO_WIDTH * part.width) else low).append(part)
    rows: list[list[Part]] = []
    for part in sorted(high, key=lambda part: part.box[1].start):
        offsets = [_row_offset(row, part) for row in rows]
        best = int(np.argmin(offsets)) if offsets else 0
        if offsets and offsets[best] <= MAX_ROW_OFFSET:
            rows[best].append(part)
        else:
            rows.append([part])
    found = [Row(tuple(_merge(row))) for row in _continue_to_the_left(rows)]
    found.sort(key=lambda row: float(np.mean([part.middle for part in row.parts])))
    nearest: list[list[Part]] = [[] for _ in found]
    for part in low if found else []:
        nearest[int(np.argmin([_distance(row, part) for row in found]))].append(part)
    return [_with_marks(row, marks) for row, marks in zip(found, nearest, strict=True)]


def _distance(row: Row, part: Part) -> float:
    """Return the distance of a part from the nearest digit of a row, in rows and columns."""
    gaps = [overlap(each.box, part.box) for each in row.parts]
    return min(float(np.hypot(min(0, rows), min(0, columns))) for rows, columns in gaps)


def _continue_to_the_left(rows: list[list[Part]]) -> list[list[Part]]:
    """Return the rows; a lone digit joins the row that continues it, once that row's slope is known."""
    joined = list(rows)
    for alone in [row for row in rows if len(row) == 1]:
        later = [row for row in joined if len(row) > 2 and row[0].box[1].start >= alone[0].box[1].stop]
        offsets = [_row_offset(row[3::-1], alone[0]) for row in later]
        if offsets and min(offsets) <= MAX_ROW_OFFSET:
            row = later[int(np.argmin(offsets))]
            joined.remove(alone)
            joined[joined.index(row)] = alone + row
    return joined


def _row_offset(row: list[Part], part: Part) -> float:
    """Return by how many heights a part lies above or below a row, continued to its place.

    Args:
        row: the parts of the row, in an order in which the last one is nearest to `part`.
        part: a part that is not in the row.
    """
    last = row[-4:]
    height = max(each.height for each in [*last, part])
    middles = np.array([each.middle for each in last])
    columns = np.array([each.box[1].start for each in last], dtype=np.float64)
    expected = middles[-1]
    if np.ptp(columns) > height:
        slope = np.clip(np.polyfit(columns, middles, 1)[0], -MAX_ROW_SLOPE, MAX_ROW_SLOPE)
        expected = middles.mean() + slope * (part.box[1].start - columns.mean())
    return float(abs(part.middle - expected) / height)


def _merge(row: list[Part]) -> list[Part]:
    """Return the parts of a row, with the parts of one digit joined."""
    merged: list[Part] = []
    longest = max(max(part.height, part.width) for part in row)
    for part in row:
        for index, other in enumerate(merged):
            if _same_digit(other.box, part.box, longest):
                merged[index] = join([other, part])
                break
        else:
            merged.append(part)
    return sorted(merged, key=lambda part: part.box[1].start)


def _with_marks(row: Row, low: list[Part]) -> Row:
    """Return a row with the low parts near it: those on a digit's own columns become part of it."""
    parts, marks = list(row.parts), []
    thinnest = MIN_MARK_THICKNESS * float(np.median([part.stroke for part in parts]))
    for mark in sorted(low, key=lambda part: part.box[1].start):
        if mark.thickness <= thinnest or _distance(row, mark) > row.height:
            continue
        for index, part in enumerate(parts):
            if _same_digit(part.box, mark.box, row.height) and max(mark.height, mark.width) > row.height / 12:
                parts[index] = join([part, mark])
                break
        else:
            marks.append(mark)
    return Row(tuple(parts), tuple(marks))


def _same_digit(a: Box, b: Box, longest: float) -> bool:
    """Return whether two components belong to one digit.

    The digits of a number are side by side and share nine tenths of their rows. The parts of a digit share columns, or
    at least lie one above the other.
    """
    (rows, columns), (height, width) = overlap(a, b), np.minimum(size(a), size(b))
    if rows < -longest / 3:
        return False
    return bool(columns > width / 2 or (columns > -longest / 20 and rows < 0.65 * height))
