"""Extra training data of recipes, and the rows for calibration."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from pipeline import DigitTable, Recipe
from pipeline.sources.drawings.pendigits import HELD_OUT_DRAWINGS
from pipeline.sources.extra import add_extra_data

DRAWINGS = 40


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Write 40 training drawings and the held-out ones; each is a line with its own slope, labels 0 to 9 in turn."""
    lines = [
        {"label": index % 10, "strokes": [[[0, 0], [20 + index, 60]]]} for index in range(DRAWINGS + HELD_OUT_DRAWINGS)
    ]
    (tmp_path / "pendigits.json.gz").write_bytes(gzip.compress(json.dumps(lines).encode()))
    return tmp_path


def test_each_pen_drawing_is_rendered_as_often_as_the_recipe_sets(digits: DigitTable, data: Path) -> None:
    recipe = Recipe.load("fast", ["pen_drawings=3", "validation_fraction=0"])
    found = add_extra_data(recipe, digits, digits.select(np.arange(0)), data)
    assert np.array_equal(found.training.pixels[: len(digits)], digits.pixels)
    assert np.bincount(found.training.known_labels[len(digits) :]).tolist() == [3 * DRAWINGS // 10] * 10
    assert (len(found.calibration), found.outliers) == (0, None)


def test_calibration_has_as_many_frames_of_held_out_drawings_as_validation_rows(digits: DigitTable, data: Path) -> None:
    recipe = Recipe.load("fast", ["pen_drawings=3", "validation_fraction=0.25"])
    training, validation = digits.split(0.25, recipe.seed)
    found = add_extra_data(recipe, training, validation, data)
    assert len(found.training) == len(training) + 3 * 30
    frames = len(found.calibration) - len(validation)
    assert frames == pytest.approx(len(validation), abs=5)
    assert np.bincount(found.calibration.known_labels[len(validation) :]).tolist() == [frames // 10] * 10
    # The first ten lines are held out. They are the steepest, so their frames are the narrowest.
    assert mean_columns(found.training.pixels[len(training) :]) > mean_columns(
        found.calibration.pixels[len(validation) :]
    )


def test_a_recipe_adds_drawn_and_stretched_digits_and_calibrates_with_others(
    digits: DigitTable, tmp_path: Path
) -> None:
    recipe = Recipe.load("fast", ["skeletons=40", "stretched=20", "validation_fraction=0.25"])
    training, validation = digits.split(0.25, recipe.seed)
    found = add_extra_data(recipe, training, validation, tmp_path)
    assert len(found.training) == len(training) + 40 + 20
    assert len(found.calibration) == len(validation) + 10 + 5
    assert np.bincount(found.training.known_labels[len(training) :][:40]).tolist() == [4] * 10
    added = [table.pixels[len(rows) :] for table, rows in ((found.training, training), (found.calibration, validation))]
    assert len(np.unique(np.concatenate(added), axis=0)) == 75


def mean_columns(frames: np.ndarray) -> float:
    """Return the mean number of columns with ink per frame."""
    return float((frames.max(axis=1) > 127).sum(axis=1).mean())


def test_a_recipe_without_extra_data_keeps_its_rows(digits: DigitTable, tmp_path: Path) -> None:
    found = add_extra_data(Recipe.load("fast"), digits, digits, tmp_path)
    assert (found.training, found.calibration, found.outliers) == (digits, digits, None)
