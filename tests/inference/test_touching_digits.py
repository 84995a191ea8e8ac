"""Parts in doubt are read as lines, and the lines are believed only if they are more probable."""

import numpy as np
import pytest
from helpers.judges import FakeLines

from pipeline.inference.reading.lattice import Candidate
from pipeline.inference.reading.touching import VIEW_HEIGHTS, WIDE_VIEW_HEIGHTS, split_touching
from pipeline.models.line import NON_DIGIT
from pipeline.vision.binarise import Ink
from pipeline.vision.part import Part
from pipeline.vision.rows import Row

HEIGHT = 60


def candidate(left: int, width: int, score: float, digit: int = 8) -> Candidate:
    """Return a block of ink that is a digit with a probability of `score`."""
    box = (slice(20, 20 + HEIGHT), slice(left, left + width))
    probabilities = np.zeros(10, dtype=np.float32)
    probabilities[digit] = 1
    return Candidate(
        Part(box, np.ones((HEIGHT, width), dtype=bool)), np.zeros((28, 28), np.uint8), probabilities, score
    )


def split(candidates: list[Candidate], lines: FakeLines) -> tuple[list[Candidate], float]:
    """Return the digits of a row and the certainty of its lines."""
    mask = np.zeros((100, 600), dtype=bool)
    for each in candidates:
        mask[each.part.box] = True
    row = Row(tuple(each.part for each in candidates))
    [found], certainty = split_touching(Ink(mask.astype(np.float32), mask, True), [row], [candidates], lines)  # type: ignore[arg-type]
    return found, certainty


def digits(found: list[Candidate]) -> list[int]:
    return [int(each.probabilities.argmax()) for each in found]


def test_a_probable_line_replaces_a_part_in_doubt() -> None:
    found, certainty = split([candidate(50, 80, 0.2)], FakeLines((4, 2), 0.8))
    assert digits(found) == [4, 2]
    assert certainty == pytest.approx(0.8 / 0.91**2)
    first, second = (each.part.box[1] for each in found)
    assert first.start == 50 and second.stop == 130
    assert first.stop == second.start == pytest.approx(90, abs=3)
    assert all(each.frame.any() for each in found)


def test_digits_without_doubt_are_not_read_as_lines() -> None:
    lines = FakeLines((4, 2), 0.99)
    clear = [candidate(50, 40, 0.98), candidate(100, 40, 0.95)]
    assert split(clear, lines) == (clear, 1.0)
    assert lines.asked == []


def test_a_wide_part_is_read_as_a_line_even_if_the_network_is_sure() -> None:
    found, _ = split([candidate(50, 75, 0.93)], FakeLines((4, 2), 0.97))
    assert digits(found) == [4, 2]


@pytest.mark.parametrize(
    ("width", "score", "symbols", "probability"),
    [
        (75, 0.1, (4, 2), 0.15),
        (75, 0.85, (4, 2), 0.8),
        (75, 0.2, (4,), 0.99),
        (75, 0.2, (4, NON_DIGIT), 0.99),
        (50, 0.2, (4, 2), 0.8),
    ],
    ids=["improbable", "less probable than one digit", "one digit", "with a non-digit", "narrow"],
)
def test_other_lines_are_not_believed(width: int, score: float, symbols: tuple[int, ...], probability: float) -> None:
    doubtful = [candidate(50, width, score)]
    lines = FakeLines(symbols, probability)
    assert split(doubtful, lines) == (doubtful, 1.0)
    assert len(lines.asked) == 1


def test_a_narrow_line_needs_more_certainty() -> None:
    assert digits(split([candidate(50, 50, 0.2)], FakeLines((1, 7), 0.95))[0]) == [1, 7]


def test_a_part_too_wide_for_one_digit_is_split_by_any_line_but_stays_in_doubt() -> None:
    found, certainty = split([candidate(50, 120, 0.9)], FakeLines((4, 2), 0.3))
    assert digits(found) == [4, 2]
    assert [each.p_digit for each in found] == [0.3, 0.3]
    assert certainty < 0.5


def test_a_wide_line_is_split_but_stays_in_doubt_if_it_is_more_probable_wrong_than_right() -> None:
    found, _ = split([candidate(50, 75, 0.2)], FakeLines((4, 2), 0.45))
    assert digits(found) == [4, 2]
    assert [each.p_digit for each in found] == [0.45, 0.45]


def test_neighbours_of_a_part_in_doubt_are_read_with_it() -> None:
    far = candidate(200, 40, 0.99, digit=6)
    lines = FakeLines((4, 2, 7), 0.9)
    found, _ = split([candidate(50, 60, 0.3), candidate(115, 40, 0.99), far], lines)
    assert digits(found) == [4, 2, 7, 6]
    assert found[-1] is far
    assert len(lines.asked) == 1


@pytest.mark.parametrize(("width", "heights"), [(50, VIEW_HEIGHTS), (80, WIDE_VIEW_HEIGHTS)])
def test_a_line_is_shown_in_several_sizes_and_in_more_if_it_is_wide(width: int, heights: tuple[float, ...]) -> None:
    lines = FakeLines((4, 2), 0.9)
    split([candidate(50, width, 0.3)], lines)
    [views] = lines.asked
    assert {view.shape[0] for view in views} == {28}
    widths = [view.shape[1] for view in views]
    assert len(widths) == len(heights)
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > widths[-1]


def test_the_certainty_is_the_product_over_all_lines() -> None:
    _, one = split([candidate(50, 80, 0.3)], FakeLines((4, 2), 0.8))
    _, two = split([candidate(50, 80, 0.3), candidate(300, 80, 0.3)], FakeLines((4, 2), 0.8))
    assert two == pytest.approx(one**2)


def test_a_row_without_digits_stays_empty() -> None:
    ink = Ink(np.zeros((9, 9), np.float32), np.zeros((9, 9), bool), True)
    assert split_touching(ink, [], [], FakeLines((), 1)) == ([], 1.0)  # type: ignore[arg-type]
