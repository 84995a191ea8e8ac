"""Recipe: all settings of a training run except its data, validated and loaded from YAML."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from pipeline.config.choices import ARCHITECTURES, CHOICES, SCHEDULERS, chooser_of, require_known, unused_because
from pipeline.config.fine_tuning import FineTuning
from pipeline.config.settings import RECIPES, Settings, find_recipe, read_yaml
from pipeline.errors import UserError

Fraction = Annotated[float, Field(ge=0, lt=1)]

REMOVED_SETTINGS = {"teacher"}
"""Settings that only old versions had."""


class Recipe(Settings):
    """A recipe that trains a digit classifier."""

    trainer: ClassVar = "ours"
    dataset: ClassVar = "auto"

    # Network
    model: Annotated[str, AfterValidator(partial(require_known, "model"))]
    pretrained: Literal["imagenet"] | None = None
    """resnet18, resnet50, vgg16: initialise with torchvision's ImageNet weights instead of random weights."""
    image_size: Annotated[int, Field(validate_default=True)] = 28
    """Side of the network's input, in pixels; images are scaled to it."""
    width: Annotated[int, Field(ge=1, le=16)] = 1
    """fast: multiplier for the number of channels."""
    stem_stride: Literal[1, 2] = 2
    """fast: stride of the first convolution; with 1 its output is max-pooled instead."""
    batch_norm: bool = True
    """fast: normalise each channel after its convolution."""
    hidden_size: Annotated[int, Field(ge=1)] = 128
    """light-cnn: number of units in the hidden linear layer."""
    feature_dropout: Fraction = 0.0
    """light-cnn: dropout probability before the linear layers."""
    dropout: Fraction = 0.0
    """light-cnn, branch-cnn, vgg16: dropout probability after each hidden linear layer."""

    members: Annotated[int, Field(ge=1, le=100)] = 1
    """Number of networks in the ensemble. Each has its own seed and is trained without one of the folds."""
    folds: Annotated[int, Field(ge=2)] = 10
    """Number of folds of the rows. Each member leaves one fold out; the ensemble is evaluated out of fold."""

    # Data
    validation_fraction: Annotated[Fraction, Field(validate_default=True)] = 0.1
    """Fraction of the rows that are validation rows; with 0 all rows are trained on and the last epoch is
    saved."""
    mean: float = 0.1307
    """Pixel mean for normalisation, as a fraction of 255."""
    std: Annotated[float, Field(gt=0)] = 0.3081
    """Pixel standard deviation for normalisation, as a fraction of 255."""
    pen_drawings: Annotated[int, Field(ge=0)] = 0
    """Number of images rendered from each pen drawing of UCI dataset 81 and added to the training rows."""
    skeletons: Annotated[int, Field(ge=0)] = 0
    """Number of images drawn from the digit variants in `pipeline/sources/drawings/skeletons.yaml` and added to the
    training rows."""
    stretched: Annotated[int, Field(ge=0)] = 0
    """Number of training rows added again with another ratio of width to height, half of them as coarse scans."""
    outliers: Annotated[int, Field(ge=0)] = 0
    """Number of non-digit images added to the training rows as an eleventh class: characters of other scripts,
    generated images, and drawn signs, a third each."""
    line_updates: Annotated[int, Field(ge=0)] = 0
    """Number of updates of a second network, which reads touching digits; 0 trains none."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Number of worker processes that load batches, at most one per core; 0 loads them in the training process."""
    pin_memory: bool = False
    """Load batches into page-locked memory, which speeds up copies to a CUDA GPU; no effect on other devices."""

    # Augmentation: each image draws its own values, uniformly from -limit to +limit
    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Degrees."""
    shift: Fraction = 0.0
    """Fraction of the image's side, along each axis."""
    zoom: Fraction = 0.0
    """Fraction by which the image is enlarged or reduced."""
    shear: Annotated[float, Field(ge=0, lt=90)] = 0.0
    """Degrees."""
    elastic: Annotated[float, Field(ge=0)] = 0.0
    """Standard deviation of a smooth random displacement, in pixels."""
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    """Resampling method; bicubic preserves thin strokes and is slower."""
    unwarped: Fraction = 0.0
    """Fraction of the images that no augmentation except `blur` and `erase` is applied to."""
    blur: Annotated[float, Field(ge=0, le=3)] = 0.0
    """Largest standard deviation of the Gaussian blur, in pixels; each image draws one uniformly from 0 to this."""
    erase: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Probability that a rectangle of the image is set to paper."""

    # Schedule
    epochs: Annotated[int, Field(ge=1)]
    minimum_updates: Annotated[int, Field(ge=0)] = 0
    """Minimum number of updates in the run; on a small training set an epoch repeats the rows to reach it."""
    batch_size: Annotated[int, Field(ge=2)]
    gradient_accumulation: Annotated[int, Field(ge=1)] = 1
    """Number of batches whose gradients are averaged into one update."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """Early stopping: number of epochs without improvement after which training stops; None disables it."""
    min_delta: Annotated[float, Field(ge=0)] = 0.0
    """Early stopping: smallest decrease of the validation loss that counts as an improvement."""

    # Optimisation
    optimizer: Annotated[str, AfterValidator(partial(require_known, "optimizer"))]
    learning_rate: Annotated[float, Field(gt=0)]
    other_learning_rate: Annotated[float, Field(gt=0)] = 5e-3
    """muon: learning rate of all parameters except convolutions; Adam updates them."""
    momentum: Fraction = 0.9
    """muon, sgd, rmsprop: momentum."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    label_smoothing: Fraction = 0.0
    ema_decay: Fraction = 0.0
    """Decay, per update, of an exponential moving average of the weights. The average is what is validated and saved;
    0 averages nothing."""
    warmup: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """one-cycle: fraction of the updates in which the learning rate increases."""
    step_size: Annotated[int, Field(ge=1)] | None = None
    """step: number of epochs between two decreases of the learning rate."""
    gamma: Annotated[float, Field(gt=0, lt=1)] | None = None
    """step, exponential, plateau: factor that the learning rate is multiplied by."""
    scheduler_patience: Annotated[int, Field(ge=0)] | None = None
    """plateau: number of epochs without a lower validation loss that are tolerated before a decrease."""
    scheduler_threshold: Fraction = 1e-4
    """plateau: a validation loss is lower if it is below the lowest one by more than this fraction."""
    scheduler: Annotated[str, AfterValidator(partial(require_known, "scheduler"))]

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bfloat16 autocast if the device has instructions for it, float16 on CUDA GPUs that have only that, else
    float32."""
    keep_epochs: bool = False
    """Also keep the model of each epoch, as a run of its own: `epochs/1` and so on in the run's folder."""

    @property
    def classes(self) -> int:
        """Number of logits: one for each digit, plus one for non-digits if the recipe trains on them."""
        from pipeline.digits import CLASSES

        return CLASSES + (self.outliers > 0)

    def member(self, index: int) -> Self:
        """Return the recipe of one member of the ensemble; the first has index 0."""
        return self.model_copy(update={"members": 1, "seed": (self.seed + index) % 2**32})

    @field_validator("validation_fraction")
    @classmethod
    def check_validation_fraction(cls, fraction: float, known: ValidationInfo) -> float:
        """Reject validation rows for an ensemble, which is evaluated out of fold."""
        if fraction and known.data.get("members", 1) > 1:
            raise ValueError("an ensemble is evaluated out of fold and saves each member's last epoch; set it to 0")
        return fraction

    @field_validator("line_updates")
    @classmethod
    def check_line_updates(cls, updates: int, known: ValidationInfo) -> int:
        """Reject a line network for an ensemble."""
        if updates and known.data.get("members", 1) > 1:
            raise ValueError("an ensemble has no network for touching digits; set it to 0")
        return updates

    @field_validator("keep_epochs")
    @classmethod
    def check_keep_epochs(cls, keep: bool, known: ValidationInfo) -> bool:
        """Reject the models of epochs for an ensemble."""
        if keep and known.data.get("members", 1) > 1:
            raise ValueError("an ensemble keeps the last epoch of each member only; set it to false")
        return keep

    @field_validator("patience")
    @classmethod
    def check_patience(cls, patience: int | None, known: ValidationInfo) -> int | None:
        """Reject early stopping without validation rows."""
        if patience is not None and known.data.get("validation_fraction") == 0:
            raise ValueError("early stopping needs validation rows; set validation_fraction above 0")
        return patience

    @field_validator("scheduler")
    @classmethod
    def check_scheduler(cls, scheduler: str, known: ValidationInfo) -> str:
        """Reject a scheduler if one of its required settings is missing."""
        missing = [key for key in SCHEDULERS[scheduler].arguments if key in known.data and known.data[key] is None]
        if missing:
            raise ValueError(f"it needs {' and '.join(missing)}; set {'them' if len(missing) > 1 else 'it'} too")
        if scheduler == "plateau" and known.data.get("validation_fraction") == 0:
            raise ValueError("it monitors the validation loss; set validation_fraction above 0")
        return scheduler

    @field_validator("image_size")
    @classmethod
    def check_image_size(cls, image_size: int, known: ValidationInfo) -> int:
        """Reject an image size that the network does not accept."""
        model = known.data.get("model")
        if not model:
            return image_size
        sizes = ARCHITECTURES[model].sizes
        if image_size not in sizes:
            raise ValueError(f"{model} accepts sizes from {sizes[0]} to {sizes[-1]} pixels; set one of these")
        return image_size

    @field_validator("pretrained")
    @classmethod
    def check_pretrained(cls, pretrained: str | None, known: ValidationInfo) -> str | None:
        """Reject pretrained weights for a network that has none."""
        model = known.data.get("model")
        if pretrained and model and not ARCHITECTURES[model].pretrained:
            owners = ", ".join(name for name, row in ARCHITECTURES.items() if row.pretrained)
            raise ValueError(f"{model} has no such weights, only {owners}; set it to null")
        return pretrained

    @classmethod
    def from_values(cls, values: dict[str, Any], path: Path, overrides: Sequence[str] = ()) -> Self:
        """As `Settings.from_values`, but also reject fine-tuning recipes and settings without effect.

        If an override chooses another model, optimizer or scheduler, the settings in the file that lose their effect
        get their default values.

        Raises:
            UserError: as `Settings.from_values`; the recipe predicts parity only; or a setting has no effect.
        """
        if "trainer" in values:
            raise UserError(parity_only_message(path.stem if path.parent == RECIPES else path))
        recipe = super().from_values(values, path, overrides)
        overridden = {override.partition("=")[0].strip(): override for override in overrides}
        chosen = {chooser: getattr(recipe, chooser) for chooser in CHOICES}
        for key, field in cls.model_fields.items():
            reason = unused_because(key, chosen)
            if reason and key in overridden:
                raise UserError(f"--set {overridden[key]}: {reason}; leave it out")
            if reason and getattr(recipe, key) != field.default:
                if chooser_of(key) not in overridden:
                    raise UserError(f"{path}: {reason}; remove it")
                recipe = recipe.model_copy(update={key: field.default})
        return recipe


def load_recipe(name: str | Path, overrides: Sequence[str] = ()) -> Recipe | FineTuning:
    """Return a built-in recipe by name, or the recipe in a YAML file, as a Recipe or a FineTuning.

    For errors, see `Settings.load`.
    """
    path = find_recipe(name)
    values = read_yaml(path)
    kind = FineTuning if "trainer" in values else Recipe
    return kind.from_values(values, path, overrides)


def load_saved_recipe(path: Path) -> Recipe | FineTuning:
    """Return the recipe saved in a run. Settings without effect or removed, which old versions saved, are ignored."""
    values = {key: value for key, value in read_yaml(path).items() if key not in REMOVED_SETTINGS}
    if "trainer" in values:
        return FineTuning.from_values(values, path)
    return Recipe.from_values({key: value for key, value in values.items() if not unused_because(key, values)}, path)


def parity_only_message(name: object) -> str:
    """Return the error message for a parity recipe or run that is used to predict digits."""
    return f"{name}: predicts parity only, not digits; use one that predicts digits, such as fast"
