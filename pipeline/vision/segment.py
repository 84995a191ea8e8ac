"""From any picture to MNIST's frames: paper and ink told apart, ink grouped into digits, each framed as MNIST was."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from pipeline.data.table import SIDE
from pipeline.errors import UserError
from pipeline.vision.binarise import Box, Mask, connected, ink_of, parts_of, resized, size_of
from pipeline.vision.image import Grey, Picture, grey_of

SHORTEST = 5
"""Pixels of the working copy along the longer side of the smallest digit."""
HAIR = 3.0
"""Pixels up to which a line may break where it is antialiased."""
FAINT = 0.2
"""Ink of a drawing that is as faint as this still belongs to the darker ink beside it."""
SMALLEST = 40
"""A digit in a photo is higher than its longer side divided by this: what is lower is grain, or a piece of a line."""
MOST = 200
"""Marks in a picture, so that none takes longer than a second."""
FITTED = 20
"""MNIST's digits fit into 20x20 of their 28x28."""
MIDDLE = SIDE / 2 + 0.5
"""Where MNIST puts the centre of mass: at the middle of pixel 14, counted from 0."""
STROKE = 2.9
"""Median thickness of MNIST's strokes in pixels: four times the mean distance of ink to paper."""
THIN = 3.0
"""Pixels of the fine copy below which a stroke might break as it is made smaller."""
FINE = 80
"""Pixels along the longer side of a digit where its outline is moved."""


@dataclass(frozen=True, eq=False)
class Glyph:
    """One digit, or what is written like one.

    Attributes:
        box: left, top, right, bottom in pixels of the upright picture; right and bottom exclusive.
        frame: uint8 (28, 28), 0 = paper, 255 = ink.
    """

    box: tuple[int, int, int, int]
    frame: NDArray[np.uint8]


def glyphs(picture: Picture) -> list[Glyph]:
    """Return the digits of a picture from left to right, none where it is blank.

    Args:
        picture: a PIL image, the path of a file, or an array; dark ink on light paper or light on dark.

    Raises:
        UserError: the picture cannot be read, or is over the limits; see `pictures`. Or it holds over 200 marks.
    """
    grey, (across, down) = grey_of(picture)
    ink, even = ink_of(grey)
    found = []
    for mask, (rows, columns) in digits_of(written(ink, even=even), even=even):
        soft = np.where(ndimage.binary_dilation(mask), ink[rows, columns], 0)
        soft[mask] = soft[mask].clip(0.51)  # more than half, what of a hair line is fainter, too
        box = (
            round(columns.start * across),
            round(rows.start * down),
            round(columns.stop * across),
            round(rows.stop * down),
        )
        found.append(Glyph(box, frame_of(soft)))
    return found


def written(ink: Grey, *, even: bool) -> Mask:
    """Return where there is more than half ink; of hair lines on even paper also where there is less between.

    A line of one pixel, antialiased, is fainter than half wherever it passes between two.
    """
    mask: Mask = ink > 0.5
    if not even or thickness_of(mask) > HAIR:
        return mask
    labels, _ = connected(ink > FAINT)
    marks: Mask = np.isin(labels, np.unique(labels[mask]))
    return marks & (labels > 0)


def digits_of(mask: Mask, *, even: bool) -> list[tuple[Mask, Box]]:
    """Return each digit of a mask, from left to right, as the mask of its parts in its box, and the box.

    What is much smaller or thinner than the rest is a speck, or a piece of a printed line, and is left out.
    """
    labels, boxes = parts_of(mask, even=even)
    lengths = np.array([max(size_of(box)) for box in boxes])
    thickness = np.bincount(labels.ravel(), minlength=len(boxes) + 1)[1:] / lengths
    longest, thickest = lengths.max(initial=0), thickness.max(initial=0)
    written = (lengths >= SHORTEST) & (lengths > longest / 6) & (thickness > thickest / 4)
    if written.sum() > MOST:
        raise UserError(f"the picture holds {written.sum():,} marks, over the limit of {MOST}; cut it to one number")
    digits: list[tuple[Box, list[int]]] = []
    for label in sorted(np.flatnonzero(written).tolist(), key=lambda label: boxes[label][1].start):
        for index, (box, parts) in enumerate(digits):
            if together(box, boxes[label], longest):
                digits[index] = hull(box, boxes[label]), [*parts, label + 1]
                break
        else:
            digits.append((boxes[label], [label + 1]))
    tallest = max((size_of(box)[0] for box, _ in digits), default=0)
    lowest = max(0.4 * tallest, 0 if even else max(mask.shape) / SMALLEST)
    return [(np.isin(labels[box], parts), box) for box, parts in digits if upright(box, lowest)]


def thickness_of(mask: Mask) -> float:
    """Return about how thick the strokes of a mask are, in pixels: twice their area by the length of their outline."""
    outline = mask & ~ndimage.binary_erosion(mask)
    return float(2 * mask.sum() / max(1, outline.sum()))


def upright(box: Box, lowest: float) -> bool:
    """Tell whether a box may be a digit's: neither a dash nor lower than a digit is."""
    height, width = size_of(box)
    return height > max(0.25 * width, lowest)


def together(a: Box, b: Box, longest: int) -> bool:
    """Tell whether two parts are of one digit.

    Digits of a number stand beside one another, and share nine tenths of their rows; parts of a digit share columns, or
    lie above one another at least.
    """
    (rows, columns), (height, width) = shared(a, b), np.minimum(size_of(a), size_of(b))
    if rows < -longest / 3:
        return False
    return columns > width / 2 or (columns > -longest / 20 and rows < 0.65 * height)


def shared(a: Box, b: Box) -> tuple[int, int]:
    """Return how many rows and columns two boxes share; less than 0 where there is a gap."""
    rows, columns = (min(p.stop, q.stop) - max(p.start, q.start) for p, q in zip(a, b, strict=True))
    return rows, columns


def hull(a: Box, b: Box) -> Box:
    """Return the box around two boxes."""
    rows, columns = (slice(min(p.start, q.start), max(p.stop, q.stop)) for p, q in zip(a, b, strict=True))
    return rows, columns


def frame_of(ink: Grey) -> NDArray[np.uint8]:
    """Return a digit framed as MNIST was: its longer side 20 pixels, its centre of mass in the middle (LeCun, 1998).

    Its outline is moved in or out until its strokes are as thick as MNIST's.

    Args:
        ink: float32 (h, w) in 0..1, cut to the digit.
    """
    height, width = ink.shape
    scale = FINE / max(height, width)
    if scale < 1 and thickness_of(ink > 0.5) * scale < THIN:
        # A pixel of the smaller copy is ink where it covers any: in the mean of what it covers a hair line would break.
        ink = ndimage.grey_dilation((ink > 0.5).astype(np.float32), size=round(1 / scale) + 1)
    fine = resized(np.pad(ink, 1), [max(1, round((side + 2) * scale)) for side in (height, width)])
    mask = np.pad(fine > 0.5, FINE // 4)
    if not mask.any():
        mask = np.pad(fine > fine.max() / 2, FINE // 4)
    outside, inside = ndimage.distance_transform_edt(~mask), ndimage.distance_transform_edt(mask)
    stroke = 4 * inside[mask].mean()
    # Growing by d adds it to the stroke and to the extent e, which is then fitted: (stroke + d) / (e + d) = 2.9 / 20.
    growth = (STROKE * FINE - FITTED * stroke) / (FITTED - STROKE)
    growth = np.clip(growth, -stroke / 3, FINE / 4)
    ink = np.clip(0.5 + growth / 2 - outside + inside, 0, 1, dtype=np.float32)
    rows, columns = (np.flatnonzero(ink.max(axis=axis) > 0.5) for axis in (1, 0))
    unit = (max(np.ptp(rows), np.ptp(columns)) + 1) / FITTED
    row, column = np.array(ndimage.center_of_mass(ink)) + 0.5 + FINE
    box = (column - MIDDLE * unit, row - MIDDLE * unit, column + (SIDE - MIDDLE) * unit, row + (SIDE - MIDDLE) * unit)
    fitted = Image.fromarray(np.pad(ink, FINE)).resize((SIDE, SIDE), Image.Resampling.BILINEAR, box)
    frame: NDArray[np.uint8] = np.rint(np.asarray(fitted) * 255).astype(np.uint8)
    return frame
