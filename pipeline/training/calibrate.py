"""Calibration of a trained network: its temperature, and its threshold for non-digits."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.config.recipe import Recipe
from pipeline.data.augment import augment
from pipeline.data.loader import normalise, ordered_loader, to_ink
from pipeline.data.table import DigitTable
from pipeline.digits import CLASSES
from pipeline.metrics.calibration import digit_threshold, fit_temperature
from pipeline.utils.device import memory_format

CALIBRATION_ROWS = 6000
"""Number of training rows on which the temperature is fitted if there are no calibration rows."""
BATCH_SIZE = 512


@torch.inference_mode()
def calibrate(
    model: nn.Module,
    recipe: Recipe,
    training: DigitTable,
    calibration: DigitTable,
    device: torch.device,
) -> tuple[float, float]:
    """Return a trained network's temperature and its digit threshold.

    Args:
        model: the network with its final weights, on `device`.
        recipe: the network's recipe.
        training: training rows. They are used, with augmentation that no epoch has used, if `calibration` is empty.
        calibration: held-out rows: the validation rows and, if the recipe has them, other held-out digits. The
            threshold is that of the digits which the network reads correctly: rejecting the others loses nothing.
        device: the device that computes.
    """
    table, augmented = calibration, False
    if not len(table):
        torch.manual_seed(recipe.seed)
        rows = torch.randperm(len(training))[:CALIBRATION_ROWS].numpy()
        table, augmented = training.select(rows), True
    model.eval()
    logit_batches = []
    for pixels, _ in ordered_loader(table, BATCH_SIZE):
        images = to_ink(pixels.to(device))
        images = normalise(augment(images, recipe) if augmented else images, recipe)
        logit_batches.append(model(images.contiguous(memory_format=memory_format(device))).cpu())
    logits: NDArray[np.float32] = torch.cat(logit_batches).numpy()
    fitted = fit_temperature(logits[:, :CLASSES], table.known_labels)
    logits /= np.float32(fitted)
    correct = logits[:, :CLASSES].argmax(axis=1) == table.known_labels
    return fitted, digit_threshold(logits[correct] if correct.any() else logits)
