"""What a training begins with: its rows, its run, and the card that says where the run comes from."""

import hashlib
import logging
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
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
from pipeline.utils.distributed import broadcast_from_main, world_size

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rows:
    """The rows of a training.

    Attributes:
        training: to learn from, corrections among them.
        validation: set aside, to measure on.
        seen: all that are learnt from or measured on.
        source: the digest of all that the source has.
        corrections: how many are corrections.
    """

    training: DigitTable
    validation: DigitTable
    seen: DigitTable
    source: str
    corrections: int

    @property
    def in_order(self) -> str:
        """A digest that is equal for equal images and labels in the same order."""
        digest = hashlib.blake2b(digest_size=8)
        for table in (self.training, self.validation):
            digest.update(table.pixels.tobytes())
            digest.update(table.known_labels.tobytes())
        return digest.hexdigest()

    def require_those_of(self, run: Run) -> None:
        """Raise a UserError where a run to resume began on other rows."""
        if run.fingerprint.digest != self.seen.fingerprint.digest:
            raise UserError(
                f"{run}: began on other data ({run.card.source}, {run.card.train_rows:,} rows to train on); "
                "give it the same --source, --data, --limit and --with again"
            )


def start_run(
    recipe: Recipe | FineTuning,
    source: Source,
    name: str | None,
    corrections: DigitTable | None,
    limit: int | None,
    *,
    resume: bool,
) -> tuple[Run, Rows | None]:
    """Return the run of a training and its rows, or None for these where the run to resume is complete.

    Arguments and errors are those of `training.train`.
    """
    run = broadcast_from_main(lambda: _find_resumable(recipe, name) if resume else Run.create(name, recipe))
    if resume and broadcast_from_main(lambda: run.card.finished):
        log.info("%s is complete: there is nothing left to resume.", run)
        return run, None
    rows = _split_rows(recipe, source, corrections, limit)
    require_equal_inputs(recipe, rows)
    if resume:
        broadcast_from_main(lambda: rows.require_those_of(run))
    return run, rows


def _split_rows(
    recipe: Recipe | FineTuning, source: Source, corrections: DigitTable | None = None, limit: int | None = None
) -> Rows:
    """Return the rows that a training on a source has; `limit` and `corrections` as in `train`."""
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
    """Return the training and the validation rows of a recipe, each sampled to so many rows unless that is None."""
    parts = table.split(recipe.validation_fraction, recipe.seed)
    limits = (train_rows, validation_rows)
    training, validation = (
        part if limit is None else part.sample(limit, recipe.seed) for part, limit in zip(parts, limits, strict=True)
    )
    return training, validation


def require_equal_inputs(recipe: Recipe | FineTuning, rows: Rows) -> None:
    """Raise a UserError where this process was given another recipe or other rows than the main one."""
    if world_size() == 1:
        return
    mine = {"recipe": recipe.model_dump_json(), "rows": rows.in_order}
    main = broadcast_from_main(lambda: mine)
    for what, own in mine.items():
        if own != main[what]:
            raise UserError(
                f"{platform.node()}: not the same {what} as in the first process; give all the same command and files"
            )


def _find_resumable(recipe: Recipe | FineTuning, name: str | None) -> Run:
    """Return the run to go on with; a UserError where it was begun with another recipe."""
    run = Run.open(name) if name else Run.unfinished(recipe.name)
    if run.recipe.model_dump() != recipe.model_dump():
        raise UserError(f"{run}: began with other settings; resume it with {run.resume_command}")
    return run


def make_card(
    recipe: Recipe | FineTuning,
    rows: Rows,
    source: str,
    model: nn.Module,
    device: torch.device,
    dtype: torch.dtype,
    loop: str,
) -> Card:
    """Return the card of a run that begins, on a source of that name, by the loop of a package of that name."""
    return Card(
        recipe=recipe.name,
        source=source,
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
    """Return the commit of the project's own checkout, or None where there is none."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() or None
