"""Random warps of a whole batch at once, drawn anew for each image."""

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, conv2d, grid_sample, interpolate

from pipeline.config.recipe import Recipe


def augment(images: Tensor, recipe: Recipe) -> Tensor:
    """Return each image rotated, shifted, zoomed, sheared, bent, blurred and with a part erased, by values of its own.

    All are drawn from torch's global generator: elastic displacements from a normal distribution, the others evenly
    from -limit, or of a blur from 0, to +limit of the recipe; which images stay unwarped, too. What comes in from
    outside the image is paper.
    Where the recipe asks for nothing the images are returned as they are.

    Args:
        images: float (B, 1, 28, 28), 0 = paper.
    """
    if recipe.rotation or recipe.shift or recipe.zoom or recipe.shear or recipe.elastic:
        draws = torch.rand(5, len(images), device=images.device) * 2 - 1
        bend = bends(images, recipe.elastic) if recipe.elastic else None
        if recipe.unwarped:
            moved = torch.rand(len(images), device=images.device) >= recipe.unwarped
            draws *= moved
            bend = None if bend is None else bend * moved.view(-1, 1, 1, 1)
        rotation = draws[0] * math.radians(recipe.rotation)
        shear = torch.tan(draws[1] * math.radians(recipe.shear))
        size = 1 + draws[2] * recipe.zoom
        shift = draws[3:] * 2 * recipe.shift  # affine_grid measures a side as 2
        images = warp(images, rotation, shear, size, shift, bend, recipe.interpolation)
    if recipe.blur:
        images = blurred(images, recipe.blur * torch.rand(len(images), device=images.device))
    return erased(images, recipe.erase) if recipe.erase else images


def warp(
    images: Tensor,
    rotation: Tensor,
    shear: Tensor,
    size: Tensor,
    shift: Tensor,
    bend: Tensor | None = None,
    interpolation: str = "bilinear",
) -> Tensor:
    """Return the images sheared, zoomed, rotated about the centre, shifted and bent.

    Args:
        images: float (B, 1, H, W).
        rotation: radians (B,), counter-clockwise as one sees it.
        shear: (B,), the tangent of the angle by which verticals lean to the right.
        size: (B,), the factor by which the image grows.
        shift: (2, B), to the right and down, in half sides.
        bend: (B, H, W, 2), by how much to the right and down of its place each pixel is fetched, in half sides.
        interpolation: "bilinear" or "bicubic"; what the latter makes darker than ink or lighter than paper is cut off.
    """
    # affine_grid wants the way back: for a place in the result, the place in the image that it comes from, which is
    # unshift, unrotate, unzoom, unshear. The y axis points down.
    cosine, sine = torch.cos(rotation) / size, torch.sin(rotation) / size
    across = torch.stack([cosine + shear * sine, -sine + shear * cosine])
    down = torch.stack([sine, cosine])
    back = torch.stack([across, down]).permute(2, 0, 1)  # (B, 2, 2)
    offset = -(back @ shift.T.unsqueeze(2))
    grid = affine_grid(torch.cat([back, offset], dim=2), list(images.shape), align_corners=False)
    warped = grid_sample(images, grid if bend is None else grid + bend, interpolation, align_corners=False)
    return warped.clamp_(0, 1) if interpolation == "bicubic" else warped


def bends(images: Tensor, elastic: float) -> Tensor:
    """Return smooth random displacements for `warp`: normal on a coarse grid, in between bicubically interpolated.

    Ronneberger et al. 2015, arXiv:1505.04597, section 3.1, with a grid of 5x5.

    Args:
        images: float (B, 1, H, W).
        elastic: the displacements' standard deviation on the grid, in pixels.
    """
    side = images.shape[-1]
    coarse = torch.randn(len(images), 2, 5, 5, device=images.device) * (2 * elastic / side)
    fine = interpolate(coarse, images.shape[2:], mode="bicubic", align_corners=True)
    return fine.permute(0, 2, 3, 1)


def blurred(images: Tensor, deviations: Tensor) -> Tensor:
    """Return each image blurred by a normal distribution, which is cut off at 4 pixels; outside is paper.

    Args:
        images: float (B, 1, H, W).
        deviations: standard deviations in pixels, (B,), 0 to 3; by 0 nothing changes.
    """
    places = torch.arange(-4, 5, device=images.device)
    weights = torch.exp(-0.5 * (places / deviations.clamp(min=0.05).unsqueeze(1)) ** 2)
    weights = (weights / weights.sum(1, keepdim=True)).to(images.dtype).unsqueeze(1)  # (B, 1, 9)
    side_by_side = images.transpose(0, 1)  # as channels, each of which has weights of its own
    down = conv2d(side_by_side, weights.unsqueeze(3), padding=(4, 0), groups=len(images))
    across = conv2d(down, weights.unsqueeze(2), padding=(0, 4), groups=len(images))
    return across.transpose(0, 1)


def erased(images: Tensor, probability: float) -> Tensor:
    """Return the images, some of them with a rectangle made paper.

    Random erasing (Zhong et al. 2017, arXiv:1708.04896) with torchvision's limits: 2 to 33 % of the area, sides in
    proportions of 0.3 to 3.3, anywhere within the image.

    Args:
        images: float (B, 1, H, W).
        probability: with which an image is touched.
    """
    touched, area, proportion, *corner = torch.rand(5, len(images), device=images.device)
    area = 0.02 + 0.31 * area
    proportion = torch.exp((2 * proportion - 1) * math.log(3.3))
    lengths = (area * proportion).sqrt().clamp(max=1), (area / proportion).sqrt().clamp(max=1)
    inside = []
    for length, start, pixels in zip(lengths, corner, images.shape[2:], strict=True):
        first = start * (1 - length)
        places = (torch.arange(pixels, device=images.device) + 0.5) / pixels
        inside.append((places >= first.unsqueeze(1)) & (places < (first + length).unsqueeze(1)))
    down, across = inside
    hole = down.unsqueeze(2) & across.unsqueeze(1) & (touched < probability).view(-1, 1, 1)
    return images.masked_fill(hole.unsqueeze(1), 0)
