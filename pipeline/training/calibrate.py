"""Calibration of a trained network: its temperature, and the score below which an image counts as no digit."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.config.recipe import Recipe
from pipeline.data.augment import augment
from pipeline.data.loader import ink, normalise, ordered_loader
from pipeline.data.table import DigitTable
from pipeline.digits import CLASSES
from pipeline.metrics.calibration import digit_threshold, temperature
from pipeline.utils.device import memory_format

CALIBRATION_ROWS = 6000
"""Training rows on which the temperature is fitted if no rows were set aside."""
BATCH_SIZE = 512


@torch.inference_mode()
def calibrate(
    model: nn.Module,
    recipe: Recipe,
    training: DigitTable,
    calibration: DigitTable,
    validation_rows: int,
    device: torch.device,
) -> tuple[float, float]:
    """Return the temperature of a trained network and its threshold for what counts as a digit.

    Args:
        model: on `device`, with the weights that are kept.
        training: used if `calibration` is empty, with new random warps, which no epoch has seen.
        calibration: rows set aside: first the validation rows, then frames of pen drawings.
        validation_rows: how many of `calibration` are validation rows. The threshold is the lower one of both kinds.
    """
    table, warped = calibration, False
    if not len(table):
        torch.manual_seed(recipe.seed)
        rows = torch.randperm(len(training))[:CALIBRATION_ROWS].numpy()
        table, warped = training.select(rows), True
    model.eval()
    batches = []
    for pixels, _ in ordered_loader(table, BATCH_SIZE):
        images = ink(pixels.to(device))
        images = normalise(augment(images, recipe) if warped else images, recipe)
        batches.append(model(images.contiguous(memory_format=memory_format(device))).cpu())
    logits: NDArray[np.float32] = torch.cat(batches).numpy()
    fitted = temperature(logits[:, :CLASSES], table.known_labels)
    logits /= np.float32(fitted)
    kinds = np.split(logits, [validation_rows])
    return fitted, min(digit_threshold(kind) for kind in kinds if len(kind))
