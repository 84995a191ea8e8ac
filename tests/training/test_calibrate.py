"""Calibration of a trained network."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline import DigitTable, Recipe
from pipeline.metrics.calibration import digit_score
from pipeline.training.calibrate import calibrate

ROWS = 200


class KnownLogits(nn.Module):
    """Returns the logits of the row whose number, 0 to 199, is the value of an image's first pixel."""

    def __init__(self, logits: Tensor, recipe: Recipe) -> None:
        super().__init__()
        self.logits, self.recipe = logits, recipe

    def forward(self, images: Tensor) -> Tensor:
        values = (images[:, 0, 0, 0] * self.recipe.std + self.recipe.mean) * 255
        return self.logits[values.round().long()]


@pytest.fixture
def rows() -> DigitTable:
    """200 numbered images, labelled 0 to 9 in turn."""
    pixels = np.zeros((ROWS, 28, 28), dtype=np.uint8)
    pixels[:, 0, 0] = np.arange(ROWS)
    return DigitTable(pixels, np.arange(ROWS) % 10)


def logits_for(rows: DigitTable, misread: int) -> Tensor:
    """Return logits that predict each label with a margin of 6, except the first rows: misread, and hardly a digit."""
    logits = torch.zeros(ROWS, 11)
    labels = torch.from_numpy(rows.known_labels.copy())
    logits[torch.arange(ROWS), labels] = 6
    logits[:misread] = 0
    logits[torch.arange(misread), (labels[:misread] + 1) % 10] = 1
    logits[:misread, 10] = 6
    return logits


@pytest.mark.parametrize("misread", [0, 5])
def test_the_threshold_depends_only_on_correctly_read_digits(rows: DigitTable, misread: int) -> None:
    recipe = Recipe.load("fast", ["outliers=10"])
    logits = logits_for(rows, misread)
    temperature, threshold = calibrate(KnownLogits(logits, recipe), recipe, rows, rows, torch.device("cpu"))
    scores = digit_score((logits / temperature).numpy())
    assert threshold == pytest.approx(scores[misread:].min(), abs=1e-6)
    assert (scores[:misread] < threshold).all()


def test_a_network_that_reads_no_digit_gets_a_threshold_too(rows: DigitTable) -> None:
    recipe = Recipe.load("fast", ["outliers=10"])
    model = KnownLogits(logits_for(rows, ROWS), recipe)
    assert 0 <= calibrate(model, recipe, rows, rows, torch.device("cpu"))[1] <= 1
