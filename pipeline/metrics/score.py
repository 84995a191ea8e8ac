"""Score: accuracy, confusion matrix and per-class metrics of predictions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.digits import CLASSES, PARITIES, Labels
from pipeline.metrics.calibration import calibration_error
from pipeline.metrics.interval import format_accuracy, wilson_interval


@dataclass(frozen=True, eq=False)
class Score:
    """The metrics of N predictions: of digits, with C = 10 classes, or of parity, with the two classes of PARITIES.

    Attributes:
        confusion: int64 (C, C), counts; rows are labels, columns are predictions.
        loss: mean negative log-likelihood of the labels, in nats; None without probabilities.
        calibration_error: expected calibration error in 0..1, from the function of that name; None likewise.
    """

    confusion: NDArray[np.int64]
    loss: float | None = None
    calibration_error: float | None = None

    @property
    def classes(self) -> list[str]:
        """The names of the classes: the digits, or "even" and "odd"."""
        return list(PARITIES) if len(self.confusion) == len(PARITIES) else list(map(str, range(CLASSES)))

    @property
    def of_digits(self) -> bool:
        """Whether the classes are digits, not parities."""
        return len(self.confusion) == CLASSES

    @property
    def rows(self) -> int:
        return int(self.confusion.sum())

    @property
    def correct(self) -> int:
        return int(self.confusion.trace())

    @property
    def accuracy(self) -> float:
        """The fraction of correct predictions."""
        return self.correct / self.rows

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy, from `wilson_interval`."""
        return wilson_interval(self.correct, self.rows)

    @property
    def parity(self) -> "Score":
        """The score of the same predictions on parity: even or odd."""
        rows = [[self.confusion[label::2, predicted::2].sum() for predicted in (0, 1)] for label in (0, 1)]
        return Score(np.array(rows, dtype=np.int64))

    @property
    def support(self) -> NDArray[np.int64]:
        """The number of rows of each class, int64 (C,)."""
        support: NDArray[np.int64] = self.confusion.sum(axis=1)
        return support

    @property
    def precision(self) -> NDArray[np.float64]:
        """The fraction of correct rows among those predicted as each class, float64 (C,); 0 for no rows."""
        return _fraction(self.confusion.diagonal(), self.confusion.sum(axis=0))

    @property
    def recall(self) -> NDArray[np.float64]:
        """The fraction of correct rows among those labelled as each class, float64 (C,); 0 for no rows."""
        return _fraction(self.confusion.diagonal(), self.support)

    @property
    def f1(self) -> NDArray[np.float64]:
        """The harmonic mean of precision and recall, float64 (C,)."""
        return _fraction(2 * self.confusion.diagonal(), self.confusion.sum(axis=0) + self.support)

    @property
    def confused_pairs(self) -> list["ConfusedPair"]:
        """The pairs of classes that were confused, the most frequent first."""
        pairs = [
            ConfusedPair(low, high, int(self.confusion[low, high]), int(self.confusion[high, low]))
            for low in range(len(self.confusion))
            for high in range(low + 1, len(self.confusion))
        ]
        return sorted((pair for pair in pairs if pair.count), key=lambda pair: -pair.count)

    def __str__(self) -> str:
        return format_accuracy(self.correct, self.rows)

    def report(self) -> str:
        """Return the metrics as text: overall, per class, the most confused digits, and the confusion matrix.

        Overall precision, recall and F1 are macro averages.
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
        lines += ["", "confusion matrix (rows: labels, columns: predictions)"]
        lines.append("     " + "".join(f"{name:>6}" for name in self.classes))
        rows = zip(self.classes, self.confusion, strict=True)
        lines += [f"{name:>5}" + "".join(f"{count:6}" for count in counts) for name, counts in rows]
        return "\n".join(lines)


@dataclass(frozen=True)
class ConfusedPair:
    """Two digits, and how often each was predicted for the other."""

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
            f"({self.low} predicted as {self.high}: {self.low_as_high}, "
            f"{self.high} predicted as {self.low}: {self.high_as_low})"
        )


def _fraction(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return part / whole, or 0 if `whole` is 0, element by element."""
    return part / np.maximum(whole, 1)


def most_confident_mistakes(probabilities: NDArray[np.float32], labels: Labels) -> NDArray[np.int64]:
    """Return the rows with wrong predictions, int64 (M,), in descending order of confidence.

    Args:
        probabilities: float (N, C).
        labels: int64 (N,).
    """
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    ordered: NDArray[np.int64] = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")]
    return ordered


def score(digits: Labels, labels: Labels, probabilities: NDArray[np.float32] | None = None) -> Score:
    """Return the score of predicted digits, int64 (N,), against labels, int64 (N,).

    Args:
        digits: predicted classes.
        labels: true classes.
        probabilities: float (N, C), required for the loss and the calibration error. The loss clips probabilities at
            1e-12. With C = 2, predictions and labels are parities, digit % 2.
    """
    classes = CLASSES if probabilities is None else probabilities.shape[1]
    confusion = np.bincount(labels * classes + digits, minlength=classes * classes).reshape(classes, classes)
    loss = error = None
    if probabilities is not None:
        error = calibration_error(probabilities, labels)
        of_labels = probabilities[np.arange(len(labels)), labels].astype(np.float64)
        loss = float(-np.log(np.maximum(of_labels, 1e-12)).mean())
    return Score(confusion.astype(np.int64), loss, error)
