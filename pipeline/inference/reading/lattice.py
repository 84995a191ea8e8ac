"""Lattice: the best way to group the parts of a row into digits, judged by a network.

A broken digit is several parts that lie beside each other. Each run of neighbouring parts may be one digit. The network
scores all of them in one batch; dynamic programming finds the best path. This is segmentation by recognition (Matan,
Burges, LeCun and Denker 1991, "Multi-digit recognition using a space displacement neural network").
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.digits import Pixels
from pipeline.inference.predictions import Predictions
from pipeline.vision.binarise import Ink
from pipeline.vision.frame import frame_part
from pipeline.vision.part import Part, gap, join
from pipeline.vision.rows import Row

CLEAR_SCORE = 0.95
"""Score of a part that is one digit without doubt."""
MAX_DIGIT_WIDTH = 1.4
"""Width of a digit relative to its row's height; wider unions are not tried."""
MAX_GAP = 0.2
"""Gap between the parts of one digit, relative to its row's height."""
MAX_PARTS = 4
"""Parts of one digit."""
JOINT_PENALTY = 1.0
"""Cost of each joint between two parts, in nats: parts are usually digits of their own."""
LOWEST_SCORE = 1e-3
MAX_SOLIDITY, MAX_SOLID_WIDTH = 0.8, 0.5
"""Fraction of its bounding box that a digit fills, unless its shorter side is at most this, relative to the longer."""

Predict = Callable[[Pixels], Predictions]


@dataclass(frozen=True, eq=False)
class Candidate:
    """Ink that may be a digit, as the network sees it.

    Attributes:
        part: the ink.
        frame: uint8 (28, 28).
        probabilities: float32 (C,), as in `Predictions`.
        p_digit: the probability that it is a digit, or None if the network has no class for non-digits.
    """

    part: Part
    frame: Pixels
    probabilities: NDArray[np.float32]
    p_digit: float | None

    @property
    def score(self) -> float:
        """The probability that it is the digit that is predicted, in 0..1."""
        return float(self.probabilities.max()) * (1 if self.p_digit is None else self.p_digit)


def score_parts(ink: Ink, parts: Sequence[Part], predict: Predict) -> list[Candidate]:
    """Return the parts of a picture's ink with what the network says of each, in order."""
    if not parts:
        return []
    frames = np.array([frame_part(ink, part) for part in parts])
    predictions = predict(frames)
    p_digit: list[float | None] = [None] * len(parts)
    if predictions.p_digit is not None:
        scores = predictions.p_digit.tolist()
        p_digit = [0.0 if _is_block(part) else score for part, score in zip(parts, scores, strict=True)]
    return [Candidate(*each) for each in zip(parts, frames, predictions.probabilities, p_digit, strict=True)]


def _is_block(part: Part) -> bool:
    """Return whether a part is a filled block, which the network would see as a very wide 1."""
    return bool(part.mask.mean() > MAX_SOLIDITY and min(part.mask.shape) > MAX_SOLID_WIDTH * max(part.mask.shape))


def group_parts(ink: Ink, rows: list[Row], predict: Predict) -> list[list[Candidate]]:
    """Return the digits of each row, from left to right: its parts, or unions of the parts of broken digits.

    Args:
        ink: the ink of a picture.
        rows: its rows.
        predict: returns the predictions for images, uint8 (N, 28, 28).
    """
    single = iter(score_parts(ink, [part for row in rows for part in row.parts], predict))
    parts = [[next(single) for _ in row.parts] for row in rows]
    spans = [_unions(row, each) for row, each in zip(rows, parts, strict=True)]
    joined = [join(row.parts[start:stop]) for row, found in zip(rows, spans, strict=True) for start, stop in found]
    unions = iter(score_parts(ink, joined, predict))
    digits = []
    for each, found in zip(parts, spans, strict=True):
        candidates = [(index, index + 1, candidate) for index, candidate in enumerate(each)]
        candidates += [(start, stop, next(unions)) for start, stop in found]
        digits.append(_best_path(candidates, len(each)))
    return digits


def _unions(row: Row, candidates: list[Candidate]) -> list[tuple[int, int]]:
    """Return (start, stop) of the runs of close neighbours, one of them in doubt, that are as narrow as a digit."""
    found = []
    for start, first in enumerate(row.parts):
        left = first.box[1].start
        for stop in range(start + 2, min(start + MAX_PARTS, len(row.parts)) + 1):
            last = row.parts[stop - 1]
            if gap(row.parts[stop - 2], last) > MAX_GAP * row.height:
                break
            if last.box[1].stop - left > MAX_DIGIT_WIDTH * row.height:
                break
            if min(candidate.score for candidate in candidates[start:stop]) < CLEAR_SCORE:
                found.append((start, stop))
    return found


def _best_path(candidates: list[tuple[int, int, Candidate]], count: int) -> list[Candidate]:
    """Return the candidates, from left to right, that cover all parts with the highest product of scores.

    Args:
        candidates: (start, stop, candidate); each covers the parts start..stop-1.
        count: number of parts.
    """
    best = np.full(count + 1, -np.inf)
    best[0] = 0
    via: list[tuple[int, Candidate] | None] = [None] * (count + 1)
    for start, stop, candidate in sorted(candidates, key=lambda each: each[1]):
        value = best[start] + np.log(max(LOWEST_SCORE, candidate.score)) - JOINT_PENALTY * (stop - start - 1)
        if value > best[stop]:
            best[stop], via[stop] = value, (start, candidate)
    path = []
    while (step := via[count]) is not None:
        count, candidate = step
        path.append(candidate)
    return path[::-1]
