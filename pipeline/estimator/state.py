"""Learnt: what a classifier has learnt from its images, how it learns that, and the one file that keeps it."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
import safetensors.torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor, nn

from pipeline.card import Epoch
from pipeline.config.choices import SCHEDULERS
from pipeline.config.recipe import Recipe
from pipeline.config.settings import first_fault
from pipeline.data.table import DigitTable
from pipeline.digits import Labels
from pipeline.errors import UserError, did_you_mean
from pipeline.estimator.arrays import Range
from pipeline.models import build
from pipeline.run import Run
from pipeline.training.trainer import Trainer
from pipeline.utils.files import is_zip, starts_with, write_atomic
from pipeline.utils.tensors import contiguous, put_tensors, read_tensors, take_tensors

SETTINGS = {"dropout1": "feature_dropout", "dropout2": "dropout", "random_state": "seed"}
"""The recipe's names of those parameters that have another there."""

TORCH_SCHEDULERS = {row.torch_name: name for name, row in SCHEDULERS.items() if name != "none"}
"""The recipe's names of torch's schedulers."""


@dataclass(frozen=True, eq=False)
class Images:
    """What a classifier knows of the images and labels that it was given.

    Attributes:
        classes: the labels, sorted, (C,); what the network calls 0 to C - 1.
        features: values in an image.
        pixel_range: the values of paper and of ink, or None where the dtype says them.
        digest: of the images, as `Fingerprint` makes it.
    """

    classes: NDArray[Any]
    features: int
    pixel_range: Range
    digest: str

    def places(self, labels: Any) -> Labels:
        """Return the place of each label in `classes`, int64 (N,); a UserError names one that is not there."""
        given = np.asarray(labels)
        unknown = np.setdiff1d(given, self.classes)
        if len(unknown):
            raise UserError(f"label {unknown.tolist()[0]!r} was not in the training: leave its images out")
        return np.searchsorted(self.classes, given)


@dataclass(frozen=True, eq=False)
class Learnt:
    """A training as far as it got.

    Attributes:
        parameters: of the classifier, with which it was trained.
        images: what it was trained on.
        weights: of the best epoch, by name.
        history: all epochs.
        progress: what the training needs to go on, or None where only the model was kept.
    """

    parameters: dict[str, Any]
    images: Images
    weights: dict[str, Tensor]
    history: list[Epoch]
    progress: dict[str, Any] | None

    @property
    def recipe(self) -> Recipe:
        return recipe_of(self.parameters)

    def network(self) -> nn.Module:
        """Return the network with these weights."""
        model = build(self.recipe)
        model.load_state_dict(self.weights)
        return model

    def save(self, path: Path, *, with_progress: bool) -> None:
        """Write one safetensors file: the weights by their names, and the rest as JSON in its metadata.

        Raises:
            UserError: there is no progress to write, or the file cannot be written.
        """
        about = {
            "parameters": self.parameters,
            "images": asdict(self.images) | {"classes": self.images.classes.tolist()},
            "classes_dtype": self.images.classes.dtype.str,
            "history": [epoch.model_dump() for epoch in self.history],
        }
        tensors = dict(self.weights)
        if with_progress:
            if self.progress is None:
                raise UserError(f"{path}: a model that was loaded cannot be trained on; keep it by save_model")
            about["progress"] = take_tensors(self.progress, tensors)
        metadata = {"classifier": json.dumps(about, default=np.generic.item)}
        write_atomic(path, safetensors.torch.save(contiguous(tensors), metadata=metadata))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return what `save` wrote, its tensors on the CPU.

        Raises:
            UserError: the file is missing, damaged or pickled, or not a classifier's.
        """
        try:
            tensors, metadata = read_tensors(path)
        except UserError:
            if is_zip(path) or starts_with(path, b"\x80"):
                raise UserError(
                    f"{path}: a pickled file, which could run any code when it is read, so it is not; train anew and "
                    "keep the model by save_model"
                ) from None
            raise
        try:
            about = json.loads(metadata["classifier"])
            classes = np.array(about["images"].pop("classes"), dtype=about["classes_dtype"])
            learnt = cls(
                about["parameters"],
                Images(classes, **about["images"]),
                {name: tensor for name, tensor in tensors.items() if "." in name},
                [Epoch(**epoch) for epoch in about["history"]],
                put_tensors(about["progress"], tensors) if "progress" in about else None,
            )
            learnt.network()
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise UserError(f"{path}: not a file of save_model or save_checkpoint; give one of these") from error
        return learnt


def learn(
    parameters: dict[str, Any], images: Images, table: DigitTable, begun: Learnt | None, *, quiet: bool
) -> Learnt:
    """Train the recipe `light-cnn`, with these parameters, on a table; an interrupt keeps the best epoch so far.

    Args:
        parameters: of the classifier.
        images: what is known of the table's images.
        table: with labels below the number of classes.
        begun: a training to go on with, with its progress; None begins anew.
        quiet: draw no progress bar.

    Raises:
        UserError: a parameter is not valid, the rows are too few, or `begun` had other data or parameters.
    """
    recipe = recipe_of(parameters)
    if begun:
        _require_the_same(recipe, images, begun)
    training, validation = table.split(recipe.validation_fraction, recipe.seed)
    # A run's folder is where a training keeps its best epoch; it vanishes when that has been taken out.
    with TemporaryDirectory() as folder:
        run = Run(Path(folder))
        trainer = Trainer(recipe, training, validation, run)
        if begun and begun.progress:
            run.save_model(begun.weights)
            run.save_progress(begun.progress)
            trainer.restore()
        try:
            trainer.run_epochs(quiet=quiet)
        except KeyboardInterrupt:
            if not run.progress_path.exists():
                raise
            warnings.warn("the training was interrupted; the best epoch so far is kept", stacklevel=3)
        progress = run.load_progress()
        return Learnt(parameters, images, run.load_model(), [Epoch(**epoch) for epoch in progress["history"]], progress)


def _require_the_same(recipe: Recipe, images: Images, begun: Learnt) -> None:
    """Refuse to go on with a training that began on other images or with other settings.

    Only the number of epochs and when to stop early are free, the number only where the schedule is not laid out
    over all of them.
    """
    if begun.images.digest != images.digest:
        raise UserError("the checkpoint's training began on other images: give those again, or a new classifier these")
    free = {"patience", "min_delta"} | ({"epochs"} if not SCHEDULERS[recipe.scheduler].per_update else set())
    before, now = (settings.model_dump(exclude=free) for settings in (begun.recipe, recipe))
    names = {setting: parameter for parameter, setting in SETTINGS.items()}
    changed = [f"{names.get(key, key)}={value}" for key, value in before.items() if value != now[key]]
    if changed:
        raise UserError(f"the checkpoint's training began with {', '.join(changed)}: set that again to go on")


def recipe_of(parameters: Mapping[str, Any]) -> Recipe:
    """Return the recipe `light-cnn` with a classifier's parameters.

    Raises:
        UserError: one is not valid; it is named.
    """
    values = {SETTINGS.get(name, name): value for name, value in parameters.items()}
    train_split = values.pop("train_split")
    if not 0 < train_split <= 1:
        raise UserError(f"train_split: {train_split} is not valid: give a fraction above 0; 1 trains on all rows")
    values["validation_fraction"] = 1 - train_split
    try:
        return Recipe.model_validate(Recipe.load("light-cnn").model_dump() | values)
    except ValidationError as error:
        key, fault = first_fault(error, Recipe.model_fields)
        names = {setting: parameter for parameter, setting in SETTINGS.items()}
        raise UserError(f"{names.get(key, key)}{fault.removeprefix(key)}") from None


def schedule_of(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that mean a scheduler, named and told as torch does it or as the recipe does.

    Raises:
        UserError: there is no such scheduler, or it takes other arguments.
    """
    scheduler = TORCH_SCHEDULERS.get(name, name)
    if scheduler not in SCHEDULERS:
        known = [*TORCH_SCHEDULERS, *SCHEDULERS]
        raise UserError(f'there is no scheduler "{name}"{did_you_mean(name, known)} (known: {", ".join(known)})')
    settings = SCHEDULERS[scheduler].arguments
    names = {argument: setting for setting, argument in settings.items()}
    given = {names.get(argument, argument): value for argument, value in arguments.items()}
    if set(given) != set(settings):
        takes = " and ".join(names if name in TORCH_SCHEDULERS else settings) or "no arguments"
        raise UserError(f"{name} takes {takes}, not {' and '.join(arguments) or 'none'}: give it these")
    return {"scheduler": scheduler, "step_size": None, "gamma": None, "scheduler_patience": None} | given
