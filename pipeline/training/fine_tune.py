"""Fine-tuning of a Hugging Face hub model on odd and even digits with Transformers' Trainer."""

import json
import logging
import math
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm
from transformers import EvalPrediction, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from pipeline.card import Epoch
from pipeline.config.fine_tuning import FineTuning
from pipeline.data.table import DigitTable
from pipeline.errors import UserError
from pipeline.metrics.calibration import softmax
from pipeline.metrics.score import score
from pipeline.models.convolution import use_im2col
from pipeline.models.parity import ParityNetwork, quiet_transformers
from pipeline.run import Run
from pipeline.sources.source import Source
from pipeline.training.optim.divergence import require_finite
from pipeline.training.setup import make_card, start_run
from pipeline.training.tracking.log import RunLogger, format_epoch, log_start
from pipeline.utils.device import compute_dtype, pick_device
from pipeline.utils.files import folder_atomic
from pipeline.utils.processes.distributed import world_size
from pipeline.utils.progress import hide_bar

log = logging.getLogger(__name__)

Batch = dict[str, Tensor]


def fine_tune(
    recipe: FineTuning,
    source: Source,
    name: str | None = None,
    *,
    corrections: DigitTable | None = None,
    limit: int | None = None,
    resume: bool = False,
    tracker: str | None = None,
    quiet: bool = False,
) -> Run:
    """Fine-tune a network on the parity of a source's labelled rows and return the finished run.

    Arguments and errors are those of `train`.

    Raises:
        UserError: also if the pretrained weights are unavailable, or if there are several processes.
    """
    if world_size() > 1:
        raise UserError(f"{recipe.name}: fine-tuning runs in a single process; start it without torchrun")
    with start_run(recipe, source, name, corrections, limit, resume=resume) as (run, rows):
        if rows is None:
            return run
        with quiet_transformers():
            torch.manual_seed(recipe.seed)
            checkpoint = _last_checkpoint(run.folder / recipe.output_dir)
            network = ParityNetwork.load(checkpoint) if checkpoint else ParityNetwork.from_recipe(recipe)
            network.freeze(recipe.freeze)
            # Not only for speed: with bfloat16, torch 2.15 leaves parts of the weight gradient of strided convolutions
            # on one-pixel maps unwritten (ResNet-18 up to 16 pixels).
            use_im2col(network.model)
            trainer = FineTuningTrainer(recipe, network, rows.training, rows.validation, run, quiet=quiet)
            if not resume:
                card = make_card(
                    recipe, rows, source, network.model, trainer.args.device, trainer.dtype, "transformers"
                )
                run.begin(recipe, card, rows.seen.fingerprint)
            trainer.fit(tracker)
        return run


class ParityDataset(Dataset[Batch]):
    """A table as model inputs, made per batch: all of MNIST in RGB at 224x224 would need 36 GB of memory."""

    def __init__(self, table: DigitTable, network: ParityNetwork) -> None:
        self.table = table
        self.parities = torch.from_numpy(table.known_labels % 2)
        self.network = network

    def __len__(self) -> int:
        return len(self.table)

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        """Return a batch: "pixel_values", float32 (B, 3, S, S), and "labels", int64 (B,), 0 = even, 1 = odd."""
        pixels = self.network.pixel_values(self.table.pixels[list(rows)])
        return {"pixel_values": pixels, "labels": self.parities[list(rows)]}


class FineTuningTrainer(Trainer):
    """Transformers' Trainer with a recipe's settings. Its evaluations are written to the run's history."""

    def __init__(
        self,
        recipe: FineTuning,
        network: ParityNetwork,
        training: DigitTable,
        validation: DigitTable,
        run: Run,
        *,
        quiet: bool,
    ) -> None:
        self.recipe, self.network, self.run, self.quiet = recipe, network, run, quiet
        self.rows = len(training), len(validation)
        self.folder = run.folder / recipe.output_dir
        device = pick_device()
        self.dtype = compute_dtype(recipe.precision, device)
        arguments = TrainingArguments(
            output_dir=str(self.folder),
            num_train_epochs=recipe.epochs,
            per_device_train_batch_size=recipe.batch_size,
            per_device_eval_batch_size=recipe.evaluation_batch_size,
            learning_rate=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            eval_strategy=recipe.eval_strategy,
            eval_steps=recipe.eval_steps,
            logging_strategy=recipe.eval_strategy,
            logging_steps=recipe.eval_steps,
            save_strategy=recipe.save_strategy,
            save_steps=recipe.save_steps,
            save_total_limit=recipe.save_total_limit,
            load_best_model_at_end=True,
            metric_for_best_model="accuracy",
            seed=recipe.seed,
            use_cpu=device.type == "cpu",
            bf16=self.dtype is torch.bfloat16,
            fp16=self.dtype is torch.float16,
            remove_unused_columns=False,
            dataloader_pin_memory=False,  # the model inputs are made on the device
            report_to="none",
            disable_tqdm=True,
        )
        super().__init__(
            network.model,
            arguments,
            data_collator=_pass_through,  # type: ignore[arg-type]
            train_dataset=ParityDataset(training, network),
            eval_dataset=ParityDataset(validation, network),
            processing_class=network.processor,
            compute_metrics=_metrics,
        )
        self.remove_callback(PrinterCallback)

    def fit(self, tracker: str | None) -> None:
        """Train to the end, from the last checkpoint if there is one, and save the best model.

        After an interrupt the run can be resumed from its last checkpoint. `tracker` is as in `RunLogger`.
        """
        run, recipe = self.run, self.recipe
        checkpoint = _last_checkpoint(self.folder)
        log.info("Run: %s", run)
        steps = int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0
        try:
            with RunLogger(run, recipe, steps, tracker, quiet=self.quiet) as run_logger:
                self.add_callback(HistoryCallback(run, recipe.epochs, run_logger))
                self.add_callback(ProgressBarCallback(self.quiet))
                log_start(recipe, str(self.args.device), self.dtype, self.rows)
                self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        except KeyboardInterrupt:
            kept = _last_checkpoint(self.folder)
            log.warning(
                "Stopped after %d updates; %s. To resume: %s",
                self.state.global_step,
                f"the last checkpoint is {kept}" if kept else "no checkpoint was saved",
                run.resume_command,
            )
            raise
        self.finish()

    def finish(self) -> None:
        """Save the best model and complete the card."""
        run = self.run
        with folder_atomic(run.folder / self.recipe.save_dir) as folder:
            self.network.save(folder)
        history = run.history
        best = [epoch for epoch in history if epoch.saved][-1]
        assert best.validation_loss is not None and best.validation_accuracy is not None
        card = run.card
        card.scores = {
            "validation_loss": best.validation_loss,
            "validation_parity_accuracy": best.validation_accuracy,
        }
        card.minutes = sum(epoch.seconds for epoch in history) / 60
        card.finished = True
        run.finish(card)


class HistoryCallback(TrainerCallback):
    """Append a row to the run's history after each evaluation, and log it."""

    def __init__(self, run: Run, epochs: int, run_logger: RunLogger) -> None:
        self.run, self.epochs, self.run_logger = run, epochs, run_logger
        self.history: list[Epoch] = []
        self.logged: dict[str, float] = {}
        self.started = time.perf_counter()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Restore the history up to the checkpoint that is resumed."""
        if state.global_step:
            self.history = [epoch for epoch in self.run.history if epoch.epoch <= round(state.epoch, 3)]
        self.started = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """Request a log of the loss after the last step too, because it is evaluated."""
        control.should_log |= state.global_step >= state.max_steps
        return control

    def on_log(self, args: Any, state: Any, control: Any, **event: Any) -> None:
        """Store the loss and the learning rate since the last evaluation."""
        if "loss" in event["logs"]:
            self.logged = event["logs"]

    def on_evaluate(self, args: Any, state: Any, control: Any, **event: Any) -> None:
        """Write and log the row."""
        metrics = event["metrics"]
        require_finite(self.run, math.ceil(state.epoch), self.logged["loss"], metrics["eval_loss"])
        best = max((epoch.validation_accuracy or 0 for epoch in self.history), default=-1)
        now = time.perf_counter()
        epoch = Epoch(
            epoch=round(state.epoch, 3),
            train_loss=self.logged["loss"],
            train_accuracy=None,
            validation_loss=metrics["eval_loss"],
            validation_accuracy=metrics["eval_accuracy"],
            validation_precision=metrics["eval_precision"],
            validation_recall=metrics["eval_recall"],
            validation_f1=metrics["eval_f1"],
            learning_rate=self.logged["learning_rate"],
            seconds=now - self.started,
            saved=metrics["eval_accuracy"] > best,
        )
        self.started = now
        self.history.append(epoch)
        if state.is_world_process_zero:
            self.run.save_history(self.history)
            self.run_logger.add(epoch, state.global_step)
            log.info("%s", format_epoch(epoch, self.epochs))


class ProgressBarCallback(TrainerCallback):
    """Show a progress bar on stderr, if that is a terminal. Transformers' own bar would also be written to files."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Create the bar, starting at the resumed checkpoint."""
        hidden = self.quiet or not state.is_world_process_zero
        self.bar = tqdm(
            total=state.max_steps, initial=state.global_step, leave=False, disable=hide_bar(hidden), unit="batch"
        )

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Advance the bar by one step."""
        self.bar.update()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Close the bar."""
        self.bar.close()


def _pass_through(batch: Batch) -> Batch:
    """Return the batch unchanged: `__getitems__` has already collated it."""
    return batch


def _metrics(evaluation: EvalPrediction) -> dict[str, float]:
    """Return the accuracy of parity, and the means of precision, recall and F1 over even and odd."""
    logits, parities = np.asarray(evaluation.predictions), np.asarray(evaluation.label_ids)
    found = score(logits.argmax(axis=1), parities, softmax(logits))
    means = {"precision": found.precision, "recall": found.recall, "f1": found.f1}
    return {"accuracy": found.accuracy} | {name: float(values.mean()) for name, values in means.items()}


def _last_checkpoint(folder: Path) -> Path | None:
    """Return the last complete checkpoint, or None. Delete incomplete checkpoints after it."""
    steps = {int(path.name.rpartition("-")[2]): path for path in folder.glob("checkpoint-*")}
    for _, path in sorted(steps.items(), reverse=True):
        try:
            json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))  # written last
            return path
        except (OSError, ValueError):
            shutil.rmtree(path, ignore_errors=True)
    return None
