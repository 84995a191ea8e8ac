"""Saliency maps by integrated gradients."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.config.recipe import Recipe
from pipeline.data.loader import normalise
from pipeline.digits import Pixels

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


def sum_over_patches(saliency: NDArray[np.float32], frame: Pixels, patches: int) -> NDArray[np.float32]:
    """Return a saliency map whose contributions are summed over patches of ink, as pieces of strokes.

    Single pixels are noise to people; regions can be read (Kapishnikov et al. 2019, arXiv:1906.02825). The patches are
    the clusters of the ink's pixels by k-means, which starts from pixels as far from one another as possible.

    Args:
        saliency: contributions of the pixels, float32 (28, 28).
        frame: the digit, uint8 (28, 28).
        patches: number of patches.

    Returns:
        float32 (28, 28): for each pixel with ink the sum of the contributions of its patch, 0 elsewhere.
    """
    from scipy.cluster.vq import kmeans2  # 14 MB that only saliency needs

    rows, columns = np.nonzero(frame)
    result = np.zeros_like(saliency)
    if not len(rows):
        return result
    points = np.stack([rows, columns], axis=1).astype(np.float64)
    starts = points[[0]]
    while len(starts) < min(patches, len(points)):
        distances = np.linalg.norm(points[:, None] - starts, axis=2).min(axis=1)
        starts = np.vstack([starts, points[distances.argmax()]])
    _, labels = kmeans2(points, starts, minit="matrix")
    sums = np.bincount(labels, weights=saliency[rows, columns])
    result[rows, columns] = sums[labels]
    return result
