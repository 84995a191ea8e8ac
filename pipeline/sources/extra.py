"""Extra training data of a recipe: pen drawings, and images of non-digits."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.config.recipe import Recipe
from pipeline.data.table import DigitTable, concatenate
from pipeline.digits import Pixels
from pipeline.sources import outliers, pendigits

log = logging.getLogger(__name__)


def fetch_extra_data(recipe: Recipe, data: Path) -> None:
    """Download the archives that a recipe needs into the folder `data`; raise a UserError if a download fails."""
    if recipe.outliers:
        outliers.OMNIGLOT.fetch(data)
    if recipe.pen_drawings:
        pendigits.PENDIGITS.fetch(data)


@dataclass(frozen=True)
class TrainingData:
    """The training set of a network, including a recipe's extra data.

    Attributes:
        training: the training rows, followed by the recipe's pen drawings.
        outliers: non-digits, uint8 (M, 28, 28), or None if the recipe has none.
        calibration: the validation rows, followed by about as many frames of held-out pen drawings. They make
            calibration represent pen drawings too, so that few of them are rejected as non-digits.
    """

    training: DigitTable
    outliers: Pixels | None
    calibration: DigitTable


def add_extra_data(recipe: Recipe, training: DigitTable, validation: DigitTable, data: Path) -> TrainingData:
    """Return the training set with the recipe's pen drawings and non-digits.

    Args:
        recipe: sets the amounts, and the fraction of the drawings that is held out.
        training: training rows; some of the non-digits are made from them.
        validation: validation rows.
        data: the data folder, to which archives are downloaded.

    Raises:
        UserError: an archive is missing and cannot be downloaded.
    """
    non_digits, calibration = None, validation
    if recipe.outliers:
        count = recipe.outliers // 2
        characters = outliers.load_characters(data)
        repeated = np.resize(np.arange(len(characters)), recipe.outliers - count)
        non_digits = np.concatenate([characters[repeated], outliers.make_non_digits(training, count, recipe.seed)])
        log.info("Added %s non-digit images", f"{len(non_digits):,}")
    if recipe.pen_drawings:
        drawings, _ = pendigits.load_drawings(data)
        held_out = round(recipe.validation_fraction * len(drawings))
        rendered = pendigits.render_drawings(drawings[held_out:], recipe.pen_drawings, recipe.seed)
        log.info("Added %s pen drawings", f"{len(rendered):,}")
        training = concatenate([training, rendered])
        if held_out:
            times = max(1, round(len(validation) / held_out))
            calibration = concatenate([validation, pendigits.render_drawings(drawings[:held_out], times, recipe.seed)])
    return TrainingData(training, non_digits, calibration)
