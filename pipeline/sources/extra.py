"""What a recipe trains on beside the rows of its source: pen drawings, and images that are no digits."""

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
    """Have the archives that a recipe needs in the folder for data; a UserError where one cannot be fetched."""
    if recipe.outliers:
        outliers.OMNIGLOT.fetch(data)
    if recipe.pen_drawings:
        pendigits.PENDIGITS.fetch(data)


@dataclass(frozen=True)
class TrainingData:
    """The rows of a training with what a recipe adds to them.

    Attributes:
        training: with the recipe's pen drawings.
        outliers: images that are no digits, uint8 (M, 28, 28), if the recipe has any.
        calibration: the validation rows, with about as many frames of pen drawings that were set aside as they were, so
            that what is refused as no digit is as rare among what people draw.
    """

    training: DigitTable
    outliers: Pixels | None
    calibration: DigitTable


def add_extra_data(recipe: Recipe, training: DigitTable, validation: DigitTable, data: Path) -> TrainingData:
    """Return a training's rows with the recipe's pen drawings and outliers.

    Args:
        recipe: says how many, and which fraction of the drawings is set aside.
        training: of which some of the outliers are made.
        validation: rows set aside.
        data: the folder for data, into which archives are fetched.

    Raises:
        UserError: an archive is not there and cannot be fetched.
    """
    others, calibration = None, validation
    if recipe.outliers:
        made = recipe.outliers // 2
        characters = outliers.characters(data)
        repeated = np.resize(np.arange(len(characters)), recipe.outliers - made)
        others = np.concatenate([characters[repeated], outliers.made(training, made, recipe.seed)])
        log.info("and %s images that are no digits", f"{len(others):,}")
    if recipe.pen_drawings:
        drawings, _ = pendigits.drawings(data)
        aside = round(recipe.validation_fraction * len(drawings))
        drawn = pendigits.drawn_anew(drawings[aside:], recipe.pen_drawings, recipe.seed)
        log.info("and %s pen drawings", f"{len(drawn):,}")
        training = concatenate([training, drawn])
        if aside:
            times = max(1, round(len(validation) / aside))
            calibration = concatenate([validation, pendigits.drawn_anew(drawings[:aside], times, recipe.seed)])
    return TrainingData(training, others, calibration)
