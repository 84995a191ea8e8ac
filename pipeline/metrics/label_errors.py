"""Which labels are probably wrong: confident learning."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.digits import Labels


@dataclass(frozen=True)
class LabelError:
    """A row whose label is probably wrong.

    Attributes:
        row: its place, from 0.
        suggested: the class that it probably is.
        margin: the probability of its label less that of the likeliest other class, in -1..0.
    """

    row: int
    suggested: int
    margin: float


def label_errors(probabilities: NDArray[np.float32], labels: Labels) -> list[LabelError]:
    """Return the rows whose labels are probably wrong, the most probable first.

    Confident learning (Northcutt et al. 2021, arXiv:1911.00068): a row is confidently of a class where the probability
    of that class is at least its mean over the rows that have it as their label, and the largest such one. A label is
    probably wrong where the row is confidently of another class and the label is not what was read either; the rows
    are ordered by their margin.

    Args:
        probabilities: float (N, C), of rows that the model was not trained on: of a test part, or out of fold.
        labels: int64 (N,) in 0..C-1.
    """
    of_labels = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    mine = np.eye(probabilities.shape[1], dtype=bool)[labels]
    means = [of_labels[has].mean() if has.any() else np.inf for has in mine.T]
    confident = np.where(probabilities >= np.array(means), probabilities, 0)
    suggested = confident.argmax(axis=1)
    margins = of_labels - np.where(mine, 0, probabilities).max(axis=1)
    wrong = confident.any(axis=1) & (suggested != labels) & (probabilities.argmax(axis=1) != labels)
    rows = np.flatnonzero(wrong)
    rows = rows[np.argsort(margins[rows], kind="stable")]
    return [LabelError(int(row), int(suggested[row]), float(margins[row])) for row in rows]
