"""Ink told from paper, whatever the light, and from what is printed on paper."""

from math import ceil

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from pipeline.vision.image import Grey

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
LONG = 0.8
"""A line longer than this share of a picture is printed on the paper, or its edge."""


def ink_of(grey: Grey) -> tuple[Grey, bool]:
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
    threshold = otsu(clear)
    strength = np.median(clear[clear >= threshold])
    ink: Grey = np.clip(0.5 + (darker - threshold) / strength, 0, 1, dtype=np.float32)
    return ink, even


def otsu(values: Grey) -> float:
    """Return the threshold that parts values best into two kinds (Otsu, 1979)."""
    counts, edges = np.histogram(values, 64)
    middles = (edges[:-1] + edges[1:]) / 2
    below = counts.cumsum()
    above = below[-1] - below
    sums = (counts * middles).cumsum()
    with np.errstate(invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1:][np.nan_to_num(between).argmax()])


def parts_of(mask: Mask, *, even: bool) -> tuple[NDArray[np.int32], list[Box]]:
    """Return the connected parts of what is written, numbered from 1 where they lie, and the box of each.

    Lines across the page are taken out; then, of a drawing on even paper, what lies along a border as a frame does, and
    of a photo all that a border cuts: tables, corners of shadows, pieces of lines.
    """
    labels, boxes = connected(mask)
    across = any(np.greater(size_of(box), LONG * np.array(mask.shape)).any() for box in boxes)
    if even and not across:
        return labels, boxes
    if across:
        mask = mask & ~lines_of(mask) & ~lines_of(mask.T).T
        labels, _ = connected(mask)
    dropped = [
        np.flatnonzero(np.bincount(side) > (LONG * len(side) if even else 0))
        for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    ]
    return connected(mask & ~np.isin(labels, np.concatenate(dropped)))


def connected(mask: Mask) -> tuple[NDArray[np.int32], list[Box]]:
    """Return a mask's connected parts, numbered from 1, and their boxes."""
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    return labels, ndimage.find_objects(labels)


def lines_of(mask: Mask) -> Mask:
    """Return lines from left to right, as paper is printed with: thin, and longer than a digit would be.

    A stroke that crosses such a line is thick there and stays.
    """
    thin = 2 + max(mask.shape) // 200
    flat = mask & ~ndimage.binary_opening(mask, np.ones((thin, 1)))
    bridge = 6 * thin  # over the strokes that cross it
    labels, boxes = connected(ndimage.binary_dilation(flat, np.ones((1, bridge + 1))))
    long = [label for label, box in enumerate(boxes, start=1) if size_of(box)[1] - bridge > LONG * mask.shape[1]]
    found: Mask = flat & np.isin(labels, long)
    return found


def size_of(box: Box) -> tuple[int, int]:
    """Return the height and the width of a box."""
    rows, columns = box
    return rows.stop - rows.start, columns.stop - columns.start


def resized(values: Grey, shape: tuple[int, int] | list[int]) -> Grey:
    """Return values at another (height, width), antialiased."""
    image = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))
