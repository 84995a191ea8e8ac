"""What is scribbled over is left out of the number; a scribble alone is not a digit."""

import numpy as np
import pytest
from helpers.page import draw_number
from helpers.paths import PROJECT
from PIL import Image, ImageDraw

from pipeline import Predictor


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load(PROJECT / "checkpoints" / "sketchpad")


def scribble(page: Image.Image, left: int) -> Image.Image:
    """Scribble over 110 x 150 pixels of a page."""
    x = np.tile([left, left + 110], 9)
    y = np.linspace(50, 200, 18).round().astype(int)
    ImageDraw.Draw(page).line(list(zip(x.tolist(), y.tolist(), strict=True)), "black", 14, joint="curve")
    return page


def test_a_digit_that_is_scribbled_over_is_left_out(predictor: Predictor) -> None:
    page = draw_number("125", (900, 260))
    number = predictor.read(page)
    assert number.marked == "125"
    crossed = predictor.read(scribble(page, 700))
    assert crossed.marked == crossed.text == "125"
    assert not crossed.signs
    [(left, _, _, _)] = crossed.left_out
    assert left == pytest.approx(700, abs=10)


def test_a_row_that_is_scribbled_over_is_left_out_and_not_counted(predictor: Predictor) -> None:
    page = Image.new("RGB", (900, 560), "white")
    page.paste(draw_number("25", (900, 260)), (0, 300))
    crossed = predictor.read(scribble(scribble(page, 300), 600))
    assert (crossed.marked, crossed.text, crossed.parity) == ("25", "25", "odd")
    assert len(crossed.left_out) == 2
    assert {glyph.row for glyph in crossed.glyphs} == {0}


def test_a_scribble_alone_is_not_a_digit(predictor: Predictor) -> None:
    reading = predictor.read(scribble(Image.new("RGB", (500, 260), "white"), 200))
    assert reading.marked == "?"
    assert not reading.left_out


def test_ink_that_is_no_digit_and_as_thin_as_digits_is_still_in_doubt(predictor: Predictor) -> None:
    page = draw_number("125", (900, 260))
    ImageDraw.Draw(page).line([(700, 60), (760, 190), (820, 60), (700, 140), (830, 150), (720, 60)], "black", 14)
    assert "?" in predictor.read(page).marked
