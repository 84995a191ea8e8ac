"""Calibration: what confidence is worth, and the temperature that mends it."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.digits import CLASSES, Labels
from pipeline.metrics.interval import interval_of

REFUSED = 0.002
"""The share of digits that may be taken for none."""
CALIBRATION_BINS = 15
CONFIDENCES = (0, 0.25, 0.5, 0.75, 0.9, 0.97, 0.99, 0.997, 0.999, 1)
"""Between which answers are put together to see what their confidence is worth; most are near 1."""


@dataclass(frozen=True)
class ReliabilityBin:
    """The answers whose confidence is from `low` up to `high`, and how many of them are right.

    Attributes:
        confidence: their mean confidence: the fraction that should be right.
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
        """The 95 % interval of the accuracy, as `interval_of` gives it."""
        return interval_of(self.correct, self.rows)


def reliability_bins(probabilities: NDArray[np.float32], labels: Labels) -> list[ReliabilityBin]:
    """Return what the confidence of answers is worth, from the least to the most sure; leave out where there are none.

    Args:
        probabilities: float (N, C).
        labels: int64 (N,).
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    places = np.digitize(confidence, CONFIDENCES[1:-1])
    found = []
    for place, (low, high) in enumerate(pairwise(CONFIDENCES)):
        within = places == place
        if within.any():
            rows, correct = int(within.sum()), int(right[within].sum())
            found.append(ReliabilityBin(low, high, rows, correct, float(confidence[within].mean())))
    return found


def calibration_error(probabilities: NDArray[np.float32], labels: Labels) -> float:
    """Return the expected calibration error, in 0..1: how far confidence is from accuracy (Guo et al. 2017).

    Answers are ordered by their confidence and cut into 15 bins of as many each; the differences between mean
    confidence and accuracy of the bins are averaged. Bins of equal width (Naeini et al. 2015) are the older custom:
    near 100 % accuracy the last of them holds nearly every answer and hides what is in it, and the others hold so few
    that chance alone makes an error. Bins of equal mass are the less biased (Nixon et al. 2019, arXiv:1904.01685;
    Roelofs et al. 2022, arXiv:2012.08668).

    Args:
        probabilities: float (N, C), one row or more.
        labels: int64 (N,).
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    excess = confidence - (probabilities.argmax(axis=1) == labels)
    bins = np.array_split(excess[np.argsort(confidence, kind="stable")], CALIBRATION_BINS)
    return float(sum(abs(each.sum()) for each in bins)) / len(labels)


def temperature(logits: NDArray[np.float32], labels: Labels) -> float:
    """Return the T at which softmax(logits / T) is calibrated: the likeliest one (Guo et al. 2017, arXiv:1706.04599).

    A label counts as (N + 1) / (N + 2) sure, after Platt (1999), so that N rows which are all right do not give T = 0.

    Args:
        logits: float (N, 10).
        labels: int64 (N,).
    """
    rows, classes = logits.shape
    targets = np.full((rows, classes), 1 / (rows + 2) / (classes - 1))
    targets[np.arange(rows), labels] = (rows + 1) / (rows + 2)
    logits = logits - logits.max(axis=1, keepdims=True).astype(np.float64)
    low, high = math.log(1e-3), math.log(1e3)
    while high - low > 1e-6:  # the loss is convex in 1 / T: where its slope is zero
        middle = (low + high) / 2
        probabilities = np.exp(logits / math.exp(middle))
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        if ((probabilities - targets) * logits).sum() > 0:
            low = middle
        else:
            high = middle
    return math.exp(high)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return probabilities, float32 (N, C), of logits (N, C); each row sums to 1."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def digit_score(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how sure it is that an image holds a digit at all, float32 (N,) in 0..1, of calibrated logits (N, C).

    Of a network that has a class for what is none it is the probability of all other classes; of another one, the
    largest probability (Hendrycks and Gimpel 2017, arXiv:1610.02136).
    """
    probabilities = softmax(logits)
    sure: NDArray[np.float32]
    sure = probabilities.max(axis=1) if logits.shape[1] == CLASSES else probabilities[:, :CLASSES].sum(axis=1)
    return sure


def digit_threshold(logits: NDArray[np.float32]) -> float:
    """Return the `digit_score` that REFUSED of these digits do not reach; their calibrated logits are float (N, C)."""
    return float(np.quantile(digit_score(logits), REFUSED))
