"""From any picture to MNIST's frames: paper and ink told apart, ink grouped into digits, each framed as MNIST was."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from pipeline.pictures import Grey, Picture, grey_of
from pipeline.table import SIDE

Mask = NDArray[np.bool_]

COARSE_SIDE = 200
"""Pixels along the longer side where paper is estimated: enough for shadows, and noise is gone."""
FAINTEST = 0.08
"""Ink differs from paper by more than this, of black less white."""
FITTED = 20
"""MNIST's digits fit into 20x20 of their 28x28."""
MIDDLE = SIDE / 2 + 0.5
"""Where MNIST puts the centre of mass: at the middle of pixel 14, counted from 0."""
STROKE = 2.9
"""Median thickness of MNIST's strokes in pixels: four times the mean distance of ink to paper."""
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
        UserError: the picture cannot be read, or is over the limits; see `pictures`.
    """
    grey, (across, down) = grey_of(picture)
    ink = ink_of(grey)
    found = []
    for mask, (rows, columns) in digits_of(ink > 0.5):
        soft = np.where(ndimage.binary_dilation(mask), ink[rows, columns], 0)
        box = (
            round(columns.start * across),
            round(rows.start * down),
            round(columns.stop * across),
            round(rows.stop * down),
        )
        found.append(Glyph(box, frame_of(soft)))
    return found


def ink_of(grey: Grey) -> Grey:
    """Return how much ink there is, float32 (h, w) in 0..1, 0 = paper.

    Paper is what is left of a coarse copy when strokes are closed over: shadows and a table beside the paper stay, for
    they are wider than half of the picture's shorter side.
    """
    coarse_size = [max(1, round(side * min(1, COARSE_SIDE / max(grey.shape)))) for side in grey.shape]
    coarse = resized(grey, coarse_size)
    # Ink is the rarer of the two wherever one looks, so that it makes the tail of what differs from its surroundings.
    tail = ((coarse - ndimage.uniform_filter(coarse, max(coarse_size) // 2)) ** 3).mean()
    if tail > 0:
        grey, coarse = 1 - grey, 1 - coarse
    paper = resized(ndimage.grey_closing(coarse, size=(min(coarse_size) // 2 + 1,) * 2), grey.shape)
    darker = paper - grey
    clear = darker[darker > FAINTEST]
    if not clear.size:
        return np.zeros_like(grey)
    threshold = otsu(clear)
    strength = np.median(clear[clear >= threshold])
    ink: Grey = np.clip(0.5 + (darker - threshold) / max(strength, 1e-3), 0, 1, dtype=np.float32)
    return ink


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


def digits_of(mask: Mask) -> list[tuple[Mask, tuple[slice, slice]]]:
    """Return each digit of a mask, from left to right, as the mask of its parts in its box, and the box."""
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    boxes = ndimage.find_objects(labels)
    tallest = max((max(r.stop - r.start, c.stop - c.start) for r, c in boxes), default=0)
    parts = [
        (r, c, {label})
        for label, (r, c) in enumerate(boxes, start=1)
        if max(r.stop - r.start, c.stop - c.start) > tallest / 6 and tallest > 4
    ]
    parts.sort(key=lambda part: part[1].start)
    groups: list[tuple[slice, slice, set[int]]] = []
    for rows, columns, names in parts:
        for index, (r, c, others) in enumerate(groups):
            shared = min(c.stop, columns.stop) - max(c.start, columns.start)
            if shared > 0.5 * min(c.stop - c.start, columns.stop - columns.start):
                groups[index] = hull(r, rows), hull(c, columns), others | names
                break
        else:
            groups.append((rows, columns, names))
    return [(np.isin(labels[r, c], list(names)), (r, c)) for r, c, names in groups]


def hull(a: slice, b: slice) -> slice:
    """Return the span of two spans."""
    return slice(min(a.start, b.start), max(a.stop, b.stop))


def frame_of(ink: Grey) -> NDArray[np.uint8]:
    """Return a digit framed as MNIST was: its longer side 20 pixels, its centre of mass in the middle (LeCun, 1998).

    Its outline is moved in or out until its strokes are as thick as MNIST's.

    Args:
        ink: float32 (h, w) in 0..1, cut to the digit.
    """
    height, width = ink.shape
    scale = FINE / max(height, width)
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


def resized(values: Grey, shape: tuple[int, int] | list[int]) -> Grey:
    """Return values at another (height, width), antialiased."""
    image = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))
