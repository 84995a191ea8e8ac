"""Images as they lie in arrays, tensors and pictures of a notebook, read as pixels."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from pipeline.digits import SIDE, Pixels
from pipeline.errors import UserError

MEAN, STD = 0.1307, 0.3081
"""With which torch's MNIST examples normalise, as fractions of ink."""

Range = tuple[float, float] | None
"""The values of paper and of ink; None where the dtype says them: 0 and 255 of whole numbers, 0 and 1 of fractions."""


def is_single(images: Any, features: int) -> bool:
    """Tell whether images are one picture, one tensor (1, 28, 28), or one array or tensor (28, 28).

    Args:
        images: anything.
        features: values in an image; where they are 28, (28, 28) is 28 rows.
    """
    if not isinstance(images, np.ndarray | Tensor):
        return isinstance(images, Image.Image)
    if images.shape == (SIDE, SIDE):
        return features != SIDE
    return isinstance(images, Tensor) and images.shape == (1, SIDE, SIDE)


def rows_of(images: Any, features: int = SIDE) -> Any:
    """Return images as rows of their values, (N, features); what is neither picture, tensor nor array as it is.

    A torch tensor becomes uint8: its floats are fractions of ink or, where some are negative, fractions that were
    normalised with mean 0.1307 and standard deviation 0.3081.

    Args:
        images: an array or tensor (N, features), (N, 28, 28) or (N, 1, 28, 28), or a single image as `is_single` has
            it; a picture is 28x28 of PIL's mode L, light ink on dark.
        features: values in an image, where they are known; else (28, 28) is 28 rows.

    Raises:
        UserError: images have another shape, or a tensor values outside its range.
    """
    if isinstance(images, Image.Image):
        if images.mode != "L" or images.size != (SIDE, SIDE):
            width, height = images.size
            raise UserError(
                f"a picture must be {SIDE}x{SIDE} of mode L, light ink on dark, not {width}x{height} of mode "
                f'{images.mode}: bring it there by convert("L") and resize(({SIDE}, {SIDE}))'
            )
        images = np.asarray(images)[np.newaxis]
    if isinstance(images, Tensor):
        images = _values_of(images)
    if not isinstance(images, np.ndarray):
        return images
    if images.ndim == 2 and is_single(images, features):
        images = images[np.newaxis]
    if images.ndim <= 2:
        return images
    if images.shape[1:] not in {(SIDE, SIDE), (1, SIDE, SIDE)}:
        raise UserError(
            f"images must be (N, features), (N, {SIDE}, {SIDE}) or (N, 1, {SIDE}, {SIDE}), not {images.shape}: "
            "reshape them to one row each, (N, features)"
        )
    return images.reshape(len(images), SIDE * SIDE)


def _values_of(tensor: Tensor) -> Pixels:
    """Return a tensor by torch's convention as uint8 of the same shape, 0 = paper, 255 = ink."""
    values = tensor.detach().cpu()
    if values.is_floating_point():
        values = values.double()
        if values.numel() and values.min() < 0:
            values = values * STD + MEAN
    return in_bytes(values.numpy(), None)


def in_bytes(values: NDArray[Any], value_range: Range) -> Pixels:
    """Return numbers as uint8, 0 = paper, 255 = ink; uint8 is so already.

    Args:
        values: of any shape; with a range they are clipped to it.

    Raises:
        UserError: there is no range, and a value is outside that of its dtype.
    """
    if values.dtype == np.uint8:
        return values
    if value_range:
        paper, full = value_range
        ink = (values.astype(np.float64) - paper) / (full - paper or 1)
    else:
        # Rounding of fractions, or the overshoot of a resampling, is forgiven; another scale is not.
        full, slack = (255, 0) if np.issubdtype(values.dtype, np.integer) else (1, 0.02)
        ink = values.astype(np.float64) / full
        if ink.size and not -slack <= ink.min() <= ink.max() <= 1 + slack:
            raise UserError(
                f"values from {values.min():g} to {values.max():g} are not ink: whole numbers must be 0 to 255 and "
                f"fractions 0 to 1, or a tensor normalised with mean {MEAN} and std {STD}; scale them so"
            )
    pixels: Pixels = np.rint(255 * ink.clip(0, 1)).astype(np.uint8)
    return pixels


def pixels_of(rows: NDArray[Any], value_range: Range) -> Pixels:
    """Return each row as an image, uint8 (N, 28, 28), 0 = paper, 255 = ink.

    A row of n values is a square of the smallest side that holds them, its last pixels paper, scaled to 28x28.

    Args:
        rows: numbers (N, features).
        value_range: what they mean; see `in_bytes`.

    Raises:
        UserError: a value is outside the range of its dtype.
    """
    values = in_bytes(rows, value_range)
    features = values.shape[1]
    side = math.isqrt(features - 1) + 1
    squares = np.pad(values, ((0, 0), (0, side * side - features))).reshape(-1, side, side)
    if side == SIDE:
        return squares
    inks = torch.from_numpy(squares).unsqueeze(1).float()
    scaled: Pixels = interpolate(inks, [SIDE, SIDE], mode="bilinear", antialias=True).round().byte().squeeze(1).numpy()
    return scaled
