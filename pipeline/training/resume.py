"""Resuming a run: which one, with which settings, and after an error of a device."""

from pipeline.config.fine_tuning import FineTuning
from pipeline.config.recipe import Recipe
from pipeline.errors import UserError
from pipeline.run import Run
from pipeline.utils.device_errors import MPS_FALLBACK, DeviceError, DeviceMemoryError, LoadingError

LOADING_SETTINGS = {"batch_size", "gradient_accumulation", "workers", "pin_memory"}
"""Settings that may change when a run is resumed, as long as each update has the same number of images."""


def find_resumable(recipe: Recipe | FineTuning, name: str | None) -> Run:
    """Return the run `name`, or the newest unfinished run of the recipe.

    Raises:
        UserError: there is none, or it was started with settings that the recipe does not continue.
    """
    run = Run.open(name) if name else Run.unfinished(recipe.name)
    if not _continues(recipe, run.recipe):
        raise UserError(f"{run}: was started with other settings; resume it with {run.resume_command}")
    return run


def _continues(recipe: Recipe | FineTuning, started: Recipe | FineTuning) -> bool:
    """Return whether a run that was started with one recipe can be resumed with another."""
    free = {"summary"}
    if isinstance(recipe, Recipe) and isinstance(started, Recipe) and _images(recipe) == _images(started):
        free |= LOADING_SETTINGS
    return recipe.model_dump(exclude=free) == started.model_dump(exclude=free)


def _images(recipe: Recipe) -> int:
    """Return the number of images of an update."""
    return recipe.batch_size * recipe.gradient_accumulation


def how_to_continue(run: Run, recipe: Recipe | FineTuning, kind: type[DeviceError]) -> str:
    """Return how to continue a run after an error of a device: what to change, and the command."""
    begun = run.recipe_path.exists()
    command = f"to resume: {run.resume_command}" if begun else "start it again with"
    if kind is LoadingError:
        return f"lower workers; {command} --set workers=0"
    if kind is DeviceMemoryError:
        smaller = _smaller_batches(recipe) if isinstance(recipe, Recipe) else None
        if smaller is None:
            return "start a new run with a lower batch_size or image_size"
        return f"lower batch_size, with as many images in an update; {command} {smaller}"
    if begun:
        return f"to resume, with the CPU for this operator: {MPS_FALLBACK} {run.resume_command}"
    return kind.remedy


def _smaller_batches(recipe: Recipe) -> str | None:
    """Return the options for smaller batches with as many images in an update; None if there are none."""
    size = recipe.batch_size
    factor = next((number for number in range(2, size // 2 + 1) if size % number == 0), None)
    if factor is None:
        return None
    return f"--set batch_size={size // factor} --set gradient_accumulation={recipe.gradient_accumulation * factor}"
