"""Logging of a training run: lines on the screen and in training.log, and TensorBoard events."""

import logging
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import torch
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from pipeline.card import Epoch
from pipeline.config.fine_tuning import FineTuning
from pipeline.config.recipe import Recipe
from pipeline.utils.files import explain_write_error

HEADER = "epoch  train loss  accuracy  validation loss  accuracy  learning rate     time"

log = logging.getLogger(__name__)
package_log = logging.getLogger("pipeline")


class RunLogger:
    """A context manager that writes this package's log to `training.log` and epochs to TensorBoard.

    Args:
        folder: the run's folder. Lines are appended to `training.log`; events are written to `tensorboard/`.
        steps_before: number of steps (epochs or updates) before a resume. TensorBoard discards later events.

    Raises:
        UserError: a file cannot be written, for example because the disk is full; so do `add` and each log line.
    """

    def __init__(self, folder: Path, steps_before: int) -> None:
        formatter = logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
        formatter.converter = time.gmtime
        self.level = package_log.level
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.handler = RunLogHandler(folder / "training.log", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise explain_write_error(folder / "training.log", error) from error
        self.handler.setFormatter(formatter)
        self.events = EventFile(folder / "tensorboard", steps_before + 1)

    def __enter__(self) -> Self:
        package_log.addHandler(self.handler)
        package_log.setLevel(logging.INFO)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        package_log.setLevel(self.level)
        package_log.removeHandler(self.handler)
        with suppress(OSError):  # closing writes again what could not be written
            self.handler.close()

    def add(self, epoch: Epoch, step: int | None = None) -> None:
        """Write an epoch's metrics as events at `step`, or at the epoch number if `step` is None."""
        metrics = {
            "loss/train": epoch.train_loss,
            "loss/validation": epoch.validation_loss,
            "accuracy/train": epoch.train_accuracy,
            "accuracy/validation": epoch.validation_accuracy,
            "precision/validation": epoch.validation_precision,
            "recall/validation": epoch.validation_recall,
            "F1/validation": epoch.validation_f1,
            "learning rate": epoch.learning_rate,
        }
        known = {name: value for name, value in metrics.items() if value is not None}
        self.events.add(known, int(epoch.epoch) if step is None else step)


class RunLogHandler(logging.FileHandler):
    """Writes training.log. If a line cannot be written, neither can the model: the training ends."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, the name is logging's
        """Raise a UserError if a line cannot be written; handle other errors as `logging` does."""
        error = sys.exception()
        if isinstance(error, OSError):
            raise explain_write_error(Path(self.baseFilename), error) from error
        super().handleError(record)


class EventFile:
    """A file of TensorBoard events. TensorBoard's own writer would wait for ever if the disk is full.

    Args:
        folder: folder of the event files; a new file is created.
        first_step: TensorBoard discards the events of other files from this step on.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        self.path = folder / f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}.{os.getpid()}"
        start = SessionLog(status=SessionLog.START)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise explain_write_error(folder, error) from error
        self._append(Event(wall_time=time.time(), step=first_step, file_version="brain.Event:2"))
        self._append(Event(wall_time=time.time(), step=first_step, session_log=start))

    def add(self, metrics: Mapping[str, float], step: int) -> None:
        """Append an event for each metric."""
        for name, value in metrics.items():
            summary = Summary(value=[Summary.Value(tag=name, simple_value=value)])
            self._append(Event(wall_time=time.time(), step=step, summary=summary))

    def _append(self, event: Event) -> None:
        """Append an event; raise a UserError if it cannot be written."""
        try:
            with self.path.open("ab") as file:
                RecordWriter(file).write(event.SerializeToString())
        except OSError as error:
            raise explain_write_error(self.path, error) from error


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
