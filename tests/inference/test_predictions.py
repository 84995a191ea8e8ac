"""Readings of several rows, with marks and non-digits."""

import re
from pathlib import Path

import numpy as np
import pytest
from helpers.page import draw_number
from helpers.paths import PROJECT
from PIL import Image

from pipeline import Glyph, Predictions, Reading, Sign

LIBRARY_PAGE = (PROJECT / "docs" / "library.md").read_text(encoding="utf-8")


def reading(*rows: str, signs: tuple[Sign, ...] = (), certainty: float = 1.0) -> Reading:
    """Return a reading of rows of digits, 20 pixels apart; "?" is a 7 that is probably a non-digit."""
    places = [(row, place, digit) for row, digits in enumerate(rows) for place, digit in enumerate(digits)]
    glyphs = tuple(
        Glyph((20 * place, 20 * row, 20 * place + 9, 20 * row + 9), np.zeros((28, 28), np.uint8), row)
        for row, place, _ in places
    )
    probabilities = np.full((len(places), 10), 0.01, dtype=np.float32)
    for index, (_, _, digit) in enumerate(places):
        probabilities[index, int(digit.replace("?", "7"))] = 0.91
    p_digit = np.array([0.1 if digit == "?" else 0.9 for _, _, digit in places], dtype=np.float32)
    return Reading(glyphs, Predictions(probabilities, p_digit), signs, certainty)


def parity_reading(*rows: tuple[float, ...]) -> Reading:
    """Return a reading by a network for parity; rows of probabilities of odd."""
    glyphs = tuple(
        Glyph((0, 0, 9, 9), np.zeros((28, 28), np.uint8), row) for row, each in enumerate(rows) for _ in each
    )
    odd = np.concatenate([np.array(each, dtype=np.float32) for each in rows])
    return Reading(glyphs, Predictions(np.column_stack([1 - odd, odd])))


def test_rows_are_separated_by_a_space_and_each_has_a_parity() -> None:
    two = reading("1572", "4389")
    assert (two.text, two.marked, two.parity) == ("1572 4389", "1572 4389", "even odd")
    assert two.confidence == pytest.approx(0.91**8)
    assert str(two) == f"1572 4389, even odd, {100 * 0.91**8:.1f} % confidence"


def test_marks_stand_between_the_digits_of_their_row() -> None:
    point, dash = Sign((12, 16, 15, 19), ".", 0), Sign((-15, 24, -5, 26), "-", 1)
    assert reading("314", "5", signs=(point, dash)).text == "3.14 -5"
    assert reading("314", "5", signs=(point, dash)).parity == "even odd"


def test_the_confidence_includes_the_doubt_about_touching_digits() -> None:
    assert reading("12", certainty=0.5).confidence == pytest.approx(0.5 * 0.91**2)


def test_a_non_digit_is_a_question_mark_and_half_of_three_or_more_make_a_word() -> None:
    found = reading("12?", "2??", "2?")
    assert found.marked == "12? ??? 2?"
    assert found.text == "127 277 27"
    assert found.is_digit.tolist() == [True, True, False, False, False, False, True, False]
    assert str(found).endswith("; ? marks a probable non-digit")


def test_a_network_for_parity_gives_one_parity_per_row() -> None:
    found = parity_reading((0.1, 0.9), (0.2,))
    assert (found.text, found.marked, found.parity) == (None, "odd even", "odd even")
    assert found.confidence == pytest.approx(0.9 * 0.8)
    assert parity_reading((0.9,), (0.4,)).marked == "odd ?"


def test_the_documented_reading_has_the_rows_and_marks_that_the_page_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = re.search(r"## Read a picture\n.*?```python\n(.*?)```", LIBRARY_PAGE, re.DOTALL)
    assert example is not None
    page = Image.new("RGB", (700, 560), "white")
    for text, corner in (("2025", (0, 0)), ("314", (0, 280))):
        page.paste(draw_number(text, (700, 280)), corner)
    page.paste("black", (172, 476, 188, 492))  # the point of 3.14, in the gap after the 3
    (tmp_path / "checkpoints").symlink_to(PROJECT / "checkpoints")
    page.save(tmp_path / "photo.jpg", quality=95)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(f"from pipeline import Predictor\n{example[1]}", names)  # the page's own code
    found = names["reading"]
    assert isinstance(found, Reading)
    assert (found.text, found.parity) == ("2025 3.14", "odd even")
    assert names["rows"] == ["2025", "3.14"]
