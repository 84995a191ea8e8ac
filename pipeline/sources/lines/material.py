"""Material: the shapes of digits and non-digits from which a recipe's numbers are made."""

from pathlib import Path

import numpy as np

from pipeline.config.recipe import Recipe
from pipeline.data.table import DigitTable, concatenate
from pipeline.sources import outliers
from pipeline.sources.drawings import pendigits, skeletons
from pipeline.sources.drawings.handwriting import render_drawings, render_frames
from pipeline.sources.lines.shapes import Shape, make_shapes

MAX_ROWS = 54_000
"""Maximum number of training rows that become shapes."""
DRAWING_RENDERINGS = 6
"""Shapes of each pen drawing."""
MAX_SKELETONS = 4_000
"""Maximum number of digits drawn from skeletons."""
MAX_CHARACTERS = 6_000
"""Characters of other scripts."""
SIGNS = 3_000
"""Drawn signs."""
HELD_OUT_SHARE = 0.1
"""Number of held-out shapes, relative to that of the training."""
HELD_OUT_SEED = 2_000_003
"""Added to the recipe's seed for the held-out shapes, which therefore differ from the others."""


def training_shapes(recipe: Recipe, training: DigitTable, data: Path) -> list[Shape]:
    """Return shapes of the training rows and of the recipe's drawings and non-digits.

    Args:
        recipe: decides which kinds there are; `validation_fraction` of the pen drawings is left out.
        training: training rows.
        data: the data folder, with the archives that `fetch_extra_data` downloads.
    """
    return _shapes(recipe, training, data, held_out=False)


def held_out_shapes(recipe: Recipe, validation: DigitTable, data: Path) -> list[Shape]:
    """Return shapes of validation rows, and of drawings that `training_shapes` leaves out. Arguments are as there."""
    return _shapes(recipe, validation, data, held_out=True)


def _shapes(recipe: Recipe, rows: DigitTable, data: Path, *, held_out: bool) -> list[Shape]:
    """Return shapes of all kinds of a recipe, fewer if they are held out."""
    share = HELD_OUT_SHARE if held_out else 1.0
    seed = recipe.seed + HELD_OUT_SEED * held_out
    tables = [rows.sample(min(len(rows), round(share * MAX_ROWS)), seed)]
    if recipe.pen_drawings:
        drawings, _ = pendigits.load_drawings(data)
        count = round(recipe.validation_fraction * len(drawings))
        chosen = drawings[:count] if held_out else drawings[count:]
        if chosen:
            tables.append(render_drawings(chosen, DRAWING_RENDERINGS, seed))
    if recipe.skeletons:
        drawn = skeletons.sample_digits(max(1, round(share * min(recipe.skeletons, MAX_SKELETONS))), seed)
        tables.append(render_drawings(drawn, 1, seed))
    non_digits = render_frames(skeletons.sample_signs(round(share * SIGNS), seed), 1, seed)
    if recipe.outliers:
        characters = outliers.load_characters(data)
        order = np.random.default_rng(seed).permutation(len(characters))[: round(share * MAX_CHARACTERS)]
        non_digits = np.concatenate([non_digits, characters[order]])
    return make_shapes(concatenate(tables), non_digits, seed)
