"""Validation of a network during training, on one or several processes."""

from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from pipeline.config.recipe import Recipe
from pipeline.data.loader import normalise, to_ink
from pipeline.digits import CLASSES


@torch.inference_mode()
def validate(
    model: nn.Module, batches: DataLoader[Any], rows: int, recipe: Recipe, accelerator: Accelerator
) -> tuple[float, float] | tuple[None, None]:
    """Return the loss, with label smoothing as in training, and the accuracy on the validation rows.

    Both are computed in float32 and count each row once. They are None if there are no validation rows.

    Args:
        model: the network, which is switched to evaluation mode.
        batches: batches of the validation rows, as `accelerator` prepared them.
        rows: number of validation rows.
        recipe: how the images are normalised, and the label smoothing.
        accelerator: gathers the logits of all processes.
    """
    if not rows:
        return None, None
    model.eval()
    gathered = [
        accelerator.gather_for_metrics((model(normalise(to_ink(pixels), recipe)), labels)) for pixels, labels in batches
    ]
    logits = torch.cat([batch[0] for batch in gathered])
    labels = torch.cat([batch[1] for batch in gathered])
    if len(labels) != rows:
        raise RuntimeError(f"evaluation counted {len(labels)} rows, not each of {rows} once")
    loss = cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
    return loss.item(), (logits[:, :CLASSES].argmax(1) == labels).sum().item() / len(labels)
