"""The columns of a table of digits: which hold pixels, which the label, and which neither."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product, zip_longest
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.data.csv_text import parse_number
from pipeline.data.pixel_format import SIDES
from pipeline.digits import CLASSES, SIDE, Labels

PIXEL_COLUMNS = [f"pixel{index}" for index in range(SIDE * SIDE)]
LABEL_NAMES = ("label", "labels", "class", "target", "y", "digit")
"""Names of a label column, in lower case."""
INDEX_NAMES = re.compile(r"|unnamed: \d+|index|id|image_?id|row_?names?", re.IGNORECASE)
"""Names of columns that pandas, R and Kaggle write besides the data."""
ONE_HOT_NAME = re.compile(r"(?:(?:label|class|target|y|digit)[ _.]?)?(\d)", re.IGNORECASE)
NUMBER = re.compile(r"\d{1,9}")
"""A number in the name of a column; Python does not convert text with thousands of digits."""


class ColumnError(ValueError):
    """Columns that are not those of a table of digits. The message states the first fault and its remedy."""


@dataclass(frozen=True)
class Layout:
    """The positions of the columns of a table, from 0.

    Attributes:
        names: the name of each column.
        pixels: pixel columns, in row-major order of the image.
        labels: the label column; ten columns if the labels are one-hot; none if the labels are unknown.
    """

    names: tuple[str, ...]
    pixels: range
    labels: range

    @property
    def used(self) -> list[int]:
        """The columns with pixels or labels, in the order of the table."""
        return sorted({*self.pixels, *self.labels})

    def split(self, values: NDArray[Any]) -> tuple[NDArray[Any], Labels | None]:
        """Return pixels, (N, pixels), and labels, int64 (N,), of values in the used columns, (N, columns).

        The label of a row that has none, or several, is -1.
        """
        size, count = len(self.pixels), len(self.labels)
        if not count:
            return values, None
        last = self.labels.start > self.pixels.start
        pixels, columns = (values[:, :size], values[:, size:]) if last else (values[:, count:], values[:, :count])
        if count == 1:
            labels = columns[:, 0].astype(np.int64)
            return pixels, np.where(labels == columns[:, 0], labels, -1) if columns.dtype.kind == "f" else labels
        one_hot = np.isin(columns, (0, 1)).all(axis=1) & (columns.sum(axis=1) == 1)
        return pixels, np.where(one_hot, columns.argmax(axis=1), -1)

    def shifted(self, columns: int) -> Self:
        """Return the layout of a table with this number of further columns before the others."""
        first, last = ((block.start + columns, block.stop + columns) for block in (self.pixels, self.labels))
        return replace(self, names=("",) * columns + self.names, pixels=range(*first), labels=range(*last))


def find_columns(names: Sequence[str], *, labels_required: bool) -> Layout:
    """Return the layout of a table with these column names.

    Pixels are `pixel0` to `pixel783`, or any other names that count up, such as `1x1` to `28x28`. The label may be
    first or last, under any of LABEL_NAMES or one-hot in ten columns. Columns named as INDEX_NAMES are ignored.

    Raises:
        ColumnError: a column is missing, renamed, out of place or unexpected.
    """
    kept = [place for place, name in enumerate(names) if not INDEX_NAMES.fullmatch(name)]
    labels = [place for place in kept if names[place].lower() in LABEL_NAMES]
    if len(labels) > 1:
        first, second = (f'"{names[place]}"' for place in labels[:2])
        raise ColumnError(f"columns {first} and {second} may both be the label; remove one")
    others = [place for place in kept if place not in labels]
    if not labels:
        labels = _one_hot_columns(names, others)
        others = [place for place in others if place not in labels]
    pixels = expected_pixels([names[place] for place in others])
    if labels_required and not labels:
        _raise_missing_label([names[place] for place in others], pixels)
    found = [names[place] for place in others]
    if found != pixels:
        raise ColumnError(_column_fault(names, others, pixels))
    if others[-1] - others[0] != len(others) - 1:
        raise ColumnError("the label is between the pixels; put it first or last")
    return Layout(
        tuple(names), range(others[0], others[-1] + 1), range(labels[0], labels[-1] + 1) if labels else range(0)
    )


def count_columns(rows: NDArray[Any], *, labels_required: bool) -> Layout:
    """Return the layout of a table without column names, from its number of columns and its values.

    Args:
        rows: the first rows, (N, columns); their first and last values decide where the label is.
        labels_required: whether labels are needed.

    Raises:
        ColumnError: there are no images of a known size in that many columns, both ends may be the label, or there is
            no label.
    """
    width = rows.shape[1]
    names = tuple(str(number) for number in range(1, width + 1))
    none = range(0)
    for size in (side * side for side in SIDES):
        if width == size:
            if labels_required:
                raise ColumnError(f"has {size} columns without names, all of them pixels, and no label; add it")
            return Layout(names, range(size), none)
        if width == size + 1:
            first = _label_is_first(rows)
            return Layout(names, range(first, size + first), range(1) if first else range(size, size + 1))
        if width == size + 2 and np.array_equal(rows[:, 0] - rows[0, 0], np.arange(len(rows))):
            first = _label_is_first(rows[:, 1:])
            return Layout(
                names, range(1 + first, 1 + first + size), range(1, 2) if first else range(size + 1, size + 2)
            )
        if width == size + CLASSES:
            for labels, pixels in (
                (range(size, width), range(size)),
                (range(CLASSES), range(CLASSES, width)),
            ):
                ends = rows[:, labels.start : labels.stop]
                if np.isin(ends, (0, 1)).all() and (ends.sum(axis=1) == 1).all():
                    return Layout(names, pixels, labels)
    raise ColumnError(
        f"the first line is {width} numbers; without column names it must be {SIDE * SIDE} pixels, or a label and "
        f"{SIDE * SIDE} pixels"
    )


def find_fault(layout: Layout, cells: list[str], bounds: tuple[float, float], *, whole_numbers: bool) -> str | None:
    """Return a message about the first fault in the cells of a row, or None."""
    numbers = {place: parse_number(cells[place]) for place in layout.used}
    for place, number in numbers.items():
        is_label = place in layout.labels
        lowest, highest = (0, CLASSES - 1) if is_label else bounds
        whole = is_label or whole_numbers
        column, cell = f"column {layout.names[place]}", cells[place]
        if not cell:
            return f"{column}: no value"
        if number is None or (whole and number % 1 > 0):
            return f'{column}: "{cell[:20]}" is not a {"whole " if whole else ""}number'
        if not lowest <= number <= highest:
            others = "; sets with letters, such as EMNIST's, have other labels" if is_label else ""
            return f"{column}: {cell[:20]} is outside {lowest:g} to {highest:g}{others}"
    if len(layout.labels) > 1 and sorted(numbers[place] or 0 for place in layout.labels) != [0] * (CLASSES - 1) + [1]:
        return "the ten columns of the label are not one 1 and nine 0"
    return None


def _label_is_first(rows: NDArray[Any]) -> bool:
    """Return whether the label is the first column; otherwise it is the last."""
    first, last = rows[:, 0], rows[:, -1]
    may_be_label = [bool(np.isin(column, range(CLASSES)).all()) for column in (first, last)]
    varies = [len(np.unique(column)) > 1 for column in (first, last)]
    if may_be_label == [True, True] and varies == [True, True]:
        raise ColumnError(
            "both the first and the last column may be the label; add a header, "
            f"label,{PIXEL_COLUMNS[0]},...,{PIXEL_COLUMNS[-1]}, or with the label last"
        )
    if may_be_label == [True, True]:
        return varies[0] or (not varies[1] and not last.any())
    return may_be_label[0] or not may_be_label[1]


def _one_hot_columns(names: Sequence[str], places: list[int]) -> list[int]:
    """Return the ten columns at the end or the start that are named after the digits, or []."""
    for block in (places[-CLASSES:], places[:CLASSES]):
        found = [ONE_HOT_NAME.fullmatch(names[place]) for place in block]
        if len(places) > CLASSES and [match and match[1] for match in found] == list("0123456789"):
            rest = len(places) - CLASSES
            if rest in (side * side for side in SIDES):
                return block
    return []


def expected_pixels(names: list[str]) -> list[str]:
    """Return the complete names of pixel columns that follow the pattern of most of these names."""
    patterns = Counter(NUMBER.sub("#", name) for name in names)
    pattern = patterns.most_common(1)[0][0] if patterns else ""
    matching = [name for name in names if NUMBER.sub("#", name) == pattern]
    side = next((side for side in SIDES if abs(len(names) - side * side) <= 2), SIDE)
    if pattern.count("#") == 1 and len(matching) > 1:
        start = min(1, *(int(NUMBER.findall(name)[0]) for name in matching))
        numbers: list[tuple[str, ...]] = [(str(start + index),) for index in range(side * side)]
    elif pattern.count("#") == 2 and len(matching) > 1:
        start = min(1, *(int(number) for name in matching for number in NUMBER.findall(name)))
        numbers = [(str(a), str(b)) for a, b in product(range(start, start + side), repeat=2)]
    else:
        return PIXEL_COLUMNS
    before, *between = pattern.split("#")
    return [before + "".join(map("".join, zip(number, between, strict=True))) for number in numbers]


def _raise_missing_label(names: list[str], pixels: list[str]) -> None:
    """Raise a ColumnError about the label, unless the pixel columns have a fault themselves."""
    unknown = [(number, name) for number, name in enumerate(names, start=1) if name not in pixels]
    if len(names) == len(pixels) + 1 and len(unknown) == 1:
        number, name = unknown[0]
        raise ColumnError(f'column {number}, "{name[:30]}", must be named "label"; rename it')
    if names == pixels:
        raise ColumnError('column "label" is missing (it should be column 1); add it')


def _column_fault(names: Sequence[str], places: list[int], expected: list[str]) -> str:
    """Return a message about the first difference between the columns at `places` and the expected ones."""
    found = [names[place] for place in places]
    for index, (name, wanted) in enumerate(zip_longest(found, expected)):
        if name == wanted:
            continue
        number = places[index] + 1 if index < len(places) else len(names) + 1
        shown = f'column {number}, "{(name or "")[:30]}",'
        if wanted is not None and wanted not in found:
            if name is None or name in expected:
                return f'column "{wanted}" is missing (it should be column {number}); add it'
            return f'{shown} must be named "{wanted}"; rename it'
        if name not in expected:
            return f"{shown} is unexpected; remove it"
        if name in found[:index]:
            return f"{shown} is a duplicate; remove it"
        return f"{shown} is out of place; put the columns in the order {expected[0]},{expected[1]},...,{expected[-1]}"
    raise AssertionError("the columns are the expected ones")
