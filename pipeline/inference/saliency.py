"""Which ink speaks for a digit."""

import torch
from torch import Tensor, nn

from pipeline.config.recipe import Recipe
from pipeline.data.loader import normalise

STEPS = 32
"""Between blank paper and the image; each costs a pass of the network forwards and backwards."""


def saliency(model: nn.Module, recipe: Recipe, images: Tensor, digits: Tensor) -> Tensor:
    """Return what each pixel adds to the logit of a digit, by integrated gradients from blank paper.

    Sundararajan et al. 2017, arXiv:1703.01365: gradients are averaged on the way from paper to the image, and each is
    multiplied by its pixel's ink. Over an image they sum to the logit less that of blank paper, but for the steps'
    coarseness; paper has none.

    Args:
        model: in evaluation, as it was trained.
        images: ink, float32 (N, 1, 28, 28) in 0..1, on the model's device.
        digits: whose logit is explained, int64 (N,).

    Returns:
        float32 (N, 28, 28), above 0 for the digit and below 0 against it.
    """
    gradients = torch.zeros_like(images)
    for step in range(STEPS):
        with torch.enable_grad():
            faded = (images * ((step + 0.5) / STEPS)).requires_grad_()
            logits = model(normalise(faded, recipe)).gather(1, digits.unsqueeze(1)).sum()
            gradients += torch.autograd.grad(logits, faded)[0]
    return (images * gradients / STEPS).squeeze(1)
