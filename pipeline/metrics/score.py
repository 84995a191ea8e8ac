"""How good predictions are, against labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.digits import CLASSES, PARITIES, Labels
from pipeline.metrics.calibration import calibration_error
from pipeline.metrics.interval import accuracy_in_words, interval_of


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
        return _fraction(self.confusion.diagonal(), self.confusion.sum(axis=0))

    @property
    def recall(self) -> NDArray[np.float64]:
        """Of the rows of each class, the fraction read as such, float64 (C,); 0 where there are none."""
        return _fraction(self.confusion.diagonal(), self.support)

    @property
    def f1(self) -> NDArray[np.float64]:
        """The harmonic mean of precision and recall, float64 (C,)."""
        return _fraction(2 * self.confusion.diagonal(), self.confusion.sum(axis=0) + self.support)

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


def _fraction(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return part / whole, and 0 where `whole` is 0."""
    return part / np.maximum(whole, 1)


def surest_mistakes(probabilities: NDArray[np.float32], labels: Labels) -> NDArray[np.int64]:
    """Return the rows that were misread, int64 (M,), the surest mistake first.

    Args:
        probabilities: float (N, C).
        labels: int64 (N,).
    """
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    surest: NDArray[np.int64] = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")]
    return surest


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
