"""Segmentation: ink grouped into digits."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.errors import UserError
from pipeline.vision.binarise import Box, Mask, connected

SHORTEST = 5
"""Pixels of the working copy along the longer side of the smallest digit."""
SMALLEST = 40
"""A digit in a photo is higher than its longer side divided by this: what is lower is grain, or a piece of a line."""
MOST = 200
"""Marks in a picture, so that none takes longer than a second."""


def digits_of(mask: Mask, *, even: bool) -> list[tuple[Mask, Box]]:
    """Return each digit of a mask, from left to right, as the mask of its parts in its box, and the box.

    What is much smaller or thinner than the rest is a speck, or a piece of a printed line, and is left out.
    """
    labels, boxes = _parts_of(mask, even=even)
    lengths = np.array([max(_size_of(box)) for box in boxes])
    thickness = np.bincount(labels.ravel(), minlength=len(boxes) + 1)[1:] / lengths
    longest, thickest = lengths.max(initial=0), thickness.max(initial=0)
    written = (lengths >= SHORTEST) & (lengths > longest / 6) & (thickness > thickest / 4)
    if written.sum() > MOST:
        raise UserError(f"the picture holds {written.sum():,} marks, over the limit of {MOST}; cut it to one number")
    digits: list[tuple[Box, list[int]]] = []
    for label in sorted(np.flatnonzero(written).tolist(), key=lambda label: boxes[label][1].start):
        for index, (box, parts) in enumerate(digits):
            if _same_digit(box, boxes[label], longest):
                digits[index] = _hull(box, boxes[label]), [*parts, label + 1]
                break
        else:
            digits.append((boxes[label], [label + 1]))
    tallest = max((_size_of(box)[0] for box, _ in digits), default=0)
    lowest = max(0.4 * tallest, 0 if even else max(mask.shape) / SMALLEST)
    return [(np.isin(labels[box], parts), box) for box, parts in digits if _upright(box, lowest)]


def _upright(box: Box, lowest: float) -> bool:
    """Tell whether a box may be a digit's: neither a dash nor lower than a digit is."""
    height, width = _size_of(box)
    return height > max(0.25 * width, lowest)


def _same_digit(a: Box, b: Box, longest: int) -> bool:
    """Tell whether two parts are of one digit.

    Digits of a number stand beside one another, and share nine tenths of their rows; parts of a digit share columns, or
    lie above one another at least.
    """
    (rows, columns), (height, width) = _shared(a, b), np.minimum(_size_of(a), _size_of(b))
    if rows < -longest / 3:
        return False
    return columns > width / 2 or (columns > -longest / 20 and rows < 0.65 * height)


def _shared(a: Box, b: Box) -> tuple[int, int]:
    """Return how many rows and columns two boxes share; less than 0 where there is a gap."""
    rows, columns = (min(p.stop, q.stop) - max(p.start, q.start) for p, q in zip(a, b, strict=True))
    return rows, columns


def _hull(a: Box, b: Box) -> Box:
    """Return the box around two boxes."""
    rows, columns = (slice(min(p.start, q.start), max(p.stop, q.stop)) for p, q in zip(a, b, strict=True))
    return rows, columns


LONG = 0.8
"""A line longer than this share of a picture is printed on the paper, or its edge."""


def _parts_of(mask: Mask, *, even: bool) -> tuple[NDArray[np.int32], list[Box]]:
    """Return the connected parts of what is written, numbered from 1 where they lie, and the box of each.

    Lines across the page are taken out; then, of a drawing on even paper, what lies along a border as a frame does, and
    of a photo all that a border cuts: tables, corners of shadows, pieces of lines.
    """
    labels, boxes = connected(mask)
    across = any(np.greater(_size_of(box), LONG * np.array(mask.shape)).any() for box in boxes)
    if even and not across:
        return labels, boxes
    if across:
        mask = mask & ~_lines_of(mask) & ~_lines_of(mask.T).T
        labels, _ = connected(mask)
    dropped = [
        np.flatnonzero(np.bincount(side) > (LONG * len(side) if even else 0))
        for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    ]
    return connected(mask & ~np.isin(labels, np.concatenate(dropped)))


def _lines_of(mask: Mask) -> Mask:
    """Return lines from left to right, as paper is printed with: thin, and longer than a digit would be.

    A stroke that crosses such a line is thick there and stays.
    """
    thin = 2 + max(mask.shape) // 200
    flat = mask & ~ndimage.binary_opening(mask, np.ones((thin, 1)))
    bridge = 6 * thin  # over the strokes that cross it
    labels, boxes = connected(ndimage.binary_dilation(flat, np.ones((1, bridge + 1))))
    long = [label for label, box in enumerate(boxes, start=1) if _size_of(box)[1] - bridge > LONG * mask.shape[1]]
    found: Mask = flat & np.isin(labels, long)
    return found


def _size_of(box: Box) -> tuple[int, int]:
    """Return the height and the width of a box."""
    rows, columns = box
    return rows.stop - rows.start, columns.stop - columns.start
