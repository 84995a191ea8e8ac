"""Conversion of arrays, tensors and PIL images to pixels."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import issparse
from torch import Tensor
from torch.nn.functional import interpolate

from pipeline.digits import SIDE, Pixels
from pipeline.errors import UserError

MEAN, STD = 0.1307, 0.3081
"""Mean and standard deviation that torch's MNIST examples normalise with, on the scale 0 to 1; the defaults."""

ValueRange = tuple[float, float] | None
"""Values of paper and of ink; None means the default of the dtype: 0 and 255 for integers, 0 and 1 for floats."""


def is_single_image(images: Any, features: int) -> bool:
    """Return whether `images` is one PIL image, one tensor (1, 28, 28), or one array or tensor (28, 28).

    Args:
        images: any object.
        features: values per image. If it is 28, an array (28, 28) is 28 rows.
    """
    if not isinstance(images, np.ndarray | Tensor):
        return isinstance(images, Image.Image)
    if images.shape == (SIDE, SIDE):
        return features != SIDE
    return isinstance(images, Tensor) and images.shape == (1, SIDE, SIDE)


def becomes_uint8(images: Any) -> bool:
    """Return whether `flatten_images` converts images to 0..255, from the range of their type."""
    return isinstance(images, Image.Image | Tensor)


def flatten_images(images: Any, features: int = SIDE, *, mean: float = MEAN, std: float = STD) -> Any:
    """Return images as rows, (N, features). Return an object that is no PIL image, tensor or array unchanged.

    A torch tensor becomes uint8. Its floats are in 0..1. If any is negative, they are taken as normalised with `mean`
    and `std`.

    Args:
        images: an array, sparse matrix or tensor (N, features), an array or tensor (N, 28, 28), (N, 1, 28, 28) or
            (N, 28, 28, 1), or a single image (see `is_single_image`). A PIL image must be 28x28 in mode L, light ink on
            dark.
        features: values per image, if known. The default treats (28, 28) as 28 rows.
        mean: mean that normalised tensors were made with, on the scale 0 to 1.
        std: standard deviation, likewise.

    Raises:
        UserError: the images have another shape, or a tensor has values out of range.
    """
    if isinstance(images, Image.Image):
        if images.mode != "L" or images.size != (SIDE, SIDE):
            width, height = images.size
            raise UserError(
                f"a PIL image must be {SIDE}x{SIDE} in mode L, light ink on dark, not {width}x{height} in mode "
                f'{images.mode}: call convert("L") and resize(({SIDE}, {SIDE}))'
            )
        images = np.asarray(images)[np.newaxis]
    if isinstance(images, Tensor):
        images = _tensor_to_uint8(images, mean, std)
    if issparse(images):
        images = images.toarray()
    if not isinstance(images, np.ndarray):
        return images
    if images.ndim == 2 and is_single_image(images, features):
        images = images[np.newaxis]
    if images.ndim <= 2:
        return images
    if images.shape[1:] not in {(SIDE, SIDE), (1, SIDE, SIDE), (SIDE, SIDE, 1)}:
        raise UserError(
            f"images must be (N, features), (N, {SIDE}, {SIDE}), (N, 1, {SIDE}, {SIDE}) or (N, {SIDE}, {SIDE}, 1), not "
            f"{images.shape}: reshape each image to one row, (N, features)"
        )
    return images.reshape(len(images), SIDE * SIDE)


def _tensor_to_uint8(tensor: Tensor, mean: float, std: float) -> Pixels:
    """Return a tensor in torch's convention as uint8 of the same shape, 0 = paper, 255 = ink."""
    values = tensor.detach().cpu()
    if values.is_floating_point():
        values = values.double()
        if values.numel() and values.min() < 0:
            values = values * std + mean
    return to_uint8(values.numpy(), None)


def to_uint8(values: NDArray[Any], value_range: ValueRange) -> Pixels:
    """Return numbers as uint8, 0 = paper, 255 = ink. Return uint8 unchanged, unless all of it is within the range.

    Args:
        values: array of any shape.
        value_range: the values of paper and of ink. Values outside it are clipped.

    Raises:
        UserError: `value_range` is None, and a value is outside the range of its dtype.
    """
    if values.dtype == np.uint8 and (value_range is None or values.max(initial=0) > value_range[1]):
        return values
    if value_range:
        paper, full = value_range
        ink = (values.astype(np.float64) - paper) / (full - paper or 1)
    else:
        # The tolerance covers rounding and resampling overshoot, not another scale.
        full, tolerance = (255, 0) if np.issubdtype(values.dtype, np.integer) else (1, 0.02)
        ink = values.astype(np.float64) / full
        if ink.size and not -tolerance <= ink.min() <= ink.max() <= 1 + tolerance:
            raise UserError(
                f"values from {values.min():g} to {values.max():g} are out of range: integers must be 0 to 255 and "
                f"floats 0 to 1, or a tensor normalised with the classifier's mean and std; rescale them"
            )
    pixels: Pixels = np.rint(255 * ink.clip(0, 1)).astype(np.uint8)
    return pixels


def to_pixels(rows: NDArray[Any], value_range: ValueRange) -> Pixels:
    """Return each row as an image, uint8 (N, 28, 28), 0 = paper, 255 = ink.

    A row of n values fills the smallest square that holds them. The remaining pixels are paper. The square is scaled
    to 28x28.

    Args:
        rows: numbers (N, features).
        value_range: the values of paper and of ink; see `to_uint8`.

    Raises:
        UserError: a value is outside the range of its dtype.
    """
    values = to_uint8(rows, value_range)
    features = values.shape[1]
    side = math.isqrt(features - 1) + 1
    squares = np.pad(values, ((0, 0), (0, side * side - features))).reshape(-1, side, side)
    if side == SIDE:
        return squares
    images = torch.from_numpy(squares).unsqueeze(1).float()
    scaled: Pixels = (
        interpolate(images, [SIDE, SIDE], mode="bilinear", antialias=True).round().byte().squeeze(1).numpy()
    )
    return scaled
