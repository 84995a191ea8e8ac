"""Training of a single network."""

from collections.abc import Callable
from functools import partial

from pipeline.card import Epoch
from pipeline.config.recipe import Recipe
from pipeline.data.table import DigitTable
from pipeline.run import Run
from pipeline.sources.extra import add_extra_data, fetch_extra_data
from pipeline.sources.source import Source
from pipeline.training.line import train_line
from pipeline.training.pretrained import load_pretrained
from pipeline.training.setup import make_card, start_run
from pipeline.training.trainer import Trainer
from pipeline.utils.processes.distributed import main_process_first


def train_network(
    recipe: Recipe,
    source: Source,
    name: str | None = None,
    *,
    corrections: DigitTable | None = None,
    limit: int | None = None,
    resume: bool = False,
    tracker: str | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    quiet: bool = False,
) -> Run:
    """Train one network and return its finished run. Only the main process writes files.

    Args not listed are those of `train`.

    Args:
        on_epoch: callback, called on the main process after each epoch, when the epoch's files are written. An
            exception that it raises stops the training on every process.

    Raises:
        DivergedError: a loss is infinite or NaN.
        UserError: as in `train`.
    """
    with start_run(recipe, source, name, corrections, limit, resume=resume) as (run, rows):
        if rows is None:
            return run
        with main_process_first():
            fetch_extra_data(recipe, source.data_dir)
        extended = add_extra_data(recipe, rows.training, rows.validation, source.data_dir)
        trainer = Trainer(
            recipe, extended.training, rows.validation, run, extended.outliers, extended.calibration, on_epoch
        )
        if recipe.pretrained and not resume:
            with main_process_first():
                load_pretrained(trainer.network, recipe)
        if resume:
            trainer.restore()
        elif trainer.accelerator.is_main_process:
            trainer.save_progress()
            card = make_card(recipe, rows, source, trainer.model, trainer.device, trainer.dtype, "accelerate")
            run.begin(recipe, card, rows.seen.fingerprint)
        train_second = partial(train_line, run, recipe, rows.training, rows.validation, source.data_dir)
        trainer.fit(quiet=quiet, tracker=tracker, before_finish=train_second)
        return run
