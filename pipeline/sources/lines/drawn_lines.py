"""Drawn lines: from the distances of joined shapes to images, with random size, slant, distortion, pen and damage."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

from pipeline.digits import SIDE
from pipeline.sources.lines.shapes import FAR, SCALE, UNIT, Distances
from pipeline.vision.line import LINE_STROKE_PX, MARGIN_PX, MAX_INK_ROWS

MIN_SIZE, MAX_SIZE = 0.8, 1.2
"""Height of the digits, relative to 20 pixels, up to the random size of each."""
ASPECT_DEVIATION = 0.1
"""Standard deviation of the logarithm of the ratio of width to height."""
SHEAR_DEVIATION, ROTATION_DEVIATION = 0.15, 0.03
"""Standard deviations of the slant and of the slope of a line, as tangents."""
BEND_PX, BEND_GRID_PX = 0.6, 7
"""Standard deviation of the elastic displacement, and distance of the points at which it is drawn."""
PEN_DEVIATION_PX = 0.35
"""Standard deviation of the stroke width around that of a line."""
MIN_SHARPNESS, MAX_SHARPNESS = 0.6, 1.0
"""Change of the amount of ink per pixel at an edge."""
BROKEN_FRACTION = 0.15
"""Fraction of the lines through which a thin straight cut goes."""
WORN_FRACTION = 0.07
"""Fraction of the lines whose ink is missing in small spots."""


def draw_lines(distances: Sequence[Distances], generator: torch.Generator) -> Tensor:
    """Return lines, float32 (B, 1, 28, W) in 0..1, 0 = paper; W is the smallest multiple of 4 that fits all.

    Args:
        distances: int8 (h, w_i) each, as in `Shape`, with ink.
        generator: source of all random parameters.
    """
    canvases, boxes = _stack(distances)
    count = len(canvases)
    left, top, right, bottom = boxes
    size = torch.exp(_uniform(count, math.log(MIN_SIZE), math.log(MAX_SIZE), generator))
    size = torch.minimum(size, MAX_INK_ROWS * SCALE / (bottom - top))
    aspect = torch.exp(ASPECT_DEVIATION * torch.randn(count, generator=generator))
    shear = SHEAR_DEVIATION * torch.randn(count, generator=generator)
    slope = ROTATION_DEVIATION * torch.randn(count, generator=generator)
    scale = size / SCALE
    widths = (right - left) * scale * aspect + (bottom - top) * scale * shear.abs()
    margin = MARGIN_PX * _uniform(count, 0.5, 1.5, generator)
    width = 4 * math.ceil(float((margin + widths).max() + MARGIN_PX) / 4)
    x = torch.arange(width) + 0.5 - (margin + widths / 2).view(-1, 1, 1)
    y = torch.arange(SIDE).view(1, -1, 1) + 0.5 - (SIDE / 2 + torch.randn(count, 1, 1, generator=generator))
    bend = _bends(count, width, generator)
    x, y = x + bend[:, 0], y + bend[:, 1]
    shear, slope, aspect, scale = (each.view(-1, 1, 1) for each in (shear, slope, aspect, scale))
    across = ((left + right) / 2).view(-1, 1, 1) + (x + shear * y) / (scale * aspect)
    down = ((top + bottom) / 2).view(-1, 1, 1) + (y - slope * x) / scale
    grid = torch.stack([across / canvases.shape[3], down / canvases.shape[2]], dim=3) * 2 - 1
    sampled = grid_sample(canvases, grid, padding_mode="border", align_corners=False) * size.view(-1, 1, 1, 1)
    growth = LINE_STROKE_PX * (1 - size) + PEN_DEVIATION_PX * torch.randn(count, generator=generator)
    sharpness = _uniform(count, MIN_SHARPNESS, MAX_SHARPNESS, generator).view(-1, 1, 1, 1)
    ink = (0.5 + sharpness * (sampled + growth.view(-1, 1, 1, 1) / 2)).clamp_(0, 1)
    return _wear(_break(ink, generator), generator)


def _stack(distances: Sequence[Distances]) -> tuple[Tensor, Tensor]:
    """Return (canvases, boxes): float32 (B, 1, h, w) in pixels of a line, and left, top, right, bottom, (4, B)."""
    width = max(each.shape[1] for each in distances)
    stacked = np.full((len(distances), len(distances[0]), width), FAR)
    for row, each in zip(stacked, distances, strict=True):
        row[:, : each.shape[1]] = each
    ink: NDArray[np.bool_] = stacked > 0
    boxes = []
    for axis in (1, 2):
        filled = np.asarray(ink.any(axis=axis))
        boxes += [filled.argmax(axis=1), filled.shape[1] - filled[:, ::-1].argmax(axis=1)]
    left, right, top, bottom = boxes
    box = torch.from_numpy(np.array([left, top, right, bottom], dtype=np.float32))
    return torch.from_numpy(stacked).unsqueeze(1).float() / UNIT, box


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Return `count` random numbers in low..high."""
    return low + (high - low) * torch.rand(count, generator=generator)


def _bends(count: int, width: int, generator: torch.Generator) -> Tensor:
    """Return smooth random displacements in pixels, (count, 2, 28, width), as in `data/augment.py`."""
    cells = SIDE // BEND_GRID_PX + 1, math.ceil(width / BEND_GRID_PX) + 1
    coarse = BEND_PX * torch.randn(count, 2, *cells, generator=generator)
    return interpolate(coarse, (SIDE, width), mode="bicubic", align_corners=True)


def _break(ink: Tensor, generator: torch.Generator) -> Tensor:
    """Return ink, (B, 1, 28, W), with a straight cut of about a pixel through some lines."""
    count, _, height, width = ink.shape
    chance, across, down, angle = torch.rand(4, count, 1, 1, 1, generator=generator)
    half = _uniform(count, 0.3, 0.8, generator).view(-1, 1, 1, 1)
    x = torch.arange(width) + 0.5 - across * width
    y = (torch.arange(height) + 0.5).view(-1, 1) - down * height
    distance = (torch.cos(math.pi * angle) * x + torch.sin(math.pi * angle) * y).abs()
    kept = (distance - half + 0.5).clamp_(0, 1)
    return torch.where(chance < BROKEN_FRACTION, ink * kept, ink)


def _wear(ink: Tensor, generator: torch.Generator) -> Tensor:
    """Return ink, (B, 1, 28, W), that is missing in small random spots of some lines."""
    count, _, height, width = ink.shape
    chance = torch.rand(count, generator=generator)
    worn = torch.nonzero(chance < WORN_FRACTION).flatten()
    if len(worn):
        noise = torch.rand(len(worn), 1, height // 4, width // 4, generator=generator)
        spots = interpolate(noise, (height, width), mode="bilinear")
        limit = _uniform(len(worn), 0.05, 0.25, generator).view(-1, 1, 1, 1)
        ink[worn] *= (1 + 8 * (spots - limit)).clamp_(0, 1)
    return ink
