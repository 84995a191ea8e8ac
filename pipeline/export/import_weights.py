"""Import weights that another program trained: a PyTorch state dict becomes a run."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.config.choices import ARCHITECTURES
from pipeline.config.recipe import Recipe
from pipeline.config.settings import recipe_names
from pipeline.data.table import DigitTable
from pipeline.digits import SIDE
from pipeline.errors import UserError
from pipeline.inference.predictor import Predictor
from pipeline.metrics.interval import format_accuracy
from pipeline.models import build
from pipeline.run import Run
from pipeline.sources.source import Source
from pipeline.training.setup import Rows, make_card
from pipeline.utils.files import is_zip, starts_with

log = logging.getLogger(__name__)

SAMPLE = 1000
"""Number of rows that are predicted after an import."""
EXPECTED_ACCURACY = 0.9
"""Any trained network reaches this on its own data, if its images are normalised as they were in its training."""


def import_weights(path: Path, recipe: Recipe, source: Source, name: str | None = None) -> Run:
    """Create a finished run of a recipe's network with the weights in a `.pth` or `.pt` file.

    Only tensors and plain values are unpickled, as torch's `weights_only=True` does. Layers are matched by name, or by
    their shapes and order if the names differ.

    Args:
        path: a state dict, or a checkpoint that contains one.
        recipe: the recipe of the network, whose mean and std the weights were trained with.
        source: the data that the weights were trained on. Their fingerprint lets `submit` find leaks.
        name: name or folder of the run; None derives a name from the recipe and the time.

    Raises:
        UserError: the file cannot be read safely, its layers do not fit the network, the run exists, or a row of the
            source is invalid.
    """
    model = build(recipe)
    model.load_state_dict(_match(read_state_dict(path), model.state_dict(), path, recipe))
    table = source.read_train()
    rows = Rows(table, table.select(np.arange(0)), table, table.fingerprint.digest, 0)
    run = Run.create(name, recipe)
    run.save_model(model.state_dict())
    card = make_card(recipe, rows, source, model, torch.device("cpu"), torch.float32, "safetensors")
    run.begin(recipe, card, table.fingerprint)
    run.finish(card.model_copy(update={"finished": True}))
    _log_accuracy(run, table)
    return run


def load_import_recipe(name: str, overrides: Sequence[str]) -> Recipe:
    """Return the recipe for weights of another program.

    Where the weights fit images of any size, as those of a ResNet, the images have MNIST's own size, unless an override
    or the user's own recipe file sets `image_size`. The size in a built-in recipe says nothing of other programs.

    Args:
        name: a recipe's name, or the path of a recipe file.
        overrides: settings as KEY=VALUE.

    Raises:
        UserError: no such recipe, or an override is not valid.
    """
    recipe = Recipe.load(name, overrides)
    if name not in recipe_names() or "image_size" in ARCHITECTURES[recipe.model].arguments:
        return recipe
    return Recipe.load(name, [f"image_size={SIDE}", *overrides])


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Return the state dict in a file: the file itself, or the largest one inside a checkpoint.

    Raises:
        UserError: the file is missing, damaged, contains objects other than tensors and plain values, or no state dict.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises errors of many kinds for damaged files
        if "Weights only load failed" in str(error) and (is_zip(path) or starts_with(path, b"\x80")):
            raise UserError(
                f"{path}: contains more than tensors, and loading it could run arbitrary code; where it was made, "
                "write its weights alone: torch.save(model.state_dict(), PATH)"
            ) from None
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{path}: cannot be read as a file of torch.save ({reason}); copy it again") from None
    found = _state_dicts(content)
    if not found:
        raise UserError(f"{path}: contains no state dict; write one with torch.save(model.state_dict(), PATH)")
    return max(found, key=lambda weights: sum(tensor.numel() for tensor in weights.values()))


def _log_accuracy(run: Run, table: DigitTable) -> None:
    """Log the accuracy on some of the rows, and what to check if it is low."""
    sample = table.sample(SAMPLE, seed=0)
    digits = Predictor.load(run.folder).predict(sample.pixels).digits
    correct = int(np.count_nonzero(digits == sample.known_labels))
    log.info("On rows of this data: %s", format_accuracy(correct, len(sample)))
    if correct < EXPECTED_ACCURACY * len(sample):
        log.info("That is little: mean, std and image_size must be those of the weights' training; set them with --set")


def _state_dicts(content: Any) -> list[dict[str, Tensor]]:
    """Return the dicts of named tensors in nested dicts."""
    if not isinstance(content, Mapping) or not content:
        return []
    if all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in content.items()):
        return [dict(content)]
    return [found for value in content.values() for found in _state_dicts(value)]


def _match(given: dict[str, Tensor], expected: Mapping[str, Tensor], path: Path, recipe: Recipe) -> dict[str, Tensor]:
    """Return the given weights under the expected names.

    If the names differ, the weights of the same kind ("weight", "running_mean" and so on) and shape are matched in
    their order.
    """
    if given.keys() == expected.keys() and all(given[name].shape == expected[name].shape for name in expected):
        return given
    remaining = dict(given)
    matched = {}
    for name, tensor in expected.items():
        kind = _kind(name, tensor)
        same = next((other for other, weights in remaining.items() if _kind(other, weights) == kind), None)
        if same is None:
            raise _mismatch(path, recipe, f"the network has {name}, and the file nothing like it", tensor)
        matched[name] = remaining.pop(same)
    for name, tensor in remaining.items():
        raise _mismatch(path, recipe, f"the file has {name}, and the network nothing like it", tensor)
    return matched


def _kind(name: str, tensor: Tensor) -> tuple[str, torch.Size]:
    """Return the last part of a weight's name, and its shape."""
    return name.rpartition(".")[2], tensor.shape


def _mismatch(path: Path, recipe: Recipe, fault: str, tensor: Tensor) -> UserError:
    """Return the error for weights that do not fit the network of a recipe."""
    shape = " x ".join(map(str, tensor.shape)) or "()"
    return UserError(
        f"{path}: does not fit the network of {recipe.name} ({fault}, of shape {shape}); give the recipe of its "
        "architecture, and its sizes with --set"
    )
