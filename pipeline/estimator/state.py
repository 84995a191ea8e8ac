"""FittedState: the state of a trained classifier, its training, and its file format."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from sklearn.utils import check_random_state
from torch import Tensor, nn

from pipeline.card import Epoch
from pipeline.config.choices import SCHEDULERS
from pipeline.config.recipe import Recipe
from pipeline.config.settings import first_error
from pipeline.data.table import DigitTable
from pipeline.digits import CLASSES, SIDE, Labels
from pipeline.errors import UserError, did_you_mean
from pipeline.estimator.arrays import ValueRange
from pipeline.estimator.network import NetworkMaker, make_network, name_of
from pipeline.inference.predictor import Predictor
from pipeline.run import Run
from pipeline.training.trainer import Trainer
from pipeline.utils.files import is_zip, starts_with, write_atomic
from pipeline.utils.tensors import contiguous, extract_tensors, insert_tensors, read_tensors

RECIPE_KEYS = {"dropout1": "feature_dropout", "dropout2": "dropout", "random_state": "seed"}
"""Recipe keys of the parameters that have another name in a recipe."""
PARAMETERS = {key: parameter for parameter, key in RECIPE_KEYS.items()}
"""The same parameters by recipe key."""

MAX_SEED = 2**31 - 1
"""Upper bound of the seeds that are drawn."""

SCHEDULER_BY_TORCH_NAME = {row.torch_name: name for name, row in SCHEDULERS.items() if name != "none"}
"""Schedulers of the recipe, by the names of torch's classes."""


@dataclass(frozen=True, eq=False)
class DataSpec:
    """Properties of the images and labels that a classifier was trained on.

    Attributes:
        classes: the labels, sorted, (C,); the network's classes 0 to C - 1.
        features: values per image.
        pixel_range: the values of paper and of ink; None means the default of the dtype.
        digest: digest of the images, from `Fingerprint`.
    """

    classes: NDArray[Any]
    features: int
    pixel_range: ValueRange
    digest: str

    def indices_of(self, labels: Any) -> Labels:
        """Return the index of each label in `classes`, int64 (N,); raise a UserError that names an unknown label."""
        given = np.asarray(labels)
        unknown = np.setdiff1d(given, self.classes)
        if len(unknown):
            raise UserError(f"label {unknown.tolist()[0]!r} is not among the training labels: remove its images")
        return np.searchsorted(self.classes, given)

    def require_digits(self) -> None:
        """Raise a UserError if MNIST's digits are no test: another number of values, or a training label is none."""
        if self.features != SIDE * SIDE:
            raise UserError(
                f"the classifier was trained on {self.features} values per image, and MNIST's have {SIDE * SIDE}: give "
                "test images as X and y"
            )
        digits = set(map(str, range(CLASSES))) if self._has_text else range(CLASSES)
        unknown = [label for label in self.classes.tolist() if label not in digits]
        if unknown:
            raise UserError(f"the label {unknown[0]!r} is none of MNIST's digits: give test images as X and y")

    def match_digits(self, digits: Labels) -> NDArray[Any]:
        """Return digits, int64 (N,), as labels of the type of `classes`, which may be text such as "7"."""
        return digits.astype(str) if self._has_text else digits

    @property
    def _has_text(self) -> bool:
        """Whether the labels are text, or other objects, rather than numbers."""
        return self.classes.dtype.kind not in "iuf"


def storable(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters in Python's own types, which files store; a seed of None or a RandomState is drawn."""
    found = {name: value.item() if isinstance(value, np.generic) else value for name, value in parameters.items()}
    if found["random_state"] is None or isinstance(found["random_state"], np.random.RandomState):
        found["random_state"] = int(check_random_state(found["random_state"]).randint(MAX_SEED))
    return found


@dataclass(frozen=True, eq=False)
class FittedState:
    """State of a classifier after training.

    Attributes:
        parameters: the classifier's parameters during training.
        data_spec: properties of the training data.
        weights: weights of the best epoch, by name.
        history: all epochs.
        progress: the training progress that resuming needs, or None if only the model was saved.
    """

    parameters: dict[str, Any]
    data_spec: DataSpec
    weights: dict[str, Tensor]
    history: list[Epoch]
    progress: dict[str, Any] | None

    @property
    def recipe(self) -> Recipe:
        return recipe_of(self.parameters)

    def predictor(self) -> Predictor:
        """Return a predictor with these weights."""
        return Predictor(self.network(), self.recipe, fused=self.parameters.get("network") is None)

    def network(self) -> nn.Module:
        """Return the network with these weights."""
        model = make_network(self.recipe, self.parameters.get("network"))
        model.load_state_dict(self.weights)
        return model

    def save(self, path: Path, *, with_progress: bool) -> None:
        """Write one safetensors file: the weights by name, and the rest as JSON in its metadata.

        Raises:
            UserError: `with_progress` is set without any progress, or the file cannot be written.
        """
        network = self.parameters.get("network")
        metadata = {
            "parameters": self.parameters | {"network": None if network is None else name_of(network)},
            "images": asdict(self.data_spec) | {"classes": self.data_spec.classes.tolist()},
            "classes_dtype": self.data_spec.classes.dtype.str,
            "history": [epoch.model_dump() for epoch in self.history],
        }
        tensors = dict(self.weights)
        if with_progress:
            if self.progress is None:
                raise UserError(f"{path}: this model was loaded without training progress; save it with save_model")
            metadata["progress"] = extract_tensors(self.progress, tensors)
        header = {"classifier": json.dumps(metadata, default=np.generic.item)}
        write_atomic(path, safetensors.torch.save(contiguous(tensors), metadata=header))

    @classmethod
    def load(cls, path: Path, network: nn.Module | NetworkMaker | None = None) -> Self:
        """Return the state that `save` wrote, with tensors on the CPU.

        Args:
            path: the file.
            network: the network of a state that was trained with one of its own, as the file stores weights only.

        Raises:
            UserError: the file is missing, damaged, pickled, or not written by `save`, or `network` is missing or
                another.
        """
        try:
            tensors, header = read_tensors(path)
        except UserError:
            if is_zip(path) or starts_with(path, b"\x80"):
                raise UserError(
                    f"{path}: pickled files are refused, because loading one can run arbitrary code; train again and "
                    "save with save_model, or read its weights with python -m pipeline import"
                ) from None
            raise
        try:
            metadata = json.loads(header["classifier"])
            parameters = metadata["parameters"]
            own = parameters.get("network")
            parameters["network"] = network if own else None
            classes = np.array(metadata["images"].pop("classes"), dtype=metadata["classes_dtype"])
            state = cls(
                parameters,
                DataSpec(classes, **metadata["images"]),
                {name: tensor for name, tensor in tensors.items() if not name.isdecimal()},
                [Epoch(**epoch) for epoch in metadata["history"]],
                insert_tensors(metadata["progress"], tensors) if "progress" in metadata else None,
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path}: not written by save_model or save_checkpoint; give such a file") from error
        state.require_loadable(path, own)
        return state

    def require_loadable(self, path: Path, own: str | None) -> None:
        """Raise a UserError if the weights, read from `path`, do not fit the network.

        Args:
            path: the file, for the message.
            own: name of the network that the weights belong to; None for the recipe's.
        """
        if own and self.parameters["network"] is None:
            raise UserError(f"{path}: was trained with the network {own}; load it with MNISTClassifier(network={own})")
        try:
            self.network()
        except RuntimeError as error:
            expected = f"network={own}, and this one does not fit" if own else "other parameters; save it again"
            raise UserError(f"{path}: was trained with {expected}") from error


def fit_network(
    parameters: dict[str, Any], data_spec: DataSpec, table: DigitTable, checkpoint: FittedState | None, *, quiet: bool
) -> FittedState:
    """Train the recipe `light-cnn` with these parameters. An interrupt keeps the best epoch so far.

    Args:
        parameters: the classifier's parameters.
        data_spec: properties of the table's images.
        table: training data with labels below the number of classes.
        checkpoint: a state with progress to resume from; None trains from scratch.
        quiet: show no progress bar.

    Raises:
        UserError: a parameter is not valid, the rows are too few, or `checkpoint` has other data or parameters.
    """
    recipe = recipe_of(parameters)
    if checkpoint:
        _require_same_training(recipe, data_spec, checkpoint)
    training, validation = table.split(recipe.validation_fraction, recipe.seed)
    torch.manual_seed(recipe.seed)
    given = parameters.get("network")
    own = None if given is None else make_network(recipe, given)
    # The trainer keeps its best epoch in a run folder; a temporary one is enough here.
    with TemporaryDirectory() as folder:
        run = Run(Path(folder))
        trainer = Trainer(recipe, training, validation, run, network=own)
        if checkpoint and checkpoint.progress:
            run.save_model(checkpoint.weights)
            run.save_progress(checkpoint.progress)
            trainer.restore()
        try:
            trainer.run_epochs(quiet=quiet)
        except KeyboardInterrupt:
            if not run.progress_path.exists():
                raise
            warnings.warn("training interrupted; the best epoch so far is kept", stacklevel=3)
        progress = run.load_progress()
        history = [Epoch(**epoch) for epoch in progress["history"]]
        return FittedState(parameters, data_spec, run.load_model(), history, progress)


def _require_same_training(recipe: Recipe, data_spec: DataSpec, checkpoint: FittedState) -> None:
    """Raise a UserError if the checkpoint was trained on other images or with other settings.

    Only `epochs`, `patience` and `min_delta` may differ, and `epochs` only if the schedule does not span all epochs.
    """
    if checkpoint.data_spec.digest != data_spec.digest:
        raise UserError("the checkpoint was trained on other images: pass the same images, or use a new classifier")
    free = {"patience", "min_delta"} | ({"epochs"} if not SCHEDULERS[recipe.scheduler].per_update else set())
    before, now = (settings.model_dump(exclude=free) for settings in (checkpoint.recipe, recipe))
    changed = [f"{PARAMETERS.get(key, key)}={value}" for key, value in before.items() if value != now[key]]
    if changed:
        raise UserError(f"the checkpoint was trained with {', '.join(changed)}: set this to resume it")


def recipe_of(parameters: Mapping[str, Any]) -> Recipe:
    """Return the recipe `light-cnn` with a classifier's parameters, and without the average of its weights.

    The average needs some hundred updates; a classifier may be fitted to few images.

    Raises:
        UserError: a parameter is not valid; the message names it.
    """
    values = {RECIPE_KEYS.get(name, name): value for name, value in parameters.items() if name != "network"}
    train_split = values.pop("train_split")
    if not 0 < train_split <= 1:
        raise UserError(f"train_split: {train_split} is not valid: give a fraction in (0, 1]; 1 trains on all rows")
    values["validation_fraction"] = 1 - train_split
    try:
        return Recipe.model_validate(Recipe.load("light-cnn", ["ema_decay=0"]).model_dump() | values)
    except ValidationError as error:
        key, fault = first_error(error, Recipe.model_fields)
        raise UserError(f"{PARAMETERS.get(key, key)}{fault.removeprefix(key)}") from None


def scheduler_parameters(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the classifier's parameters for a scheduler that is given by torch's names or the recipe's.

    Raises:
        UserError: the scheduler is unknown, or it takes other arguments.
    """
    scheduler = SCHEDULER_BY_TORCH_NAME.get(name, name)
    if scheduler not in SCHEDULERS:
        known = [*SCHEDULER_BY_TORCH_NAME, *SCHEDULERS]
        raise UserError(f'unknown scheduler "{name}"{did_you_mean(name, known)} (known: {", ".join(known)})')
    settings = SCHEDULERS[scheduler].arguments
    names = {argument: setting for setting, argument in settings.items()}
    given = {names.get(argument, argument): value for argument, value in arguments.items()}
    if set(given) != set(settings):
        takes = " and ".join(names if name in SCHEDULER_BY_TORCH_NAME else settings) or "no arguments"
        raise UserError(f"{name} takes {takes}, not {' and '.join(arguments) or 'none'}: pass these")
    return {"scheduler": scheduler, "step_size": None, "gamma": None, "scheduler_patience": None} | given
