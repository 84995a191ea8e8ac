"""Segmentation: group ink into digits."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.errors import UserError
from pipeline.vision.binarise import Box, Mask, connected_components

MIN_DIGIT_SIDE_PX = 5
"""Longer side of the smallest digit, in pixels of the working copy."""
MAX_SIDE_TO_HEIGHT = 40
"""Digits in a photo are higher than the photo's longer side divided by this. Lower marks are noise or parts of a
line."""
MAX_MARKS = 200
"""Marks in a picture; the limit keeps the time per picture under a second."""
MIN_LINE_FRACTION = 0.8
"""A line longer than this fraction of a picture's side is printed on the paper, or is the paper's edge."""


def find_digits(mask: Mask, *, even: bool) -> list[tuple[Mask, Box]]:
    """Return (mask, bounding box) of each digit, from left to right; the mask covers the digit's parts in its box.

    Components that are much smaller or thinner than the others are specks or parts of a printed line. They are left
    out.

    Raises:
        UserError: the mask contains over MAX_MARKS marks.
    """
    labels, boxes = _components(mask, even=even)
    lengths = np.array([max(_size(box)) for box in boxes])
    thickness = np.bincount(labels.ravel(), minlength=len(boxes) + 1)[1:] / lengths
    longest, thickest = lengths.max(initial=0), thickness.max(initial=0)
    marks = (lengths >= MIN_DIGIT_SIDE_PX) & (lengths > longest / 6) & (thickness > thickest / 4)
    if marks.sum() > MAX_MARKS:
        raise UserError(f"the picture has {marks.sum():,} marks, over the limit of {MAX_MARKS}; crop it to one number")
    digits: list[tuple[Box, list[int]]] = []
    for label in sorted(np.flatnonzero(marks).tolist(), key=lambda label: boxes[label][1].start):
        for index, (box, parts) in enumerate(digits):
            if _same_digit(box, boxes[label], longest):
                digits[index] = _union(box, boxes[label]), [*parts, label + 1]
                break
        else:
            digits.append((boxes[label], [label + 1]))
    tallest = max((_size(box)[0] for box, _ in digits), default=0)
    min_height = max(0.4 * tallest, 0 if even else max(mask.shape) / MAX_SIDE_TO_HEIGHT)
    return [(np.isin(labels[box], parts), box) for box, parts in digits if _has_digit_shape(box, min_height)]


def _has_digit_shape(box: Box, min_height: float) -> bool:
    """Return whether a box is higher than `min_height`, and not a dash."""
    height, width = _size(box)
    return height > max(0.25 * width, min_height)


def _same_digit(a: Box, b: Box, longest: int) -> bool:
    """Return whether two components belong to one digit.

    The digits of a number are side by side and share nine tenths of their rows. The parts of a digit share columns, or
    at least lie one above the other.
    """
    (rows, columns), (height, width) = _overlap(a, b), np.minimum(_size(a), _size(b))
    if rows < -longest / 3:
        return False
    return columns > width / 2 or (columns > -longest / 20 and rows < 0.65 * height)


def _overlap(a: Box, b: Box) -> tuple[int, int]:
    """Return the numbers of rows and of columns that two boxes share; a gap is negative."""
    rows, columns = (min(p.stop, q.stop) - max(p.start, q.start) for p, q in zip(a, b, strict=True))
    return rows, columns


def _union(a: Box, b: Box) -> Box:
    """Return the bounding box of two boxes."""
    rows, columns = (slice(min(p.start, q.start), max(p.stop, q.stop)) for p, q in zip(a, b, strict=True))
    return rows, columns


def _components(mask: Mask, *, even: bool) -> tuple[NDArray[np.int32], list[Box]]:
    """Return the connected components of the handwriting, numbered from 1, and their bounding boxes.

    Lines across the page are removed first. Then, in a drawing on even paper, components along a border (frames) are
    removed, and in a photo all components that touch the border: tables, corners of shadows, parts of lines.
    """
    labels, boxes = connected_components(mask)
    has_lines = any(np.greater(_size(box), MIN_LINE_FRACTION * np.array(mask.shape)).any() for box in boxes)
    if even and not has_lines:
        return labels, boxes
    if has_lines:
        mask = mask & ~_horizontal_lines(mask) & ~_horizontal_lines(mask.T).T
        labels, _ = connected_components(mask)
    dropped = [
        np.flatnonzero(np.bincount(side) > (MIN_LINE_FRACTION * len(side) if even else 0))
        for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    ]
    return connected_components(mask & ~np.isin(labels, np.concatenate(dropped)))


def _horizontal_lines(mask: Mask) -> Mask:
    """Return the mask of printed horizontal lines: thin, and longer than a digit.

    A stroke that crosses such a line is thick there and is kept.
    """
    thickness = 2 + max(mask.shape) // 200
    flat = mask & ~ndimage.binary_opening(mask, np.ones((thickness, 1)))
    bridge = 6 * thickness  # closes the gaps where strokes cross the line
    labels, boxes = connected_components(ndimage.binary_dilation(flat, np.ones((1, bridge + 1))))
    long = [
        label for label, box in enumerate(boxes, start=1) if _size(box)[1] - bridge > MIN_LINE_FRACTION * mask.shape[1]
    ]
    lines: Mask = flat & np.isin(labels, long)
    return lines


def _size(box: Box) -> tuple[int, int]:
    """Return the height and width of a box."""
    rows, columns = box
    return rows.stop - rows.start, columns.stop - columns.start
