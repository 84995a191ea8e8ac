"""The program of each of the two processes in training/test_distributed.py; it writes results to FOLDER/RANK.json."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline import Recipe, UserError, find_source
from pipeline.card import Epoch
from pipeline.data.augment import augment
from pipeline.run import Run
from pipeline.training import trainer as trainer_module
from pipeline.training.network import train_network
from pipeline.training.setup import Rows, require_equal_inputs
from pipeline.training.trainer import Trainer
from pipeline.utils.processes.distributed import broadcast_from_main, main_process_first, skip_finalisation

folder, rank = Path(sys.argv[1]), int(os.environ["RANK"])
seen: dict[str, object] = {}

with main_process_first():
    seen["found"] = (folder / "data").exists()
    source = find_source("practice", folder / "data")
digits = source.read_train()
recipe = Recipe.load(
    "fast", ["epochs=9", "patience=2", "minimum_updates=0", "batch_size=256", "precision=float32", "rotation=30"]
)

seen["from main"] = broadcast_from_main(lambda: rank)

rows = Rows(digits, digits.select(np.arange(9)), digits, "", 0)
reversed_rows = Rows(digits.select(np.arange(len(digits))[::-1]), rows.validation, digits, "", 0)
require_equal_inputs(recipe, rows)
try:
    require_equal_inputs(recipe, reversed_rows if rank else rows)
except UserError as error:
    seen["refused"] = str(error)

trainer = Trainer(recipe, digits, digits.select(np.arange(1001)), Run(folder / "counted"))
loss, accuracy = trainer.evaluate()
seen["right of 1001"] = (accuracy or 0) * 1001
warps: list[float] = []


def record_warp(images: Tensor, settings: Recipe) -> Tensor:
    """Record the effect of the next augmentation on a constant image, then augment the batch as usual."""
    state = torch.get_rng_state()
    warps.append(augment(torch.ones_like(images), settings).sum().item())
    torch.set_rng_state(state)
    return augment(images, settings)


trainer_module.augment = record_warp
seen["batch"] = len(next(iter(trainer.batches))[1])
trainer.run_epoch(quiet=True)
seen["warps"] = warps

# Only the first process sees no improvement after the second epoch; the other would continue.
losses = iter([0.9, 0.5, 0.6, 0.6] if rank == 0 else [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
Trainer.evaluate = lambda self: (next(losses), 0.5)  # type: ignore[method-assign, assignment, return-value]
stopped = Trainer(recipe, digits, digits.select(np.arange(9)), Run(folder / "stopped"))
stop_decisions = []
for _ in range(4):
    stopped.run_epoch(quiet=True)
    stop_decisions.append(stopped.should_stop_early)
seen["out of patience"] = stop_decisions

epochs: list[float] = []


def stop_after_three(epoch: Epoch) -> None:
    """Record the epoch, and stop the training after the third."""
    epochs.append(epoch.epoch)
    if epoch.epoch == 3:
        raise UserError("enough")


losses = iter([0.9] * 9)
try:
    train_network(recipe, source, str(folder / "asked"), on_epoch=stop_after_three, quiet=True)
except UserError as error:
    seen["ended by"] = str(error)
seen["asked"] = epochs
(folder / f"{rank}.json").write_text(json.dumps(seen))
with skip_finalisation():
    sys.exit()
