"""The one loop that trains every recipe, in one process or, under torchrun or `accelerate launch`, in many."""

import logging
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from threading import Event

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration, broadcast_object_list
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import ReduceLROnPlateau
from tqdm import tqdm

from pipeline.config.recipe import Recipe
from pipeline.data.augment import augment
from pipeline.data.loader import ink, normalise, ordered_loader, training_loader
from pipeline.data.table import DigitTable
from pipeline.digits import CLASSES, Labels, Pixels
from pipeline.errors import UserError
from pipeline.metrics.calibration import digit_threshold, temperature
from pipeline.models import build
from pipeline.models.convolution import use_im2col
from pipeline.models.pretrained import load_pretrained
from pipeline.run import Epoch, Run
from pipeline.sources.extra import add_extra_data, fetch_extra_data
from pipeline.sources.source import Source
from pipeline.training.log import HEADER, RunLogger, format_epoch
from pipeline.training.optim import PER_UPDATE, flush_denormals, make_optimizer, make_scheduler
from pipeline.training.setup import make_card, start_run
from pipeline.utils.device import autocast, compute_dtype, keep_freed_memory, memory_format
from pipeline.utils.distributed import (
    broadcast_from_main,
    claim_report,
    defer_sigterm,
    main_process_first,
    report_lost_peer,
)

log = logging.getLogger(__name__)

EVALUATION_BATCH = 512
CLEARING = 200
"""Batches after which tiny numbers are cleared."""
CALIBRATION_ROWS = 6000
"""On so many training rows the temperature is fitted, where none were set aside."""


class DivergedError(UserError):
    """A loss is infinite or not a number: these settings lead nowhere."""


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
    """Train one network on a source's labelled rows and return the finished run, which the main process alone writes.

    Args:
        name: of the run, or its folder; None makes a name from the recipe and the time.
        corrections: labelled rows to train on beside those of the source; none of them is set aside.
        limit: train on so many of the source's rows at most, and validate on a fifth of that at most.
        resume: go on with the run `name`, or with the newest unfinished run of the recipe.
        on_epoch: called after each epoch, when all of it is written down, on the main process; what it raises ends the
            training on all.
        quiet: draw no progress bar.

    Raises:
        DivergedError: a loss is no longer a number.
        UserError: the rows are unsound or too few, or the run to resume had another recipe or other data.
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


class Trainer:
    """All that changes while a recipe is trained, and the loop that changes it.

    The convention on N processes: the batch of the recipe is divided among them, so that the batch, the learning
    rate and the number of updates are the same for every N. A UserError where it cannot be.
    """

    def __init__(
        self,
        recipe: Recipe,
        training: DigitTable,
        validation: DigitTable,
        run: Run,
        outliers: Pixels | None = None,
        calibration: DigitTable | None = None,
        on_epoch: Callable[[Epoch], None] | None = None,
    ) -> None:
        self.recipe = recipe
        self.run = run
        self.on_epoch = on_epoch
        self.training, self.calibration = training, validation if calibration is None else calibration
        self.rows = len(training), len(validation)
        self.accelerator = Accelerator(
            gradient_accumulation_steps=recipe.gradient_accumulation,
            dataloader_config=DataLoaderConfiguration(
                split_batches=True, use_seedable_sampler=True, data_seed=recipe.seed, non_blocking=recipe.pin_memory
            ),
        )
        self.told_to_end = Event()
        self.device = self.accelerator.device
        self.dtype = compute_dtype(recipe.precision, self.device)
        torch.manual_seed(recipe.seed)
        model = build(recipe).to(memory_format=memory_format(self.device))
        use_im2col(model)
        keep_freed_memory()
        optimizer = make_optimizer(recipe, model)
        batches = training_loader(training, recipe, self.device, outliers)
        processes = self.accelerator.num_processes
        require_divisible(batches.batch_size or 1, processes)
        updates = -(-len(batches) // recipe.gradient_accumulation)
        # Not prepared: Accelerate would step it once for each process.
        self.scheduler = make_scheduler(recipe, optimizer, updates)
        self.model, self.optimizer, self.batches, self.validation = self.accelerator.prepare(
            model, optimizer, batches, ordered_loader(validation, -(-EVALUATION_BATCH // processes) * processes)
        )
        self.history: list[Epoch] = []
        self.best_loss = float("inf")
        self.stale_epochs = 0

    def fit(self, *, quiet: bool) -> None:
        """Train to the end of the schedule, or until `patience` epochs have passed without an improvement.

        The run's model is that of the epoch with the lowest validation loss, or of the last one where no rows are
        validated. An interrupt leaves the run with the best model so far, and with the state after the last whole
        epoch, from which it can be resumed; so does the loss of another process, which is a UserError.
        """
        remedy = f"to go on: python -m pipeline train {self.run.recipe_path} --run {self.run} --resume"
        try:
            with defer_sigterm() as self.told_to_end, report_lost_peer(remedy):
                self.run_epochs(quiet=quiet)
        except KeyboardInterrupt:
            if claim_report():
                kept = "; the best before it is kept" if self.history else ""
                log.warning("Stopped in epoch %d%s. %s", len(self.history) + 1, kept, "T" + remedy[1:])
            raise
        if self.accelerator.is_main_process:
            self.finish()

    def run_epochs(self, *, quiet: bool) -> None:
        """Do all that `fit` does but the card's last word; an interrupt leaves as much."""
        is_main = self.accelerator.is_main_process
        try:
            with RunLogger(self.run.folder, len(self.history)) if is_main else nullcontext() as journal:
                self.tell_beginning()
                while len(self.history) < self.recipe.epochs and not self.out_of_patience:
                    epoch = self.one_epoch(quiet)
                    if journal:
                        journal.add(epoch)
                    if self.on_epoch:
                        broadcast_from_main(partial(self.on_epoch, epoch))
                if self.out_of_patience:
                    log.info("Stopped early: no improvement in %d epochs.", self.stale_epochs)
        finally:
            self.accelerator.end_training()

    def tell_beginning(self) -> None:
        """Log what is about to be trained, on what, and where it is kept."""
        log.info(
            "%s on %s in %s: %s rows to train on, %s to validate, at most %d epochs\nRun: %s",
            self.recipe.name, self.on_what, str(self.dtype).removeprefix("torch."),
            *(f"{rows:,}" for rows in self.rows), self.recipe.epochs, self.run,
        )  # fmt: skip
        log.info(HEADER)

    @property
    def on_what(self) -> str:
        """The device, and how many processes have one like it each."""
        processes = self.accelerator.num_processes
        return str(self.device) if processes == 1 else f"{processes} x {self.device.type}"

    @property
    def out_of_patience(self) -> bool:
        return self.recipe.patience is not None and self.stale_epochs >= self.recipe.patience

    def one_epoch(self, quiet: bool) -> Epoch:
        """Train one epoch, validate, keep the model if it is the best, and write all down."""
        number = len(self.history) + 1
        started = time.perf_counter()
        learning_rate = float(self.scheduler.get_last_lr()[0])
        train_loss, train_accuracy = self.pass_over_batches(number, quiet)
        validation_loss, validation_accuracy = self.evaluate()
        # What follows from these is decided alike everywhere, to the last bit: they are the main process's own.
        train_loss, train_accuracy, validation_loss, validation_accuracy = broadcast_object_list(
            [train_loss, train_accuracy, validation_loss, validation_accuracy]
        )
        losses = [train_loss] if validation_loss is None else [train_loss, validation_loss]
        if not math.isfinite(sum(losses)):
            raise DivergedError(
                f"{self.run}: the loss of epoch {number} is {' and '.join(map(str, losses))}: it has diverged; "
                "lower learning_rate, for example by --set"
            )
        if isinstance(self.scheduler, ReduceLROnPlateau):
            assert validation_loss is not None, "the recipe was validated"
            self.scheduler.step(validation_loss)
        elif self.recipe.scheduler not in PER_UPDATE:
            self.scheduler.step()
        improved = validation_loss is None or validation_loss < self.best_loss - self.recipe.min_delta
        if improved:
            self.best_loss, self.stale_epochs = validation_loss or self.best_loss, 0
        else:
            self.stale_epochs += 1
        epoch = Epoch(
            epoch=number,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            validation_loss=validation_loss,
            validation_accuracy=validation_accuracy,
            learning_rate=learning_rate,
            seconds=time.perf_counter() - started,
            saved=improved,
        )
        self.history.append(epoch)
        if self.accelerator.is_main_process:
            if improved:
                self.run.save_model(self.accelerator.unwrap_model(self.model).state_dict())
            self.run.save_history(self.history)
            self.save_progress()
        log.info("%s", format_epoch(epoch, self.recipe.epochs))
        return epoch

    def pass_over_batches(self, number: int, quiet: bool) -> tuple[float, float]:
        """Make one epoch's updates; return the mean loss that they minimised and the accuracy while they did."""
        recipe, accelerator = self.recipe, self.accelerator
        self.model.train()
        # An epoch depends on its number and not on the epochs before it: a resumed run draws the same.
        torch.manual_seed((recipe.seed << 32) + (number << 16) + accelerator.process_index)
        self.batches.set_epoch(number)
        loss_sum = torch.zeros((), device=self.device)
        correct = torch.zeros((), device=self.device)
        images_seen = 0
        hidden = quiet or not accelerator.is_main_process
        bar = tqdm(self.batches, f"epoch {number}/{recipe.epochs}", leave=False, disable=hidden or None, unit="batch")
        for place, (pixels, labels) in enumerate(bar):
            with accelerator.accumulate(self.model):
                images = normalise(augment(ink(pixels), recipe), recipe)
                with autocast(self.dtype, self.device):
                    logits = self.model(images.contiguous(memory_format=memory_format(self.device)))
                logits = logits.float()
                loss = cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
                accelerator.backward(loss)
                self.optimizer.step()
                if accelerator.sync_gradients and recipe.scheduler in PER_UPDATE:
                    self.scheduler.step()
                self.optimizer.zero_grad()
            if place % CLEARING == 0 and self.device.type == "cpu":
                flush_denormals(self.optimizer)
            with torch.no_grad():
                loss_sum += loss.detach() * len(labels)
                correct += (logits.argmax(1) == labels).sum()
            images_seen += len(labels)
            if self.told_to_end.is_set():
                raise KeyboardInterrupt
        totals = torch.stack([loss_sum, correct, torch.full_like(loss_sum, images_seen)])
        total_loss, right, images_total = accelerator.reduce(totals, reduction="sum").tolist()
        return total_loss / images_total, right / images_total

    @torch.inference_mode()
    def evaluate(self) -> tuple[float, float] | tuple[None, None]:
        """Return the loss that training minimises, label smoothing and all, and the accuracy on the validation rows.

        Each row is counted once, and computed in float32. None and None where no rows were set aside.
        """
        if not self.rows[1]:
            return None, None
        self.model.eval()
        gathered = [
            self.accelerator.gather_for_metrics((self.model(normalise(ink(pixels), self.recipe)), labels))
            for pixels, labels in self.validation
        ]
        logits = torch.cat([batch[0] for batch in gathered])
        labels = torch.cat([batch[1] for batch in gathered])
        assert len(labels) == self.rows[1], "evaluation must count each row once"
        loss = cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
        return loss.item(), (logits[:, :CLASSES].argmax(1) == labels).sum().item() / len(labels)

    def save_progress(self) -> None:
        """Keep all that the rest of the training depends on."""
        self.run.save_progress(
            {
                "model": self.accelerator.unwrap_model(self.model).state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scheduler": self.scheduler.state_dict(),
                "history": [epoch.model_dump() for epoch in self.history],
                "best_loss": self.best_loss,
                "stale_epochs": self.stale_epochs,
            }
        )

    def restore(self) -> None:
        """Go back to where `save_progress` was."""
        state = broadcast_from_main(self.run.load_progress)
        self.accelerator.unwrap_model(self.model).load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        # The averages lie in memory as the weights do, for arithmetic in another order rounds differently.
        for parameter, averages in self.optimizer.state.items():
            for name, value in averages.items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    averages[name] = torch.empty_like(parameter).copy_(value)
        self.scheduler.load_state_dict(state["scheduler"])
        self.history = [Epoch(**epoch) for epoch in state["history"]]
        self.best_loss = state["best_loss"]
        self.stale_epochs = state["stale_epochs"]

    def finish(self) -> None:
        """Write the card's last word: the temperature and scores of the epoch that was kept, and the minutes of all."""
        best = [epoch for epoch in self.history if epoch.saved][-1]
        card = self.run.card
        if best.validation_loss is not None and best.validation_accuracy is not None:
            card.scores = {"validation_loss": best.validation_loss, "validation_accuracy": best.validation_accuracy}
        logits, labels = self.calibration_logits()
        card.temperature = temperature(logits[:, :CLASSES], labels)
        kinds = np.split(logits / np.float32(card.temperature), [self.rows[1]])  # the validation rows, what pens drew
        card.digit_threshold = min(digit_threshold(kind) for kind in kinds if len(kind))
        card.minutes = sum(epoch.seconds for epoch in self.history) / 60
        card.finished = True
        self.run.finish(card)

    @torch.inference_mode()
    def calibration_logits(self) -> tuple[NDArray[np.float32], Labels]:
        """Return the logits of the model that was kept, float32 (N, classes), and the labels, of rows set aside.

        Where there are none, of training rows that are warped anew, as no epoch has seen them.
        """
        table, warped = self.calibration, False
        if not len(table):
            torch.manual_seed(self.recipe.seed)
            rows = torch.randperm(len(self.training))[:CALIBRATION_ROWS].numpy()
            table, warped = self.training.select(rows), True
        model = self.accelerator.unwrap_model(self.model).eval()
        model.load_state_dict(self.run.load_model())
        logits = []
        for pixels, _ in ordered_loader(table, EVALUATION_BATCH):
            images = ink(pixels.to(self.device))
            images = normalise(augment(images, self.recipe) if warped else images, self.recipe)
            logits.append(model(images.contiguous(memory_format=memory_format(self.device))).cpu())
        return torch.cat(logits).numpy(), table.known_labels


def require_divisible(batch: int, processes: int) -> None:
    """Raise a UserError where a batch cannot be divided among the processes."""
    if batch % processes:
        fitting = batch - batch % processes or processes
        raise UserError(
            f"a batch of {batch} images cannot be divided among {processes} processes; "
            f"--set batch_size={fitting}, or start another number of processes"
        )
