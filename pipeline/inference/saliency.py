"""Saliency maps by integrated gradients."""

import torch
from torch import Tensor, nn

from pipeline.config.recipe import Recipe
from pipeline.data.loader import normalise

INTEGRATION_STEPS = 32
"""Number of steps from blank paper to the image. Each costs one forward and one backward pass."""


def saliency(model: nn.Module, recipe: Recipe, images: Tensor, digits: Tensor) -> Tensor:
    """Return each pixel's contribution to the logit of a digit, by integrated gradients from blank paper.

    The gradients are averaged along the path from blank paper to the image and multiplied by each pixel's ink
    (Sundararajan et al. 2017, arXiv:1703.01365). The contributions sum to the difference between the image's logit and
    that of blank paper, up to the discretisation error. Pixels without ink contribute nothing.

    Args:
        model: the network as it was trained, in evaluation mode.
        recipe: its recipe.
        images: ink, float32 (N, 1, 28, 28) in 0..1, on the model's device.
        digits: the digits whose logits are explained, int64 (N,).

    Returns:
        float32 (N, 28, 28), positive for evidence for the digit and negative for evidence against it.
    """
    gradients = torch.zeros_like(images)
    for step in range(INTEGRATION_STEPS):
        with torch.enable_grad():
            faded = (images * ((step + 0.5) / INTEGRATION_STEPS)).requires_grad_()
            logits = model(normalise(faded, recipe)).gather(1, digits.unsqueeze(1)).sum()
            gradients += torch.autograd.grad(logits, faded)[0]
    return (images * gradients / INTEGRATION_STEPS).squeeze(1)
