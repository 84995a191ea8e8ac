"""Training of an ensemble: each member omits one fold of the rows and is evaluated on it."""

import logging
import os
import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from pipeline.card import Epoch, OutOfFold
from pipeline.config.recipe import Recipe
from pipeline.data.table import DigitTable
from pipeline.digits import CLASSES
from pipeline.errors import UserError
from pipeline.inference.predictor import Predictor
from pipeline.metrics.calibration import digit_threshold, fit_temperature, softmax
from pipeline.metrics.score import score
from pipeline.models import build
from pipeline.run import Run
from pipeline.run_folder import MEMBERS
from pipeline.sources.source import Source
from pipeline.training.network import train_network
from pipeline.training.setup import make_card, start_run
from pipeline.training.tracking.log import RunLogger
from pipeline.utils.device import compute_dtype, pick_device
from pipeline.utils.processes.distributed import world_size
from pipeline.utils.processes.workers import deal
from pipeline.utils.progress import hide_bar

log = logging.getLogger(__name__)


def train_ensemble(
    recipe: Recipe,
    source: Source,
    name: str | None = None,
    *,
    corrections: DigitTable | None = None,
    limit: int | None = None,
    resume: bool = False,
    tracker: str | None = None,
    quiet: bool = False,
) -> Run:
    """Train the recipe's members and return the run of the ensemble.

    Each member is trained on all rows except one fold, from its own seed, with a fixed schedule. Its last epoch is
    kept: no choice depends on the held-out fold. The ensemble is evaluated and calibrated on out-of-fold predictions,
    where each row is predicted by the members that were not trained on it. These are fewer members than in the final
    ensemble, trained on less data: the accuracy estimate is conservative. On a CPU the members are trained in parallel,
    one per core, because none of them has to wait for another.

    Arguments and errors are those of `train`.

    Raises:
        UserError: also if a member's process fails.
    """
    if world_size() > 1:
        raise UserError(f"{recipe.name}: an ensemble starts its own parallel workers; start it as a single process")
    with start_run(recipe, source, name, corrections, limit, resume=resume) as (run, rows):
        if rows is None:
            return run
        if not resume:
            device = pick_device()
            dtype = compute_dtype(recipe.precision, device)
            card = make_card(recipe, rows, source, build(recipe), device, dtype, "accelerate")
            run.begin(recipe, card, rows.seen.fingerprint)
        # Corrections are the last rows. No fold contains them, and every member is trained on them.
        folds = held_out_folds(recipe, rows.training.select(np.arange(len(rows.training) - rows.corrections)))
        _train_members(run, recipe, source, rows.training, folds, quiet=quiet)
        _merge_members(run, recipe, rows.training, folds, tracker, quiet=quiet)
        return run


def held_out_folds(recipe: Recipe, table: DigitTable) -> list[NDArray[np.int64]]:
    """Return the row indices that each member omits, int64. Every `folds` members the rows are split again."""
    splits = [table.folds(recipe.folds, recipe.seed + first) for first in range(0, recipe.members, recipe.folds)]
    return [np.flatnonzero(splits[index // recipe.folds] == index % recipe.folds) for index in range(recipe.members)]


def _train_members(
    run: Run, recipe: Recipe, source: Source, table: DigitTable, folds: list[NDArray[np.int64]], *, quiet: bool
) -> None:
    """Train all incomplete members in parallel worker processes."""
    workers = _count_workers(recipe)
    pending = [index for index in range(recipe.members) if not _is_complete(_member_run(run, index))]
    log.info(
        "%s: %d members, %d in parallel, each without one of %d folds of %s rows\nRun: %s",
        recipe.name, recipe.members, workers, recipe.folds, f"{len(table):,}", run,
    )  # fmt: skip
    train_member = MemberTraining(run.folder, recipe, source.name, source.data_dir, table, folds, workers)
    try:
        with (
            tqdm(
                total=recipe.members, initial=recipe.members - len(pending), unit="member", disable=hide_bar(quiet)
            ) as bar,
            closing(deal(train_member, pending, min(workers, len(pending)))) as outcomes,
        ):
            for outcome in outcomes:
                if outcome.death:
                    raise UserError(
                        f"{run}: a member's process ended with {outcome.death}; the progress of the others is kept. "
                        f"To resume: {run.resume_command}"
                    )
                bar.update()
    except KeyboardInterrupt:
        log.warning("Stopped. To resume: %s", run.resume_command)
        raise


@dataclass(frozen=True)
class MemberTraining:
    """Train members in a worker process.

    Attributes:
        folder: folder of the ensemble's run.
        recipe: the ensemble's recipe.
        source: name of the data source.
        data_dir: the source's data folder.
        table: all training rows.
        folds: the row indices that each member omits.
        workers: number of workers that share this machine's cores.
    """

    folder: Path
    recipe: Recipe
    source: str
    data_dir: Path
    table: DigitTable
    folds: list[NDArray[np.int64]]
    workers: int

    def __call__(self, index: int) -> None:
        """Train or resume one member."""
        logging.getLogger("pipeline").setLevel(logging.ERROR)
        torch.set_num_threads(max(1, _count_cores() // self.workers))
        rows = self.table.select(np.setdiff1d(np.arange(len(self.table)), self.folds[index]))
        source = Source(
            self.source, self.folder, "all folds but one", lambda: rows, lambda: rows, data_dir=self.data_dir
        )
        run = _member_run(Run(self.folder), index)
        train_network(self.recipe.member(index), source, str(run), resume=run.recipe_path.exists(), quiet=True)


def _count_workers(recipe: Recipe) -> int:
    """Return how many members are trained in parallel: one per core on a CPU, one on any other device."""
    return min(_count_cores(), recipe.members) if pick_device().type == "cpu" else 1


def _count_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _member_run(run: Run, index: int) -> Run:
    """Return the run of one member. It is inside the ensemble's run until the ensemble is complete."""
    return Run(run.folder / MEMBERS / f"{index:02}")


def _is_complete(run: Run) -> bool:
    """Return whether a run is finished."""
    return run.recipe_path.exists() and run.card.finished


def _merge_members(
    run: Run, recipe: Recipe, table: DigitTable, folds: list[NDArray[np.int64]], tracker: str | None, *, quiet: bool
) -> None:
    """Merge the members, evaluate and calibrate the ensemble on out-of-fold predictions, and finalise the run."""
    weights: dict[str, Tensor] = {}
    sums = np.zeros((len(table), recipe.classes), dtype=np.float32)
    counts = np.zeros(len(table), dtype=np.int64)
    histories = []
    minutes = 0.0
    for index, held_out in enumerate(folds):
        member = _member_run(run, index)
        weights |= {f"members.{index}.{name}": tensor for name, tensor in member.load_model().items()}
        predictor = Predictor.load(member)
        sums[held_out] += predictor.logits(predictor.fused_float32, torch.float32, table.select(held_out))
        counts[held_out] += 1
        histories.append(member.history)
        minutes += member.card.minutes
    predicted = np.flatnonzero(counts)
    logits: NDArray[np.float32] = (sums[predicted] / counts[predicted, None]).astype(np.float32)
    labels = table.known_labels[predicted]
    card = run.card
    card.temperature = fit_temperature(logits[:, :CLASSES], labels)
    logits /= np.float32(card.temperature)
    card.digit_threshold = digit_threshold(logits)
    probabilities = softmax(logits[:, :CLASSES])
    result = score(probabilities.argmax(axis=1), labels, probabilities)
    assert result.loss is not None
    card.validation_rows = len(predicted)
    card.scores = {"validation_loss": result.loss, "validation_accuracy": result.accuracy}
    card.minutes = minutes / _count_workers(recipe)
    card.finished = True
    run.save_model(weights)
    run.save_out_of_fold(OutOfFold(predicted, logits))
    history = [_average_epochs(epochs) for epochs in zip(*histories, strict=True)]
    run.save_history(history)
    run.finish(card)
    shutil.rmtree(run.folder / MEMBERS)
    with RunLogger(run, recipe, 0, tracker, quiet=quiet) as run_logger:
        for epoch in history:
            run_logger.add(epoch)
        log.info(
            "Out-of-fold, each row predicted by the %.1f of %d members not trained on it: %s",
            counts[predicted].mean(),
            len(folds),
            result,
        )


def _average_epochs(epochs: tuple[Epoch, ...]) -> Epoch:
    """Return one epoch of all members with averaged metrics and summed seconds."""
    return epochs[0].model_copy(
        update={
            "train_loss": float(np.mean([epoch.train_loss for epoch in epochs])),
            "train_accuracy": float(np.mean([epoch.train_accuracy or 0 for epoch in epochs])),
            "seconds": sum(epoch.seconds for epoch in epochs),
        }
    )
