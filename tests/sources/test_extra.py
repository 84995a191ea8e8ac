"""What a recipe trains on beside the rows of its source, and what it is calibrated on."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from pipeline import DigitTable, Recipe
from pipeline.sources.extra import add_extra_data
from pipeline.sources.pendigits import HELD_OUT

DRAWINGS = 40


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with 40 drawings to learn from, each a line of a slope and a label of its own, and those held out."""
    lines = [{"label": place % 10, "strokes": [[[0, 0], [20 + place, 60]]]} for place in range(DRAWINGS + HELD_OUT)]
    (tmp_path / "pendigits.json.gz").write_bytes(gzip.compress(json.dumps(lines).encode()))
    return tmp_path


def test_pen_drawings_are_drawn_as_often_as_the_recipe_says(digits: DigitTable, data: Path) -> None:
    recipe = Recipe.load("fast", ["pen_drawings=3", "validation_fraction=0"])
    more = add_extra_data(recipe, digits, digits.select(np.arange(0)), data)
    assert np.array_equal(more.training.pixels[: len(digits)], digits.pixels)
    assert np.bincount(more.training.known_labels[len(digits) :]).tolist() == [3 * DRAWINGS // 10] * 10
    assert (len(more.calibration), more.outliers) == (0, None)


def test_as_many_frames_of_drawings_set_aside_as_validation_rows_are_calibrated_on(
    digits: DigitTable, data: Path
) -> None:
    recipe = Recipe.load("fast", ["pen_drawings=3", "validation_fraction=0.25"])
    training, validation = digits.split(0.25, recipe.seed)
    more = add_extra_data(recipe, training, validation, data)
    assert len(more.training) == len(training) + 3 * 30
    frames = len(more.calibration) - len(validation)
    assert frames == pytest.approx(len(validation), abs=5)
    assert np.bincount(more.calibration.known_labels[len(validation) :]).tolist() == [frames // 10] * 10
    # The first ten lines are set aside, the steepest of all: none of those that are learnt leans as little.
    assert spread(more.training.pixels[len(training) :]) > spread(more.calibration.pixels[len(validation) :])


def spread(frames: np.ndarray) -> float:
    """Return how many columns frames have ink in, in the mean."""
    return float((frames.max(axis=1) > 127).sum(axis=1).mean())


def test_a_recipe_without_supplements_keeps_its_rows(digits: DigitTable, tmp_path: Path) -> None:
    more = add_extra_data(Recipe.load("fast"), digits, digits, tmp_path)
    assert (more.training, more.calibration, more.outliers) == (digits, digits, None)
