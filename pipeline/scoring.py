"""How good predictions are, against labels."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.table import CLASSES, Labels


@dataclass(frozen=True, eq=False)
class Score:
    """What N predictions were worth.

    Attributes:
        confusion: int64 (10, 10), counts; a row is a label, a column what was predicted.
        loss: mean negative log-likelihood of the labels, in nats; None where only the digits are known.
    """

    confusion: NDArray[np.int64]
    loss: float | None = None

    @property
    def rows(self) -> int:
        return int(self.confusion.sum())

    @property
    def correct(self) -> int:
        return int(self.confusion.trace())

    @property
    def accuracy(self) -> float:
        """The fraction of rows whose digit is right."""
        return self.correct / self.rows

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy, as `interval_of` gives it."""
        return interval_of(self.correct, self.rows)

    @property
    def parity_accuracy(self) -> float:
        """The fraction of rows whose digit is odd where the label is odd and even where it is even."""
        same = np.add.outer(np.arange(CLASSES), np.arange(CLASSES)) % 2 == 0
        return int(self.confusion[same].sum()) / self.rows

    def __str__(self) -> str:
        return accuracy_in_words(self.correct, self.rows)

    def report(self) -> str:
        """Return a table: each digit's precision, recall, F1 and support, then the confusion matrix."""
        support = self.confusion.sum(axis=1)
        predicted = self.confusion.sum(axis=0)
        right = self.confusion.diagonal()
        lines = [f"accuracy {self}", f"parity   {self.parity_accuracy:.2%}"]
        if self.loss is not None:
            lines.append(f"loss     {self.loss:.4f}")
        lines += ["", "digit  precision  recall      F1  support"]
        for digit in range(CLASSES):
            precision = right[digit] / predicted[digit] if predicted[digit] else 0.0
            recall = right[digit] / support[digit] if support[digit] else 0.0
            f1 = 2 * right[digit] / (support[digit] + predicted[digit]) if support[digit] + predicted[digit] else 0.0
            lines.append(f"{digit:5}  {precision:9.4f}  {recall:6.4f}  {f1:6.4f}  {support[digit]:7,}")
        lines += ["", "confusion: a row is the label, a column what was predicted"]
        lines.append("     " + "".join(f"{digit:6}" for digit in range(CLASSES)))
        lines += [f"{digit:5}" + "".join(f"{count:6}" for count in self.confusion[digit]) for digit in range(CLASSES)]
        return "\n".join(lines)


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


def score(digits: Labels, labels: Labels, probabilities: NDArray[np.float32] | None = None) -> Score:
    """Return the score of predicted digits, int64 (N,), against labels, int64 (N,).

    Args:
        probabilities: float (N, 10), where the loss is wanted too; a probability counts as at least 1e-12.
    """
    confusion = np.bincount(labels * CLASSES + digits, minlength=CLASSES * CLASSES).reshape(CLASSES, CLASSES)
    loss = None
    if probabilities is not None:
        of_labels = probabilities[np.arange(len(labels)), labels].astype(np.float64)
        loss = float(-np.log(np.maximum(of_labels, 1e-12)).mean())
    return Score(confusion.astype(np.int64), loss)
