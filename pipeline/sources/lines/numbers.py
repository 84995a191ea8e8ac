"""Numbers: lines of one to five digits that touch, overlap or are close, joined from shapes at random.

Numbers are training data for `models/line.py`, without end. Each has its own pen, slant, size and distortion. Some
contain a non-digit, a joining stroke, a broken stroke, or a piece of a ruled line.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.models.line import NON_DIGIT
from pipeline.sources.lines.drawn_lines import draw_lines
from pipeline.sources.lines.shapes import FAR, MARGIN, SCALE, UNIT, Distances, Shape
from pipeline.vision.line import LINE_STROKE_PX

LENGTHS = (0.1, 0.36, 0.3, 0.16, 0.08)
"""Fractions of the numbers with one to five symbols."""
NON_DIGIT_FRACTION = 0.1
"""Fraction of the numbers in which one symbol is a non-digit."""
APART_FRACTION = 0.2
"""Fraction of the numbers whose digits are apart; in others, they touch or overlap."""
MAX_GAP_PX, MAX_OVERLAP_PX = 8.0, 6.0
"""Largest distance between digits that are apart, and largest overlap of their ink, in pixels of a line."""
MIN_STEP_PX = 3.0
"""Smallest distance between the left ends, and between the right ends, of two neighbours."""
JOINT_FRACTION = 0.1
"""Fraction of the gaps that a stroke joins."""
RULED_FRACTION = 0.08
"""Fraction of the numbers with a piece of a ruled line."""
CANVAS_ROWS = 36 * SCALE
VERTICAL_JITTER_PX = 1.2
"""Standard deviation of a shape's position, in pixels of a line."""
NO_INK = 10_000
"""First column of ink of a row without ink; the last one is -NO_INK."""
BUFFERED_BATCHES = 8
"""Batches that are joined at a time, then sorted by width: lines of one batch have about the same width."""


@dataclass(frozen=True, eq=False)
class Numbers:
    """A batch of lines.

    Attributes:
        lines: float32 (B, 1, 28, W) in 0..1, 0 = paper; W is a multiple of 4.
        symbols: the symbols of each line, 0..9 or NON_DIGIT.
    """

    lines: Tensor
    symbols: list[list[int]]


@dataclass(frozen=True, eq=False)
class Joined:
    """Shapes on a canvas.

    Attributes:
        symbols: their symbols.
        distances: int8 (CANVAS_ROWS, w), as in `Shape`; some rows and columns of ink, with a margin.
    """

    symbols: list[int]
    distances: Distances


Columns = NDArray[np.int64]


def make_numbers(shapes: Sequence[Shape], batch_size: int, seed: int) -> Iterator[Numbers]:
    """Yield batches of numbers without end. They depend on the arguments only.

    Args:
        shapes: the shapes of digits, and perhaps of non-digits.
        batch_size: number of lines of a batch.
        seed: seed of all random parameters.
    """
    random = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    digits = [shape for shape in shapes if shape.symbol != NON_DIGIT]
    others = [shape for shape in shapes if shape.symbol == NON_DIGIT]
    while True:
        joined = [_random_number(digits, others, random) for _ in range(BUFFERED_BATCHES * batch_size)]
        joined.sort(key=lambda each: each.distances.shape[1])
        for index in random.permutation(BUFFERED_BATCHES):
            chosen = joined[index * batch_size : (index + 1) * batch_size]
            yield Numbers(draw_lines([each.distances for each in chosen], generator), [each.symbols for each in chosen])


def join_shapes(shapes: Sequence[Shape], overlaps: Sequence[float], random: np.random.Generator) -> Joined:
    """Return shapes side by side, each slid to the left until its ink overlaps that of the last one.

    Args:
        shapes: N shapes, at least one.
        overlaps: N - 1 numbers of pixels of a line by which the ink of two neighbours overlaps in some row; negative
            for a gap. It is less where a shape would come within MIN_STEP_PX of the ends of the last one.
        random: source of the vertical positions, and of joining strokes in gaps.
    """
    gaps = sum(max(0, round(-overlap * SCALE)) for overlap in overlaps)
    width = sum(shape.distances.shape[1] for shape in shapes)
    canvas = np.full((CANVAS_ROWS, width + gaps), FAR)
    step = round(MIN_STEP_PX * SCALE)
    left = right = 0
    ends = np.full(CANVAS_ROWS, -NO_INK)
    for index, shape in enumerate(shapes):
        height, own = shape.distances.shape
        top = (CANVAS_ROWS - height) / 2 + random.normal(0, VERTICAL_JITTER_PX * SCALE)
        top = int(np.clip(top, 0, CANVAS_ROWS - height))
        first, last = _outline(shape, top)
        if index:
            contact = _contact(ends, first, right - 2 * MARGIN)
            left = max(contact - round(overlaps[index - 1] * SCALE), left + step, right + step - own)
            if random.random() < JOINT_FRACTION:
                _add_joint(canvas, ends, first + left, random)
        area = canvas[top : top + height, left : left + own]
        np.maximum(area, shape.distances, out=area)
        right, ends = left + own, last + left
    return Joined([shape.symbol for shape in shapes], canvas[:, :right])


def _random_number(digits: Sequence[Shape], others: Sequence[Shape], random: np.random.Generator) -> Joined:
    """Return one to five joined random digits; at NON_DIGIT_FRACTION, one of the others, if any, is among them."""
    count = int(random.choice(len(LENGTHS), p=LENGTHS)) + 1
    chosen = [digits[index] for index in random.integers(len(digits), size=count)]
    if others and random.random() < NON_DIGIT_FRACTION:
        chosen[int(random.integers(count))] = others[int(random.integers(len(others)))]
    low, high = (-MAX_GAP_PX, 0.0) if random.random() < APART_FRACTION else (-0.5, MAX_OVERLAP_PX)
    joined = join_shapes(chosen, random.uniform(low, high, count - 1).tolist(), random)
    if random.random() < RULED_FRACTION:
        _add_ruled_line(joined.distances, random)
    return joined


def _outline(shape: Shape, top: int) -> tuple[Columns, Columns]:
    """Return the first and the last column of a shape's ink in each row of the canvas, int64 (CANVAS_ROWS,) each."""
    rows = slice(top, top + len(shape.first))
    first, last = np.full(CANVAS_ROWS, NO_INK), np.full(CANVAS_ROWS, -NO_INK)
    first[rows] = np.where(shape.first < shape.distances.shape[1], shape.first, NO_INK)
    last[rows] = np.where(shape.last > 0, shape.last, -NO_INK)
    return first, last


def _contact(ends: Columns, first: Columns, default: int) -> int:
    """Return the column at which a shape touches the last one; the default if they have no row of ink in common."""
    gap = int((first - ends).min())
    return -gap if gap < NO_INK // 2 else default


def _add_joint(canvas: Distances, ends: Columns, starts: Columns, random: np.random.Generator) -> None:
    """Draw a level stroke across the gap between two shapes, in a random row in which both have ink."""
    rows = np.flatnonzero((ends < starts) & (ends > 0) & (starts < NO_INK // 2))
    if len(rows):
        row = rows[random.integers(len(rows))]
        columns = slice(ends[row] - SCALE, starts[row] + SCALE)
        half = LINE_STROKE_PX / 2 * random.uniform(0.6, 1)
        _add_band(canvas[:, columns], np.full(canvas[:, columns].shape[1], row), half)


def _add_ruled_line(canvas: Distances, random: np.random.Generator) -> None:
    """Draw a piece of a nearly level line, at any height of the digits."""
    width = canvas.shape[1]
    start, stop = np.sort(random.integers(0, width + 1, 2))
    rows = random.uniform(0.2, 0.8) * CANVAS_ROWS + random.normal(0, 0.03) * np.arange(start, stop)
    _add_band(canvas[:, start:stop], rows, random.uniform(0.3, 1))


def _add_band(canvas: Distances, middle: NDArray[np.float64], half: float) -> None:
    """Draw a band over the full width of a canvas.

    Args:
        canvas: int8 (h, w).
        middle: the row of the middle of the band in each column, (w,).
        half: half of its width, in pixels of a line.
    """
    distances = half - abs(np.arange(len(canvas))[:, None] - middle) / SCALE
    np.maximum(canvas, np.clip(distances * UNIT, FAR, -FAR).astype(np.int8), out=canvas)
