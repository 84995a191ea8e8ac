"""What a recipe trains on beside the rows of its source: pen drawings, and images that are no digits."""

import logging
from pathlib import Path

import numpy as np

from pipeline import outliers, pendigits
from pipeline.recipe import Recipe
from pipeline.table import DigitTable, Pixels, concatenate

log = logging.getLogger(__name__)


def fetch(recipe: Recipe, data: Path) -> None:
    """Have the archives that a recipe needs in the folder for data; a UserError where one cannot be fetched."""
    if recipe.outliers:
        outliers.OMNIGLOT.find(data)
    if recipe.pen_drawings:
        pendigits.PENDIGITS.find(data)


def supplemented(recipe: Recipe, training: DigitTable, data: Path) -> tuple[DigitTable, Pixels | None]:
    """Return the training rows with the recipe's pen drawings, and its outliers, uint8 (M, 28, 28), if it has any.

    Args:
        recipe: says how many.
        training: of which some of the outliers are made.
        data: the folder for data, into which archives are fetched.

    Raises:
        UserError: an archive is not there and cannot be fetched.
    """
    others = None
    if recipe.outliers:
        made = recipe.outliers // 2
        characters = outliers.characters(data)
        repeated = np.resize(np.arange(len(characters)), recipe.outliers - made)
        others = np.concatenate([characters[repeated], outliers.made(training, made, recipe.seed)])
        log.info("and %s images that are no digits", f"{len(others):,}")
    if recipe.pen_drawings:
        drawings, _ = pendigits.drawings(data)
        drawn = pendigits.drawn_anew(drawings, recipe.pen_drawings, recipe.seed)
        log.info("and %s pen drawings", f"{len(drawn):,}")
        training = concatenate([training, drawn])
    return training, others
