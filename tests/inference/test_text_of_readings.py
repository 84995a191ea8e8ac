"""The text, parity and confidence of a reading by rows, marks and refused glyphs."""

import numpy as np
import pytest

from pipeline.inference.predictions import Predictions, Reading
from pipeline.vision.frame import Glyph, Sign


def reading(*rows: str, refused: str = "", certainty: float = 1.0) -> Reading:
    """Return the reading of rows of digits and marks; each glyph whose place is in `refused` is no digit.

    Args:
        rows: characters, from left to right; digits are glyphs and others are marks.
        refused: one character for each digit of all rows, "x" for no digit; "" if all are digits.
        certainty: as in `Reading`.
    """
    glyphs, signs, digits = [], [], []
    for row, text in enumerate(rows):
        for column, character in enumerate(text):
            box = (20 * column, 100 * row, 20 * column + 15, 100 * row + 40)
            if character.isdigit():
                glyphs.append(Glyph(box, np.zeros((28, 28), np.uint8), row))
                digits.append(int(character))
            else:
                signs.append(Sign(box, character, row))
    probabilities = np.full((len(digits), 10), 0.01, dtype=np.float32)
    probabilities[np.arange(len(digits)), digits] = 0.91
    p_digit = np.array([0.1 if mark == "x" else 0.99 for mark in refused or "." * len(digits)], dtype=np.float32)
    return Reading(tuple(glyphs), Predictions(probabilities, p_digit, 0.5), tuple(signs), certainty)


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (("2025",), "2025"),
        (("3.14",), "3.14"),
        (("-5",), "-5"),
        (("12:30", "7"), "12:30 7"),
        (("10/24", "63÷7", "0"), "10/24 63÷7 0"),
    ],
)
def test_the_text_has_digits_and_marks_from_left_to_right_and_rows_in_order(rows: tuple[str, ...], text: str) -> None:
    assert reading(*rows).text == reading(*rows).marked == text


def test_each_row_has_the_parity_of_its_last_digit() -> None:
    assert reading("12", "345", "7.0").parity == "even odd even"
    assert reading("13").parity == "odd"


def test_a_single_refused_glyph_is_a_question_mark() -> None:
    found = reading("2025", "31", refused=".x....")
    assert found.text == "2025 31"
    assert found.marked == "2?25 31"
    assert str(found).endswith("; ? marks a probable non-digit")


def test_a_row_of_which_half_is_refused_is_a_word_and_other_rows_stay() -> None:
    found = reading("5010", "31", refused="x.x...")
    assert found.marked == "???? 31"
    assert found.is_digit.tolist() == [False] * 4 + [True] * 2


def test_a_row_of_which_less_than_half_is_refused_is_a_number() -> None:
    assert reading("501", refused="x..").marked == "?01"


def test_the_confidence_is_that_all_digits_are_right_and_touching_ones_are_separated_rightly() -> None:
    assert reading("25").confidence == pytest.approx(0.91**2, rel=1e-5)
    assert reading("25", certainty=0.5).confidence == pytest.approx(0.5 * 0.91**2, rel=1e-5)
    assert "41.4 % confidence" in str(reading("25", certainty=0.5))


def test_a_blank_picture_has_no_text_parity_or_confidence() -> None:
    found = Reading((), Predictions(np.empty((0, 10), np.float32), np.empty(0, np.float32)))
    assert (found.text, found.parity, found.confidence, str(found)) == ("", None, None, "no digits")
