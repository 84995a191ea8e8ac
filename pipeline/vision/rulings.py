"""Printed lines: remove ruled lines, squares, frames and the sides of boxes from a mask of ink."""

import numpy as np
from scipy import ndimage

from pipeline.vision.hough import Line, Runs, find_lines
from pipeline.vision.image import Grey
from pipeline.vision.mask import Mask, connected_components, stroke_width
from pipeline.vision.part import typical_height

MIN_LENGTH_FRACTION = {True: 0.5, False: 0.25}
"""A printed line is longer than this fraction of the picture's side, on even and on uneven paper. In a drawing, long
strokes are more frequent than lines."""
LENGTH_TO_DIGIT = 1.6
"""A printed line is longer than the typical handwriting by this factor."""
BORDER_LENGTH_TO_DIGIT = 1.35
"""The same for an upright line from border to border."""
SIDE_BAND = 0.08
"""Width of the band along a box's side in which its ink lies, relative to the box: boxes may be turned a little."""
MIN_SIDE_COVERAGE = 0.88
"""Fraction of a box's side that has ink."""
MAX_ONE_TO_WIDTH = 40
"""Length of a 1 relative to its width; printed lines on an empty page are longer."""
MIN_SIDE_TO_WIDTH = 8
"""Length of the side of a box, divided by its width."""
MIN_SIDE_LENGTH = 0.8
"""Length of the sides of a box between its corners, and of the lines between its cells, relative to the box."""
MIN_CONTENT = 0.25
"""Height of what a box contains, relative to the box; without content it is not removed: it may be a 0."""
MAX_THIN_LINE = 0.65
"""Width of a line, relative to the strokes, up to which it need not be bounded at both ends."""
MIN_REST_FRACTION = 0.05
"""Length of the shortest rest of a line in a corner, relative to the picture."""
MAX_SLOPE_DIFFERENCE = 0.04
"""Difference of the slopes of two parallel lines."""
FAINT_LEVEL = 0.3
"""Amount of ink from which a faint printed line is found; the threshold of ink is 0.5."""
MAX_FAINT = 0.75
"""Amount of ink of what a faint line leaves above the threshold; strokes have more."""
MIN_FAINT_LINES = 3
MAX_REST = 3
"""Longer side of what remains where two lines cross, relative to the wider line."""


def remove_lines(mask: Mask, *, even: bool) -> Mask:
    """Return a mask of ink, bool (h, w), without printed lines; strokes that cross a line are kept.

    A line is thin, straight up to a slight curve, turned by at most 17 degrees, and longer than the handwriting. An
    upright one begins and ends at the border or on another line, as the sides of a box do; otherwise it may be a 1.
    Between two lines across the whole picture, it may be the stem of a 7, and must be longer.

    Args:
        mask: the ink.
        even: whether the paper has one grey, as in a drawing.
    """
    original = mask
    mask = _remove_boxes(mask)
    thickness = max(3.0, 1.6 * stroke_width(mask))
    horizontal, vertical = (find_lines(each, thickness, MIN_LENGTH_FRACTION[even]) for each in (mask, mask.T))
    if not horizontal and not vertical:
        return mask
    stroke = stroke_width(_erase(mask, horizontal, vertical))
    vertical = [
        line for line in vertical if _is_bounded(line, horizontal, mask.shape, both=line.width > MAX_THIN_LINE * stroke)
    ]
    typical = _typical(_erase(mask, horizontal, vertical))
    if not typical:  # an empty page with lines, or nothing but 1s from border to border
        ones = not horizontal and all(line.length < MAX_ONE_TO_WIDTH * line.width for line in vertical)
        return mask if ones or len(horizontal) + len(vertical) <= 2 else _erase(mask, horizontal, vertical)

    def is_long(line: Line, factor: float, side: int) -> bool:
        from_border = line.start <= 2 or line.stop >= side - 2
        return line.length > factor * typical * (min(1, line.width / stroke) if from_border else 1)

    def spans(line: Line) -> bool:
        return line.start <= 2 and line.stop >= mask.shape[0] - 2

    horizontal = [line for line in horizontal if is_long(line, LENGTH_TO_DIGIT, mask.shape[1])]
    cells = [line for line in horizontal if line.start > 2 or line.stop < mask.shape[1] - 2]
    vertical = [
        line
        for line in vertical
        if is_long(line, BORDER_LENGTH_TO_DIGIT if spans(line) else LENGTH_TO_DIGIT, mask.shape[0])
        or _is_bounded(line, cells)
    ]
    mask = _erase(mask, horizontal, vertical)
    short, upright = _rests(mask, horizontal, thickness), _rests(mask.T, vertical, thickness)
    widest = max((line.width for line in [*horizontal, *vertical]), default=0)
    return _remove_spurs(_erase(mask, short, upright), original, widest, stroke)


def remove_faint_lines(mask: Mask, amount: Grey) -> Mask:
    """Return a mask of ink on uneven paper without what lines below the threshold leave in it.

    They exceed it where two of them cross, and beside strokes.

    Args:
        mask: the ink, bool (h, w).
        amount: the amount of ink, float32 (h, w) in 0..1.
    """
    thickness = max(3.0, 1.6 * stroke_width(mask))
    faint = amount > FAINT_LEVEL
    across, upright = (find_lines(each, thickness, MIN_LENGTH_FRACTION[False]) for each in (faint, faint.T))
    if len(across) + len(upright) < MIN_FAINT_LINES:
        return mask
    result = mask.copy()
    for target, ink, lines in ((result, amount, across), (result.T, amount.T, upright)):
        runs = Runs.of(target)
        for line in lines:
            near = abs(np.polyval(line.coefficients, runs.column) - runs.middle) <= line.width
            own = runs.select(near & (runs.length <= 1.35 * line.width + 1))
            for column, start, stop in zip(own.column, own.start, own.stop, strict=True):
                if ink[start:stop, column].max() < MAX_FAINT:
                    target[start:stop, column] = False
    return result


def _remove_spurs(mask: Mask, original: Mask, width: float, stroke: float) -> Mask:
    """Return a mask without what lines leave on strokes, if the strokes are clearly wider than the lines."""
    size = round(width) + 1
    if not width or stroke < 1.6 * size:
        return mask
    beside = ndimage.binary_dilation(original & ~mask, np.ones((3, 3)), iterations=2 * size)
    wide: Mask = mask & (~beside | ndimage.binary_opening(mask, np.ones((size, size))))
    return wide


def _rests(mask: Mask, lines: list[Line], thickness: float) -> list[Line]:
    """Return the short lines in the corners of a page that are parallel to three or more long ones."""
    if len(lines) < 3:
        return []
    return [
        line
        for line in find_lines(mask, thickness, MIN_REST_FRACTION)
        if min(abs(line.slope - other.slope) for other in lines) < MAX_SLOPE_DIFFERENCE
        and _is_bounded(line, [], mask.T.shape)
    ]


def _erase(mask: Mask, horizontal: list[Line], vertical: list[Line]) -> Mask:
    """Return a mask without the ink of lines, and without the rests that remain where lines cross."""
    if not horizontal and not vertical:
        return mask
    result = mask.copy()
    for target, lines in ((result, horizontal), (result.T, vertical)):
        for line in lines:
            for column, start, stop in zip(line.runs.column, line.runs.start, line.runs.stop, strict=True):
                target[start:stop, column] = False
    beside = ndimage.binary_dilation(mask & ~result, np.ones((3, 3)), iterations=2)
    largest = MAX_REST * max(line.width for line in [*horizontal, *vertical])
    labels, boxes = connected_components(result)
    for label, box in enumerate(boxes, start=1):
        own = labels[box] == label
        if max(own.shape) <= largest and beside[box][own].any():
            result[box] &= ~own
    return result


def _typical(mask: Mask) -> float:
    """Return the typical height of the components that are no specks, or 0."""
    _, boxes = connected_components(mask)
    heights = [rows.stop - rows.start for rows, _ in boxes]
    heights = [height for height in heights if height > max(mask.shape) / 40]
    return typical_height(heights) if heights else 0


def _remove_boxes(mask: Mask) -> Mask:
    """Return a mask without the sides of boxes around handwriting: components with three or four straight sides."""
    labels, boxes = connected_components(mask)
    result = mask.copy()
    for label, (rows, columns) in enumerate(boxes, start=1):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if min(height, width) < max(mask.shape) / 25:
            continue
        own = labels[rows, columns] == label
        if sum(_side_coverage(own)) < 3:
            continue
        thickness = max(3.0, 1.6 * stroke_width(np.pad(own, 1)))
        band = 2 * SIDE_BAND * height
        horizontal = [
            line
            for line in find_lines(own, thickness, MIN_SIDE_LENGTH, MIN_SIDE_TO_WIDTH)
            if not band < line.row_at((line.start + line.stop) / 2) < height - band
        ]
        rest = _erase(own, horizontal, find_lines(own.T, thickness, MIN_SIDE_LENGTH, MIN_SIDE_TO_WIDTH))
        inside = rest | (mask[rows, columns] & ~own)
        if _typical(inside) > MIN_CONTENT * height:
            result[rows, columns] &= ~own | rest
    return result


def _side_coverage(own: Mask) -> list[bool]:
    """Return for each side of a component's box whether ink lies along nearly all of it."""
    band = [max(2, round(SIDE_BAND * length)) for length in own.shape]
    sides = [own[: band[0]].any(axis=0), own[-band[0] :].any(axis=0)]
    sides += [own[:, : band[1]].any(axis=1), own[:, -band[1] :].any(axis=1)]
    return [bool(side.mean() > MIN_SIDE_COVERAGE) for side in sides]


def _is_bounded(line: Line, across: list[Line], shape: tuple[int, ...] | None = None, *, both: bool = True) -> bool:
    """Return whether both ends, or one end, of an upright line lie on lines across, or on the border of `shape`."""
    tolerance = 2 * line.width + 2

    def is_end(y: int, x: float) -> bool:
        if shape is not None and not (
            line.width < y < shape[0] - 1 - line.width and line.width < x < shape[1] - 1 - line.width
        ):
            return True
        return any(
            other.start - tolerance <= x <= other.stop + tolerance and abs(other.row_at(x) - y) <= tolerance
            for other in across
        )

    ends = [is_end(line.start, line.row_at(line.start)), is_end(line.stop - 1, line.row_at(line.stop - 1))]
    return all(ends) if both else any(ends)
