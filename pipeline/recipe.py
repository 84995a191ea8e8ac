"""Recipe: everything that a run depends on, but its data; validated, and read from YAML."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from pipeline.errors import UserError, did_you_mean
from pipeline.files import written_whole

RECIPES = Path(__file__).parent / "recipes"

SCHEDULER_NEEDS: dict[str, list[str]] = {
    "none": [],
    "step": ["step_size", "gamma"],
    "exponential": ["gamma"],
    "plateau": ["gamma", "scheduler_patience"],
    "cosine": [],
    "one-cycle": [],
}
IMAGE_SIZES = {
    "fast": range(27, 39),
    "resnet18": range(1, 513),
    "resnet50": range(1, 513),
    "vgg16": range(32, 513),
    "branch-cnn": range(4, 513),
    "light-cnn": range(6, 513),
}
"""What each network can read; the most is a limit of time and memory, but for `fast`."""
PRETRAINED = ["resnet18", "resnet50", "vgg16"]

Fraction = Annotated[float, Field(ge=0, lt=1)]


class Recipe(BaseModel):
    """One way to train one network. Frozen; a key that it does not know is refused by name.

    A value is read as its field's type, so that YAML's `2e-4`, which is text to YAML, is a float here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    summary: str
    minutes: Annotated[float | None, Field(gt=0, exclude=True)] = None
    """That all its epochs took on 2 cores, as measured on MNIST; for the list of recipes, and no part of a run's."""
    accuracy: Annotated[float | None, Field(gt=0, le=100, exclude=True)] = None
    """In percent, of MNIST's test digits after these minutes; as `minutes`."""
    seed: Annotated[int, Field(ge=0)] = 0

    # Network
    model: Literal["fast", "resnet18", "resnet50", "vgg16", "branch-cnn", "light-cnn"]
    pretrained: Literal["imagenet"] | None = None
    """resnet18, resnet50, vgg16: begin with torchvision's weights for ImageNet in place of random ones."""
    image_size: Annotated[int, Field(validate_default=True)] = 28
    """Pixels along one side of what the network sees; images are scaled to it."""
    hidden_size: Annotated[int, Field(ge=1)] = 128
    """light-cnn: units of the hidden linear layer."""
    feature_dropout: Fraction = 0.0
    """light-cnn: of the features that enter the linear layers."""
    dropout: Fraction = 0.0
    """light-cnn, branch-cnn, vgg16: after each hidden linear layer."""

    # Data
    validation_fraction: Fraction = 0.1
    """Of the rows, set aside to measure on; with 0 all are trained on, and the last epoch is the one that is kept."""
    mean: float = 0.1307
    """Of the pixels, as fractions of full ink."""
    std: Annotated[float, Field(gt=0)] = 0.3081
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
    optimizer: Literal["sgd", "adam", "adamw", "rmsprop", "muon"]
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
    scheduler: Literal["none", "step", "exponential", "plateau", "cosine", "one-cycle"]

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bfloat16 autocast where the device has instructions for it, float32 elsewhere."""

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
        missing = [key for key in SCHEDULER_NEEDS[scheduler] if key in known.data and known.data[key] is None]
        if missing:
            raise ValueError(f"it needs {' and '.join(missing)}; set {'them' if len(missing) > 1 else 'it'} too")
        if scheduler == "plateau" and known.data.get("validation_fraction") == 0:
            raise ValueError("it watches the validation loss; set validation_fraction above 0")
        return scheduler

    @field_validator("image_size")
    @classmethod
    def can_be_read(cls, image_size: int, known: ValidationInfo) -> int:
        """Refuse a size that the network cannot read."""
        sizes = IMAGE_SIZES.get(known.data.get("model", ""), range(1, 513))
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
        if pretrained and model not in PRETRAINED:
            raise ValueError(f"there are no such weights of {model}, only of {', '.join(PRETRAINED)}; set it to null")
        return pretrained

    @classmethod
    def load(cls, name: str | Path, overrides: Sequence[str] = ()) -> Self:
        """Return the recipe of that name, or in that YAML file, with each override "KEY=VALUE" applied.

        Raises:
            UserError: there is no such recipe, its YAML is malformed, or a key or value is not valid.
        """
        path = find(name)
        values = read_yaml(path)
        origins = dict.fromkeys(values, str(path))
        for override in overrides:
            key, equals, value = override.partition("=")
            if not equals:
                raise UserError(f'--set {override}: write it as KEY=VALUE, for example "epochs=3"')
            origins[key.strip()] = f"--set {override}"
            values[key.strip()] = parse(value, origins[key.strip()])
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            key, fault = first_fault(error, cls.model_fields)
            raise UserError(f"{origins.get(key, path)}: {fault}") from None

    def save(self, path: Path, header: str = "") -> None:
        """Write every setting as YAML, but not what was measured with them; the header's lines above it, as remarks."""
        remarks = "".join(f"# {line}\n" for line in header.splitlines())
        with written_whole(path) as temporary:
            temporary.write_text(remarks + yaml.safe_dump(self.model_dump(), sort_keys=False), encoding="utf-8")


def names() -> list[str]:
    """Return the names of the recipes that come with the project, sorted."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def find(name: str | Path) -> Path:
    """Return the file of a recipe: one that comes with the project by its name, any other by its path."""
    if str(name) in names():
        return RECIPES / f"{name}.yaml"
    path = Path(name)
    if path.suffix in {".yaml", ".yml"}:
        return path
    raise UserError(
        f'there is no recipe "{name}"{did_you_mean(str(name), names())} (known: {", ".join(names())}; '
        "or give the path of a .yaml file)"
    )


def read_yaml(
    path: Path, kind: str = "recipe", remedy: str = "python -m pipeline recipes lists those at hand"
) -> dict[str, Any]:
    """Return the keys and values in a YAML file; `kind` and `remedy` are for the line that says what is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such {kind} file; {remedy}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a {kind}: {error}") from error
    values = parse(text, str(path))
    if not isinstance(values, dict):
        raise UserError(f'{path}: a {kind} is lines of "key: value", and this is not')
    return values


def parse(text: str, origin: str) -> Any:
    """Return what a YAML text means; a UserError names `origin` and the line."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        reason = getattr(error, "problem", None) or "malformed"
        raise UserError(f"{origin}{place}: not valid YAML ({reason}); correct it there") from None


def first_fault(error: ValidationError, known: Collection[str]) -> tuple[str, str]:
    """Return the key of the first fault that pydantic found, and the fault in words, with the nearest known key."""
    # A misspelt key is also a missing one: the spelling comes first.
    fault = min(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
    key = str(fault["loc"][0])
    if fault["type"] == "extra_forbidden":
        return key, f'unknown key "{key}"{did_you_mean(key, known)} (known: {", ".join(known)})'
    if fault["type"] == "missing":
        return key, f'key "{key}" is missing; add it'
    return key, f"{key}: {fault['input']!r} is not valid: {fault['msg'].removeprefix('Value error, ')}"
