"""Logging of a training run: lines on the screen and in training.log, and TensorBoard events."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import torch
from torch.utils.tensorboard import SummaryWriter

from pipeline.card import Epoch
from pipeline.config.fine_tuning import FineTuning
from pipeline.config.recipe import Recipe
from pipeline.run import Run

HEADER = "epoch  train loss  accuracy  validation loss  accuracy  learning rate     time"

log = logging.getLogger(__name__)
package_log = logging.getLogger("pipeline")


class RunLogger:
    """A context manager that writes this package's log to `training.log` and epochs to TensorBoard.

    Args:
        folder: the run's folder. Lines are appended to `training.log`; events are written to `tensorboard/`.
        steps_before: number of steps (epochs or updates) before a resume. TensorBoard discards later events.
    """

    def __init__(self, folder: Path, steps_before: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        formatter = logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
        formatter.converter = time.gmtime
        self.handler = logging.FileHandler(folder / "training.log", encoding="utf-8")
        self.handler.setFormatter(formatter)
        self.events = SummaryWriter(str(folder / "tensorboard"), purge_step=steps_before + 1)
        self.level = package_log.level

    def __enter__(self) -> Self:
        package_log.addHandler(self.handler)
        package_log.setLevel(logging.INFO)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        package_log.setLevel(self.level)
        package_log.removeHandler(self.handler)
        self.handler.close()
        self.events.close()

    def add(self, epoch: Epoch, step: int | None = None) -> None:
        """Write an epoch's metrics as events at `step`, or at the epoch number if `step` is None."""
        metrics = {
            "loss/train": epoch.train_loss,
            "loss/validation": epoch.validation_loss,
            "accuracy/train": epoch.train_accuracy,
            "accuracy/validation": epoch.validation_accuracy,
            "learning rate": epoch.learning_rate,
        }
        for name, value in metrics.items():
            if value is not None:
                self.events.add_scalar(name, value, epoch.epoch if step is None else step)
        self.events.flush()


def log_start(run: Run, recipe: Recipe | FineTuning, device: str, dtype: torch.dtype, rows: tuple[int, int]) -> None:
    """Log the recipe, the device, the numbers of (training, validation) rows and the header of the epoch lines."""
    log.info(
        "%s on %s in %s: %s training rows, %s validation rows, at most %d epochs\nRun: %s",
        recipe.name, device, str(dtype).removeprefix("torch."), *(f"{count:,}" for count in rows), recipe.epochs, run,
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
