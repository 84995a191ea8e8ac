"""Segmentation: the parts of a picture's handwriting."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.errors import UserError
from pipeline.vision.binarise import Ink
from pipeline.vision.mask import Box, connected_components
from pipeline.vision.part import Part, crop, join, overlap, size, typical_height
from pipeline.vision.rulings import remove_faint_lines, remove_lines

MIN_DIGIT_SIDE_PX = 4
"""Longer side of the smallest digit, in pixels of the working copy."""
MAX_LENGTH_TO_HEIGHT, MAX_LENGTH_TO_SPECK = 3, 40
"""Longest component relative to the typical height, and relative to the longest speck."""
MAX_MARKS = 200
"""Marks in a picture; the limit keeps the time per picture under a second."""
MIN_FRAGMENT_HEIGHT = 0.6
"""Parts at the upper or lower border that are lower than this, relative to the others, belong to other rows."""
MAX_BORDER_STROKE = 0.36
"""Stroke width of a digit that touches the border, relative to its longer side."""
MAX_BORDER_HEIGHT = 2.5
"""A digit that touches the border is at most this high, relative to the others."""
MAX_RELATIVE_STROKE = 1.5
"""Strokes of a digit at the border are at most this wide, relative to those of the other digits."""
MAX_SOLIDITY = 0.8
"""Fraction of its bounding box that a digit at the border fills; a shadow or a desk fills more."""
MIN_WEDGE_SOLIDITY = 0.45
"""Fraction of its bounding box that a piece of a desk in a corner fills."""
MAX_CORNER = 0.3
"""Ends of printed lines in a corner of a picture are shorter than its sides times this."""
MIN_STACK_HEIGHT = 1.6
"""Height of a part that may be two digits of two rows, relative to the typical digit."""
MAX_CONTACT = 2.5
"""Width of the ink where two such digits touch, relative to the stroke width."""
ROW_MIDDLES = 0.4, 0.6
"""Position in such a part, from 0 at its top to 1, above which the upper row lies, and below which the lower one."""
CUT_BAND = 0.3, 0.7
"""Positions between which such a part is cut."""
MAX_DISTANCE = 3
"""Distance of the digits that show the two rows, relative to the height of such a part."""
MIN_BAR_ASPECT, MAX_BAR_BEND = 4, 0.025
"""Height of a bar relative to its width, and distance of its ink from its axis relative to its height; the other digits
show whether it is a 1."""
MAX_BAR_HEIGHT = 2.2
"""A 1 is at most this high, relative to the other digits; higher bars are edges of a sheet."""
MAX_SPECKS = 250
"""Specks on paper with handwriting; more are noise in the dark of a picture, and so is what is small among them."""
MAX_NEAR_SPECKS, NOISE_REACH_PX, MAX_NOISE_SIDE_PX = 2, 12, 24
"""Specks at most this far from a digit; longer side of what may be noise."""
MIN_STROKE = 0.45
"""Strokes are at least this wide, relative to the typical ones of the picture."""


def find_parts(ink: Ink) -> list[Part]:
    """Return the connected components of the handwriting, without specks, lines, and what enters from the border."""
    mask = remove_lines(ink.mask, even=ink.even)
    printed = bool((ink.mask != mask).any())
    if not ink.even:
        mask = remove_faint_lines(mask, ink.amount)
    labels, boxes = connected_components(mask)
    lengths = np.array([max(size(box)) for box in boxes])
    longest = lengths.max(initial=0)
    marks = lengths >= MIN_DIGIT_SIDE_PX
    if marks.any():  # the rest of a printed line may be much longer than the digits
        heights = [size(box)[0] for box, is_mark in zip(boxes, marks.tolist(), strict=True) if is_mark]
        marks &= lengths > min(longest, MAX_LENGTH_TO_HEIGHT * typical_height(heights)) / MAX_LENGTH_TO_SPECK
    large = int((lengths > max(MIN_DIGIT_SIDE_PX, longest / 6)).sum())
    if large > MAX_MARKS:
        raise UserError(f"the picture has {large:,} marks, over the limit of {MAX_MARKS}; crop it to one number")
    places = np.array([(rows.start, columns.start) for rows, columns in boxes]).reshape(-1, 2)
    specks = places[lengths < MIN_DIGIT_SIDE_PX]
    noise = specks if len(specks) > MAX_SPECKS else specks[:0]
    height, width = mask.shape
    parts = []
    for label in np.flatnonzero(marks).tolist():
        box = boxes[label]
        border = box[0].start == 0 or box[1].start == 0 or box[0].stop == height or box[1].stop == width
        if not _is_among(noise, box) and not (printed and _is_corner(box, mask.shape)):
            parts.append(Part(box, labels[box] == label + 1, border))
    return _drop_thin(_drop_intruders(_drop_bars(parts), mask.shape))


def _is_among(noise: NDArray[np.int64], box: Box) -> bool:
    """Return whether a box is small, and specks, at (row, column) each, lie in it or around it."""
    if max(size(box)) > MAX_NOISE_SIDE_PX:
        return False
    near = np.ones(len(noise), dtype=np.bool_)
    for places, side in zip(noise.T, box, strict=True):
        near &= (places > side.start - NOISE_REACH_PX) & (places < side.stop + NOISE_REACH_PX)
    return int(near.sum()) > MAX_NEAR_SPECKS


def _is_corner(box: Box, shape: tuple[int, ...]) -> bool:
    """Return whether a box lies in a corner of a picture: on printed paper, it is the end of a line cut short there."""
    return all(
        (side.start == 0 or side.stop == length) and side.stop - side.start < MAX_CORNER * length
        for side, length in zip(box, shape, strict=True)
    )


def _drop_bars(parts: list[Part]) -> list[Part]:
    """Return the parts without upright bars that are much higher than the others: edges of a sheet, and shadows."""
    bars = [part for part in parts if _is_bar(part)]
    heights = [part.height for part in parts if part not in bars]
    if not bars or not heights:
        return parts
    highest = MAX_BAR_HEIGHT * typical_height(heights)
    return [part for part in parts if part not in bars or part.height < highest]


def _is_bar(part: Part) -> bool:
    """Return whether a part is narrow and straight."""
    if part.height < MIN_BAR_ASPECT * part.width:
        return False
    rows, columns = np.nonzero(part.mask)
    from_axis = columns - np.polyval(np.polyfit(rows, columns, 1), rows)
    return float(from_axis.std()) < MAX_BAR_BEND * part.height


def _drop_thin(parts: list[Part]) -> list[Part]:
    """Return the parts without those that are much thinner than the others: faint printed lines."""
    if len(parts) < 2:
        return parts
    strokes = np.array([part.stroke for part in parts])
    order = np.argsort(strokes)
    weights = np.cumsum([parts[index].mask.sum() for index in order])
    typical = strokes[order[np.searchsorted(weights, weights[-1] / 2)]]
    return [part for part, stroke in zip(parts, strokes, strict=True) if stroke > MIN_STROKE * typical]


def _drop_intruders(parts: list[Part], shape: tuple[int, ...]) -> list[Part]:
    """Return the parts without those at the border that are not digits: other rows, shadows, desks, edges."""
    inner = [part for part in parts if not part.border] or parts
    if not any(part.border for part in parts):
        return parts
    typical = typical_height([part.height for part in inner])
    stroke = float(np.median([part.half_width for part in inner if part.height >= 0.5 * typical]))
    return [
        part
        for part in parts
        if not part.border
        or not (
            _is_fragment(part, shape, typical)
            or _is_blob(part, shape, stroke, alone=len(parts) == 1)
            or _is_edge(part, inner, shape, typical)
        )
    ]


def _is_fragment(part: Part, shape: tuple[int, ...], typical: float) -> bool:
    """Return whether a part at the upper or lower border is the end of another row."""
    rows, _ = part.box
    return (rows.start == 0 or rows.stop == shape[0]) and part.height < MIN_FRAGMENT_HEIGHT * typical


def _is_blob(part: Part, shape: tuple[int, ...], stroke: float, *, alone: bool) -> bool:
    """Return whether a part at the border is wider than strokes.

    Args:
        part: the part.
        shape: of the picture.
        stroke: half the width of the strokes, in pixels.
        alone: whether there is no other part, so that these are its own strokes.
    """
    half_width = part.half_width
    if half_width > 3 * stroke + 1:
        return True
    wide = 2 * half_width > MAX_BORDER_STROKE * max(part.mask.shape)
    if wide and (alone or half_width > MAX_RELATIVE_STROKE * stroke):
        return True
    return bool(part.mask.mean() > MAX_SOLIDITY and min(part.mask.shape) > min(shape) / 5)


def _is_edge(part: Part, inner: list[Part], shape: tuple[int, ...], typical: float) -> bool:
    """Return whether a part lies along one side of the picture and not in a row of digits: the edge of a desk."""
    rows, columns = part.box
    left, right = columns.start == 0, columns.stop == shape[1]
    top, bottom = rows.start == 0, rows.stop == shape[0]
    if len(inner) > 1 and part.height > MAX_BORDER_HEIGHT * typical:
        return True
    if (left and part.mask[:, 0].mean() > 0.35) or (right and part.mask[:, -1].mean() > 0.35):
        if left and right:
            return False
        others = [other for other in inner if other is not part]
        alone = all(overlap(part.box, other.box)[0] < 0.5 * part.height for other in others)
        if alone and (not (top or bottom) or (others and part.mask.mean() > MIN_WEDGE_SOLIDITY)):
            return True
        return not 0.7 * typical < part.height < 1.3 * typical
    along = (top and part.mask[0].mean() > 0.5) or (bottom and part.mask[-1].mean() > 0.5)
    return bool(along and part.width > 1.5 * part.height)


def join_stacked(parts: list[Part], typical: float) -> list[Part]:
    """Return the parts, with those joined that lie above one another and are as high as one digit together."""
    joined: list[Part] = []
    for part in sorted(parts, key=lambda part: part.box[0].start):
        for index, other in enumerate(joined):
            (rows, columns), width = overlap(part.box, other.box), min(part.width, other.width)
            high = max(part.box[0].stop, other.box[0].stop) - min(part.box[0].start, other.box[0].start)
            large = min(max(part.height, part.width), max(other.height, other.width)) > 0.2 * typical
            whole = rows > -0.15 * typical and high < 1.25 * typical
            above = rows < 0.3 * min(part.height, other.height)
            if large and ((whole and columns > width / 2) or (above and _is_near(part, other))):
                joined[index] = join([other, part])
                break
        else:
            joined.append(part)
    return joined


def split_stacked(parts: list[Part], typical: float) -> list[Part]:
    """Return the parts, with those cut in two that are digits of two rows, one above the other, that touch."""
    single = [part for part in parts if 0.5 * typical < part.height < MIN_STACK_HEIGHT * typical]
    split: list[Part] = []
    for part in parts:
        cut = _cut_between_rows(part, single) if part.height >= MIN_STACK_HEIGHT * typical else None
        split += [part] if cut is None else [crop(part, slice(0, cut)), crop(part, slice(cut, part.height))]
    return split


def _cut_between_rows(part: Part, others: list[Part]) -> int | None:
    """Return the row of a part in which digits of two rows touch; None unless the parts beside it are in two rows."""
    positions = []
    for other in others:
        rows, columns = overlap(part.box, other.box)
        if rows > 0 and columns > -MAX_DISTANCE * part.height:
            positions.append((other.middle - part.box[0].start) / part.height)
    upper, lower = ROW_MIDDLES
    has_both = any(each < upper for each in positions) and any(each > lower for each in positions)
    if not has_both or any(upper <= each <= lower for each in positions):
        return None
    low, high = (round(place * part.height) for place in CUT_BAND)
    ink = part.mask[low:high].sum(axis=1)
    return low + int(ink.argmin()) if ink.min() <= MAX_CONTACT * part.stroke else None


def _is_near(a: Part, b: Part) -> bool:
    """Return whether the ink of two parts is at most a stroke width apart."""
    reach = round(min(a.stroke, b.stroke))
    rows, columns = overlap(a.box, b.box)
    if min(rows, columns) < -reach:
        return False
    both = join([a, b])
    separate, _ = connected_components(both.mask)
    joined, _ = connected_components(ndimage.binary_dilation(np.pad(both.mask, reach), iterations=max(1, reach // 2)))
    return int(joined.max()) < int(separate.max())
