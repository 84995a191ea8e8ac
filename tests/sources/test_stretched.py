"""Stretched digits."""

import numpy as np

from pipeline import DigitTable
from pipeline.sources.outliers import is_bar
from pipeline.sources.stretched import stretch_digits


def test_stretched_digits_are_wider_than_the_rows_and_keep_their_labels(digits: DigitTable) -> None:
    stretched = stretch_digits(digits, 200, seed=0)
    assert len(stretched) == 200
    shares = np.bincount(stretched.known_labels, minlength=10) / 200
    assert shares[[0, 2, 3, 4, 5, 6, 7, 8, 9]].min() > 0.04
    assert mean_columns(stretched.pixels) > mean_columns(digits.pixels) + 1


def test_bars_and_blank_images_are_not_stretched(digits: DigitTable) -> None:
    bars = np.array([is_bar(image) for image in digits.pixels])
    assert bars.any()
    pixels = np.where(np.arange(len(digits))[:, None, None] % 2, digits.pixels, 0)
    assert len(stretch_digits(DigitTable(pixels, digits.known_labels), len(digits), 0)) == (~bars[1::2]).sum()


def test_stretched_digits_are_the_same_for_the_same_seed(digits: DigitTable) -> None:
    first, again, other = (stretch_digits(digits, 20, seed).pixels for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def mean_columns(frames: np.ndarray) -> float:
    """Return the mean number of columns with ink per frame."""
    return float((frames.max(axis=1) > 127).sum(axis=1).mean())
