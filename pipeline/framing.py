"""From any picture to MNIST's frames: paper and ink told apart, ink grouped into digits, each framed as MNIST was."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from pipeline.pictures import Grey, Picture, grey_of
from pipeline.table import SIDE

Mask = NDArray[np.bool_]
Box = tuple[slice, slice]
"""Rows and columns."""

COARSE_SIDE = 200
"""Pixels along the longer side where paper is estimated: enough for shadows, and noise is gone."""
FAINTEST = 0.08
"""Ink differs from paper by more than this, of black less white."""
LEVEL = 1.5 / 255
"""Greys that are nearer than this are the same."""
WIDEST = 6
"""On uneven paper strokes are narrower than the picture's shorter side divided by this."""
LONG = 0.6
"""What is longer than this share of a picture is not a digit alone."""
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

    Paper that is not of one grey is what is left of a coarse copy when strokes are closed over: gradients, shadows and
    a table beside the paper stay, for they are wider than strokes.
    """
    coarse_size = [max(1, round(side * min(1, COARSE_SIDE / max(grey.shape)))) for side in grey.shape]
    coarse = resized(grey, coarse_size)
    # Ink is the rarer of the two wherever one looks, so that it makes the tail of what differs from its surroundings.
    tail = ((coarse - ndimage.uniform_filter(coarse, max(coarse_size) // 2)) ** 3).mean()
    if tail > 0:
        grey, coarse = 1 - grey, 1 - coarse
    middle = np.median(grey)
    if (abs(grey - middle) < LEVEL).mean() > 0.5:
        paper = np.full_like(grey, middle)
    else:
        paper = resized(ndimage.grey_closing(coarse, size=(min(coarse_size) // WIDEST + 1,) * 2), grey.shape)
    darker = 1 - grey / np.maximum(paper, LEVEL)
    clear = darker[darker > FAINTEST]
    if not clear.size:
        return np.zeros_like(grey)
    threshold = otsu(clear)
    strength = np.median(clear[clear >= threshold])
    ink: Grey = np.clip(0.5 + (darker - threshold) / strength, 0, 1, dtype=np.float32)
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
    labels, boxes = parts_of(mask)
    if any(np.any(np.greater(size_of(box), LONG * np.array(mask.shape))) for box in boxes):
        labels, boxes = parts_of(mask & ~lines_of(mask) & ~lines_of(mask.T).T)
    tallest = max((max(size_of(box)) for box in boxes), default=0)
    parts = [
        (rows, columns, {label})
        for label, (rows, columns) in enumerate(boxes, start=1)
        if max(size_of((rows, columns))) > max(4, tallest / 6) and not along_border(labels == label)
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


def parts_of(mask: Mask) -> tuple[NDArray[np.int32], list[Box]]:
    """Return the connected parts of a mask, numbered from 1 where they lie, and the box of each."""
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    return labels, ndimage.find_objects(labels)


def size_of(box: Box) -> tuple[int, int]:
    """Return the height and the width of a box."""
    rows, columns = box
    return rows.stop - rows.start, columns.stop - columns.start


def lines_of(mask: Mask) -> Mask:
    """Return the lines across a page, as paper is printed with: thin, and longer than a digit would be.

    A stroke that crosses such a line is thick there and stays.
    """
    thin = 2 + max(mask.shape) // 200
    flat = mask & ~ndimage.binary_opening(mask, np.ones((thin, 1)))
    labels, boxes = parts_of(ndimage.binary_dilation(flat, np.ones((1, 6 * thin + 1))))
    long = [label for label, box in enumerate(boxes, start=1) if size_of(box)[1] > LONG * mask.shape[1]]
    found: Mask = flat & np.isin(labels, long)
    return found


def along_border(mask: Mask) -> bool:
    """Tell whether a part lies along more than half of a border, as a table or the edge of the paper does."""
    return any(side.mean() > 0.5 for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))


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
