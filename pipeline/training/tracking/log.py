"""Logging of a training run: lines on the screen and in training.log, TensorBoard events, and trackers."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import torch

from pipeline.card import Epoch
from pipeline.config.fine_tuning import FineTuning
from pipeline.config.recipe import Recipe
from pipeline.run import Run
from pipeline.utils.files import explain_write_error

if TYPE_CHECKING:
    from pipeline.training.tracking.events import EventFile
    from pipeline.training.tracking.trackers import TrackedRun

HEADER = "epoch  train loss  accuracy  validation loss  accuracy  learning rate     time"

log = logging.getLogger(__name__)
package_log = logging.getLogger("pipeline")


class RunLogger:
    """A context manager that writes this package's log to `training.log`, and epochs to TensorBoard and trackers.

    Args:
        run: the run. Lines are appended to its `training.log`; events are written to `tensorboard/`, if it is
            installed.
        recipe: its recipe, whose settings trackers show.
        steps_before: number of steps (epochs or updates) before a resume. TensorBoard discards later events.
        tracker: a tracker to log to, in addition to those that the run's card names.
        quiet: whether trackers print nothing.

    Raises:
        UserError: a file cannot be written, for example because the disk is full; so do `add` and each log line.
    """

    def __init__(
        self, run: Run, recipe: Recipe | FineTuning, steps_before: int, tracker: str | None, *, quiet: bool
    ) -> None:
        folder = run.folder
        formatter = logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
        formatter.converter = time.gmtime
        self.level = package_log.level
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.handler = RunLogHandler(folder / "training.log", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise explain_write_error(folder / "training.log", error) from error
        self.handler.setFormatter(formatter)
        self.events = _open_events(folder / "tensorboard", steps_before + 1)
        self.start_trackers = partial(_start_trackers, run, recipe, tracker, quiet=quiet)
        self.trackers: list[TrackedRun] = []

    def __enter__(self) -> Self:
        package_log.addHandler(self.handler)
        package_log.setLevel(logging.INFO)
        try:
            self.trackers = self.start_trackers()
        except KeyboardInterrupt:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for tracker in self.trackers:
            tracker.finish()
        package_log.setLevel(self.level)
        package_log.removeHandler(self.handler)
        with suppress(OSError):  # closing writes again what could not be written
            self.handler.close()

    def add(self, epoch: Epoch, step: int | None = None) -> None:
        """Log an epoch's metrics at `step`, or at the epoch number if `step` is None."""
        metrics = {
            "loss/train": epoch.train_loss,
            "loss/validation": epoch.validation_loss,
            "accuracy/train": epoch.train_accuracy,
            "accuracy/validation": epoch.validation_accuracy,
            "precision/validation": epoch.validation_precision,
            "recall/validation": epoch.validation_recall,
            "F1/validation": epoch.validation_f1,
            "learning rate": epoch.learning_rate,
            "seconds": epoch.seconds,
        }
        known = {name: value for name, value in metrics.items() if value is not None}
        step = int(epoch.epoch) if step is None else step
        if self.events is not None:
            self.events.log(known, step)
        for tracker in self.trackers:
            tracker.log(known, step)


def _open_events(folder: Path, first_step: int) -> "EventFile | None":
    """Return a new file of events, or None if TensorBoard is not installed."""
    if find_spec("tensorboard") is None:
        return None
    from pipeline.training.tracking.events import EventFile

    return EventFile(folder, first_step)


def _start_trackers(run: Run, recipe: Recipe | FineTuning, tracker: str | None, *, quiet: bool) -> "list[TrackedRun]":
    """Return the run in each tracker that its card names, and in `tracker`."""
    names = dict.fromkeys([*(run.card.trackers if run.card_path.exists() else ()), *([tracker] if tracker else ())])
    names.pop("tensorboard", None)  # `EventFile` writes its events
    if not names:
        return []
    from pipeline.training.tracking.trackers import TrackedRun  # imports Accelerate, which is slow

    return [TrackedRun(name, run, recipe, quiet=quiet) for name in names]


class RunLogHandler(logging.FileHandler):
    """Writes training.log. If a line cannot be written, neither can the model: the training ends."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, the name is logging's
        """Raise a UserError if a line cannot be written; handle other errors as `logging` does."""
        error = sys.exception()
        if isinstance(error, OSError):
            raise explain_write_error(Path(self.baseFilename), error) from error
        super().handleError(record)


def log_start(recipe: Recipe | FineTuning, device: str, dtype: torch.dtype, rows: tuple[int, int]) -> None:
    """Log the recipe, the device, the numbers of (training, validation) rows and the header of the epoch lines."""
    log.info(
        "%s on %s in %s: %s training rows, %s validation rows, at most %d epochs",
        recipe.name, device, str(dtype).removeprefix("torch."), *(f"{count:,}" for count in rows), recipe.epochs,
    )  # fmt: skip
    log.info(HEADER)


def format_epoch(epoch: Epoch, epochs: int) -> str:
    """Return an epoch as a line with the columns of `HEADER`."""
    loss = "-" if epoch.validation_loss is None else f"{epoch.validation_loss:.4f}"
    training, validation = (
        "-" if accuracy is None else f"{accuracy:.2%}" for accuracy in (epoch.train_accuracy, epoch.validation_accuracy)
    )
    return (
        f"{f'{round(epoch.epoch, 1):g}/{epochs}':>5}  {epoch.train_loss:10.4f}  {training:>8}  {loss:>15}  "
        f"{validation:>8}  {epoch.learning_rate:13.1e}  {epoch.seconds:5.1f} s{'  saved' if epoch.saved else ''}"
    )


@contextmanager
def log_to_stdout(aloud: bool) -> Iterator[None]:
    """Print this package's log as plain lines on stdout inside the block if `aloud`."""
    handler = logging.StreamHandler(sys.stdout)
    if aloud:
        package_log.addHandler(handler)
    try:
        yield
    finally:
        package_log.removeHandler(handler)
