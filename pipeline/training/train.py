"""The entry point for training any recipe."""

from typing import Any

from pipeline.config.fine_tuning import FineTuning
from pipeline.config.recipe import Recipe
from pipeline.data.table import DigitTable
from pipeline.run import Run
from pipeline.sources.source import Source


def train(
    recipe: Recipe | FineTuning,
    source: Source,
    name: str | None = None,
    *,
    corrections: DigitTable | None = None,
    limit: int | None = None,
    resume: bool = False,
    tracker: str | None = None,
    quiet: bool = False,
) -> Run:
    """Train a recipe on a source's labelled rows and return the finished run.

    This project's own `Trainer` trains single networks and each member of an ensemble. Transformers' Trainer trains
    fine-tuning recipes.

    Args:
        recipe: the recipe to train.
        source: the data source.
        name: name or folder of the run; None derives a name from the recipe and the time.
        corrections: labelled rows to train on in addition to the source's. None of them is used for validation.
        limit: maximum number of training rows from the source; a fifth of it is the maximum for validation rows.
        resume: resume the run `name`, or the newest unfinished run of the recipe.
        tracker: an experiment tracker to log the run to: trackio, wandb or mlflow; tensorboard is always logged to, if
            it is installed. A resumed run continues in its tracker.
        quiet: show no progress bar.

    Raises:
        UserError: the tracker is not installed, the rows are invalid or too few, the loss diverged, or the run to
            resume has another recipe or other data.
    """
    if tracker:
        from pipeline.training.tracking.trackers import require_tracker

        require_tracker(tracker)
    options: Any = {
        "corrections": corrections, "limit": limit, "resume": resume, "tracker": tracker, "quiet": quiet
    }  # fmt: skip
    if isinstance(recipe, FineTuning):
        from pipeline.training.fine_tune import fine_tune  # imports Transformers, which is slow

        return fine_tune(recipe, source, name, **options)
    from pipeline.training.ensemble import train_ensemble
    from pipeline.training.network import train_network

    loop = train_ensemble if recipe.members > 1 else train_network
    return loop(recipe, source, name, **options)
