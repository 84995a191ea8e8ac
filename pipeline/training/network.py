"""Train one network: its rows, its run, its loop."""

from collections.abc import Callable

from pipeline.card import Epoch
from pipeline.config.recipe import Recipe
from pipeline.data.table import DigitTable
from pipeline.models.pretrained import load_pretrained
from pipeline.run import Run
from pipeline.sources.extra import add_extra_data, fetch_extra_data
from pipeline.sources.source import Source
from pipeline.training.setup import make_card, start_run
from pipeline.training.trainer import Trainer
from pipeline.utils.distributed import main_process_first


def train_network(
    recipe: Recipe,
    source: Source,
    name: str | None = None,
    *,
    corrections: DigitTable | None = None,
    limit: int | None = None,
    resume: bool = False,
    on_epoch: Callable[[Epoch], None] | None = None,
    quiet: bool = False,
) -> Run:
    """Train one network and return its finished run, which the main process alone writes.

    The other arguments are those of `train`.

    Args:
        on_epoch: called on the main process after each epoch, when all of it is written; what it raises ends the
            training on every process.

    Raises:
        DivergedError: a loss is infinite or not a number.
        UserError: as `train` says.
    """
    run, rows = start_run(recipe, source, name, corrections, limit, resume=resume)
    if rows is None:
        return run
    with main_process_first():
        fetch_extra_data(recipe, source.data_dir)
    more = add_extra_data(recipe, rows.training, rows.validation, source.data_dir)
    trainer = Trainer(recipe, more.training, rows.validation, run, more.outliers, more.calibration, on_epoch)
    if recipe.pretrained and not resume:
        with main_process_first():
            load_pretrained(trainer.accelerator.unwrap_model(trainer.model), recipe)
    if resume:
        trainer.restore()
    elif trainer.accelerator.is_main_process:
        trainer.save_progress()
        card = make_card(recipe, rows, source.name, trainer.model, trainer.device, trainer.dtype, "accelerate")
        run.begin(recipe, card, rows.seen.fingerprint)
    trainer.fit(quiet=quiet)
    return run
