"""The run that ships with the project reads synthetic pictures of every kind."""

from pathlib import Path

import pytest
from helpers.answers import ask
from helpers.paths import PROJECT
from helpers.pictures import KINDS, make_pictures
from helpers.scenes import Material

from pipeline import Predictor, find_source
from pipeline.sources.drawings.pendigits import HELD_OUT_DRAWINGS
from pipeline.sources.drawings.strokes import read_drawings

PICTURES, TOUCHING_PICTURES = 10, 100
"""Pictures of each kind, and of those with touching digits, of which more are misread."""
LEAST_RIGHT = {
    "plain": 9,
    "chalk on a board": 8,
    "small on a page": 9,
    "faint ink": 8,
    "pencil": 9,
    "ruled": 9,
    "squared": 8,
    "tight crop": 9,
    "form": 8,
    "wide strokes": 8,
    "desk": 8,
    "hand": 9,
    "close rows": 9,
    "far rows": 9,
    "marks": 9,
    "bad light": 8,
    "touching strokes": 87,
    "overlapping strokes": 74,
    "touching images": 84,
    "overlapping images": 72,
    "blank": 8,
    "scribble": 9,
    "word": 9,
    "empty lines": 9,
}
"""Least number of pictures of each kind that are read right; without digits, that are refused.

Each is what the run reads less one, or less three of TOUCHING_PICTURES, since other versions of the libraries may read
a picture differently. Raise it as the reader improves.
"""


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load(PROJECT / "checkpoints" / "sketchpad")


@pytest.fixture(scope="module")
def material(shared_data: Path) -> Material:
    """Held-out pen drawings and MNIST's test digits; skip the test if they are absent."""
    path = shared_data / "pendigits_train_strokes.json.gz"
    if not path.exists():
        pytest.skip("needs the pen drawings in ../shared/data")
    return Material(read_drawings(path)[-HELD_OUT_DRAWINGS:], find_source("mnist", shared_data).read_test())


def test_every_kind_has_a_least_number() -> None:
    assert LEAST_RIGHT.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_read_right(kind: str, predictor: Predictor, material: Material) -> None:
    touching = kind.startswith(("touching", "overlapping"))
    pictures = make_pictures(kind, material, TOUCHING_PICTURES if touching else PICTURES)
    right = sum(ask(predictor, sample.image).is_right(sample.text) for sample in pictures)
    assert right >= LEAST_RIGHT[kind]
