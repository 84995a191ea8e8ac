"""Skeletons: strokes of the variants in which people write each digit, and of signs that are not digits.

MNIST's writers went to school in one country. Others write a 1 with a long flag, a crossed 7 or a slashed 0.
`skeletons.yaml` contains such variants as points. Each drawing is a variant with its own deformation.
"""

from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pipeline.digits import CLASSES
from pipeline.sources.drawings.strokes import Drawing, Points

GRID = 9.0
"""Height of a skeleton in units of its grid."""
POINTS_PER_UNIT = 3
"""Points of a curve per unit of the grid."""
JITTER = 0.3
"""Standard deviation of a skeleton's points, in units of its grid."""
BEND = 0.35
"""Largest amplitude of the smooth warp of a skeleton, in units of its grid."""
WORD_FRACTION = 0.2
"""Fraction of the signs that are two to four signs in a row."""

Skeleton = tuple[tuple[Points, ...], ...]
"""The strokes of a variant; each is a sequence of smooth pieces, which meet in corners."""


@cache
def digit_skeletons() -> Mapping[int, Mapping[str, Skeleton]]:
    """Return the variants of each digit, by digit and name."""
    return {
        digit: {name: _parse(text) for name, text in variants.items()} for digit, variants in _read()["digits"].items()
    }


@cache
def sign_skeletons() -> Mapping[str, Skeleton]:
    """Return signs that are not digits, by name: letters, symbols, and digits of other scripts."""
    return {name: _parse(text) for name, text in _read()["signs"].items()}


def sample_digits(count: int, seed: int) -> list[Drawing]:
    """Return `count` drawings of digits: the digits 0 to 9 in turn, each a random variant with its own deformation."""
    random = np.random.default_rng(seed)
    variants = {digit: list(each.values()) for digit, each in digit_skeletons().items()}
    drawings = []
    for index in range(count):
        of_digit = variants[index % CLASSES]
        drawings.append(Drawing(index % CLASSES, deform(of_digit[random.integers(len(of_digit))], random)))
    return drawings


def sample_signs(count: int, seed: int) -> list[Drawing]:
    """Return `count` drawings of random signs, or of words of two to four signs. Their label is 10, for non-digits."""
    random = np.random.default_rng(seed)
    signs = list(sign_skeletons().values())
    drawings = []
    for _ in range(count):
        strokes: list[Points] = []
        for place in range(random.integers(2, 5) if random.random() < WORD_FRACTION else 1):
            offset = np.array([place * GRID * random.uniform(0.7, 0.9), 0])
            strokes += [stroke + offset for stroke in deform(signs[random.integers(len(signs))], random)]
        drawings.append(Drawing(CLASSES, tuple(strokes)))
    return drawings


def deform(skeleton: Skeleton, random: np.random.Generator) -> tuple[Points, ...]:
    """Return the strokes of a skeleton with displaced points, ends, strokes and a smooth warp, in units of its grid."""
    strokes = []
    for pieces in skeleton:
        jittered = [piece + random.normal(0, JITTER, piece.shape) for piece in pieces]
        for before, after in pairwise(jittered):
            after[0] = before[-1]
        curve = np.concatenate([_curve(piece) for piece in jittered])
        strokes.append(curve + random.normal(0, JITTER / 2, 2))
    amplitudes = random.uniform(0, BEND, (2, 1, 2))
    waves, phases = random.normal(0, 1 / GRID, (2, 2, 2)), random.uniform(0, 2 * np.pi, (2, 1, 2))
    return tuple(stroke + (amplitudes * np.sin(2 * np.pi * stroke @ waves + phases)).sum(axis=0) for stroke in strokes)


def _curve(piece: Points) -> Points:
    """Return a dense smooth curve through the points of a piece: a cubic spline, straight through two points."""
    from scipy.interpolate import CubicSpline  # a slow import, which only recipes with skeletons need

    lengths = np.hypot(*np.diff(piece, axis=0).T).clip(0.1)
    positions = np.concatenate([[0], np.cumsum(np.sqrt(lengths))])  # centripetal: no loops between close points
    samples = np.linspace(0, positions[-1], max(2, round(POINTS_PER_UNIT * lengths.sum())))
    curve: Points = CubicSpline(positions, piece, bc_type="natural")(samples)
    return curve


def _parse(text: str) -> Skeleton:
    """Return the strokes of a skeleton in the format that the comment in `skeletons.yaml` describes."""
    strokes = []
    for stroke in text.split(","):
        pieces, start = [], 0
        names = stroke.split()
        points = np.array([[int(name[0]), int(name[1])] for name in names], dtype=np.float64)
        for end, name in enumerate(names):
            if end > start and (name.endswith(".") or end == len(names) - 1):
                pieces.append(points[start : end + 1])
                start = end
        strokes.append(tuple(pieces))
    return tuple(strokes)


@cache
def _read() -> Mapping[str, Any]:
    """Return the content of `skeletons.yaml`: `digits`, by digit and variant, and `signs`, by name."""
    content: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))
    return content
