"""SearchSpace: the settings that a search varies, with their ranges or choices; loaded from YAML and validated."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, get_args

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from pipeline.config.recipe import Recipe
from pipeline.config.settings import first_error, read_yaml
from pipeline.errors import UserError, did_you_mean, quote

if TYPE_CHECKING:
    from optuna import Trial

SPACES = Path(__file__).parent / "spaces"

COMPARED = "trials are compared by their loss on the same rows, and this changes"
NOT_SEARCHED = {
    **dict.fromkeys(["name", "summary", "minutes", "accuracy"], "it does not affect the training"),
    **dict.fromkeys(["seed", "validation_fraction"], f"{COMPARED} the validation rows"),
    "label_smoothing": f"{COMPARED} the loss function",
}
"""Recipe keys that a search must not vary, each with the reason."""


class Range(BaseModel):
    """A closed interval of numbers from `low` to `high`, sampled on a log scale if `log`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    low: float
    high: float
    log: bool = False


Choices = tuple[Any, ...]


@dataclass(frozen=True)
class SearchSpace:
    """The range or the choices of each setting that a search varies."""

    settings: Mapping[str, Range | Choices]

    @classmethod
    def load(cls, recipe: str, path: Path | None = None, fixed: Collection[str] = ()) -> Self:
        """Return the search space in a YAML file.

        Args:
            recipe: name of the recipe.
            path: the file; None means the recipe's own space, or the default space if it has none.
            fixed: settings to leave out, because the user has set them.

        Raises:
            UserError: the file is missing or malformed, a setting is unknown or must not be searched, its values are
                not valid, or no setting is left.
        """
        if path is None:
            path = SPACES / f"{recipe}.yaml"
            path = path if path.exists() else SPACES / "default.yaml"
        values = read_yaml(path, "search space", f"{SPACES / 'default.yaml'} is an example")
        settings = {}
        for key, value in values.items():
            try:
                settings[str(key)] = _parse_setting(str(key), value)
            except UserError as error:
                raise UserError(f"{path}: {error}") from None
        settings = {key: value for key, value in settings.items() if key not in fixed}
        if not settings:
            raise UserError(f"{path}: no setting is left to search; add one that --set does not fix")
        return cls(settings)

    def suggest(self, trial: "Trial") -> dict[str, Any]:
        """Return the settings that the study suggests for a trial."""
        return {key: _suggest_value(trial, key, values) for key, values in self.settings.items()}

    def as_json(self) -> dict[str, Any]:
        """Return the space as JSON-serialisable values."""
        return {
            key: values.model_dump() if isinstance(values, Range) else list(values)
            for key, values in self.settings.items()
        }


def _suggest_value(trial: "Trial", key: str, values: Range | Choices) -> Any:
    """Return the value that the study suggests from a range or from choices."""
    if not isinstance(values, Range):
        return trial.suggest_categorical(key, values)
    if int in _types_of(key):
        return trial.suggest_int(key, int(values.low), int(values.high), log=values.log)
    return trial.suggest_float(key, values.low, values.high, log=values.log)


def _parse_setting(key: str, value: Any) -> Range | Choices:
    """Return the range or the choices of one setting from its YAML value.

    Raises:
        UserError: the setting is unknown or must not be searched, or a value has the wrong type or is out of limits.
    """
    if key not in Recipe.model_fields:
        known = [name for name in Recipe.model_fields if name not in NOT_SEARCHED]
        raise UserError(f'unknown key "{quote(key)}"{did_you_mean(key, known)} (known: {", ".join(known)})')
    if key in NOT_SEARCHED:
        raise UserError(f"{key} cannot be searched: {NOT_SEARCHED[key]}; remove it, or fix it with --set")
    if isinstance(value, list):
        choices = tuple(_validate(key, choice) for choice in value)
        if len(set(choices)) < max(2, len(choices)):
            raise UserError(f"{key}: {quote(value)} is not a choice; list at least two distinct values")
        return choices
    if not isinstance(value, dict):
        raise UserError(
            f"{key}: {quote(repr(value))} is not a range; write {{low: ..., high: ...}}, or a list of choices"
        )
    return _parse_range(key, value)


def _parse_range(key: str, value: dict[str, Any]) -> Range:
    """Return the range of a numeric setting; raise a UserError if the range is not valid."""
    if not _types_of(key) & {int, float}:
        raise UserError(f"{key} is not a number; list its choices")
    try:
        parsed = Range.model_validate(value)
    except ValidationError as error:
        raise UserError(f"{key}: {first_error(error, Range.model_fields)[1]}") from None
    for end in (parsed.low, parsed.high):
        _validate(key, end)
    if not parsed.low < parsed.high:
        raise UserError(f"{key}: low {parsed.low:g} must be below high {parsed.high:g}")
    if parsed.log and parsed.low <= 0:
        raise UserError(f"{key}: a log scale cannot start at {parsed.low:g}; set low above 0, or remove log")
    return parsed


def _types_of(key: str) -> set[Any]:
    """Return the types that a setting accepts; a literal is represented by its values."""
    annotation = Recipe.model_fields[key].annotation
    return {getattr(kind, "__origin__", kind) for kind in (annotation, *get_args(annotation))}


def _validate(key: str, value: Any) -> Any:
    """Return a value converted to the type of its setting; raise a UserError if it is not valid."""
    field = Recipe.model_fields[key]
    kind: Any = Annotated[field.annotation, field]
    adapter = TypeAdapter[Any](kind, config=ConfigDict(allow_inf_nan=False))
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise UserError(f"{key}: {quote(repr(value))} is not valid: {error.errors()[0]['msg']}") from None
