"""Masks of ink: their components and stroke width, and strokes that are broken into pieces."""

from functools import reduce

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.vision.image import Grey

Mask = NDArray[np.bool_]
Box = tuple[slice, slice]
"""Rows and columns."""

HAIRLINE_WIDTH_PX = 3.0
"""Stroke width up to which an antialiased line may break when it is binarised."""
MAX_GAP_PX, MIN_HEIGHT_TO_GAP = 4, 15
"""Gaps in hairlines are closed up to this width, and up to the height of the tallest component divided by this factor:
the holes of small digits are as narrow as gaps."""
GRAIN_GAPS = 0.05, 0.4
"""Gaps in the strokes of a pencil or of chalk, as a fraction of the ink; those of other strokes have fewer, noise has
more."""
MAX_GRAIN_ASPECT = 1.5
"""Joined grains are a digit if they are at most this wide, relative to their height."""
MIN_DIGIT_SHARE = 0.8
"""Two pieces that are as high as this fraction of what they form are two digits."""
LOW_INK_THRESHOLD = 0.2
"""In a drawing, ink above this belongs to a connected component that has darker ink."""


def connected_components(mask: Mask) -> tuple[NDArray[np.int32], list[Box]]:
    """Return (labels, boxes): the 8-connected components of a mask, numbered from 1, and their bounding boxes."""
    labels = np.zeros(mask.shape, dtype=np.int32)
    if not mask.any():
        return labels, []
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    top, left = int(rows[0]), int(columns[0])
    inked = labels[top : rows[-1] + 1, left : columns[-1] + 1]  # most of a page is paper
    ndimage.label(mask[top : rows[-1] + 1, left : columns[-1] + 1], np.ones((3, 3)), output=inked)
    boxes = [
        (slice(top + y.start, top + y.stop), slice(left + x.start, left + x.stop))
        for y, x in ndimage.find_objects(inked)
    ]
    return labels, boxes


def stroke_width(mask: Mask) -> float:
    """Return the approximate stroke width of a mask in pixels: twice its area divided by the length of its outline."""
    middle = mask[1:-1, 1:-1]
    inside = middle & mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    area = int(np.count_nonzero(mask))
    return 2 * area / max(1, area - int(np.count_nonzero(inside)))


def join_hairlines(amount: Grey, mask: Mask) -> Mask:
    """Return the mask of ink; for hairlines on even paper, threshold with hysteresis, and close gaps.

    An antialiased line of one pixel is fainter than 0.5 where it passes between two pixels. Hysteresis keeps ink above
    LOW_INK_THRESHOLD in components that contain ink above 0.5. Small gaps remain where chalk or a dry pen left no ink.
    """
    if stroke_width(mask) > HAIRLINE_WIDTH_PX:
        return mask
    labels, boxes = connected_components(amount > LOW_INK_THRESHOLD)
    kept = np.unique(labels[mask])
    marked: Mask = np.isin(labels, kept)
    tallest = max((boxes[label - 1][0].stop - boxes[label - 1][0].start for label in kept.tolist()), default=0)
    gap = min(MAX_GAP_PX, tallest // MIN_HEIGHT_TO_GAP)
    return marked | ndimage.binary_closing(marked, iterations=gap // 2) if gap >= 2 else marked


def join_grain(mask: Mask) -> Mask:
    """Return the mask of ink; strokes that consist of grains, as of a pencil on rough paper, are joined.

    The result of a closing is kept where it joins pieces to the height and the shape of a digit and adds much ink, but
    not where it joins digits, a speck or a printed line to them.
    """
    for gap in range(MAX_GAP_PX, 1, -1):
        closed = close_gaps(mask, gap)
        if closed.sum() < (1 + GRAIN_GAPS[0]) * mask.sum() or not mask.any():
            break
        labels, boxes = connected_components(closed)
        pieces, piece_boxes = connected_components(mask)
        ink, filled = (np.bincount(labels[where], minlength=len(boxes) + 1)[1:] for where in (mask, closed))
        heights, widths = np.transpose([(y.stop - y.start, x.stop - x.start) for y, x in boxes])
        _, first = np.unique(pieces[mask], return_index=True)
        joined = labels[mask][first] - 1  # index in `boxes` of what each piece is joined to
        whole = np.array([y.stop - y.start for y, _ in piece_boxes]) > MIN_DIGIT_SHARE * heights[joined]
        digits = (heights >= MIN_HEIGHT_TO_GAP * gap) & (widths <= MAX_GRAIN_ASPECT * heights)
        digits &= (filled >= (1 + GRAIN_GAPS[0]) * ink) & (filled <= (1 + GRAIN_GAPS[1]) * ink)
        digits &= np.bincount(joined, minlength=len(boxes)) > 1
        digits &= np.bincount(joined[whole], minlength=len(boxes)) <= 1
        mask = mask | np.append(False, digits)[labels]
    return mask


def close_gaps(mask: Mask, gap: int) -> Mask:
    """Return the closing of a mask by a square of `gap` + 1 pixels; SciPy's filters take six times as long."""
    rows, columns = mask.shape
    shifts = range(gap + 1)
    grown = np.pad(mask, gap)
    grown = reduce(np.logical_or, [grown[:, shift : shift + columns + gap] for shift in shifts])
    grown = reduce(np.logical_or, [grown[shift : shift + rows + gap] for shift in shifts])
    grown = reduce(np.logical_and, [grown[shift : shift + rows] for shift in shifts])
    return reduce(np.logical_and, [grown[:, shift : shift + columns] for shift in shifts])
