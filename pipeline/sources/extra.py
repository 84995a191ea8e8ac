"""Extra training data of a recipe: drawn and stretched digits, and images of non-digits."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.config.recipe import Recipe
from pipeline.data.table import DigitTable, concatenate
from pipeline.digits import Pixels
from pipeline.sources import outliers
from pipeline.sources.drawings import pendigits, skeletons
from pipeline.sources.drawings.handwriting import render_drawings, render_frames
from pipeline.sources.stretched import stretch, stretch_digits

log = logging.getLogger(__name__)

CALIBRATION_SEED = 1_000_003
"""Added to the recipe's seed for the generated digits of the calibration, which therefore differ from the others."""


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
        training: the training rows, followed by the recipe's extra digits.
        outliers: non-digits, uint8 (M, 28, 28), or None if the recipe has none.
        calibration: the validation rows, followed by about as many frames of held-out pen drawings and by a share of
            other generated digits. They make calibration represent these hands too, so that few of their digits are
            rejected as non-digits.
    """

    training: DigitTable
    outliers: Pixels | None
    calibration: DigitTable


def add_extra_data(recipe: Recipe, training: DigitTable, validation: DigitTable, data: Path) -> TrainingData:
    """Return the training set with the recipe's extra digits and non-digits.

    Args:
        recipe: sets the amounts, and the fraction of them that is held out.
        training: training rows; some of the digits and non-digits are made from them.
        validation: validation rows.
        data: the data folder, to which archives are downloaded.

    Raises:
        UserError: an archive is missing and cannot be downloaded.
    """
    non_digits = make_outliers(recipe, training, data) if recipe.outliers else None
    trained, held_out = [training], [validation]
    if recipe.pen_drawings:
        drawings, _ = pendigits.load_drawings(data)
        count = round(recipe.validation_fraction * len(drawings))
        trained.append(render_drawings(drawings[count:], recipe.pen_drawings, recipe.seed))
        log.info("Added %s pen drawings", f"{len(trained[-1]):,}")
        if count:
            times = max(1, round(len(validation) / count))
            held_out.append(render_drawings(drawings[:count], times, recipe.seed))
    trained += _generate(training, recipe.skeletons, recipe.stretched, recipe.seed)
    share = recipe.validation_fraction
    held_out += _generate(
        validation, round(share * recipe.skeletons), round(share * recipe.stretched), recipe.seed + CALIBRATION_SEED
    )
    if len(trained) == 1:
        return TrainingData(training, non_digits, validation)
    return TrainingData(concatenate(trained), non_digits, concatenate(held_out))


def make_outliers(recipe: Recipe, training: DigitTable, data: Path) -> Pixels:
    """Return a recipe's non-digits, uint8 (recipe.outliers, 28, 28): characters, generated images and drawn signs.

    They are a third each. A character is used once as it is; its repetitions are stretched.
    """
    random = np.random.default_rng(recipe.seed)
    third = recipe.outliers // 3
    characters = outliers.load_characters(data)
    repeated = np.resize(np.arange(len(characters)), recipe.outliers - 2 * third)
    images = [
        *characters[repeated[: len(characters)]],
        *(stretch(characters[row], random) for row in repeated[len(characters) :]),
        *outliers.make_non_digits(training, third, recipe.seed),
        *render_frames(skeletons.sample_signs(third, recipe.seed), 1, recipe.seed),
    ]
    log.info("Added %s non-digit images", f"{len(images):,}")
    return np.array(images)


def _generate(table: DigitTable, drawn: int, stretched: int, seed: int) -> list[DigitTable]:
    """Return a table of `drawn` digits from skeletons, and one of `stretched` rows of a table, unless they are 0."""
    tables = []
    if drawn:
        tables.append(render_drawings(skeletons.sample_digits(drawn, seed), 1, seed))
        log.info("Added %s digits drawn from skeletons", f"{drawn:,}")
    if stretched:
        tables.append(stretch_digits(table, stretched, seed))
        log.info("Added %s stretched digits", f"{len(tables[-1]):,}")
    return tables
