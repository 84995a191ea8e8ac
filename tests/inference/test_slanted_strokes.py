"""A slanted stroke between digits is a slash, a 1, or in doubt."""

import pytest
from helpers.drawing import Drawing
from helpers.paths import PROJECT
from PIL import Image, ImageDraw

from pipeline import Predictor


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load(PROJECT / "checkpoints" / "sketchpad")


def with_stroke(height: int) -> Image.Image:
    """Return 35 and 82, about 100 pixels high, with a slanted stroke between them."""
    digits = Drawing("3582", height=90, brush=10, gap=80, corner=(60, 100), size=(900, 300))
    page = digits.page()
    middle, foot = (digits.boxes[1][2] + digits.boxes[2][0]) / 2, digits.boxes[1][3]
    stroke = (middle - 0.2 * height, foot - 5, middle + 0.2 * height, foot - height)
    ImageDraw.Draw(page).line(stroke, fill="black", width=10)
    return page


@pytest.mark.parametrize(("height", "marked"), [(90, "35182"), (102, "35?82"), (120, "35/82")])
def test_a_slanted_stroke_is_told_by_its_height(predictor: Predictor, height: int, marked: str) -> None:
    assert predictor.read(with_stroke(height)).marked == marked
