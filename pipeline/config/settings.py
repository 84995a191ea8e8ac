"""Settings: base class of all recipes, loaded from YAML, validated, and overridden by key."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import UserError, did_you_mean, quote
from pipeline.utils.files import open_atomic, refuse_pipe

RECIPES = Path(__file__).parents[1] / "recipes"
SHORT_NAMES = {
    "lr": "learning_rate",
    "bs": "batch_size",
    "batch": "batch_size",
    "wd": "weight_decay",
    "opt": "optimizer",
    "sched": "scheduler",
    "arch": "model",
    "network": "model",
    "val_split": "validation_fraction",
    "amp": "precision",
    "dtype": "precision",
    "early_stopping": "patience",
    "random_state": "seed",
}
"""Settings by names that other programs use for them; suggested, not accepted."""


class Settings(BaseModel):
    """Settings of a training run. Instances are frozen; unknown keys are rejected by name.

    Each value is converted to the type of its field. YAML parses `2e-4` as text, for example; here it becomes a float.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    summary: str
    minutes: Annotated[float | None, Field(gt=0, exclude=True)] = None
    """Measured training time of all epochs on MNIST with 2 CPU cores. Shown in the list of recipes; not saved in a
    run."""
    accuracy: Annotated[float | None, Field(gt=0, le=100, exclude=True)] = None
    """Measured accuracy on MNIST's test images after these minutes, in percent. Shown and not saved, as `minutes`."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    @classmethod
    def load(cls, name: str | Path, overrides: Sequence[str] = ()) -> Self:
        """Return a built-in recipe by name, or the recipe in a YAML file, with each override "KEY=VALUE" applied.

        Raises:
            UserError: the recipe does not exist, its YAML is malformed, or a key or value is not valid.
        """
        path = find_recipe(name)
        return cls.from_values(read_yaml(path), path, overrides)

    @classmethod
    def from_values(cls, values: dict[str, Any], path: Path, overrides: Sequence[str] = ()) -> Self:
        """Return the recipe with these values, which were read from `path`; otherwise as `load`."""
        values = dict(values)
        origins = dict.fromkeys(values, str(path))
        for override in overrides:
            key, equals, value = override.partition("=")
            if not equals:
                raise UserError(f'--set {override}: write it as KEY=VALUE, for example "epochs=3"')
            origins[key.strip()] = f"--set {override}"
            values[key.strip()] = _parse(value, origins[key.strip()])
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            key, fault = first_error(error, cls.model_fields)
            raise UserError(f"{origins.get(key, path)}: {fault}") from None

    def save(self, path: Path, header: str = "") -> None:
        """Write every setting as YAML, except `minutes` and `accuracy`, below the lines of `header` as comments."""
        comments = "".join(f"# {line}\n" for line in header.splitlines())
        with open_atomic(path) as temporary:
            temporary.write_text(comments + yaml.safe_dump(self.model_dump(), sort_keys=False), encoding="utf-8")


def recipe_names() -> list[str]:
    """Return the names of the built-in recipes, sorted."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def find_recipe(name: str | Path) -> Path:
    """Return the file of a recipe, given the name of a built-in recipe or the path of a YAML file.

    Raises:
        UserError: `name` is neither; the message suggests the closest name.
    """
    if str(name) in recipe_names():
        return RECIPES / f"{name}.yaml"
    path = Path(name)
    if path.suffix in {".yaml", ".yml"}:
        return path
    raise UserError(
        f'no recipe "{name}"{did_you_mean(str(name), recipe_names())} (known: {", ".join(recipe_names())}; '
        "or give the path of a .yaml file)"
    )


def read_yaml(
    path: Path, kind: str = "recipe", remedy: str = "python -m pipeline recipes lists the built-in recipes"
) -> dict[str, Any]:
    """Return the keys and values of a YAML file.

    Args:
        kind: type of the file, for the error messages.
        remedy: advice in the error message if the file does not exist.

    Raises:
        UserError: the file is missing, unreadable, a pipe, malformed, or not a mapping.
    """
    refuse_pipe(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: {kind} file not found; {remedy}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a {kind}: {error}") from error
    values = _parse(text, str(path))
    if not isinstance(values, dict):
        raise UserError(f'{path}: a {kind} must be lines of "key: value"; correct the file')
    return values


def _parse(text: str, origin: str) -> Any:
    """Return the parsed YAML text, or raise a UserError that names `origin` and the line."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        reason = getattr(error, "problem", None) or "malformed"
        raise UserError(f"{origin}{place}: not valid YAML ({reason}); correct that line") from None


def first_error(error: ValidationError, known: Collection[str]) -> tuple[str, str]:
    """Return the key of the first error that pydantic found, and its message, which suggests the closest known key."""
    # A misspelt key also leaves the correct key missing: report the misspelling first.
    fault = min(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
    key = str(fault["loc"][0])
    if fault["type"] == "extra_forbidden":
        meant = SHORT_NAMES.get(key.lower(), key)
        suggestion = did_you_mean(meant if meant in known else key, known)
        return key, f'unknown key "{quote(key)}"{suggestion} (known: {", ".join(known)})'
    if fault["type"] == "missing" and len(fault["loc"]) == 1:
        return key, f'key "{key}" is missing; add it'
    return key, f"{key}: {quote(repr(fault['input']))} is not valid: {fault['msg'].removeprefix('Value error, ')}"
