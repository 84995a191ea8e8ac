"""Setup of a training run: its rows, its folder, and its card with the provenance."""

import hashlib
import logging
import platform
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

import torch
from torch import nn

from pipeline.card import Card
from pipeline.config.fine_tuning import FineTuning
from pipeline.config.recipe import Recipe
from pipeline.data.table import DigitTable, concatenate
from pipeline.errors import UserError
from pipeline.run import Run
from pipeline.sources.source import Source
from pipeline.training.resume import find_resumable, how_to_continue
from pipeline.utils.device_errors import report_device_errors
from pipeline.utils.processes.distributed import broadcast_from_main, world_size

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rows:
    """The rows of a training run.

    Attributes:
        training: training rows, including corrections.
        validation: validation rows.
        seen: all training and validation rows.
        source: digest of all rows of the source.
        corrections: number of corrections.
    """

    training: DigitTable
    validation: DigitTable
    seen: DigitTable
    source: str
    corrections: int

    @property
    def ordered_digest(self) -> str:
        """A digest of the images and labels that depends on their order."""
        digest = hashlib.blake2b(digest_size=8)
        for table in (self.training, self.validation):
            digest.update(table.pixels.tobytes())
            digest.update(table.known_labels.tobytes())
        return digest.hexdigest()

    def require_match(self, run: Run) -> None:
        """Raise a UserError if the run to resume was started on other rows."""
        if run.fingerprint.digest != self.seen.fingerprint.digest:
            raise UserError(
                f"{run}: was started on other data ({run.card.source}, {run.card.train_rows:,} training rows); "
                f"resume it with the same --source, --data, --limit and --with: {run.resume_command}"
            )


@contextmanager
def start_run(
    recipe: Recipe | FineTuning,
    source: Source,
    name: str | None,
    corrections: DigitTable | None,
    limit: int | None,
    *,
    resume: bool,
) -> Iterator[tuple[Run, Rows | None]]:
    """Yield a new run, or the run to resume, and its rows. The rows are None if the run to resume is complete.

    While the block runs, no other process can train this run. An error of a device in the block names the command that
    continues the run. Arguments and errors are those of `train`.
    """
    with ExitStack() as held:
        run = broadcast_from_main(lambda: _lock_run(held, recipe, name, resume=resume))
        if resume and broadcast_from_main(lambda: run.card.finished):
            log.info("%s is already complete.", run)
            yield run, None
            return
        rows = _split_rows(recipe, source, corrections, limit)
        require_equal_inputs(recipe, rows)
        if resume:
            broadcast_from_main(lambda: _continue_run(run, recipe, rows))
        with report_device_errors(partial(how_to_continue, run, recipe)):
            yield run, rows


def _lock_run(held: ExitStack, recipe: Recipe | FineTuning, name: str | None, *, resume: bool) -> Run:
    """Return a new run or the run to resume, locked until `held` is closed."""
    run = find_resumable(recipe, name) if resume else Run.create(name, recipe)
    held.enter_context(run.lock())
    if not resume:
        run.require_new()  # another process may have begun it in the meantime
    return run


def _continue_run(run: Run, recipe: Recipe | FineTuning, rows: Rows) -> None:
    """Save the settings with which a run is resumed. Raise a UserError if it was started on other rows."""
    rows.require_match(run)
    recipe.save(run.recipe_path)
    run.recipe = recipe


def _split_rows(
    recipe: Recipe | FineTuning, source: Source, corrections: DigitTable | None = None, limit: int | None = None
) -> Rows:
    """Return the training and validation rows of a source. `limit` and `corrections` are as in `train`."""
    table = seen = source.read_train()
    training, validation = split_table(table, recipe, limit, limit and limit // 5)
    if limit:
        seen = concatenate([training, validation])
    if corrections:
        seen, training = (concatenate([rows, corrections]) for rows in (seen, training))
    return Rows(training, validation, seen, table.fingerprint.digest, len(corrections or ()))


def split_table(
    table: DigitTable, recipe: Recipe | FineTuning, train_rows: int | None, validation_rows: int | None
) -> tuple[DigitTable, DigitTable]:
    """Return a recipe's training and validation rows, sampled to the given numbers of rows unless these are None."""
    parts = table.split(recipe.validation_fraction, recipe.seed)
    limits = (train_rows, validation_rows)
    training, validation = (
        part if limit is None else part.sample(limit, recipe.seed) for part, limit in zip(parts, limits, strict=True)
    )
    return training, validation


def require_equal_inputs(recipe: Recipe | FineTuning, rows: Rows) -> None:
    """Raise a UserError if this process has another recipe or other rows than the main process."""
    if world_size() == 1:
        return
    own = {"recipe": recipe.model_dump_json(), "rows": rows.ordered_digest}
    main = broadcast_from_main(lambda: own)
    for key, value in own.items():
        if value != main[key]:
            raise UserError(
                f"{platform.node()}: the {key} here and in the main process differ; "
                "start all processes with the same command and files"
            )


def require_divisible(batch_size: int, processes: int) -> None:
    """Raise a UserError if the batch size is not divisible by the number of processes."""
    if batch_size % processes:
        divisible = batch_size - batch_size % processes or processes
        raise UserError(
            f"batch_size {batch_size} is not divisible by {processes} processes; "
            f"use --set batch_size={divisible}, or start another number of processes"
        )


def make_card(
    recipe: Recipe | FineTuning,
    rows: Rows,
    source: Source,
    model: nn.Module,
    device: torch.device,
    dtype: torch.dtype,
    loop: str,
) -> Card:
    """Return the card of a new run.

    Args:
        recipe: the run's recipe.
        rows: its rows.
        source: the data source.
        model: the initial network.
        device: the device that trains it.
        dtype: the compute dtype.
        loop: name of the package that runs the training loop; its version is recorded.
    """
    return Card(
        recipe=recipe.name,
        source=source.name,
        options=list(source.options),
        fingerprint=rows.source,
        train_rows=len(rows.training),
        corrections=rows.corrections,
        validation_rows=len(rows.validation),
        seed=recipe.seed,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        device=str(device),
        processes=world_size(),
        precision=str(dtype).removeprefix("torch."),
        versions={"python": platform.python_version()}
        | {package: version(package) for package in ("torch", loop, "numpy")},
        commit=_current_commit(),
        started=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
    )


def _current_commit() -> str | None:
    """Return the commit hash of the project's git checkout, or None if there is none.

    An installed package may lie in the checkout of another project.
    """
    root = Path(__file__).parents[2]
    command = ["git", "-C", str(root), "rev-parse", "--show-toplevel", "HEAD"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if result.returncode:
        return None
    checkout, commit = result.stdout.splitlines()
    return commit if Path(checkout).resolve() == root.resolve() else None
