"""The parts of a broken digit are joined if the network prefers the whole."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from helpers.judges import judge_by_width

from pipeline.digits import Pixels
from pipeline.inference.predictions import Predictions
from pipeline.inference.reading.lattice import Candidate, group_parts, score_parts
from pipeline.vision.binarise import Ink
from pipeline.vision.part import Part
from pipeline.vision.rows import Row

HEIGHT = 60


def page_of(bars: Sequence[tuple[int, int]], row_tops: Sequence[int] = (20,)) -> tuple[Ink, list[Row]]:
    """Return ink, and its rows, each of bars from a left to a right column."""
    mask = np.zeros((row_tops[-1] + HEIGHT + 20, 600), dtype=bool)
    rows = []
    for top in row_tops:
        parts = []
        for left, right in bars:
            mask[top : top + HEIGHT, left:right] = True
            box = (slice(top, top + HEIGHT), slice(left, right))
            parts.append(Part(box, np.ones((HEIGHT, right - left), dtype=bool)))
        rows.append(Row(tuple(parts)))
    return Ink(mask.astype(np.float32), mask, True), rows


def wide_is_digit(width: int) -> tuple[int, float]:
    """A bar is hardly a digit, wider ink is an 8."""
    return (8, 0.97) if width > 6 else (1, 0.1)


def boxes(found: list[list[Candidate]]) -> list[list[tuple[int, int]]]:
    return [[(each.part.box[1].start, each.part.box[1].stop) for each in row] for row in found]


BROKEN = [(20, 28), (34, 42)]
"""Two bars that are 6 columns apart."""


def test_the_parts_of_a_broken_digit_are_one_digit() -> None:
    ink, rows = page_of([*BROKEN, (120, 150)])
    found = group_parts(ink, rows, judge_by_width(wide_is_digit))
    assert boxes(found) == [[(20, 42), (120, 150)]]
    assert found[0][0].probabilities.argmax() == 8


def test_each_row_is_grouped_by_itself() -> None:
    ink, rows = page_of(BROKEN, row_tops=(20, 120))
    assert boxes(group_parts(ink, rows, judge_by_width(wide_is_digit))) == [[(20, 42)]] * 2


def test_whole_digits_stay_even_if_they_are_close() -> None:
    ink, rows = page_of(BROKEN)
    found = group_parts(ink, rows, judge_by_width(lambda width: (1, 0.99)))
    assert boxes(found) == [BROKEN]


def test_two_doubtful_parts_stay_if_the_whole_is_no_better() -> None:
    ink, rows = page_of(BROKEN)
    assert boxes(group_parts(ink, rows, judge_by_width(lambda width: (1, 0.6)))) == [BROKEN]


@pytest.mark.parametrize("bars", [[(20, 28), (60, 68)], [(20, 60), (64, 110)]])
def test_parts_that_are_far_apart_or_too_wide_together_stay(bars: list[tuple[int, int]]) -> None:
    ink, rows = page_of(bars)
    judge = judge_by_width(lambda width: (8, 0.99) if width > 19 else (1, 0.1))
    assert boxes(group_parts(ink, rows, judge)) == [bars]


def test_a_digit_of_three_parts_is_joined() -> None:
    ink, rows = page_of([(20, 28), (32, 40), (44, 52)])
    judge = judge_by_width(lambda width: (8, 0.99) if width > 9 else (1, 0.02))
    assert boxes(group_parts(ink, rows, judge)) == [[(20, 52)]]


def counted(judge: Callable[[Pixels], Predictions], sizes: list[int]) -> Callable[[Pixels], Predictions]:
    def predict(pixels: Pixels) -> Predictions:
        sizes.append(len(pixels))
        return judge(pixels)

    return predict


def test_the_network_is_asked_once_for_all_parts_and_once_for_all_unions() -> None:
    sizes: list[int] = []
    ink, rows = page_of([*BROKEN, (120, 128), (134, 142)], row_tops=(20, 120))
    group_parts(ink, rows, counted(judge_by_width(wide_is_digit), sizes))
    assert sizes == [8, 4]


def test_the_score_is_the_confidence_times_the_probability_of_a_digit() -> None:
    ink, [row] = page_of([(20, 28)])
    [candidate] = score_parts(ink, row.parts, judge_by_width(lambda width: (1, 0.5)))
    assert candidate.score == pytest.approx(0.91 * 0.5)
    assert score_parts(ink, [], judge_by_width(lambda width: (1, 0.5))) == []


def test_without_a_class_for_non_digits_the_score_is_the_confidence() -> None:
    ink, [row] = page_of([(20, 28)])
    judge = judge_by_width(lambda width: (1, 0.5))
    [candidate] = score_parts(ink, row.parts, lambda pixels: Predictions(judge(pixels).probabilities))
    assert candidate.p_digit is None
    assert candidate.score == pytest.approx(0.91)


def test_a_page_without_rows_has_no_digits() -> None:
    ink, _ = page_of([])
    assert group_parts(ink, [], judge_by_width(wide_is_digit)) == []
