"""Framing: digits as 28x28 images in MNIST's format."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from pipeline.digits import SIDE
from pipeline.vision.binarise import Ink, binarise
from pipeline.vision.image import Grey, Picture, resize, to_grey
from pipeline.vision.mask import Box, stroke_width
from pipeline.vision.part import Part
from pipeline.vision.rows import find_rows

DIGIT_SIDE_PX = 20
"""MNIST's digits fit into 20x20 of their 28x28 pixels."""
CENTRE_PX = SIDE / 2 + 0.5
"""Position of the centre of mass in MNIST: the middle of pixel 14, counted from 0."""
STROKE_WIDTH_PX = 2.9
"""Median stroke width in MNIST: four times the mean distance of ink to paper."""
MIN_STROKE_WIDTH_PX = 3.0
"""Stroke width in the fine copy below which downscaling might break a stroke."""
FINE_SIDE_PX = 100
"""Longer side of the fine copy of a digit, in which its stroke width is adjusted."""


@dataclass(frozen=True, eq=False)
class Glyph:
    """One digit of a picture, or a mark with the shape of one.

    Attributes:
        box: left, top, right, bottom in pixels of the upright picture; right and bottom exclusive.
        frame: uint8 (28, 28), 0 = paper, 255 = ink.
    """

    box: tuple[int, int, int, int]
    frame: NDArray[np.uint8]
    row: int = 0


@dataclass(frozen=True)
class Sign:
    """A mark between digits, or one that is left out of the number.

    Attributes:
        box: as in `Glyph`.
        symbol: as in `Mark`.
        row: number of its row, from the top.
    """

    box: tuple[int, int, int, int]
    symbol: str
    row: int = 0


def glyphs(picture: Picture) -> list[Glyph]:
    """Return the digits of a picture row by row, each from left to right; a blank picture gives an empty list.

    Args:
        picture: a PIL image, the path of a file, or an array; dark ink on light paper or light on dark.

    Raises:
        UserError: the picture cannot be read, is over the limits of `pipeline.vision.image`, or has over 200 marks.
    """
    grey, scale = to_grey(picture)
    ink = binarise(grey)
    return [
        Glyph(scaled_box(part.box, scale), frame_part(ink, part), number)
        for number, row in enumerate(find_rows(ink))
        for part in row.parts
    ]


def scaled_box(box: Box, scale: tuple[float, float]) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom in pixels of the picture."""
    (rows, columns), (across, down) = box, scale
    return (
        round(columns.start * across),
        round(rows.start * down),
        round(columns.stop * across),
        round(rows.stop * down),
    )


def frame_part(ink: Ink, part: Part) -> NDArray[np.uint8]:
    """Return a part of a picture's ink in MNIST's format, uint8 (28, 28)."""
    digit = np.where(ndimage.binary_dilation(part.mask), ink.amount[part.box], 0)
    digit[part.mask] = digit[part.mask].clip(0.51)  # above 0.5, including the fainter parts of a hairline
    return frame_digit(digit)


def frame_digit(ink: Grey) -> NDArray[np.uint8]:
    """Return a digit in MNIST's format, uint8 (28, 28): longer side 20 pixels, centre of mass centred (LeCun, 1998).

    The outline is dilated or eroded until the stroke width is MNIST's.

    Args:
        ink: float32 (h, w) in 0..1, cropped to the digit.
    """
    height, width = ink.shape
    scale = FINE_SIDE_PX / max(height, width)
    if scale < 1 and stroke_width(ink > 0.5) * scale < MIN_STROKE_WIDTH_PX:
        # Each pixel of the smaller copy takes the maximum of the area it covers; the mean would break a hairline.
        ink = ndimage.grey_dilation((ink > 0.5).astype(np.float32), size=round(1 / scale) + 1)
    fine = resize(np.pad(ink, 1), [max(1, round((side + 2) * scale)) for side in (height, width)])
    mask = np.pad(fine > 0.5, FINE_SIDE_PX // 4)
    if not mask.any():
        mask = np.pad(fine > fine.max() / 2, FINE_SIDE_PX // 4)
    outside, inside = ndimage.distance_transform_edt(~mask), ndimage.distance_transform_edt(mask)
    stroke = 4 * inside[mask].mean()
    # Growth by d widens the stroke s and the extent e, which is then scaled to 20: (s + d) / (e + d) = 2.9 / 20.
    growth = (STROKE_WIDTH_PX * FINE_SIDE_PX - DIGIT_SIDE_PX * stroke) / (DIGIT_SIDE_PX - STROKE_WIDTH_PX)
    growth = np.clip(growth, -stroke / 3, FINE_SIDE_PX / 4)
    ink = np.clip(0.5 + growth / 2 - outside + inside, 0, 1, dtype=np.float32)
    rows, columns = (np.flatnonzero(ink.max(axis=axis) > 0.5) for axis in (1, 0))
    unit = (max(np.ptp(rows), np.ptp(columns)) + 1) / DIGIT_SIDE_PX
    row, column = np.array(ndimage.center_of_mass(ink)) + 0.5 + FINE_SIDE_PX
    before, after = CENTRE_PX * unit, (SIDE - CENTRE_PX) * unit
    box = (column - before, row - before, column + after, row + after)
    scaled = Image.fromarray(np.pad(ink, FINE_SIDE_PX)).resize((SIDE, SIDE), Image.Resampling.BILINEAR, box)
    frame: NDArray[np.uint8] = np.rint(np.asarray(scaled) * 255).astype(np.uint8)
    return frame


def frame_8x8(image: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return a tiny image, such as scikit-learn's, in MNIST's format, uint8 (28, 28).

    Unlike `frame_digit`, this function scales the complete image, with its margins, to 20x20 pixels. It moves the
    centre of mass to the middle of the 28x28 pixels, to the nearest pixel and within the margins. The stroke width is
    not adjusted.

    Args:
        image: (8, 8), values 0 to 16, 0 = paper; at least one is above 0.
    """
    small = Image.fromarray((image * (255 / 16)).astype(np.uint8))
    return _centre(small.resize((DIGIT_SIDE_PX, DIGIT_SIDE_PX), Image.Resampling.BICUBIC))


def frame_single(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the picture of one digit in MNIST's format, uint8 (28, 28).

    A picture of up to 28 pixels keeps its strokes: only its ink is scaled to 20 pixels and centred. For the others see
    `frame_digit`.

    Args:
        image: (h, w), 0 = paper, 255 = ink. Without ink the result is blank.
    """
    written = image > max(int(image.max()) // 4, 1)
    if not written.any():
        return np.zeros((SIDE, SIDE), dtype=np.uint8)
    rows, columns = (np.flatnonzero(written.any(axis=axis)) for axis in (1, 0))
    digit = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if max(image.shape) > SIDE:
        return frame_digit(digit.astype(np.float32) / np.float32(255))
    scale = DIGIT_SIDE_PX / max(digit.shape)
    height, width = (max(1, round(side * scale)) for side in digit.shape)
    return _centre(Image.fromarray(digit).resize((width, height), Image.Resampling.BICUBIC))


def _centre(digit: Image.Image) -> NDArray[np.uint8]:
    """Return a digit of up to 20x20 pixels, 255 = ink, with its centre of mass in the middle of 28x28 pixels."""
    ink = np.asarray(digit, dtype=np.float64)
    frame = np.zeros((SIDE, SIDE), dtype=np.uint8)
    place = []
    for length, profile in zip(ink.shape, (ink.sum(axis=1), ink.sum(axis=0)), strict=True):
        centre = profile @ (np.arange(length) + 0.5) / ink.sum()
        start = int(np.clip(round(SIDE / 2 - centre), 0, SIDE - length))
        place.append(slice(start, start + length))
    frame[place[0], place[1]] = ink
    return frame
