"""Hough transform: find long, thin, nearly straight lines in a mask of ink."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.vision.mask import Mask

SLOPES = np.tan(np.radians(np.arange(-17, 17.1, 0.5)))
"""Slopes that are searched: printed lines are turned by at most 17 degrees."""
MAX_SLOPE = float(np.tan(np.radians(19)))
"""Steeper lines, to which a search may drift, are strokes: the stem of a 7."""
MIN_COVERAGE = 0.85
"""Fraction of a line's columns in which it has ink."""
MIN_THIN = 0.35
"""Fraction of a line's columns in which nothing crosses it."""
MAX_UNEVENNESS = 0.12
"""Root mean square distance of a line's ink from its curve, relative to its width; strokes side by side are uneven."""
PIXEL_UNEVENNESS, MAX_RAGGEDNESS = 0.5, 1.0
"""Added to this, in pixels: the unevenness that pixels cause, and that of a faint line across the picture."""
MIN_LENGTH_TO_WIDTH = 15
"""A printed line is longer than its width by this factor; strokes are shorter."""
MIN_SPAN = 0.9
"""Length of a line across the picture, relative to its width. Only such a line is fitted again, without the strokes
along it: shorter lines may be the feet of digits side by side."""
MAX_LINES = 60
MAX_FAILURES = 8
"""Guesses in a row that are no lines, after which no more are made."""
MAX_POINTS = 5_000
"""Points in which lines are searched; more are thinned out."""


@dataclass(frozen=True, eq=False)
class Runs:
    """The vertical runs of ink of a mask.

    Attributes:
        column, start, stop: int (N,); the rows of a run are start..stop-1.
    """

    column: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]

    @classmethod
    def of(cls, mask: Mask) -> "Runs":
        """Return the runs of a mask, column by column."""
        height = mask.shape[0] + 1  # a row of paper below parts the columns
        flat = np.pad(mask.T, ((0, 0), (0, 1))).ravel()
        edges = np.flatnonzero(np.diff(flat, prepend=False))
        return cls(edges[::2] // height, edges[::2] % height, edges[1::2] % height)

    def select(self, rows: NDArray[np.bool_]) -> "Runs":
        """Return some of the runs; `rows` is bool (N,)."""
        return Runs(self.column[rows], self.start[rows], self.stop[rows])

    @property
    def length(self) -> NDArray[np.int64]:
        """The number of rows of each run."""
        return self.stop - self.start

    @property
    def middle(self) -> NDArray[np.float64]:
        """The middle row of each run."""
        return (self.start + self.stop - 1) / 2


@dataclass(frozen=True, eq=False)
class Line:
    """A straight or slightly curved line from left to right.

    Attributes:
        start, stop: its columns.
        coefficients: of the polynomial that gives its row, highest power first.
        runs: its ink.
    """

    start: int
    stop: int
    coefficients: NDArray[np.float64]
    runs: Runs

    @property
    def length(self) -> int:
        """Its number of columns."""
        return self.stop - self.start

    @property
    def width(self) -> float:
        """The median height of its ink."""
        return float(np.median(self.runs.length))

    @property
    def slope(self) -> float:
        """Rows per column, between its ends."""
        return (self.row_at(self.stop) - self.row_at(self.start)) / self.length

    def row_at(self, column: float) -> float:
        """Return its row at a column."""
        return float(np.polyval(self.coefficients, column))


def find_lines(mask: Mask, thickness: float, fraction: float, ratio: float = MIN_LENGTH_TO_WIDTH) -> list[Line]:
    """Return the lines from left to right in a mask, bool (h, w), the strongest first.

    Args:
        mask: the ink.
        thickness: largest width of a line, in pixels.
        fraction: length of the shortest line, relative to the width of the mask.
        ratio: length of a line divided by its width, at least.
    """
    runs = Runs.of(mask)
    runs = runs.select(runs.length <= thickness + 1)
    left = runs
    lines: list[Line] = []
    failures = 0
    while len(lines) < MAX_LINES and failures < MAX_FAILURES:
        guess = _strongest_line(left, thickness, mask.shape[1], fraction)
        if guess is None:
            break
        line = _refine(mask, runs, guess, thickness, fraction * mask.shape[1], ratio)
        # All runs that led to the guess: otherwise a guess that is no line would be made again.
        used = abs(np.polyval(guess, left.column) - left.middle) <= thickness
        failures += 1
        if line is not None:
            failures = 0
            lines.append(line)
            on_line = abs(np.polyval(line.coefficients, left.column) - left.middle) <= thickness
            used |= on_line & (left.column >= line.start) & (left.column < line.stop)
        left = left.select(~used)
    return lines


def _strongest_line(runs: Runs, thickness: float, width: int, fraction: float) -> NDArray[np.float64] | None:
    """Return the coefficients of the line through most runs (Hough transform), or None if no line is long enough."""
    if len(runs.column) < fraction * width / 2:
        return None
    step = -(-len(runs.column) // MAX_POINTS)
    x, y = runs.column[::step], runs.middle[::step]
    bin_height = max(2.0, thickness / 1.5)
    offsets = (y - SLOPES[:, None] * (x - width / 2)) / bin_height
    low = offsets.min()
    bins = (offsets - low).astype(np.int64)
    count = int(bins.max()) + 2
    votes = np.bincount((bins + count * np.arange(len(SLOPES))[:, None]).ravel(), minlength=count * len(SLOPES))
    votes = votes.reshape(len(SLOPES), count)
    votes = votes[:, :-1] + votes[:, 1:]
    slope, offset = np.unravel_index(votes.argmax(), votes.shape)
    if votes[slope, offset] * step < fraction * width / 2:
        return None
    middle = (offset + 1 + low) * bin_height
    return np.array([0, SLOPES[slope], middle - SLOPES[slope] * width / 2])


def _refine(
    mask: Mask, runs: Runs, guess: NDArray[np.float64], thickness: float, shortest: float, ratio: float
) -> Line | None:
    """Return the line near a guess, or None if its ink is too short, too thick, or has too many gaps."""
    height, width = mask.shape
    coefficients = guess
    close = runs.length[abs(np.polyval(guess, runs.column) - runs.middle) <= thickness / 2]
    narrow = runs.length <= 1.35 * float(np.median(close)) + 1 if close.size else np.ones(len(runs.column), dtype=bool)
    for tolerance in (2 * thickness, 1.5 * thickness, thickness, thickness / 2):
        near = narrow & (abs(np.polyval(coefficients, runs.column) - runs.middle) <= tolerance)
        x = runs.column[near]
        if len(x) < 10 or np.ptp(x) < shortest:
            return None
        if tolerance < thickness and np.ptp(x) < MIN_SPAN * width:
            break
        coefficients = np.polyfit(x, runs.middle[near], 2 if np.ptp(x) > width / 2 else 1)
    distance = abs(np.polyval(coefficients, runs.column) - runs.middle)
    own = float(np.median(runs.length[distance <= thickness / 2])) if (distance <= thickness / 2).any() else thickness
    near = (distance <= 0.75 * own + 1) & (runs.length <= 1.35 * own + 1)
    across = np.arange(width)
    on_line = np.rint(np.polyval(coefficients, across)).astype(int)
    reach = np.arange(-round(own / 2), round(own / 2) + 1)[:, None]
    inked = mask[np.clip(on_line + reach, 0, height - 1), across].any(axis=0)
    start, stop = _longest_stretch(np.flatnonzero(inked), gap=max(3 * own, width / 40))
    length = stop - start
    near &= (runs.column >= start) & (runs.column < stop)
    unevenness = MAX_RAGGEDNESS if length > MIN_SPAN * width else PIXEL_UNEVENNESS
    if (
        not length
        or abs(np.polyval(coefficients, stop) - np.polyval(coefficients, start)) > MAX_SLOPE * length
        or length < max(shortest, ratio * own)
        or inked[start:stop].mean() < MIN_COVERAGE
        or len(np.unique(runs.column[near])) < MIN_THIN * length
        or np.sqrt(np.mean(distance[near] ** 2)) > MAX_UNEVENNESS * own + unevenness
    ):
        return None
    return Line(start, stop, coefficients, runs.select(near))


def _longest_stretch(columns: NDArray[np.int64], gap: float) -> tuple[int, int]:
    """Return the (start, stop) of the longest stretch of sorted columns without a gap over `gap`."""
    if not len(columns):
        return 0, 0
    breaks = np.flatnonzero(np.diff(columns) > gap)
    starts = np.concatenate([[0], breaks + 1])
    stops = np.concatenate([breaks, [len(columns) - 1]])
    best = int(np.argmax(columns[stops] - columns[starts]))
    return int(columns[starts[best]]), int(columns[stops[best]]) + 1
