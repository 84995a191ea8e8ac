"""How numbers encode the pixels of images: their scale, black on white, transposed; detected from the values."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.digits import SIDE, Labels, Pixels

SIDES = (SIDE, 16, 8, 20, 32)
"""Sides of the square images that are read: MNIST's, USPS's, scikit-learn's, Coursera's, and padded to 32."""
SIZES = tuple(side * side for side in SIDES)
MEAN, STD = 0.1307, 0.3081
"""Mean and standard deviation that torch's MNIST examples normalise with, on the scale 0 to 1."""
TOLERANCE = 0.02
"""Overshoot of a scale by resampling, in units of its range."""
MIN_PAPER_SHARE = 0.75
"""Share of the images whose border must be bright for black on white, and of the ones that must lie for transposed."""
MIN_BORDER_LEVEL = 0.6
"""Mean level of the border of an image that is black on white; 0 is the value of paper otherwise, 1 that of ink."""
MIN_ONES = 10
"""Number of images with label 1 that show whether a data set is transposed."""
SAMPLE_ROWS = 1000
"""Rows that are examined for black on white and for transposed images."""


@dataclass(frozen=True)
class PixelFormat:
    """The encoding of the pixels of a file.

    Attributes:
        paper: value of paper.
        ink: value of ink.
        transposed: whether rows and columns are exchanged, as in EMNIST.
    """

    paper: float = 0
    ink: float = 255
    transposed: bool = False

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest value."""
        return min(self.paper, self.ink), max(self.paper, self.ink)

    @property
    def whole_numbers(self) -> bool:
        """Whether the values are the grey levels 0 to 255, without fractions."""
        return self.bounds == (0, 255)

    def decode(self, values: NDArray[Any]) -> Pixels:
        """Return numbers within `bounds`, (N, side * side), as images, uint8 (N, 28, 28), 0 = paper, 255 = ink."""
        if self.bounds == (0, 255):
            pixels = np.rint(values).astype(np.uint8) if values.dtype.kind == "f" else values.astype(np.uint8)
            pixels = 255 - pixels if self.ink == 0 else pixels
        else:
            ink = (values.astype(np.float32) - self.paper) / (self.ink - self.paper)
            pixels = np.rint(255 * ink.clip(0, 1)).astype(np.uint8)
        side = math.isqrt(values.shape[1])
        images = pixels.reshape(-1, side, side)
        if self.transposed:
            images = images.transpose(0, 2, 1)
        return images if side == SIDE else _frame(images)

    def within_bounds(self, values: NDArray[Any]) -> bool:
        """Return whether all values are finite numbers of this format."""
        lowest, highest = self.bounds
        margin = 0 if self.whole_numbers else TOLERANCE * (highest - lowest)
        return bool(values.min() >= lowest - margin and values.max() <= highest + margin)  # false for NaN

    def accepts(self, values: NDArray[Any]) -> bool:
        """Return whether all values are numbers of this format, without fractions if it has whole numbers."""
        has_fractions = values.dtype.kind == "f" and self.whole_numbers and (values % 1).any()
        return self.within_bounds(values) and not has_fractions

    def notes(self, features: int) -> list[str]:
        """Return what differs from MNIST's format, in words; `features` is the number of values per image."""
        lowest, highest = self.bounds
        side = math.isqrt(features)
        notes = {
            f"{side}x{side} pixels, framed to {SIDE}x{SIDE}": side != SIDE,
            f"values {lowest:.4g} to {highest:.4g}, scaled to 0 to 255": not self.whole_numbers,
            "black on white, inverted": self.ink < self.paper,
            "transposed, turned upright": self.transposed,
        }
        return [note for note, applies in notes.items() if applies]


def detect_format(values: NDArray[Any], labels: Labels | None, lowest: float, highest: float) -> PixelFormat:
    """Return the format of a data set, detected from a sample of its rows.

    Args:
        values: numbers (N, side * side).
        labels: digits 0 to 9, (N,), if they are known.
        lowest: smallest value of the whole data set.
        highest: largest value of the whole data set.
    """
    paper, ink = _scale(lowest, highest, values.shape[1])
    if _is_black_on_white(values[:SAMPLE_ROWS], paper, ink):
        paper, ink = ink, paper
    upright = PixelFormat(paper, ink)
    if labels is None or not upright.within_bounds(values):
        return upright
    ones = np.flatnonzero(labels == 1)[:SAMPLE_ROWS]
    return PixelFormat(paper, ink, len(ones) >= MIN_ONES and _lie(upright.decode(values[ones])))


def needs_more_rows(lowest: float, highest: float) -> bool:
    """Return whether values in a wider range than these may still change the scale."""
    return highest <= 1 + TOLERANCE or (lowest < 0 and highest <= 3)


def _scale(lowest: float, highest: float, features: int) -> tuple[float, float]:
    """Return the values of paper and ink of a range; 0 and 255 if it is no known range."""
    normalised = (-MEAN / STD, (1 - MEAN) / STD)
    if np.allclose((lowest, highest), normalised, atol=0.01):
        return normalised
    if lowest == highest == 0:
        return 0, 255
    if features == 64 and lowest >= 0 and 1 + TOLERANCE < highest <= 16:
        return 0, 16
    for paper, ink in ((0, 1), (-0.5, 0.5), (-1, 1)):
        margin = TOLERANCE * (ink - paper)
        if lowest >= paper - margin and highest <= ink + margin:
            return paper, ink
    return 0, 255


def _is_black_on_white(values: NDArray[Any], paper: float, ink: float) -> bool:
    """Return whether the borders of most images, (N, side * side), have the values of ink."""
    side = math.isqrt(values.shape[1])
    inner = np.zeros((side, side), dtype=bool)
    inner[1:-1, 1:-1] = True
    border = (values[:, ~inner.ravel()].mean(axis=1) - paper) / (ink - paper)
    centre = (values[:, inner.ravel()].mean(axis=1) - paper) / (ink - paper)
    return bool(np.mean((border > MIN_BORDER_LEVEL) & (border > centre)) >= MIN_PAPER_SHARE)


def _lie(ones: Pixels) -> bool:
    """Return whether most images of the digit 1, uint8 (N, 28, 28), are wider than tall."""
    ink = ones.astype(np.float32)
    total = ink.sum(axis=(1, 2)) + 1e-6
    positions = np.arange(SIDE, dtype=np.float32)
    spread = []
    for profile in (ink.sum(axis=1), ink.sum(axis=2)):  # across, down
        centre = profile @ positions / total
        spread.append(profile @ positions**2 / total - centre**2)
    return bool(np.mean(spread[0] > 1.5 * spread[1]) >= MIN_PAPER_SHARE)


def _frame(images: Pixels) -> Pixels:
    """Return images of another size, uint8 (N, side, side), framed like MNIST, uint8 (N, 28, 28)."""
    from pipeline.vision.frame import frame_single

    return np.array([frame_single(image) for image in images], dtype=np.uint8).reshape(-1, SIDE, SIDE)
