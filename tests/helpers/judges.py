"""Judges in the place of networks: they know what each ink says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from pipeline.digits import Pixels
from pipeline.inference.predictions import Predictions
from pipeline.inference.reading.line import Line, LineReading


def judge_by_width(digits: Callable[[int], tuple[int, float]]) -> Callable[[Pixels], Predictions]:
    """Return a judge of images, which knows the width of their ink in pixels of 28.

    Args:
        digits: returns the digit for a width, and the probability that it is a digit.
    """

    def predict(pixels: Pixels) -> Predictions:
        probabilities = np.full((len(pixels), 10), 0.01, dtype=np.float32)
        p_digit = np.empty(len(pixels), dtype=np.float32)
        for index, image in enumerate(pixels):
            columns = np.flatnonzero(image.max(axis=0) > 127)
            digit, p_digit[index] = digits(int(np.ptp(columns)) + 1)
            probabilities[index, digit] = 0.91
        return Predictions(probabilities, p_digit, 0.5)

    return predict


@dataclass
class FakeLines:
    """A line reader that gives the same answer to each number.

    Attributes:
        symbols: the answer.
        probability: of the answer.
        asked: the views of each number that it was asked for.
    """

    symbols: tuple[int, ...]
    probability: float
    asked: list[Sequence[Line]] = field(default_factory=list)

    def read(self, numbers: Sequence[Sequence[Line]]) -> list[LineReading]:
        self.asked += numbers
        return [self._reading(views[0].shape[1]) for views in numbers]

    def _reading(self, width: int) -> LineReading:
        count = len(self.symbols)
        probabilities = np.full((count, 10), 0.01)
        probabilities[np.arange(count), np.minimum(self.symbols, 9)] = 0.91
        limits = [round(width * place / count) for place in range(count + 1)]
        return LineReading(self.symbols, probabilities, tuple(pairwise(limits)), self.probability)
