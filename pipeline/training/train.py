"""What trains a recipe of each kind."""

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
    quiet: bool = False,
) -> Run:
    """Train a recipe on a source's labelled rows and return the finished run.

    One network is trained by our own loop, the members of an ensemble each by it, a fine-tuning by Transformers'
    Trainer.

    Args:
        name: of the run, or its folder; None makes a name from the recipe and the time.
        corrections: labelled rows to train on beside those of the source; none of them is set aside.
        limit: train on so many of the source's rows at most, and validate on a fifth of that at most.
        resume: go on with the run `name`, or with the newest unfinished run of the recipe.
        quiet: draw no progress bar.

    Raises:
        UserError: the rows are unsound or too few, the loss is no longer a number, or the run to resume had another
            recipe or other data.
    """
    if isinstance(recipe, FineTuning):
        from pipeline.training.fine_tune import fine_tune  # and Transformers with it

        return fine_tune(recipe, source, name, corrections=corrections, limit=limit, resume=resume, quiet=quiet)
    from pipeline.training.ensemble import train_ensemble
    from pipeline.training.network import train_network

    loop = train_ensemble if recipe.members > 1 else train_network
    return loop(recipe, source, name, corrections=corrections, limit=limit, resume=resume, quiet=quiet)
