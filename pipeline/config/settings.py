"""What every kind of recipe has in common: settings in a YAML file, validated, each to be changed by name."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import UserError, did_you_mean
from pipeline.utils.files import open_atomic

RECIPES = Path(__file__).parents[1] / "recipes"


class Settings(BaseModel):
    """What a training depends on. Frozen; a key that it does not know is refused by name.

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

    @classmethod
    def load(cls, name: str | Path, overrides: Sequence[str] = ()) -> Self:
        """Return the recipe of that name, or in that YAML file, with each override "KEY=VALUE" applied.

        Raises:
            UserError: there is no such recipe, its YAML is malformed, or a key or value is not valid.
        """
        path = find(name)
        return cls.from_values(read_yaml(path), path, overrides)

    @classmethod
    def from_values(cls, values: dict[str, Any], path: Path, overrides: Sequence[str] = ()) -> Self:
        """Return the recipe with the values that were read from `path`; otherwise as `load`."""
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
            key, fault = first_fault(error, cls.model_fields)
            raise UserError(f"{origins.get(key, path)}: {fault}") from None

    def save(self, path: Path, header: str = "") -> None:
        """Write every setting as YAML, but not what was measured with them; the header's lines above it, as remarks."""
        remarks = "".join(f"# {line}\n" for line in header.splitlines())
        with open_atomic(path) as temporary:
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
    values = _parse(text, str(path))
    if not isinstance(values, dict):
        raise UserError(f'{path}: a {kind} is lines of "key: value", and this is not')
    return values


def _parse(text: str, origin: str) -> Any:
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
    if fault["type"] == "missing" and len(fault["loc"]) == 1:
        return key, f'key "{key}" is missing; add it'
    return key, f"{key}: {fault['input']!r} is not valid: {fault['msg'].removeprefix('Value error, ')}"
