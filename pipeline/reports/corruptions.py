"""Digits made worse on purpose, by known amounts, to see what a network bears.

Each function takes images, uint8 (N, 28, 28), and a severity, and returns as many; severity 0 changes nothing, and the
same call gives the same images. Ranges are near those of MNIST-C (Mu and Gilmer 2019, arXiv:1906.02337), which counts
from 1 to 5 where these have units.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from pipeline.data.augment import warp
from pipeline.digits import SIDE, Pixels

SEED = 0


@dataclass(frozen=True)
class Corruption:
    """A way to make images worse.

    Attributes:
        unit: what its severities are counted in.
        severities: at which accuracy is measured, in ascending order, 0 among them.
        apply: as the functions of this room.
    """

    name: str
    unit: str
    severities: tuple[float, ...]
    apply: Callable[[Pixels, float], Pixels]


def shift(pixels: Pixels, severity: float) -> Pixels:
    """Return each image shifted by so many pixels, in a direction of its own."""
    angles = torch.from_numpy(_generator().uniform(0, 2 * math.pi, len(pixels)).astype(np.float32))
    direction = torch.stack([torch.cos(angles), torch.sin(angles)])
    return _warped(pixels, shift=direction * (severity * 2 / SIDE))


def rotation(pixels: Pixels, severity: float) -> Pixels:
    """Return each image rotated by so many degrees, to the one side or the other."""
    sides = _generator().choice([-1, 1], len(pixels)).astype(np.float32)
    return _warped(pixels, rotation=torch.from_numpy(sides) * math.radians(severity))


def thickness(pixels: Pixels, severity: float) -> Pixels:
    """Return the images with strokes thicker by so many whole pixels, or thinner where it is below 0.

    Grey dilation or erosion by a disk, on a grid twice as fine.
    """
    radius = round(abs(severity))  # half of the pixels, on the fine grid
    across = np.arange(-radius, radius + 1)
    disk = np.hypot(across, across[:, None]) <= radius
    fine = pixels.repeat(2, axis=1).repeat(2, axis=2)
    change = ndimage.grey_dilation if severity > 0 else ndimage.grey_erosion
    changed = change(fine, footprint=disk[None], mode="constant")
    return _rounded(changed.reshape(len(pixels), SIDE, 2, SIDE, 2).mean(axis=(2, 4)))


def noise(pixels: Pixels, severity: float) -> Pixels:
    """Return the images with normal noise of a standard deviation of so many times full ink."""
    return _rounded(pixels + _generator().normal(0, 255 * severity, pixels.shape))


def blur(pixels: Pixels, severity: float) -> Pixels:
    """Return the images blurred by a normal distribution with a standard deviation of so many pixels."""
    return _rounded(ndimage.gaussian_filter(pixels.astype(np.float32), (0, severity, severity), mode="constant"))


def contrast(pixels: Pixels, severity: float) -> Pixels:
    """Return the images with so much of their contrast lost, 0..1: all goes towards the mean of its image."""
    means = pixels.mean(axis=(1, 2), keepdims=True)
    return _rounded(means + (pixels - means) * (1 - severity))


CORRUPTIONS = (
    Corruption("shift", "pixels", (0, 1, 2, 3, 4, 6, 8), shift),
    Corruption("rotation", "degrees", (0, 10, 20, 30, 40, 50, 60), rotation),
    Corruption("thickness", "pixels of stroke", (-2, -1, 0, 1, 2, 3, 4), thickness),
    Corruption("noise", "standard deviation, in full ink", (0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4), noise),
    Corruption("blur", "standard deviation, in pixels", (0, 0.5, 1, 1.5, 2, 2.5, 3), blur),
    Corruption("contrast", "part of it lost", (0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95), contrast),
)


def _generator() -> np.random.Generator:
    """Return a generator that always draws the same, so that severities differ in nothing else."""
    return np.random.default_rng(SEED)


def _warped(pixels: Pixels, rotation: Tensor | None = None, shift: Tensor | None = None) -> Pixels:
    """Return the images rotated and shifted as in `warp`; what comes in from outside is paper."""
    none = torch.zeros(len(pixels))
    images = torch.from_numpy(pixels.astype(np.float32)).unsqueeze(1)
    turned = none if rotation is None else rotation
    moved = torch.stack([none, none]) if shift is None else shift
    return _rounded(warp(images, turned, none, none + 1, moved).squeeze(1).numpy())


def _rounded(values: NDArray[np.floating]) -> Pixels:
    """Return grey levels, of any floating type, as uint8."""
    return values.round().clip(0, 255).astype(np.uint8)
