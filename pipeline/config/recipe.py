"""Recipe: everything that a run depends on, but its data; validated, and read from YAML."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from pipeline.config.choices import ARCHITECTURES, CHOICES, SCHEDULERS, chooser_of, require_known, unused_because
from pipeline.config.fine_tuning import FineTuning
from pipeline.config.settings import RECIPES, Settings, find, read_yaml
from pipeline.errors import UserError

Fraction = Annotated[float, Field(ge=0, lt=1)]


class Recipe(Settings):
    """One way to train one network that reads digits."""

    trainer: ClassVar = "ours"
    dataset: ClassVar = "auto"

    # Network
    model: Annotated[str, AfterValidator(partial(require_known, "model"))]
    pretrained: Literal["imagenet"] | None = None
    """resnet18, resnet50, vgg16: begin with torchvision's weights for ImageNet in place of random ones."""
    image_size: Annotated[int, Field(validate_default=True)] = 28
    """Pixels along one side of what the network sees; images are scaled to it."""
    width: Annotated[int, Field(ge=1, le=16)] = 1
    """fast: by how much its channels are multiplied."""
    stem_stride: Literal[1, 2] = 2
    """fast: of its first convolution; with 1 it looks at every place, and its map is pooled."""
    hidden_size: Annotated[int, Field(ge=1)] = 128
    """light-cnn: units of the hidden linear layer."""
    feature_dropout: Fraction = 0.0
    """light-cnn: of the features that enter the linear layers."""
    dropout: Fraction = 0.0
    """light-cnn, branch-cnn, vgg16: after each hidden linear layer."""

    members: Annotated[int, Field(ge=1, le=100)] = 1
    """Networks that are trained, each from a seed of its own and without one of the folds, and answer together."""
    folds: Annotated[int, Field(ge=2)] = 10
    """Parts of the rows; a member never sees one of them, and on those unseen ones the ensemble is measured."""

    # Data
    validation_fraction: Annotated[Fraction, Field(validate_default=True)] = 0.1
    """Of the rows, set aside to measure on; with 0 all are trained on, and the last epoch is the one that is kept."""
    mean: float = 0.1307
    """Of the pixels, as fractions of full ink."""
    std: Annotated[float, Field(gt=0)] = 0.3081
    pen_drawings: Annotated[int, Field(ge=0)] = 0
    """How many times each pen drawing of UCI's set 81 is drawn anew and trained on too."""
    outliers: Annotated[int, Field(ge=0)] = 0
    """Images that are no digits, trained on as a class of their own; half of them characters of other scripts."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Processes that load batches beside the training; 0 loads them in the training process."""
    pin_memory: bool = False
    """Load batches into page-locked memory, from which copies to a CUDA GPU are faster; elsewhere it does nothing."""

    # Augmentation: each image draws its own values, evenly from -limit to +limit
    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Degrees."""
    shift: Fraction = 0.0
    """Fraction of the image's side, along each axis."""
    zoom: Fraction = 0.0
    """Fraction by which the image grows or shrinks."""
    shear: Annotated[float, Field(ge=0, lt=90)] = 0.0
    """Degrees."""
    elastic: Annotated[float, Field(ge=0)] = 0.0
    """Standard deviation of a smooth random displacement, in pixels."""
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    """Of pixels between pixels; bicubic keeps fine lines, and takes longer."""
    unwarped: Fraction = 0.0
    """Fraction of the images that all of this but `blur` and `erase` leaves as they are."""
    blur: Annotated[float, Field(ge=0, le=3)] = 0.0
    """Standard deviation of the normal distribution by which an image is blurred, in pixels: evenly from 0 to this."""
    erase: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Probability with which a rectangle of the image is made paper."""

    # Schedule
    epochs: Annotated[int, Field(ge=1)]
    minimum_updates: Annotated[int, Field(ge=0)] = 0
    """On a small table an epoch passes over the rows several times, so that the run makes this many updates."""
    batch_size: Annotated[int, Field(ge=2)]
    gradient_accumulation: Annotated[int, Field(ge=1)] = 1
    """Batches whose gradients are averaged into one update."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """Epochs without improvement after which training stops; None never stops early."""
    min_delta: Annotated[float, Field(ge=0)] = 0.0
    """By how much the validation loss must fall to count as an improvement."""

    # Optimisation
    optimizer: Annotated[str, AfterValidator(partial(require_known, "optimizer"))]
    learning_rate: Annotated[float, Field(gt=0)]
    other_learning_rate: Annotated[float, Field(gt=0)] = 5e-3
    """muon: of all parameters but the convolutions, which Adam updates."""
    momentum: Fraction = 0.9
    """muon, sgd, rmsprop."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    label_smoothing: Fraction = 0.0
    warmup: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """one-cycle: fraction of the updates in which the learning rate rises."""
    step_size: Annotated[int, Field(ge=1)] | None = None
    """step: epochs between two falls of the learning rate."""
    gamma: Annotated[float, Field(gt=0, lt=1)] | None = None
    """step, exponential, plateau: factor by which the learning rate falls."""
    scheduler_patience: Annotated[int, Field(ge=0)] | None = None
    """plateau: epochs without a lower validation loss that are waited through before the learning rate falls."""
    scheduler: Annotated[str, AfterValidator(partial(require_known, "scheduler"))]

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bfloat16 autocast where the device has instructions for it, float32 elsewhere."""

    @property
    def classes(self) -> int:
        """How many logits the network has: one a digit, and one more for what is none where it learns of that."""
        from pipeline.digits import CLASSES

        return CLASSES + (self.outliers > 0)

    def member(self, index: int) -> Self:
        """Return the recipe of one member of the ensemble, 0 the first."""
        return self.model_copy(update={"members": 1, "seed": self.seed + index})

    @field_validator("validation_fraction")
    @classmethod
    def is_measured_once(cls, fraction: float, known: ValidationInfo) -> float:
        """Refuse rows set aside for an ensemble, which is measured on its folds."""
        if fraction and known.data.get("members", 1) > 1:
            raise ValueError("an ensemble is measured on its folds and keeps each member's last epoch; set it to 0")
        return fraction

    @field_validator("patience")
    @classmethod
    def can_be_judged(cls, patience: int | None, known: ValidationInfo) -> int | None:
        """Refuse patience where there will be no validation loss to improve."""
        if patience is not None and known.data.get("validation_fraction") == 0:
            raise ValueError("without validation rows nothing can improve; set validation_fraction above 0")
        return patience

    @field_validator("scheduler")
    @classmethod
    def has_its_arguments(cls, scheduler: str, known: ValidationInfo) -> str:
        """Refuse a scheduler that is not told all that it needs."""
        missing = [key for key in SCHEDULERS[scheduler].arguments if key in known.data and known.data[key] is None]
        if missing:
            raise ValueError(f"it needs {' and '.join(missing)}; set {'them' if len(missing) > 1 else 'it'} too")
        if scheduler == "plateau" and known.data.get("validation_fraction") == 0:
            raise ValueError("it watches the validation loss; set validation_fraction above 0")
        return scheduler

    @field_validator("image_size")
    @classmethod
    def can_be_read(cls, image_size: int, known: ValidationInfo) -> int:
        """Refuse a size that the network cannot read."""
        if "model" not in known.data:
            return image_size
        sizes = ARCHITECTURES[known.data["model"]].sizes
        if image_size not in sizes:
            raise ValueError(
                f"{known.data['model']} reads images from {sizes[0]} to {sizes[-1]} pixels long; set it so"
            )
        return image_size

    @field_validator("pretrained")
    @classmethod
    def has_weights(cls, pretrained: str | None, known: ValidationInfo) -> str | None:
        """Refuse pretrained weights for a network that has none."""
        model = known.data.get("model")
        if pretrained and model and not ARCHITECTURES[model].pretrained:
            owners = ", ".join(name for name, row in ARCHITECTURES.items() if row.pretrained)
            raise ValueError(f"there are no such weights of {model}, only of {owners}; set it to null")
        return pretrained

    @classmethod
    def from_values(cls, values: dict[str, Any], path: Path, overrides: Sequence[str] = ()) -> Self:
        """As `Settings.from_values`; also a UserError for a recipe of parity alone and for settings without effect.

        A setting of the file that loses its effect because an override chooses another model, optimizer or scheduler
        takes its default value.
        """
        if "trainer" in values:
            raise UserError(no_digits(path.stem if path.parent == RECIPES else path))
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
    """Return the recipe of that name, or in that YAML file, of its own kind; for errors see `Settings.load`."""
    path = find(name)
    values = read_yaml(path)
    kind = FineTuning if "trainer" in values else Recipe
    return kind.from_values(values, path, overrides)


def load_saved_recipe(path: Path) -> Recipe | FineTuning:
    """Return the recipe that a run has kept. Settings without effect, which old versions kept, are ignored."""
    values = read_yaml(path)
    if "trainer" in values:
        return FineTuning.from_values(values, path)
    return Recipe.from_values({key: value for key, value in values.items() if not unused_because(key, values)}, path)


def no_digits(name: object) -> str:
    """Return why a recipe or a run that tells odd from even cannot be taken where digits are asked for."""
    return f"{name}: tells odd from even, not which digit it is; take one that reads digits, such as fast"
