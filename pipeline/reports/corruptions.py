"""Image corruptions with known severities, to measure the robustness of a network.

Each function takes images, uint8 (N, 28, 28), and a severity, and returns corrupted images of the same shape and type.
Severity 0 changes nothing. The functions are deterministic. The ranges are close to those of MNIST-C (Mu and Gilmer
2019, arXiv:1906.02337), which numbers its severities 1 to 5; here they have units.
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
    """A corruption of images.

    Attributes:
        unit: unit of the severities.
        severities: severities at which accuracy is measured, in ascending order, including 0.
        apply: one of the functions of this module.
    """

    name: str
    unit: str
    severities: tuple[float, ...]
    apply: Callable[[Pixels, float], Pixels]


def shift(pixels: Pixels, severity: float) -> Pixels:
    """Return each image shifted by `severity` pixels in a random direction."""
    angles = torch.from_numpy(_generator().uniform(0, 2 * math.pi, len(pixels)).astype(np.float32))
    direction = torch.stack([torch.cos(angles), torch.sin(angles)])
    return _warp(pixels, shift=direction * (severity * 2 / SIDE))


def rotation(pixels: Pixels, severity: float) -> Pixels:
    """Return each image rotated by `severity` degrees, clockwise or counterclockwise at random."""
    signs = _generator().choice([-1, 1], len(pixels)).astype(np.float32)
    return _warp(pixels, rotation=torch.from_numpy(signs) * math.radians(severity))


def thickness(pixels: Pixels, severity: float) -> Pixels:
    """Return the images with strokes wider by `severity` whole pixels, or narrower if it is negative.

    Grey dilation or erosion with a disk, on a grid of half a pixel.
    """
    radius = round(abs(severity))  # half of the severity in pixels, in steps of the fine grid
    offsets = np.arange(-radius, radius + 1)
    disk = np.hypot(offsets, offsets[:, None]) <= radius
    fine = pixels.repeat(2, axis=1).repeat(2, axis=2)
    operation = ndimage.grey_dilation if severity > 0 else ndimage.grey_erosion
    changed = operation(fine, footprint=disk[None], mode="constant")
    return _to_uint8(changed.reshape(len(pixels), SIDE, 2, SIDE, 2).mean(axis=(2, 4)))


def noise(pixels: Pixels, severity: float) -> Pixels:
    """Return the images with Gaussian noise; `severity` is its standard deviation as a fraction of full ink (255)."""
    return _to_uint8(pixels + _generator().normal(0, 255 * severity, pixels.shape))


def blur(pixels: Pixels, severity: float) -> Pixels:
    """Return the images after a Gaussian blur with a standard deviation of `severity` pixels."""
    return _to_uint8(ndimage.gaussian_filter(pixels.astype(np.float32), (0, severity, severity), mode="constant"))


def contrast(pixels: Pixels, severity: float) -> Pixels:
    """Return the images with the fraction `severity`, 0..1, of their contrast removed around each image's mean."""
    means = pixels.mean(axis=(1, 2), keepdims=True)
    return _to_uint8(means + (pixels - means) * (1 - severity))


CORRUPTIONS = (
    Corruption("shift", "pixels", (0, 1, 2, 3, 4, 6, 8), shift),
    Corruption("rotation", "degrees", (0, 10, 20, 30, 40, 50, 60), rotation),
    Corruption("thickness", "pixels of stroke width", (-2, -1, 0, 1, 2, 3, 4), thickness),
    Corruption("noise", "standard deviation (1 = full ink)", (0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4), noise),
    Corruption("blur", "standard deviation in pixels", (0, 0.5, 1, 1.5, 2, 2.5, 3), blur),
    Corruption("contrast", "fraction removed", (0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95), contrast),
)


def _generator() -> np.random.Generator:
    """Return a random generator with a fixed seed: all severities use the same random numbers."""
    return np.random.default_rng(SEED)


def _warp(pixels: Pixels, rotation: Tensor | None = None, shift: Tensor | None = None) -> Pixels:
    """Return the images rotated and shifted by `warp`, padded with paper (0)."""
    zeros = torch.zeros(len(pixels))
    images = torch.from_numpy(pixels.astype(np.float32)).unsqueeze(1)
    angles = zeros if rotation is None else rotation
    offsets = torch.stack([zeros, zeros]) if shift is None else shift
    return _to_uint8(warp(images, angles, zeros, zeros + 1, offsets).squeeze(1).numpy())


def _to_uint8(values: NDArray[np.floating]) -> Pixels:
    """Return grey levels of any floating type, rounded and clipped to uint8."""
    return values.round().clip(0, 255).astype(np.uint8)
