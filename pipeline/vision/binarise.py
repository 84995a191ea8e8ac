"""Binarisation: ink told from paper, whatever the light."""

from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.vision.image import Grey, resized

Mask = NDArray[np.bool_]
Box = tuple[slice, slice]
"""Rows and columns."""

LEVEL = 1.5 / 255
"""Greys that are nearer than this are the same."""
COARSE_SIDE = 500
"""Pixels along the longer side where uneven paper is estimated: enough for shadows, and there is less noise."""
WIDEST = 6
"""On uneven paper strokes are narrower than the picture's shorter side divided by this."""
FAINTEST = 0.08
"""Ink is darker than its paper by more than this share."""


def binarise(grey: Grey) -> tuple[Grey, bool]:
    """Return how much ink there is, float32 (h, w) in 0..1, 0 = paper, and whether paper is even.

    Paper that is not of one grey is what is left of a coarse copy when strokes are closed over: gradients, shadows and
    a table beside the paper stay, for they are wider than strokes.
    """
    middle = np.median(grey)
    even = bool((abs(grey - middle) < LEVEL).mean() > 0.5)
    if even:
        light_ink = bool(grey.mean() > middle)
        paper = np.full(grey.shape, 1 - middle if light_ink else middle, np.float32)
    else:
        shrink = min(1, COARSE_SIDE / max(grey.shape))
        coarse = resized(grey, (ceil(grey.shape[0] * shrink), ceil(grey.shape[1] * shrink)))
        window = min(coarse.shape) // WIDEST + 1
        # Ink is the rarer wherever one looks: it makes the tail of what differs from its surroundings.
        light_ink = ((coarse - ndimage.uniform_filter(coarse, window)) ** 3).mean() > 0
        coarse = 1 - coarse if light_ink else coarse
        paper = resized(ndimage.grey_closing(coarse, size=(window, window)), grey.shape)
    lightness = (1 - grey if light_ink else grey) / paper.clip(LEVEL)
    darker = 1 - lightness
    grain = np.median(darker)
    spread = 1.5 * np.median(abs(darker - grain))  # the standard deviation of noise
    clear = darker[darker > grain + max(FAINTEST, 5 * spread)]
    if not clear.size:
        return np.zeros_like(grey), even
    threshold = _otsu(clear)
    strength = np.median(clear[clear >= threshold])
    ink: Grey = np.clip(0.5 + (darker - threshold) / strength, 0, 1, dtype=np.float32)
    return ink, even


def _otsu(values: Grey) -> float:
    """Return the threshold that parts values best into two kinds (Otsu, 1979)."""
    counts, edges = np.histogram(values, 64)
    middles = (edges[:-1] + edges[1:]) / 2
    below = counts.cumsum()
    above = below[-1] - below
    sums = (counts * middles).cumsum()
    with np.errstate(invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1:][np.nan_to_num(between).argmax()])


def connected(mask: Mask) -> tuple[NDArray[np.int32], list[Box]]:
    """Return a mask's connected parts, numbered from 1, and their boxes."""
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    return labels, ndimage.find_objects(labels)


HAIR = 3.0
"""Pixels up to which a line may break where it is antialiased."""
FAINT = 0.2
"""Ink of a drawing that is as faint as this still belongs to the darker ink beside it."""


def threshold(ink: Grey, *, even: bool) -> Mask:
    """Return where there is more than half ink; of hair lines on even paper also where there is less between.

    A line of one pixel, antialiased, is fainter than half wherever it passes between two.
    """
    mask: Mask = ink > 0.5
    if not even or thickness_of(mask) > HAIR:
        return mask
    labels, _ = connected(ink > FAINT)
    marks: Mask = np.isin(labels, np.unique(labels[mask]))
    return marks & (labels > 0)


def thickness_of(mask: Mask) -> float:
    """Return about how thick the strokes of a mask are, in pixels: twice their area by the length of their outline."""
    outline = mask & ~ndimage.binary_erosion(mask)
    return float(2 * mask.sum() / max(1, outline.sum()))
