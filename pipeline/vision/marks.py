"""Marks beside digits: points, commas, colons, dashes and slashes."""

from dataclasses import dataclass

import numpy as np

from pipeline.vision.binarise import Ink
from pipeline.vision.mask import stroke_width
from pipeline.vision.part import Part, join
from pipeline.vision.rows import Row

UNKNOWN_MARK = "?"
MAX_DOT_SIDE = 0.42
"""Longer side of a point or comma, relative to the row's height."""
MIN_DARKNESS = 0.8
"""Mean amount of ink of a mark, relative to that of the digits of its row."""
MIN_DOT_SIDE = 0.85
"""Longer side of a point, relative to the stroke width of its row; smaller ones are specks."""
MIN_BLOT_SIDE = 1.1
"""Longer side of a point far above the foot of its row, relative to the stroke width; smaller ones are specks."""
MIN_POINT_DEPTH = 0.65
"""Position of a point between the top of its row, 0, and the foot, 1."""
MIN_DASH_RATIO = 1.8
"""Width of a dash divided by its height."""
MIN_DASH_WIDTH = 0.25
"""Width of a dash, relative to the row's height."""
MIN_SLASH_HEIGHT, MIN_SLANTED_HEIGHT = 1.08, 1.0
"""Height of a slash, and of what may be a slash or a 1, relative to the digits of its row."""
MIN_SLASH_SLANT = 0.3
"""Slant of a slash, as the tangent of its angle to the vertical."""
MIN_SLASH_LEAN = 0.15
"""Slant of a slash less that of the digits of its row: a slanted 1 is among slanted digits."""
MIN_STRAIGHTNESS = 0.95
"""Correlation of the rows and the columns of a slash's ink, negated."""


@dataclass(frozen=True, eq=False)
class Mark:
    """A mark between digits.

    Attributes:
        part: its ink.
        symbol: ".", ",", ":", "-", "=", "/", "÷", or "?" if it is none of these.
    """

    part: Part
    symbol: str


def find_marks(ink: Ink, row: Row) -> list[Mark]:
    """Return the marks between the digits of a row, and a dash before them, from left to right.

    A point after the last digit is left out: it does not change the number.
    """
    stroke = float(np.median([stroke_width(part.mask) for part in row.parts]))
    darkness = float(np.median([_darkness(ink, part) for part in row.parts]))
    clear = [
        mark
        for mark in row.marks
        if max(mark.height, mark.width) >= MIN_DOT_SIDE * stroke
        and _darkness(ink, mark) >= MIN_DARKNESS * darkness
        and _is_level(row, mark)
    ]
    middles = [_middle(part) for part in row.parts]
    found: list[Mark] = []
    for group in _stacks(clear):
        whole = join(group)
        symbol = _symbol(group, row)
        if symbol is None:  # a point far above the foot of the row
            if max(whole.mask.shape) < MIN_BLOT_SIDE * stroke:
                continue
            symbol = UNKNOWN_MARK
        if min(middles) < _middle(whole) < max(middles) or (symbol == "-" and whole.box[1].stop < min(middles)):
            found.append(Mark(whole, symbol))
    return found


def _is_level(row: Row, mark: Part) -> bool:
    """Return whether a mark lies between the top of the digit beside it and a little below its foot."""
    nearest = min(row.parts, key=lambda part: abs(part.box[1].start - mark.box[1].start))
    rows = nearest.box[0]
    return bool(rows.start - 0.1 * row.height < mark.middle < rows.stop + 0.25 * row.height)


def _darkness(ink: Ink, part: Part) -> float:
    """Return the mean amount of ink of a part, in 0..1."""
    return float(ink.amount[part.box][part.mask].mean())


def _middle(part: Part) -> float:
    """Return the middle column of a part."""
    return float(part.box[1].start + part.box[1].stop) / 2


def explained_share(row: Row, found: list[Mark]) -> float:
    """Return the share of a row's ink that is in its digits and in the marks found, in 0..1; points do not count."""
    digits = sum(int(part.mask.sum()) for part in row.parts)
    large = [mark for mark in left_out(row, found) if max(mark.height, mark.width) > MAX_DOT_SIDE * row.height]
    rest = sum(int(mark.mask.sum()) for mark in large)
    return digits / (digits + rest)


def left_out(row: Row, found: list[Mark]) -> list[Part]:
    """Return the marks of a row that are in none of the marks found, and so not in the number."""
    return [mark for mark in row.marks if not any(_contains(each.part, mark) for each in found)]


def _contains(whole: Part, part: Part) -> bool:
    """Return whether a part lies in the box of another."""
    return all(a.start <= b.start and b.stop <= a.stop for a, b in zip(whole.box, part.box, strict=True))


def is_slash(part: Part, others: list[Part]) -> bool:
    """Return whether a part that reads as a 1 is a slash: straight, more slanted than the others, and higher."""
    return may_be_slash(part, others) and part.height >= MIN_SLASH_HEIGHT * _median_height(others)


def may_be_slash(part: Part, others: list[Part]) -> bool:
    """Return whether a part that reads as a 1 may be a slash: straight, more slanted than the others, and as high."""
    if part.height < MIN_SLANTED_HEIGHT * _median_height(others) or part.width < MIN_SLASH_SLANT * part.height:
        return False
    slant = _slant(part)
    lean = slant - float(np.median([_slant(other) for other in others]))
    rows, columns = np.nonzero(part.mask)
    straight = np.corrcoef(rows, columns)[0, 1] < -MIN_STRAIGHTNESS
    return bool(straight and slant >= MIN_SLASH_SLANT and lean >= MIN_SLASH_LEAN)


def _median_height(parts: list[Part]) -> float:
    """Return the median height of parts."""
    return float(np.median([part.height for part in parts]))


def _slant(part: Part) -> float:
    """Return the columns by which a part leans to the right per row upwards, by its second moments."""
    covariance = np.cov(np.nonzero(part.mask))
    return float(-covariance[0, 1] / covariance[0, 0]) if covariance[0, 0] else 0.0


def _stacks(marks: list[Part]) -> list[list[Part]]:
    """Return marks, from left to right, with those that share columns grouped."""
    stacks: list[list[Part]] = []
    right = -1
    for mark in sorted(marks, key=lambda part: part.box[1].start):
        if stacks and mark.box[1].start < right:
            stacks[-1].append(mark)
        else:
            stacks.append([mark])
        right = max(right, mark.box[1].stop) if len(stacks[-1]) > 1 else mark.box[1].stop
    return stacks


def _symbol(group: list[Part], row: Row) -> str | None:
    """Return the symbol of marks above one another; None for a point far above the foot of the row."""
    dashes = [mark for mark in group if _is_dash(mark, row.height)]
    dots = [mark for mark in group if mark not in dashes and max(mark.height, mark.width) <= MAX_DOT_SIDE * row.height]
    if len(dashes) + len(dots) < len(group):
        return UNKNOWN_MARK
    if dashes:
        return {(1, 0): "-", (2, 0): "=", (1, 2): "÷"}.get((len(dashes), len(dots)), UNKNOWN_MARK)
    if len(dots) == 2:
        return ":"
    top = float(np.median([part.box[0].start for part in row.parts]))
    depth = (dots[0].middle - top) / row.height
    if len(dots) > 2:
        return UNKNOWN_MARK
    if depth < MIN_POINT_DEPTH:
        return None
    return "," if dots[0].height > 1.4 * dots[0].width and depth > 0.85 else "."


def _is_dash(mark: Part, height: float) -> bool:
    """Return whether a mark is a horizontal stroke."""
    return mark.width > max(MIN_DASH_RATIO * mark.height, MIN_DASH_WIDTH * height)
