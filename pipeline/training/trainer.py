"""Trainer: the training loop, for one process or, with torchrun or `accelerate launch`, several processes."""

import logging
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from threading import Event

import torch
from accelerate.utils import broadcast, broadcast_object_list
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import ReduceLROnPlateau
from tqdm import tqdm

from pipeline.card import Epoch
from pipeline.config.choices import SCHEDULERS
from pipeline.config.recipe import Recipe
from pipeline.data.augment import augment
from pipeline.data.loader import normalise, ordered_loader, to_ink, training_loader
from pipeline.data.table import DigitTable
from pipeline.digits import Pixels
from pipeline.models import build
from pipeline.models.convolution import use_im2col
from pipeline.run import Run
from pipeline.training.finish import begin_epoch_run, finish_run
from pipeline.training.optim.average import average_weights
from pipeline.training.optim.divergence import require_finite
from pipeline.training.optim.factory import (
    flush_denormals,
    make_accelerator,
    make_optimizer,
    make_scaler,
    make_scheduler,
    prepare,
)
from pipeline.training.setup import require_divisible
from pipeline.training.tracking.log import RunLogger, format_epoch, log_start
from pipeline.training.validate import validate
from pipeline.utils.device import autocast, compute_dtype, keep_freed_memory, memory_format, tune_convolutions
from pipeline.utils.processes.distributed import broadcast_from_main, claim_report, defer_sigterm, report_lost_peer
from pipeline.utils.progress import hide_bar

log = logging.getLogger(__name__)

EVALUATION_BATCH_SIZE = 512
FLUSH_INTERVAL_BATCHES = 200
"""Number of batches between two calls of `flush_denormals`."""


class Trainer:
    """The training loop and its state.

    N processes split each batch of the recipe evenly (a UserError if it is not divisible by N). The total batch size,
    the learning rate and the number of updates are therefore the same for every N.

    Args:
        outliers: non-digits, uint8 (M, 28, 28), to train on as class 10.
        calibration: rows for the calibration; the validation rows by default.
        on_epoch: callback, called on the main process after each epoch.
        network: an initial network of the caller's own instead of the recipe's. Its code may rely on contiguous maps.
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
        network: nn.Module | None = None,
    ) -> None:
        self.recipe = recipe
        self.run = run
        self.on_epoch = on_epoch
        self.training, self.calibration = training, validation if calibration is None else calibration
        self.rows = len(training), len(validation)
        self.accelerator = make_accelerator(recipe)
        self.stop_requested = Event()
        self.device = self.accelerator.device
        self.dtype = compute_dtype(recipe.precision, self.device)
        self.accelerator.scaler = make_scaler(self.dtype, self.device)
        torch.manual_seed(recipe.seed)
        self.memory_format = torch.contiguous_format if network else memory_format(self.device)
        model = network or build(recipe).to(memory_format=self.memory_format)
        use_im2col(model)
        self.network = model  # itself; `prepare` may wrap it for several processes
        keep_freed_memory()
        tune_convolutions(self.device)
        optimizer = make_optimizer(recipe, model)
        batches = training_loader(training, recipe, self.device, outliers)
        processes = self.accelerator.num_processes
        require_divisible(batches.batch_size or 1, processes)
        # The scheduler is not prepared: Accelerate would step it once per process.
        self.scheduler = make_scheduler(recipe, optimizer, -(-len(batches) // recipe.gradient_accumulation))
        held_out = ordered_loader(validation, -(-EVALUATION_BATCH_SIZE // processes) * processes)
        prepared = prepare(self.accelerator, model, optimizer, batches, held_out)
        self.model, self.optimizer, self.batches, self.validation = prepared
        self.averaged = average_weights(self.network, recipe.ema_decay) if recipe.ema_decay else None
        self.history: list[Epoch] = []
        self.best_loss = float("inf")
        self.stale_epochs = 0

    def fit(self, *, quiet: bool, tracker: str | None = None, before_finish: Callable[[], None] = lambda: None) -> None:
        """Train to the end of the schedule, or until `patience` epochs bring no improvement.

        The run keeps the model of the epoch with the lowest validation loss, or the last one if there are no validation
        rows. After an interrupt or the loss of another process (a UserError), the run contains the best model so far
        and the state after the last complete epoch, from which it can be resumed.
        `before_finish` is called on the main process after the last epoch, while the run can still be resumed.
        """
        log.info("Run: %s", self.run)
        try:
            with (
                defer_sigterm() as self.stop_requested,
                report_lost_peer(lambda: f"to resume: {self.run.resume_command}"),
            ):
                self.run_epochs(quiet=quiet, tracker=tracker)
        except KeyboardInterrupt:
            if claim_report():
                kept = "; the best model so far is kept" if self.history else ""
                log.warning(
                    "Stopped in epoch %d%s. To resume: %s", len(self.history) + 1, kept, self.run.resume_command
                )
            raise
        if self.accelerator.is_main_process:
            before_finish()
            self.finish(self.run)

    def run_epochs(self, *, quiet: bool, tracker: str | None = None) -> None:
        """Run the epochs without finalising the run. `tracker` is as in `RunLogger`."""
        is_main = self.accelerator.is_main_process
        try:
            with (
                RunLogger(self.run, self.recipe, len(self.history), tracker, quiet=quiet) if is_main else nullcontext()
            ) as run_logger:
                devices = self.accelerator.num_processes
                device = str(self.device) if devices == 1 else f"{devices} x {self.device.type}"
                log_start(self.recipe, device, self.dtype, self.rows)
                while len(self.history) < self.recipe.epochs and not self.should_stop_early:
                    epoch = self.run_epoch(quiet)
                    if run_logger:
                        run_logger.add(epoch)
                    if self.on_epoch:
                        broadcast_from_main(partial(self.on_epoch, epoch))
                if self.should_stop_early:
                    log.info("Early stopping: no improvement in %d epochs.", self.stale_epochs)
        finally:
            self.accelerator.end_training()

    @property
    def should_stop_early(self) -> bool:
        """Whether the validation loss has not improved for `patience` epochs."""
        return self.recipe.patience is not None and self.stale_epochs >= self.recipe.patience

    @property
    def saved_network(self) -> nn.Module:
        """The network whose weights are saved: the average of the weights, if the recipe has one."""
        return self.averaged.module if self.averaged else self.network

    def run_epoch(self, quiet: bool) -> Epoch:
        """Train one epoch, validate, and save the history, the progress and, if it is the best, the model."""
        number = len(self.history) + 1
        started = time.perf_counter()
        learning_rate = float(self.scheduler.get_last_lr()[0])
        train_loss, train_accuracy = self.train_batches(number, quiet)
        validation_loss, validation_accuracy = self.evaluate()
        # All processes use the main process's values, and therefore make the same decisions below.
        train_loss, train_accuracy, validation_loss, validation_accuracy = broadcast_object_list(
            [train_loss, train_accuracy, validation_loss, validation_accuracy]
        )
        losses = [train_loss] if validation_loss is None else [train_loss, validation_loss]
        require_finite(self.run, number, *losses)
        if isinstance(self.scheduler, ReduceLROnPlateau):
            assert validation_loss is not None, "the recipe requires validation rows for this scheduler"
            self.scheduler.step(validation_loss)
        elif not SCHEDULERS[self.recipe.scheduler].per_update:
            self.scheduler.step()
        improved = validation_loss is None or validation_loss < self.best_loss - self.recipe.min_delta
        if improved:
            self.best_loss = self.best_loss if validation_loss is None else validation_loss
            self.stale_epochs = 0
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
            weights = self.saved_network.state_dict()
            if improved:
                self.run.save_model(weights)
            self.run.save_history(self.history)
            if self.recipe.keep_epochs:
                kept = begin_epoch_run(self.run, weights, self.history)
                finish_run(kept, self.saved_network, self.training, self.calibration, self.device)
            self.save_progress()
        log.info("%s", format_epoch(epoch, self.recipe.epochs))
        return epoch

    def train_batches(self, number: int, quiet: bool) -> tuple[float, float]:
        """Run one epoch's updates and return the mean training loss and accuracy over its batches."""
        recipe, accelerator = self.recipe, self.accelerator
        self.model.train()
        # The seed depends on the epoch number only: a resumed run draws the same random numbers.
        torch.manual_seed((recipe.seed << 32) + (number << 16) + accelerator.process_index)
        self.batches.set_epoch(number)
        loss_sum = torch.zeros((), device=self.device)
        correct = torch.zeros((), device=self.device)
        images_seen = 0
        hidden = quiet or not accelerator.is_main_process
        bar = tqdm(self.batches, f"epoch {number}/{recipe.epochs}", leave=False, disable=hide_bar(hidden), unit="batch")
        for index, (pixels, labels) in enumerate(bar):
            with accelerator.accumulate(self.model):
                images = normalise(augment(to_ink(pixels), recipe), recipe)
                with autocast(self.dtype, self.device):
                    logits = self.model(images.contiguous(memory_format=self.memory_format))
                logits = logits.float()
                loss = cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
                accelerator.backward(loss)
                self.optimizer.step()
                if accelerator.sync_gradients:
                    if SCHEDULERS[recipe.scheduler].per_update:
                        self.scheduler.step()
                    if self.averaged:
                        self.averaged.update_parameters(self.network)
                self.optimizer.zero_grad()
            if index % FLUSH_INTERVAL_BATCHES == 0 and self.device.type == "cpu":
                flush_denormals(self.optimizer)
            with torch.no_grad():
                loss_sum += loss.detach() * len(labels)
                correct += (logits.argmax(1) == labels).sum()
            images_seen += len(labels)
            if self.stop_requested.is_set():
                raise KeyboardInterrupt
        totals = torch.stack([loss_sum, correct, torch.full_like(loss_sum, images_seen)])
        total_loss, total_correct, total_images = accelerator.reduce(totals, reduction="sum").tolist()
        return total_loss / total_images, total_correct / total_images

    def evaluate(self) -> tuple[float, float] | tuple[None, None]:
        """Return the loss and the accuracy on the validation rows, as `validate`."""
        for buffer in self.averaged.module.buffers() if self.averaged else ():
            broadcast(buffer)  # each process has its own, as in training
        model = self.averaged.module if self.averaged else self.model
        return validate(model, self.validation, self.rows[1], self.recipe, self.accelerator)

    def save_progress(self) -> None:
        """Save the state from which the training can be resumed."""
        self.run.save_progress(
            {
                "model": self.network.state_dict(),
                "averaged": self.averaged.state_dict() if self.averaged else {},
                "optimizer": self.optimizer.state_dict(),
                "scheduler": self.scheduler.state_dict(),
                "scaler": self.accelerator.scaler.state_dict() if self.accelerator.scaler else {},
                "history": [epoch.model_dump() for epoch in self.history],
                "best_loss": self.best_loss,
                "stale_epochs": self.stale_epochs,
            }
        )

    def restore(self) -> None:
        """Restore the state that `save_progress` saved."""
        state = broadcast_from_main(self.run.load_progress)
        self.network.load_state_dict(state["model"])
        if self.averaged:
            self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        # Give the optimizer's tensors the memory layout of the weights: another order of operations rounds differently.
        for parameter, tensors in self.optimizer.state.items():
            for name, value in tensors.items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    tensors[name] = torch.empty_like(parameter).copy_(value)
        self.scheduler.load_state_dict(state["scheduler"])
        if self.accelerator.scaler and state.get("scaler"):
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.history = [Epoch(**epoch) for epoch in state["history"]]
        self.best_loss = state["best_loss"]
        self.stale_epochs = state["stale_epochs"]

    def finish(self, run: Run) -> None:
        """Calibrate the model of a run and complete its card."""
        model = self.network
        model.load_state_dict(run.load_model())
        finish_run(run, model, self.training, self.calibration, self.device)
