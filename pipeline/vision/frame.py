"""Frames: each digit of a picture as MNIST frames it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from pipeline.digits import SIDE
from pipeline.vision.binarise import binarise, thickness_of, threshold
from pipeline.vision.image import Grey, Picture, grey_of, resized
from pipeline.vision.segment import digits_of

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
    ink, even = binarise(grey)
    found = []
    for mask, (rows, columns) in digits_of(threshold(ink, even=even), even=even):
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
