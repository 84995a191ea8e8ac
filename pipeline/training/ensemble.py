"""An ensemble: members trained side by side, each without one fold of the rows, and measured on what they never saw."""

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

from pipeline.card import Epoch
from pipeline.config.recipe import Recipe
from pipeline.data.table import DigitTable
from pipeline.digits import CLASSES
from pipeline.errors import UserError
from pipeline.inference.predictor import Predictor
from pipeline.metrics.calibration import digit_threshold, softmax, temperature
from pipeline.metrics.score import score
from pipeline.models import build
from pipeline.run import OutOfFold, Run
from pipeline.sources.source import Source
from pipeline.training.network import train_network
from pipeline.training.setup import make_card, start_run
from pipeline.utils.device import compute_dtype, pick_device
from pipeline.utils.distributed import world_size
from pipeline.utils.workers import deal

log = logging.getLogger(__name__)


def train_ensemble(
    recipe: Recipe,
    source: Source,
    name: str | None = None,
    *,
    corrections: DigitTable | None = None,
    limit: int | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> Run:
    """Train the recipe's members and return the run in which they answer together.

    Each is trained on all rows but those of one fold, from a seed of its own, by a fixed schedule of which the last
    epoch is kept: nothing is chosen on the rows left out. They are what the ensemble is measured and calibrated on,
    each row by the members that never saw it: fewer than answer in the end, on less data, so that the estimate errs on
    the low side. On a CPU as many members are trained at once as there are cores, each on one, where none waits for
    another.

    Arguments and errors are those of `training.train`; and a UserError where a member's process fails.
    """
    if world_size() > 1:
        raise UserError(f"{recipe.name}: its members are trained side by side as it is: start it as one process")
    run, rows = start_run(recipe, source, name, corrections, limit, resume=resume)
    if rows is None:
        return run
    if not resume:
        device = pick_device()
        dtype = compute_dtype(recipe.precision, device)
        card = make_card(recipe, rows, source.name, build(recipe), device, dtype, "accelerate")
        run.begin(recipe, card, rows.seen.fingerprint)
    # Corrections come last, and none of them is left out.
    folds = folds_of(recipe, rows.training.select(np.arange(len(rows.training) - rows.corrections)))
    _train_members(run, recipe, source, rows.training, folds, quiet=quiet)
    _finish(run, recipe, rows.training, folds)
    return run


def folds_of(recipe: Recipe, table: DigitTable) -> list[NDArray[np.int64]]:
    """Return the rows that each member leaves out; after `folds` members the rows are parted anew."""
    parts = [table.folds(recipe.folds, recipe.seed + first) for first in range(0, recipe.members, recipe.folds)]
    return [np.flatnonzero(parts[index // recipe.folds] == index % recipe.folds) for index in range(recipe.members)]


def _train_members(
    run: Run, recipe: Recipe, source: Source, table: DigitTable, folds: list[NDArray[np.int64]], *, quiet: bool
) -> None:
    """Train all members that are not complete, several at once, in worker processes."""
    workers = _at_once(recipe)
    waiting = [index for index in range(recipe.members) if not _complete(_member_run(run, index))]
    log.info(
        "%s: %d members, %d at once, each without one of %d folds of %s rows\nRun: %s",
        recipe.name, recipe.members, workers, recipe.folds, f"{len(table):,}", run,
    )  # fmt: skip
    train_member = MemberTraining(run.folder, recipe, source.name, source.data_dir, table, folds, workers)
    try:
        with (
            tqdm(
                total=recipe.members, initial=recipe.members - len(waiting), unit="member", disable=quiet or None
            ) as bar,
            closing(deal(train_member, waiting, min(workers, len(waiting)))) as outcomes,
        ):
            for outcome in outcomes:
                if outcome.death:
                    raise UserError(
                        f"{run}: a member's process ended with {outcome.death}; the work of the others is kept. "
                        f"To resume: {run.resume_command}"
                    )
                bar.update()
    except KeyboardInterrupt:
        log.warning("Stopped. To resume: %s", run.resume_command)
        raise


@dataclass(frozen=True)
class MemberTraining:
    """Trains members in a worker process.

    Attributes:
        folder: of the ensemble's run.
        source: its name.
        folds: the rows of the table that each member leaves out.
        workers: how many share this machine's cores.
    """

    folder: Path
    recipe: Recipe
    source: str
    data_dir: Path
    table: DigitTable
    folds: list[NDArray[np.int64]]
    workers: int

    def __call__(self, index: int) -> None:
        """Train one member, or resume it."""
        logging.getLogger("pipeline").setLevel(logging.ERROR)
        torch.set_num_threads(max(1, _available_cores() // self.workers))
        rest = self.table.select(np.setdiff1d(np.arange(len(self.table)), self.folds[index]))
        source = Source(self.source, self.folder, "all folds but one", lambda: rest, lambda: rest, self.data_dir)
        run = _member_run(Run(self.folder), index)
        train_network(self.recipe.member(index), source, str(run), resume=run.recipe_path.exists(), quiet=True)


def _at_once(recipe: Recipe) -> int:
    """Return how many members are trained at once: on a CPU as many as there are cores, one on anything else."""
    return min(_available_cores(), recipe.members) if pick_device().type == "cpu" else 1


def _available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _member_run(run: Run, index: int) -> Run:
    """Return the run of one member, within that of the ensemble until it is complete."""
    return Run(run.folder / "members" / f"{index:02}")


def _complete(run: Run) -> bool:
    """Tell whether a run was trained to its end."""
    return run.recipe_path.exists() and run.card.finished


def _finish(run: Run, recipe: Recipe, table: DigitTable, folds: list[NDArray[np.int64]]) -> None:
    """Put the members together, measure and calibrate them on what they left out, and write the run's last word."""
    weights: dict[str, Tensor] = {}
    sums = np.zeros((len(table), recipe.classes), dtype=np.float32)
    counts = np.zeros(len(table), dtype=np.int64)
    histories = []
    minutes = 0.0
    for index, left_out in enumerate(folds):
        member = _member_run(run, index)
        weights |= {f"members.{index}.{name}": tensor for name, tensor in member.load_model().items()}
        predictor = Predictor.load(member)
        sums[left_out] += predictor.logits(predictor.exact, torch.float32, table.select(left_out))
        counts[left_out] += 1
        histories.append(member.history)
        minutes += member.card.minutes
    seen = np.flatnonzero(counts)
    logits: NDArray[np.float32] = (sums[seen] / counts[seen, None]).astype(np.float32)
    labels = table.known_labels[seen]
    card = run.card
    card.temperature = temperature(logits[:, :CLASSES], labels)
    logits /= np.float32(card.temperature)
    card.digit_threshold = digit_threshold(logits)
    probabilities = softmax(logits[:, :CLASSES])
    result = score(probabilities.argmax(axis=1), labels, probabilities)
    assert result.loss is not None
    card.validation_rows = len(seen)
    card.scores = {"validation_loss": result.loss, "validation_accuracy": result.accuracy}
    card.minutes = minutes / _at_once(recipe)
    card.finished = True
    run.save_model(weights)
    run.save_out_of_fold(OutOfFold(seen, logits))
    run.save_history([_mean_of(epochs) for epochs in zip(*histories, strict=True)])
    run.finish(card)
    shutil.rmtree(run.folder / "members")
    log.info(
        "Out of fold, each row by %.1f of the %d members, which never saw it: %s",
        counts[seen].mean(),
        len(folds),
        result,
    )


def _mean_of(epochs: tuple[Epoch, ...]) -> Epoch:
    """Return what the members' same epoch was in the mean, its seconds in sum."""
    return epochs[0].model_copy(
        update={
            "train_loss": float(np.mean([epoch.train_loss for epoch in epochs])),
            "train_accuracy": float(np.mean([epoch.train_accuracy or 0 for epoch in epochs])),
            "seconds": sum(epoch.seconds for epoch in epochs),
        }
    )
