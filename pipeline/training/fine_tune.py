"""Fine-tuning by Transformers' Trainer: a network of the Hugging Face hub learns to tell odd digits from even."""

import json
import logging
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
from pipeline.models.parity import ParityNetwork, quieter
from pipeline.run import Run
from pipeline.sources.source import Source
from pipeline.training.log import RunLogger, format_epoch, log_start
from pipeline.training.setup import make_card, start_run
from pipeline.utils.device import compute_dtype, pick_device
from pipeline.utils.distributed import world_size
from pipeline.utils.files import folder_atomic

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
    quiet: bool = False,
) -> Run:
    """Fine-tune a network on the parity of a source's labelled rows and return the finished run.

    Arguments and errors are those of `training.train`; also a UserError where the weights to begin with cannot be had,
    or where there are several processes.
    """
    if world_size() > 1:
        raise UserError(f"{recipe.name}: Transformers' Trainer tunes it in one process here; leave torchrun out")
    run, rows = start_run(recipe, source, name, corrections, limit, resume=resume)
    if rows is None:
        return run
    with quieter():
        torch.manual_seed(recipe.seed)
        checkpoint = _last_checkpoint(run.folder / recipe.output_dir)
        network = ParityNetwork.load(checkpoint) if checkpoint else ParityNetwork.begin(recipe)
        tuning = Tuning(recipe, network, rows.training, rows.validation, run, quiet=quiet)
        if not resume:
            card = make_card(recipe, rows, source.name, network.model, tuning.args.device, tuning.dtype, "transformers")
            run.begin(recipe, card, rows.seen.fingerprint)
        tuning.fit()
    return run


class ParityDataset(Dataset[Batch]):
    """A table as the model sees it, a batch at a time: at 224x224 in three colours MNIST would fill 36 GB of memory."""

    def __init__(self, table: DigitTable, network: ParityNetwork) -> None:
        self.table = table
        self.parities = torch.from_numpy(table.known_labels % 2)
        self.network = network

    def __len__(self) -> int:
        return len(self.table)

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        """Return these rows: "pixel_values", float32 (B, 3, S, S), and "labels", int64 (B,), 0 = even, 1 = odd."""
        pixels = self.network.pixel_values(self.table.pixels[list(rows)])
        return {"pixel_values": pixels, "labels": self.parities[list(rows)]}


class Tuning(Trainer):
    """Transformers' Trainer with a recipe's settings, whose evaluations become the run's history."""

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
            remove_unused_columns=False,
            dataloader_pin_memory=False,  # the images are made where the model is
            report_to="none",
            disable_tqdm=True,
        )
        super().__init__(
            network.model,
            arguments,
            data_collator=_as_it_is,  # type: ignore[arg-type]
            train_dataset=ParityDataset(training, network),
            eval_dataset=ParityDataset(validation, network),
            processing_class=network.processor,
            compute_metrics=_accuracy,
        )
        self.remove_callback(PrinterCallback)

    def fit(self) -> None:
        """Train to the end, from the last checkpoint where there is one, and keep the model that was best.

        An interrupt leaves the checkpoints, from the last of which the run can be resumed.
        """
        run, recipe = self.run, self.recipe
        checkpoint = _last_checkpoint(self.folder)
        steps = int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0
        try:
            with RunLogger(run.folder, steps) as journal:
                self.add_callback(History(run, recipe.epochs, journal))
                self.add_callback(Bar(self.quiet))
                log_start(run, recipe, str(self.args.device), self.dtype, self.rows)
                self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        except KeyboardInterrupt:
            kept = _last_checkpoint(self.folder)
            log.warning(
                "Stopped after %d updates; %s. To resume: %s",
                self.state.global_step,
                f"those until {kept} are kept" if kept else "none are kept yet",
                run.resume_command,
            )
            raise
        self.finish()

    def finish(self) -> None:
        """Keep the best model, and write the card's last word."""
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


class History(TrainerCallback):
    """Writes a line of the run's history after each evaluation, and says it."""

    def __init__(self, run: Run, epochs: int, journal: RunLogger) -> None:
        self.run, self.epochs, self.journal = run, epochs, journal
        self.history: list[Epoch] = []
        self.logged: dict[str, float] = {}
        self.started = time.perf_counter()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Go on with the lines that were written before the checkpoint that is resumed."""
        if state.global_step:
            self.history = [epoch for epoch in self.run.history if epoch.epoch <= round(state.epoch, 3)]
        self.started = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """Have the loss told at the end, too, which is evaluated."""
        control.should_log |= state.global_step >= state.max_steps
        return control

    def on_log(self, args: Any, state: Any, control: Any, **now: Any) -> None:
        """Remember the loss and the learning rate since the last evaluation."""
        if "loss" in now["logs"]:
            self.logged = now["logs"]

    def on_evaluate(self, args: Any, state: Any, control: Any, **found: Any) -> None:
        """Write the line."""
        metrics = found["metrics"]
        best = max((epoch.validation_accuracy or 0 for epoch in self.history), default=-1)
        now = time.perf_counter()
        epoch = Epoch(
            epoch=round(state.epoch, 3),
            train_loss=self.logged["loss"],
            train_accuracy=None,
            validation_loss=metrics["eval_loss"],
            validation_accuracy=metrics["eval_accuracy"],
            learning_rate=self.logged["learning_rate"],
            seconds=now - self.started,
            saved=metrics["eval_accuracy"] > best,
        )
        self.started = now
        self.history.append(epoch)
        if state.is_world_process_zero:
            self.run.save_history(self.history)
            self.journal.add(epoch, state.global_step)
            log.info("%s", format_epoch(epoch, self.epochs))


class Bar(TrainerCallback):
    """A progress bar on stderr, where that is a terminal: Transformers' own would fill a file."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Begin, at the checkpoint that is resumed."""
        hidden = self.quiet or not state.is_world_process_zero
        self.bar = tqdm(
            total=state.max_steps, initial=state.global_step, leave=False, disable=hidden or None, unit="batch"
        )

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Advance."""
        self.bar.update()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """End."""
        self.bar.close()


def _as_it_is(batch: Batch) -> Batch:
    """Collate nothing: `__getitems__` has made the batch already."""
    return batch


def _accuracy(found: EvalPrediction) -> dict[str, float]:
    """Return the fraction of rows whose parity is right."""
    return {"accuracy": float((np.asarray(found.predictions).argmax(axis=1) == found.label_ids).mean())}


def _last_checkpoint(folder: Path) -> Path | None:
    """Return the last checkpoint of a training that was written to its end; one after it, cut off, is removed."""
    steps = {int(path.name.rpartition("-")[2]): path for path in folder.glob("checkpoint-*")}
    for _, path in sorted(steps.items(), reverse=True):
        try:
            json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))  # the last that is written
            return path
        except (OSError, ValueError):
            shutil.rmtree(path, ignore_errors=True)
    return None
