"""Lines: connected ink of several digits as one image, in the look of MNIST's digits."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from pipeline.digits import SIDE
from pipeline.vision.frame import DIGIT_SIDE_PX, MIN_STROKE_WIDTH_PX
from pipeline.vision.image import Grey, resize
from pipeline.vision.mask import Mask, stroke_width

LINE_STROKE_PX = 2.4
"""Stroke width of a line: MNIST's median, four times the mean distance of the ink to its outline."""
FINE_HEIGHT_PX = 60
"""Height of a digit in the fine copy of a line, in which its stroke width is adjusted."""
MARGIN_PX = 4
"""Columns of paper at the left and the right of a line's ink."""
MAX_INK_ROWS = 26
"""Rows of ink of a line; taller ink is scaled to these."""
MAX_GROWTH = 0.25
"""Largest growth of a stroke, relative to the height of a digit."""


def frame_line(ink: Mask | Grey, height: float) -> NDArray[np.uint8]:
    """Return the ink of touching digits as a line, uint8 (28, W), 0 = paper, 255 = ink.

    A digit of the given height becomes 20 pixels high, and the stroke width LINE_STROKE_PX, as in `frame_digit`. The
    rows of ink are centred. MARGIN_PX columns of paper are at both sides.

    Args:
        ink: bool, or float32 in 0..1 (h, w), cropped to the ink, of which there is some.
        height: height of a digit in pixels of `ink`, above 0.
    """
    ink = ink.astype(np.float32)
    scale = FINE_HEIGHT_PX / max(height, len(ink) * DIGIT_SIDE_PX / MAX_INK_ROWS)
    fine = _resize_ink(ink, scale)
    mask = np.pad(fine > 0.5, FINE_HEIGHT_PX // 6)
    if not mask.any():
        mask = np.pad(fine > fine.max() / 2, FINE_HEIGHT_PX // 6)
    outside, inside = ndimage.distance_transform_edt(~mask), ndimage.distance_transform_edt(mask)
    distances = np.where(mask, inside - 0.5, 0.5 - outside)  # to the outline, which is between two pixels
    stroke = 4 * distances[mask].mean()
    # As in frame_digit, with the height of a digit as its extent.
    growth = (LINE_STROKE_PX * FINE_HEIGHT_PX - DIGIT_SIDE_PX * stroke) / (DIGIT_SIDE_PX - LINE_STROKE_PX)
    growth = float(np.clip(growth, -stroke / 3, MAX_GROWTH * FINE_HEIGHT_PX))
    grown = np.clip(0.5 + growth / 2 + distances, 0, 1, dtype=np.float32)
    rows, columns = (np.flatnonzero(grown.max(axis=axis) > 0.5) for axis in (1, 0))
    unit = max((FINE_HEIGHT_PX + growth) / DIGIT_SIDE_PX, (np.ptp(rows) + 1) / MAX_INK_ROWS)
    return _place(grown, (rows[0] + rows[-1] + 1) / 2, (columns[0], columns[-1] + 1), unit)


def _resize_ink(ink: Grey, scale: float) -> Grey:
    """Return the fine copy of ink, float32, with a margin; hairlines do not break."""
    if scale < 1 and stroke_width(ink > 0.5) * scale < MIN_STROKE_WIDTH_PX:
        ink = ndimage.grey_dilation((ink > 0.5).astype(np.float32), size=round(1 / scale) + 1)
    return resize(np.pad(ink, 1), [max(1, round((side + 2) * scale)) for side in ink.shape])


def _place(ink: Grey, middle: float, ends: tuple[int, int], unit: float) -> NDArray[np.uint8]:
    """Return the line of fine ink.

    Args:
        ink: float32 (h, w) in 0..1.
        middle: the row of `ink` that becomes the middle of the line.
        ends: first and last column of ink, exclusive.
        unit: pixels of `ink` per pixel of the line.
    """
    width = int(np.ceil((ends[1] - ends[0]) / unit)) + 2 * MARGIN_PX
    pad = int(np.ceil(SIDE * unit))
    left = (ends[0] + ends[1] - width * unit) / 2 + pad
    top = middle - SIDE * unit / 2 + pad
    box = (left, top, left + width * unit, top + SIDE * unit)
    scaled = Image.fromarray(np.pad(ink, pad)).resize((width, SIDE), Image.Resampling.BILINEAR, box)
    line: NDArray[np.uint8] = np.rint(np.asarray(scaled) * 255).astype(np.uint8)
    return line
