"""Random augmentation of a batch of images, with separate parameters for each image."""

import math

import torch
from torch import Tensor
from torch.nn.functional import conv2d, grid_sample, interpolate

from pipeline.config.recipe import Recipe


def augment(images: Tensor, recipe: Recipe) -> Tensor:
    """Return the images rotated, shifted, zoomed, sheared, elastically distorted, blurred and partly erased.

    Each image has its own parameters, drawn from torch's global generator. Elastic displacements are normally
    distributed. The other parameters are uniform between -limit and +limit (blur: 0 and +limit) of the recipe.
    `recipe.unwarped` is the probability that an image is not warped. Pixels from outside the image are paper.
    With every limit at 0, this function returns `images` itself.

    Args:
        images: float (B, 1, 28, 28), 0 = paper.
        recipe: limits and probabilities of the augmentation.
    """
    if recipe.rotation or recipe.shift or recipe.zoom or recipe.shear or recipe.elastic:
        draws = torch.rand(5, len(images), device=images.device) * 2 - 1
        displacements = elastic_displacements(images, recipe.elastic) if recipe.elastic else None
        if recipe.unwarped:
            warped = torch.rand(len(images), device=images.device) >= recipe.unwarped
            draws *= warped
            displacements = None if displacements is None else displacements * warped.view(-1, 1, 1, 1)
        rotation = draws[0] * math.radians(recipe.rotation)
        shear = torch.tan(draws[1] * math.radians(recipe.shear))
        size = 1 + draws[2] * recipe.zoom
        shift = draws[3:] * 2 * recipe.shift  # in grid_sample's coordinates the side length is 2
        images = warp(images, rotation, shear, size, shift, displacements, recipe.interpolation)
    if recipe.blur:
        images = blur(images, recipe.blur * torch.rand(len(images), device=images.device))
    return erase(images, recipe.erase) if recipe.erase else images


def warp(
    images: Tensor,
    rotation: Tensor,
    shear: Tensor,
    size: Tensor,
    shift: Tensor,
    bend: Tensor | None = None,
    interpolation: str = "bilinear",
) -> Tensor:
    """Return the images sheared, zoomed, rotated about the centre, shifted and displaced.

    Args:
        images: float (B, 1, H, W).
        rotation: radians (B,), counter-clockwise in the displayed image.
        shear: (B,), tangent of the angle between verticals and the y axis; positive leans to the right.
        size: (B,), zoom factor.
        shift: (2, B), to the right and down, in half sides.
        bend: (B, H, W, 2), offset of each pixel's sampling position to the right and down, in half sides.
        interpolation: "bilinear" or "bicubic"; bicubic overshoot is clamped to 0..1.
    """
    # The inverse transform, from output to input coordinates: unshift, unrotate, unzoom, unshear.
    # The y axis points down.
    cosine, sine = torch.cos(rotation) / size, torch.sin(rotation) / size
    across = torch.stack([cosine + shear * sine, -sine + shear * cosine])
    down = torch.stack([sine, cosine])
    inverse = torch.stack([across, down]).permute(2, 0, 1)  # (B, 2, 2)
    offset = -(inverse @ shift.T.unsqueeze(2))
    grid = sampling_grid(inverse, offset, images.shape[2], images.shape[3])
    warped = grid_sample(images, grid if bend is None else grid + bend, interpolation, align_corners=False)
    return warped.clamp_(0, 1) if interpolation == "bicubic" else warped


def sampling_grid(inverse: Tensor, offset: Tensor, height: int, width: int) -> Tensor:
    """Return each pixel's sampling position, (B, H, W, 2), as torch's affine_grid, up to rounding.

    Two sums of rows and columns take a seventh of the time of its matrix product with every pixel's position.

    Args:
        inverse: (B, 2, 2), from output to input coordinates.
        offset: (B, 2, 1).
        height: H.
        width: W.
    """
    x, y = ((torch.arange(side, device=inverse.device) * 2 + 1) / side - 1 for side in (width, height))
    columns, rows = inverse[:, :, :1] * x + offset, inverse[:, :, 1:] * y
    return (columns.unsqueeze(2) + rows.unsqueeze(3)).permute(0, 2, 3, 1)


def elastic_displacements(images: Tensor, elastic: float) -> Tensor:
    """Return smooth random displacements for `warp`: normal on a 5x5 grid, with bicubic interpolation between.

    Ronneberger et al. 2015, arXiv:1505.04597, section 3.1, with a grid of 5x5.

    Args:
        images: float (B, 1, H, W).
        elastic: standard deviation of the displacements on the grid, in pixels.

    Returns:
        (B, H, W, 2), in half sides.
    """
    side = images.shape[-1]
    coarse = torch.randn(len(images), 2, 5, 5, device=images.device) * (2 * elastic / side)
    fine = interpolate(coarse, images.shape[2:], mode="bicubic", align_corners=True)
    return fine.permute(0, 2, 3, 1)


def blur(images: Tensor, deviations: Tensor) -> Tensor:
    """Return each image with its own Gaussian blur, truncated at 4 pixels; pixels outside the image are paper.

    Args:
        images: float (B, 1, H, W).
        deviations: standard deviations in pixels, (B,), 0 to 3; 0 leaves the image unchanged.
    """
    offsets = torch.arange(-4, 5, device=images.device)
    weights = torch.exp(-0.5 * (offsets / deviations.clamp(min=0.05).unsqueeze(1)) ** 2)
    weights = (weights / weights.sum(1, keepdim=True)).to(images.dtype).unsqueeze(1)  # (B, 1, 9)
    channels = images.transpose(0, 1)  # a grouped convolution gives each image its own weights
    down = conv2d(channels, weights.unsqueeze(3), padding=(4, 0), groups=len(images))
    across = conv2d(down, weights.unsqueeze(2), padding=(0, 4), groups=len(images))
    return across.transpose(0, 1)


def erase(images: Tensor, probability: float) -> Tensor:
    """Return the images; in a random subset, a rectangle is set to paper.

    Random erasing (Zhong et al. 2017, arXiv:1708.04896) with torchvision's limits: 2 to 33 % of the area, aspect
    ratios of 0.3 to 3.3, at a random position inside the image.

    Args:
        images: float (B, 1, H, W).
        probability: probability that an image is erased.
    """
    chance, area, ratio, *corner = torch.rand(5, len(images), device=images.device)
    area = 0.02 + 0.31 * area
    ratio = torch.exp((2 * ratio - 1) * math.log(3.3))
    lengths = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    inside = []
    for length, start, pixels in zip(lengths, corner, images.shape[2:], strict=True):
        first = start * (1 - length)
        centres = (torch.arange(pixels, device=images.device) + 0.5) / pixels
        inside.append((centres >= first.unsqueeze(1)) & (centres < (first + length).unsqueeze(1)))
    down, across = inside
    hole = down.unsqueeze(2) & across.unsqueeze(1) & (chance < probability).view(-1, 1, 1)
    return images.masked_fill(hole.unsqueeze(1), 0)
