"""Shapes: digits and non-digits as signed distances to their outline, of which numbers are joined.

The union of shapes is the maximum of their distances, and a wider pen is a constant added to them: numbers are joined
and drawn with any pen without another distance transform.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.data.table import DigitTable
from pipeline.digits import SIDE, Pixels
from pipeline.models.line import NON_DIGIT
from pipeline.sources.outliers import INK_THRESHOLD
from pipeline.vision.image import resize
from pipeline.vision.line import LINE_STROKE_PX

SCALE = 2
"""Pixels of a shape per pixel of a line."""
FINE_SCALE = 4
"""Pixels per pixel of a line in which distances are measured."""
UNIT = 16
"""Stored distance of one pixel of a line: distances are int8, up to 8 pixels."""
FAR = np.int8(-127)
"""Distance of paper far from ink."""
MARGIN = 3 * SCALE
"""Rows and columns of paper around a shape."""
MIN_SIZE, MAX_SIZE = 0.82, 1.15
"""Size of a shape relative to its 28x28 image."""
MAX_THICKENING_PX = 1.5
"""Thinner strokes than those of a line are thickened by at most this."""
STROKE_DEVIATION_PX = 0.5
"""Standard deviation of the stroke width of the shapes."""

Distances = NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Shape:
    """A digit or a non-digit.

    Attributes:
        symbol: 0..9, or NON_DIGIT.
        distances: int8 (h, w), in pixels of a line times UNIT; positive inside the ink.
        first: int16 (h,), first column of ink of each row; w if there is none.
        last: int16 (h,), column after the last one of ink; -w if there is none.
    """

    symbol: int
    distances: Distances
    first: NDArray[np.int16]
    last: NDArray[np.int16]


def make_shapes(digits: DigitTable, non_digits: Pixels, seed: int) -> list[Shape]:
    """Return the shapes of labelled digits, then those of non-digits, uint8 (M, 28, 28). Blank images are left out.

    Each has a random size, and a random stroke width around LINE_STROKE_PX.

    Args:
        digits: labelled digits.
        non_digits: images of non-digits.
        seed: seed of the sizes and stroke widths.
    """
    random = np.random.default_rng(seed)
    labelled: Iterable[tuple[Pixels, int]] = [
        *zip(digits.pixels, digits.known_labels.tolist(), strict=True),
        *((image, NON_DIGIT) for image in non_digits),
    ]
    shapes = (_make_shape(image, symbol, random) for image, symbol in labelled)
    return [shape for shape in shapes if shape is not None]


def _make_shape(image: Pixels, symbol: int, random: np.random.Generator) -> Shape | None:
    """Return the shape of an image, uint8 (28, 28); None if the image is blank."""
    side = round(SIDE * FINE_SCALE * random.uniform(MIN_SIZE, MAX_SIZE))
    mask = resize(image.astype(np.float32), (side, side)) > INK_THRESHOLD
    if not mask.any():
        return None
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    mask = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    mask = np.pad(mask, MARGIN * FINE_SCALE // SCALE)
    inside, outside = ndimage.distance_transform_edt(mask), ndimage.distance_transform_edt(~mask)
    distances = np.where(mask, inside - 0.5, 0.5 - outside) / FINE_SCALE
    stroke = 4 * distances[mask].mean()
    growth = np.clip(LINE_STROKE_PX - stroke, -stroke / 3, MAX_THICKENING_PX)
    growth += random.normal(0, STROKE_DEVIATION_PX)
    step = FINE_SCALE // SCALE
    reduced = distances[step // 2 :: step, step // 2 :: step]
    stored = np.clip((reduced + growth / 2) * UNIT, FAR, -FAR).astype(np.int8)
    ink = stored > 0
    if not ink.any():
        return None
    width, filled = ink.shape[1], ink.any(axis=1)
    first = np.where(filled, ink.argmax(axis=1), width).astype(np.int16)
    last = np.where(filled, width - ink[:, ::-1].argmax(axis=1), -width).astype(np.int16)
    return Shape(symbol, stored, first, last)
