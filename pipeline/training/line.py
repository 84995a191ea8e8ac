"""Training of the network that reads touching digits, on numbers joined at random."""

import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import ctc_loss
from torch.optim.lr_scheduler import OneCycleLR

from pipeline.config.recipe import Recipe
from pipeline.data.table import DigitTable
from pipeline.inference.reading.ctc import decode
from pipeline.models.line import LineNetwork
from pipeline.run import Run
from pipeline.sources.lines.material import held_out_shapes, training_shapes
from pipeline.sources.lines.numbers import Numbers, make_numbers
from pipeline.sources.lines.shapes import Shape
from pipeline.training.optim.factory import FusedAdam, warmup_fraction
from pipeline.utils.device import autocast, compute_dtype, keep_freed_memory, memory_format, pick_device
from pipeline.utils.prefetch import prefetch

log = logging.getLogger(__name__)

BATCH_SIZE = 128
LEARNING_RATE = 6e-3
WEIGHT_DECAY = 0.01
WARMUP = 0.1
"""Fraction of the updates in which the learning rate increases."""
MAX_GRADIENT = 5.0
"""Largest norm of the gradient; CTC's is large while all frames are blank."""
LOG_INTERVAL = 200
"""Updates per line of the log."""
CALIBRATION_BATCHES = 16
TEMPERATURES = np.geomspace(0.5, 8, 60)
"""Temperatures of which the best one is chosen."""


def train_line(run: Run, recipe: Recipe, training: DigitTable, validation: DigitTable, data: Path) -> None:
    """Train the line network of a run and save it, with its temperature in the card.

    A run that has one keeps it. Without `line_updates`, there is none.

    Args:
        run: the run, which has a card.
        recipe: its recipe.
        training: training rows.
        validation: validation rows, from which the temperature is fitted; without any, other numbers of the training
            rows.
        data: the data folder, with the archives that `fetch_extra_data` downloads.
    """
    if not recipe.line_updates or run.line_path.exists():
        return
    device = pick_device()
    log.info("Network for touching digits: %d updates", recipe.line_updates)
    shapes = training_shapes(recipe, training, data)
    dtype = compute_dtype(recipe.precision, device)
    model = train_line_network(shapes, recipe.line_updates, recipe.seed, device, dtype)
    held_out = held_out_shapes(recipe, validation if len(validation) else training, data)
    batches = make_numbers(held_out, BATCH_SIZE, recipe.seed)
    temperature, accuracy = calibrate_line(model, [next(batches) for _ in range(CALIBRATION_BATCHES)], device)
    log.info("Touching digits: %.2f%% of held-out numbers are read, temperature %.2f", 100 * accuracy, temperature)
    run.save_line(model.state_dict())
    run.save_card(run.card.model_copy(update={"line_temperature": temperature}))


def train_line_network(
    shapes: Sequence[Shape], updates: int, seed: int, device: torch.device, dtype: torch.dtype
) -> LineNetwork:
    """Return a network trained on numbers of these shapes, on `device`, in evaluation mode.

    AdamW with one cycle of the learning rate, on the CTC loss. The result depends on the arguments only.

    Args:
        shapes: shapes of digits and non-digits.
        updates: number of batches of BATCH_SIZE numbers, at least 2.
        seed: seed of the weights and of the numbers.
        device: the device that trains.
        dtype: of the convolutions' arithmetic.
    """
    keep_freed_memory()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LineNetwork()
    model = model.to(device).to(memory_format=memory_format(device)).train()
    optimizer = FusedAdam(
        model.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY, decoupled_weight_decay=True, fused=True
    )
    warmup = warmup_fraction(WARMUP, updates)
    scheduler = OneCycleLR(optimizer, LEARNING_RATE, updates, pct_start=warmup, cycle_momentum=False)
    started, losses = time.perf_counter(), torch.zeros((), device=device)
    for index, batch in enumerate(_first(make_numbers(shapes, BATCH_SIZE, seed), updates), start=1):
        with autocast(dtype, device):
            logits = model(batch.lines.to(device, memory_format=memory_format(device)))
        loss = line_loss(logits, batch.symbols)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT)
        optimizer.step()
        scheduler.step()
        losses += loss.detach()
        if index % LOG_INTERVAL == 0 or index == updates:
            seconds = time.perf_counter() - started
            steps = (index - 1) % LOG_INTERVAL + 1
            log.info("lines %5d/%d  loss %.4f  %6.0f s", index, updates, losses.item() / steps, seconds)
            losses.zero_()
    return model.eval()


def line_loss(logits: Tensor, symbols: Sequence[Sequence[int]]) -> Tensor:
    """Return the CTC loss of lines in nats per symbol, averaged over the lines, a scalar.

    Args:
        logits: float (T, B, LINE_CLASSES).
        symbols: the symbols of each line, at least one.
    """
    lengths = torch.tensor([len(line) for line in symbols], device=logits.device)
    return (_losses(logits, symbols) / lengths).mean()


def _losses(logits: Tensor, symbols: Sequence[Sequence[int]]) -> Tensor:
    """Return the CTC loss of each line in nats, float32 (B,); 0 if a line has too few frames for its symbols."""
    targets = torch.tensor([symbol + 1 for line in symbols for symbol in line], device=logits.device)
    lengths = torch.tensor([len(line) for line in symbols])
    frames = torch.full_like(lengths, len(logits))
    logs = logits.float().log_softmax(2)
    return ctc_loss(logs, targets, frames, lengths, reduction="none", zero_infinity=True)


@torch.inference_mode()
def calibrate_line(model: LineNetwork, batches: Sequence[Numbers], device: torch.device) -> tuple[float, float]:
    """Return (temperature, fraction of numbers read without an error) of a trained network.

    At the temperature, the probability of the decoded string is that of a number without an error, by maximum
    likelihood. For the target probabilities, see `metrics.calibration.fit_temperature`.

    Args:
        model: the network, on `device`, in evaluation mode.
        batches: at least one batch of held-out numbers.
        device: the device that computes.
    """
    right: list[bool] = []
    logs: list[Tensor] = []
    for batch in batches:
        logits = model(batch.lines.to(device, memory_format=memory_format(device))).cpu()
        decoded = [decode(frames) for frames in logits.double().softmax(2).permute(1, 0, 2).numpy()]
        right += [own == symbols for own, symbols in zip(decoded, batch.symbols, strict=True)]
        logs.append(torch.stack([-_losses(logits / temperature, decoded) for temperature in TEMPERATURES.tolist()]))
    probabilities = torch.cat(logs, dim=1).double().exp().clamp(1e-9, 1 - 1e-9)
    rows = len(right)
    targets = torch.where(torch.tensor(right), (rows + 1) / (rows + 2), 1 / (rows + 2))
    likelihood = (targets * probabilities.log() + (1 - targets) * (1 - probabilities).log()).mean(dim=1)
    return float(TEMPERATURES[int(likelihood.argmax())]), sum(right) / rows


def _first(batches: Iterator[Numbers], count: int) -> Iterator[Numbers]:
    """Yield the first batches, each made while the one before is in use."""
    yield from prefetch(next(batches) for _ in range(count))
