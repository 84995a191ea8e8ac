"""Scores for the tests of figures."""

import numpy as np
import pytest

from pipeline import Score, score


@pytest.fixture(scope="module")
def few_errors() -> Score:
    """Return a score of 50 rows per digit: 4 is predicted as 9 three times, 9 as 4 twice, 7 as 1 once."""
    labels = np.repeat(np.arange(10), 50)
    digits = labels.copy()
    digits[200:203], digits[450:452], digits[350] = 9, 4, 1
    return score(digits, labels)


@pytest.fixture(scope="module")
def no_threes(few_errors: Score) -> Score:
    confusion = few_errors.confusion.copy()
    confusion[3] = 0
    return Score(confusion)
