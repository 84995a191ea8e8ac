"""Calibration: expected calibration error, reliability bins, temperature scaling, and rejection of non-digits."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.digits import CLASSES, Labels
from pipeline.metrics.interval import wilson_interval

REJECTED_FRACTION = 0.002
"""Fraction of digits that may be rejected as non-digits."""
CALIBRATION_BINS = 15
CONFIDENCE_BIN_EDGES = (0, 0.25, 0.5, 0.75, 0.9, 0.97, 0.99, 0.997, 0.999, 1)
"""Edges of the reliability bins; most are near 1."""


@dataclass(frozen=True)
class ReliabilityBin:
    """The predictions with a confidence from `low` up to `high`, and the number of correct ones.

    Attributes:
        confidence: their mean confidence; equals the accuracy if they are calibrated.
    """

    low: float
    high: float
    rows: int
    correct: int
    confidence: float

    @property
    def accuracy(self) -> float:
        return self.correct / self.rows

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy, from `wilson_interval`."""
        return wilson_interval(self.correct, self.rows)


def reliability_bins(probabilities: NDArray[np.float32], labels: Labels) -> list[ReliabilityBin]:
    """Return the non-empty reliability bins, in ascending order of confidence.

    Args:
        probabilities: float (N, C).
        labels: int64 (N,).
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    indices = np.digitize(confidence, CONFIDENCE_BIN_EDGES[1:-1])
    found = []
    for index, (low, high) in enumerate(pairwise(CONFIDENCE_BIN_EDGES)):
        within = indices == index
        if within.any():
            rows, correct = int(within.sum()), int(right[within].sum())
            found.append(ReliabilityBin(low, high, rows, correct, float(confidence[within].mean())))
    return found


def calibration_error(probabilities: NDArray[np.float32], labels: Labels) -> float:
    """Return the expected calibration error, in 0..1 (Guo et al. 2017): the mean gap of confidence and accuracy.

    Predictions are sorted by confidence and split into 15 bins of equal mass. The error is the mean over the bins of
    |mean confidence - accuracy|, weighted by their rows. Bins of equal width (Naeini et al. 2015) are the older
    convention. Near 100 % accuracy, the last of them contains nearly every prediction and averages out its errors; the
    others contain so few that noise alone produces a gap. Bins of equal mass are less biased (Nixon et al. 2019,
    arXiv:1904.01685; Roelofs et al. 2022, arXiv:2012.08668).

    Args:
        probabilities: float (N, C), N at least 1.
        labels: int64 (N,).
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    excess = confidence - (probabilities.argmax(axis=1) == labels)
    bins = np.array_split(excess[np.argsort(confidence, kind="stable")], CALIBRATION_BINS)
    return float(sum(abs(each.sum()) for each in bins)) / len(labels)


def fit_temperature(logits: NDArray[np.float32], labels: Labels) -> float:
    """Return the temperature T at which softmax(logits / T) is calibrated, by maximum likelihood.

    Temperature scaling (Guo et al. 2017, arXiv:1706.04599). After Platt (1999), the target probability of a label is
    (N + 1) / (N + 2). Otherwise N correct predictions would give T = 0.

    Args:
        logits: float (N, 10).
        labels: int64 (N,).
    """
    rows, classes = logits.shape
    targets = np.full((rows, classes), 1 / (rows + 2) / (classes - 1))
    targets[np.arange(rows), labels] = (rows + 1) / (rows + 2)
    logits = logits - logits.max(axis=1, keepdims=True).astype(np.float64)
    low, high = math.log(1e-3), math.log(1e3)
    while high - low > 1e-6:  # bisection: the loss is convex in 1 / T, and its minimum is the zero of its slope
        middle = (low + high) / 2
        probabilities = np.exp(logits / math.exp(middle))
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        if ((probabilities - targets) * logits).sum() > 0:
            low = middle
        else:
            high = middle
    return math.exp(high)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probabilities of logits (N, C), float32 (N, C); each row sums to 1."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def digit_score(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the confidence that an image is a digit, float32 (N,) in 0..1, from calibrated logits (N, C).

    For a network with a non-digit class (C > 10), it is the summed probability of the digit classes. For other
    networks it is the largest probability (Hendrycks and Gimpel 2017, arXiv:1610.02136).
    """
    probabilities = softmax(logits)
    scores: NDArray[np.float32]
    scores = probabilities.max(axis=1) if logits.shape[1] == CLASSES else probabilities[:, :CLASSES].sum(axis=1)
    return scores


def digit_threshold(logits: NDArray[np.float32]) -> float:
    """Return the threshold on `digit_score` that rejects REJECTED_FRACTION of these digits.

    Args:
        logits: calibrated logits of digits, float (N, C).
    """
    return float(np.quantile(digit_score(logits), REJECTED_FRACTION))
