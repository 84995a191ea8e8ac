"""How good predictions are, against labels."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.data.table import CLASSES, PARITIES, Labels

REFUSED = 0.002
"""The share of digits that may be taken for none."""
CALIBRATION_BINS = 15
CONFIDENCES = (0, 0.25, 0.5, 0.75, 0.9, 0.97, 0.99, 0.997, 0.999, 1)
"""Between which answers are put together to see what their confidence is worth; most are near 1."""


@dataclass(frozen=True, eq=False)
class Score:
    """What N predictions were worth: of digits, with C = 10 classes, or of parity, with the two classes of PARITIES.

    Attributes:
        confusion: int64 (C, C), counts; a row is a label, a column what was predicted.
        loss: mean negative log-likelihood of the labels, in nats; None where only the digits are known.
        calibration_error: the expected one, in 0..1, as `calibration_error` gives it; None likewise.
    """

    confusion: NDArray[np.int64]
    loss: float | None = None
    calibration_error: float | None = None

    @property
    def classes(self) -> list[str]:
        """What each class is called: the digits, or "even" and "odd"."""
        return list(PARITIES) if len(self.confusion) == len(PARITIES) else list(map(str, range(CLASSES)))

    @property
    def of_digits(self) -> bool:
        """Whether digits were predicted, and not parity alone."""
        return len(self.confusion) == CLASSES

    @property
    def rows(self) -> int:
        return int(self.confusion.sum())

    @property
    def correct(self) -> int:
        return int(self.confusion.trace())

    @property
    def accuracy(self) -> float:
        """The fraction of rows whose digit, or parity where that is all, is right."""
        return self.correct / self.rows

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy, as `interval_of` gives it."""
        return interval_of(self.correct, self.rows)

    @property
    def parity(self) -> "Score":
        """What the same predictions were worth of parity alone: whether odd is read as odd and even as even."""
        rows = [[self.confusion[label::2, read::2].sum() for read in (0, 1)] for label in (0, 1)]
        return Score(np.array(rows, dtype=np.int64))

    @property
    def support(self) -> NDArray[np.int64]:
        """How many rows each class has, int64 (C,)."""
        support: NDArray[np.int64] = self.confusion.sum(axis=1)
        return support

    @property
    def precision(self) -> NDArray[np.float64]:
        """Of the rows read as each class, the fraction that are, float64 (C,); 0 where there are none."""
        return fraction(self.confusion.diagonal(), self.confusion.sum(axis=0))

    @property
    def recall(self) -> NDArray[np.float64]:
        """Of the rows of each class, the fraction read as such, float64 (C,); 0 where there are none."""
        return fraction(self.confusion.diagonal(), self.support)

    @property
    def f1(self) -> NDArray[np.float64]:
        """The harmonic mean of precision and recall, float64 (C,)."""
        return fraction(2 * self.confusion.diagonal(), self.confusion.sum(axis=0) + self.support)

    @property
    def confused_pairs(self) -> list["ConfusedPair"]:
        """The pairs of digits that were taken for one another, the most often confused first."""
        pairs = [
            ConfusedPair(low, high, int(self.confusion[low, high]), int(self.confusion[high, low]))
            for low in range(len(self.confusion))
            for high in range(low + 1, len(self.confusion))
        ]
        return sorted((pair for pair in pairs if pair.count), key=lambda pair: -pair.count)

    def __str__(self) -> str:
        return accuracy_in_words(self.correct, self.rows)

    def report(self) -> str:
        """Return the figures as text: over all, for each class, the digits most confused, and the confusion matrix.

        Precision, recall and F1 over all are the means of the classes'.
        """
        lines = [f"accuracy    {self}", f"error rate  {1 - self.accuracy:.2%}"]
        if self.of_digits:
            lines.append(f"parity      {self.parity}")
        lines += [
            f"precision   {self.precision.mean():.4f}",
            f"recall      {self.recall.mean():.4f}",
            f"F1          {self.f1.mean():.4f}",
        ]
        if self.loss is not None:
            lines.append(f"loss        {self.loss:.4f}")
        if self.calibration_error is not None:
            lines.append(f"calibration {self.calibration_error:.2%} expected calibration error")
        lines += ["", f"{'digit' if self.of_digits else '':5}  precision  recall      F1  support"]
        columns = zip(self.classes, self.precision, self.recall, self.f1, self.support, strict=True)
        for name, precision, recall, f1, support in columns:
            lines.append(f"{name:>5}  {precision:9.4f}  {recall:6.4f}  {f1:6.4f}  {support:7,}")
        if self.of_digits:
            lines += ["", "most confused"]
            lines += [f"  {pair}" for pair in self.confused_pairs[:5]] or ["  none"]
        lines += ["", "confusion: a row is the label, a column what was predicted"]
        lines.append("     " + "".join(f"{name:>6}" for name in self.classes))
        rows = zip(self.classes, self.confusion, strict=True)
        lines += [f"{name:>5}" + "".join(f"{count:6}" for count in counts) for name, counts in rows]
        return "\n".join(lines)


@dataclass(frozen=True)
class ConfusedPair:
    """Two digits, and how often each was taken for the other."""

    low: int
    high: int
    low_as_high: int
    high_as_low: int

    @property
    def count(self) -> int:
        return self.low_as_high + self.high_as_low

    def __str__(self) -> str:
        return (
            f"{self.low}-{self.high}: {self.count} "
            f"({self.low} read as {self.high}: {self.low_as_high}, {self.high} read as {self.low}: {self.high_as_low})"
        )


def fraction(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return part / whole, and 0 where `whole` is 0."""
    return part / np.maximum(whole, 1)


def interval_of(correct: int, rows: int) -> tuple[float, float]:
    """Return the 95 % interval of an accuracy (Wilson 1927), which holds near 1 and for few rows too."""
    z = 1.959964
    middle = (correct + z * z / 2) / (rows + z * z)
    half = z / (rows + z * z) * math.sqrt(correct * (rows - correct) / rows + z * z / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


def accuracy_in_words(correct: int, rows: int) -> str:
    """Return an accuracy as it should be told: with its interval and its counts."""
    low, high = interval_of(correct, rows)
    return f"{correct / rows:.2%} (95% interval {low:.2%} to {high:.2%}; {correct:,} of {rows:,} right)"


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


def reliability(probabilities: NDArray[np.float32], labels: Labels) -> list[ReliabilityBin]:
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


def surest_mistakes(probabilities: NDArray[np.float32], labels: Labels) -> NDArray[np.int64]:
    """Return the rows that were misread, int64 (M,), the surest mistake first.

    Args:
        probabilities: float (N, C).
        labels: int64 (N,).
    """
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    surest: NDArray[np.int64] = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")]
    return surest


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


def score(digits: Labels, labels: Labels, probabilities: NDArray[np.float32] | None = None) -> Score:
    """Return the score of predicted digits, int64 (N,), against labels, int64 (N,).

    Args:
        probabilities: float (N, C), where the loss and the calibration error are wanted too; in the loss a probability
            counts as at least 1e-12. With C = 2 it is parity, digit % 2, that was predicted and that the labels are.
    """
    classes = CLASSES if probabilities is None else probabilities.shape[1]
    confusion = np.bincount(labels * classes + digits, minlength=classes * classes).reshape(classes, classes)
    loss = error = None
    if probabilities is not None:
        error = calibration_error(probabilities, labels)
        of_labels = probabilities[np.arange(len(labels)), labels].astype(np.float64)
        loss = float(-np.log(np.maximum(of_labels, 1e-12)).mean())
    return Score(confusion.astype(np.int64), loss, error)
