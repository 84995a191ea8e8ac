"""SearchSpace: which of a recipe's settings a search varies, and how far; validated, and read from YAML."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, get_args

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from pipeline.config.recipe import Recipe
from pipeline.config.settings import first_fault, read_yaml
from pipeline.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from optuna import Trial

SPACES = Path(__file__).parent / "spaces"

COMPARED = "trials are compared by their loss on the same rows, and this changes"
NOT_SEARCHED = {
    **dict.fromkeys(["name", "summary", "minutes", "accuracy"], "it is no setting of the training"),
    **dict.fromkeys(["seed", "validation_fraction"], f"{COMPARED} which rows are set aside"),
    "label_smoothing": f"{COMPARED} what the loss means",
}
"""Keys of a recipe that no search may vary, and why."""


class Range(BaseModel):
    """All numbers from `low` to `high`, both included; searched by factors in place of differences if `log`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    low: float
    high: float
    log: bool = False


Choices = tuple[Any, ...]


@dataclass(frozen=True)
class SearchSpace:
    """What a search draws from: for each setting that it varies, a range or the choices."""

    settings: Mapping[str, Range | Choices]

    @classmethod
    def load(cls, recipe: str, path: Path | None = None, fixed: Collection[str] = ()) -> Self:
        """Return the space in a YAML file; without one, that of the recipe of that name, or the one for any recipe.

        Args:
            fixed: settings that are left out, for the user has set them.

        Raises:
            UserError: the file is missing or malformed, a setting is not known or must not be searched, its values are
                not valid, or nothing is left.
        """
        if path is None:
            path = SPACES / f"{recipe}.yaml"
            path = path if path.exists() else SPACES / "default.yaml"
        values = read_yaml(path, "search space", f"{SPACES / 'default.yaml'} is an example")
        settings = {}
        for key, value in values.items():
            try:
                settings[str(key)] = _setting(str(key), value)
            except UserError as error:
                raise UserError(f"{path}: {error}") from None
        settings = {key: value for key, value in settings.items() if key not in fixed}
        if not settings:
            raise UserError(f"{path}: nothing is left to search; name a setting that no --set fixes")
        return cls(settings)

    def suggest(self, trial: "Trial") -> dict[str, Any]:
        """Return the settings that a trial is to take."""
        return {key: _suggested(trial, key, values) for key, values in self.settings.items()}

    def as_json(self) -> dict[str, Any]:
        """Return the space as JSON can hold it."""
        return {
            key: values.model_dump() if isinstance(values, Range) else list(values)
            for key, values in self.settings.items()
        }


def _suggested(trial: "Trial", key: str, values: Range | Choices) -> Any:
    """Return what a trial is to take of a range or of choices."""
    if not isinstance(values, Range):
        return trial.suggest_categorical(key, values)
    if int in _types_of(key):
        return trial.suggest_int(key, int(values.low), int(values.high), log=values.log)
    return trial.suggest_float(key, values.low, values.high, log=values.log)


def _setting(key: str, value: Any) -> Range | Choices:
    """Return the range or the choices that the YAML of one setting means.

    Raises:
        UserError: the setting is not known or must not be searched, or a value is none of its type or its limits.
    """
    if key not in Recipe.model_fields:
        known = [name for name in Recipe.model_fields if name not in NOT_SEARCHED]
        raise UserError(f'unknown key "{key}"{did_you_mean(key, known)} (known: {", ".join(known)})')
    if key in NOT_SEARCHED:
        raise UserError(f"{key} cannot be searched: {NOT_SEARCHED[key]}; leave it out, or --set it")
    if isinstance(value, list):
        choices = tuple(_valid(key, choice) for choice in value)
        if len(set(choices)) < max(2, len(choices)):
            raise UserError(f"{key}: {value} is no choice; list two values or more, each once")
        return choices
    if not isinstance(value, dict):
        raise UserError(f"{key}: {value!r} is no range; write {{low: ..., high: ...}}, or a list of choices")
    return _range_of(key, value)


def _range_of(key: str, value: dict[str, Any]) -> Range:
    """Return the range of a setting that is a number."""
    if not _types_of(key) & {int, float}:
        raise UserError(f"{key} is no number; list its choices")
    try:
        found = Range.model_validate(value)
    except ValidationError as error:
        raise UserError(f"{key}: {first_fault(error, Range.model_fields)[1]}") from None
    for end in (found.low, found.high):
        _valid(key, end)
    if not found.low < found.high:
        raise UserError(f"{key}: low {found.low:g} must be below high {found.high:g}")
    if found.log and found.low <= 0:
        raise UserError(f"{key}: log cannot begin at {found.low:g}; set low above 0, or leave log out")
    return found


def _types_of(key: str) -> set[Any]:
    """Return the type of a setting, or all those that it may have; a literal has its values."""
    annotation = Recipe.model_fields[key].annotation
    return {getattr(kind, "__origin__", kind) for kind in (annotation, *get_args(annotation))}


def _valid(key: str, value: Any) -> Any:
    """Return a value as the type of its setting; a UserError where it is outside its limits."""
    field = Recipe.model_fields[key]
    kind: Any = Annotated[field.annotation, field]
    adapter = TypeAdapter[Any](kind, config=ConfigDict(allow_inf_nan=False))
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise UserError(f"{key}: {value!r} is not valid: {error.errors()[0]['msg']}") from None
