"""Confident learning: find labels that are probably wrong."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.digits import Labels


@dataclass(frozen=True)
class LabelError:
    """A row whose label is probably wrong.

    Attributes:
        row: its index, from 0.
        suggested: its probable class.
        margin: probability of its label minus that of the most probable other class, in -1..0.
    """

    row: int
    suggested: int
    margin: float


def label_errors(probabilities: NDArray[np.float32], labels: Labels) -> list[LabelError]:
    """Return the rows whose labels are probably wrong, in ascending order of margin, the most probable error first.

    Confident learning (Northcutt et al. 2021, arXiv:1911.00068). The threshold of a class is its mean probability over
    the rows with that label. The confident class of a row is the most probable one of the classes that reach their
    threshold. A label is probably wrong if the row has a confident class, and both that class and the prediction differ
    from the label.

    Args:
        probabilities: float (N, C), of rows that the model was not trained on: test rows, or out-of-fold.
        labels: int64 (N,) in 0..C-1.
    """
    of_labels = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    one_hot = np.eye(probabilities.shape[1], dtype=bool)[labels]
    thresholds = [of_labels[rows].mean() if rows.any() else np.inf for rows in one_hot.T]
    confident = np.where(probabilities >= np.array(thresholds), probabilities, 0)
    suggested = confident.argmax(axis=1)
    margins = of_labels - np.where(one_hot, 0, probabilities).max(axis=1)
    wrong = confident.any(axis=1) & (suggested != labels) & (probabilities.argmax(axis=1) != labels)
    rows = np.flatnonzero(wrong)
    rows = rows[np.argsort(margins[rows], kind="stable")]
    return [LabelError(int(row), int(suggested[row]), float(margins[row])) for row in rows]
