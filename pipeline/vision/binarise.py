"""Binarisation: separate ink from paper under uneven lighting."""

from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.vision.image import Grey, resize

Mask = NDArray[np.bool_]
Box = tuple[slice, slice]
"""Rows and columns."""

GREY_TOLERANCE = 1.5 / 255
"""Greys that differ by less than this count as equal."""
COARSE_SIDE_PX = 500
"""Longer side of the copy from which uneven paper is estimated: enough for shadows, with less noise."""
MIN_SIDE_TO_STROKE = 6
"""On uneven paper, strokes are narrower than the picture's shorter side divided by this."""
MIN_INK_CONTRAST = 0.08
"""Ink is darker than its paper by more than this fraction."""
HAIRLINE_WIDTH_PX = 3.0
"""Stroke width up to which an antialiased line may break when it is binarised."""
LOW_INK_THRESHOLD = 0.2
"""In a drawing, ink above this belongs to a connected component that has darker ink."""


def binarise(grey: Grey) -> tuple[Grey, bool]:
    """Return (ink, even): the amount of ink, float32 (h, w) in 0..1, 0 = paper, and whether the paper is even.

    Even paper has one grey. Uneven paper is estimated by a morphological closing of a coarse copy. The closing removes
    strokes and keeps gradients, shadows and a table next to the paper, which are wider than strokes.
    """
    median = np.median(grey)
    even = bool((abs(grey - median) < GREY_TOLERANCE).mean() > 0.5)
    if even:
        light_ink = bool(grey.mean() > median)
        paper = np.full(grey.shape, 1 - median if light_ink else median, np.float32)
    else:
        shrink = min(1, COARSE_SIDE_PX / max(grey.shape))
        coarse = resize(grey, (ceil(grey.shape[0] * shrink), ceil(grey.shape[1] * shrink)))
        window = min(coarse.shape) // MIN_SIDE_TO_STROKE + 1
        # Ink is locally rarer than paper: the skew of the differences from the local mean has the sign of the ink.
        light_ink = ((coarse - ndimage.uniform_filter(coarse, window)) ** 3).mean() > 0
        coarse = 1 - coarse if light_ink else coarse
        paper = resize(ndimage.grey_closing(coarse, size=(window, window)), grey.shape)
    lightness = (1 - grey if light_ink else grey) / paper.clip(GREY_TOLERANCE)
    darkness = 1 - lightness
    noise_median = np.median(darkness)
    noise_deviation = 1.5 * np.median(abs(darkness - noise_median))
    clear = darkness[darkness > noise_median + max(MIN_INK_CONTRAST, 5 * noise_deviation)]
    if not clear.size:
        return np.zeros_like(grey), even
    level = _otsu_threshold(clear)
    contrast = np.median(clear[clear >= level])
    ink: Grey = np.clip(0.5 + (darkness - level) / contrast, 0, 1, dtype=np.float32)
    return ink, even


def _otsu_threshold(values: Grey) -> float:
    """Return the threshold that maximises the variance between two classes of values (Otsu, 1979)."""
    counts, edges = np.histogram(values, 64)
    centres = (edges[:-1] + edges[1:]) / 2
    below = counts.cumsum()
    above = below[-1] - below
    sums = (counts * centres).cumsum()
    with np.errstate(invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1:][np.nan_to_num(between).argmax()])


def connected_components(mask: Mask) -> tuple[NDArray[np.int32], list[Box]]:
    """Return (labels, boxes): the 8-connected components of a mask, numbered from 1, and their bounding boxes."""
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    return labels, ndimage.find_objects(labels)


def threshold(ink: Grey, *, even: bool) -> Mask:
    """Return the mask of ink above 0.5; for hairlines on even paper, threshold with hysteresis instead.

    An antialiased line of one pixel is fainter than 0.5 where it passes between two pixels. Hysteresis keeps ink above
    LOW_INK_THRESHOLD in components that contain ink above 0.5.
    """
    mask: Mask = ink > 0.5
    if not even or stroke_width(mask) > HAIRLINE_WIDTH_PX:
        return mask
    labels, _ = connected_components(ink > LOW_INK_THRESHOLD)
    marked: Mask = np.isin(labels, np.unique(labels[mask]))
    return marked & (labels > 0)


def stroke_width(mask: Mask) -> float:
    """Return the approximate stroke width of a mask in pixels: twice its area divided by the length of its outline."""
    outline = mask & ~ndimage.binary_erosion(mask)
    return float(2 * mask.sum() / max(1, outline.sum()))
