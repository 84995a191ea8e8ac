"""Random warps of a whole batch at once, drawn anew for each image."""

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from pipeline.recipe import Recipe


def augment(images: Tensor, recipe: Recipe) -> Tensor:
    """Return each image rotated, shifted, zoomed and sheared by values of its own.

    Every value is uniform from -limit to +limit of the recipe, drawn from torch's global generator; what comes in
    from outside the image is paper. With all limits at zero the images are returned as they are.

    Args:
        images: float (B, 1, 28, 28), 0 = paper.
    """
    if not (recipe.rotation or recipe.shift or recipe.zoom or recipe.shear):
        return images
    draws = torch.rand(5, len(images), device=images.device) * 2 - 1
    rotation = draws[0] * math.radians(recipe.rotation)
    shear = torch.tan(draws[1] * math.radians(recipe.shear))
    size = 1 + draws[2] * recipe.zoom
    shift = draws[3:] * 2 * recipe.shift  # affine_grid measures a side as 2
    return warp(images, rotation, shear, size, shift)


def warp(images: Tensor, rotation: Tensor, shear: Tensor, size: Tensor, shift: Tensor) -> Tensor:
    """Return the images sheared, zoomed, rotated about the centre and then shifted, with bilinear interpolation.

    Args:
        images: float (B, 1, H, W).
        rotation: radians (B,), counter-clockwise as one sees it.
        shear: (B,), the tangent of the angle by which verticals lean to the right.
        size: (B,), the factor by which the image grows.
        shift: (2, B), to the right and down, in half sides.
    """
    # affine_grid wants the way back: for a place in the result, the place in the image that it comes from, which is
    # unshift, unrotate, unzoom, unshear. The y axis points down.
    cosine, sine = torch.cos(rotation) / size, torch.sin(rotation) / size
    across = torch.stack([cosine + shear * sine, -sine + shear * cosine])
    down = torch.stack([sine, cosine])
    back = torch.stack([across, down]).permute(2, 0, 1)  # (B, 2, 2)
    offset = -(back @ shift.T.unsqueeze(2))
    grid = affine_grid(torch.cat([back, offset], dim=2), list(images.shape), align_corners=False)
    return grid_sample(images, grid, align_corners=False)
