"""Convolutions on small maps as products of matrices: what a deep network spends a CPU's time on, several times faster.

oneDNN is fast where a map is large. On maps of four by four pixels and fewer its weight gradients above all take many
times as long as the arithmetic needs; benchmarks/notes.md has the figures.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad
from torch.nn.grad import conv2d_input


class Convolution(nn.Conv2d):
    """nn.Conv2d, trained by products of matrices where its output is small and it runs on a CPU.

    The parameters, their names and, but for rounding, the results are those of nn.Conv2d.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Return float (B, outputs, H', W') of float (B, inputs, H, W)."""
        return conv2d_im2col(self, images) if small(self, images, largest=4) else super().forward(images)


def small(layer: nn.Conv2d, images: Tensor, largest: int) -> bool:
    """Tell whether products of matrices do: on a CPU, without groups, and the output at most `largest` pixels long."""
    if images.device.type != "cpu" or layer.groups > 1 or layer.dilation != (1, 1):
        return False
    return max(reach.outputs for reach in _reaches(layer, images)) <= largest


def _reaches(layer: nn.Conv2d, images: Tensor) -> "tuple[Reach, Reach]":
    """Return how the layer's kernel meets images (B, inputs, H, W), downwards and across."""
    down, across = (
        Reach.of(images.shape[axis + 2], layer.kernel_size[axis], layer.stride[axis], int(layer.padding[axis]))
        for axis in (0, 1)
    )
    return down, across


def conv2d_im2col(layer: nn.Conv2d, images: Tensor) -> Tensor:
    """Return what the layer makes of images (B, inputs, H, W), by a product of matrices; it follows autocast."""
    height, width = _reaches(layer, images)
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else layer.weight.dtype
    matrix = WeightMatrix.apply(layer.weight, height, width, dtype)
    result: Tensor = MatrixProduct.apply(images.to(dtype), matrix, height, width)
    return result if layer.bias is None else result + layer.bias.to(result.dtype).view(-1, 1, 1)


class Reach(NamedTuple):
    """Along one axis, how a kernel meets an image."""

    first: int
    """The first tap that meets a pixel for some output."""
    end: int
    """One more than the last such tap."""
    outputs: int
    before: int
    """Pixels of padding before the image that the taps from `first` on see."""
    after: int
    stride: int

    @classmethod
    def of(cls, size: int, kernel: int, stride: int, padding: int) -> "Reach":
        """Return the reach for an image of `size` pixels."""
        outputs = (size + 2 * padding - kernel) // stride + 1
        last = (outputs - 1) * stride
        first = max(0, padding - last)
        end = min(kernel, size + padding)
        return cls(first, end, outputs, padding - first, max(0, last + end - padding - size), stride)

    def places(self, tap: int) -> slice:
        """Return where in the padded image the `tap`-th tap from `first` lies, for every output."""
        return slice(tap, tap + (self.outputs - 1) * self.stride + 1, self.stride)

    @property
    def taps(self) -> range:
        """The taps that meet the image, counted from `first`."""
        return range(self.end - self.first)


class WeightMatrix(torch.autograd.Function):
    """A kernel's taps that meet the image, as a matrix with a row for each filter.

    Taps that only ever meet padding, eight of nine on a map of one pixel, are left out: their gradient is zero.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, height: Reach, width: Reach, dtype: torch.dtype) -> Tensor:
        """Return (outputs, taps down * taps across * inputs) in `dtype` of weight (outputs, inputs, down, across)."""
        ctx.save_for_backward(weight)
        ctx.reaches = height, width
        taps = weight[:, :, height.first : height.end, width.first : width.end]
        return taps.to(dtype).permute(0, 2, 3, 1).flatten(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        """Return the gradient of the weight, written once, as the weight lies in memory."""
        (weight,) = ctx.saved_tensors
        height, width = ctx.reaches
        taps = gradient.view(len(weight), len(height.taps), len(width.taps), -1).permute(0, 3, 1, 2)
        whole = torch.empty_like(weight) if taps.shape == weight.shape else torch.zeros_like(weight)
        whole[:, :, height.first : height.end, width.first : width.end] = taps
        return whole, None, None, None


class MatrixProduct(torch.autograd.Function):
    """patches @ weights, and its gradients, which are products of matrices too."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, matrix: Tensor, height: Reach, width: Reach) -> Tensor:
        """Return (B, outputs, H', W'), channels last.

        Args:
            ctx: what the gradients need.
            images: (B, inputs, H, W).
            matrix: (outputs, taps down * taps across * inputs).
            height: how the taps meet the image downwards.
            width: and across.
        """
        rows = images.permute(0, 2, 3, 1)
        padded = pad(rows, (0, 0, width.before, width.after, height.before, height.after)).contiguous()
        count, channels = len(images), images.shape[1]
        batch, down, across, channel = padded.stride()
        patches = padded.as_strided(
            (count, height.outputs, width.outputs, len(height.taps), len(width.taps), channels),
            (batch, down * height.stride, across * width.stride, down, across, channel),
        ).reshape(count * height.outputs * width.outputs, -1)
        ctx.save_for_backward(patches, matrix)
        ctx.geometry = images.shape, padded.shape, height, width
        return (patches @ matrix.T).view(count, height.outputs, width.outputs, -1).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        """Return the gradients of the images and of the matrix."""
        patches, matrix = ctx.saved_tensors
        shape, padded_shape, height, width = ctx.geometry
        rows = gradient.permute(0, 2, 3, 1).reshape(-1, len(matrix))
        of_matrix = rows.T @ patches
        if not ctx.needs_input_grad[0]:
            return None, of_matrix, None, None
        count, down, across, channels = padded_shape
        if max(height.outputs, width.outputs) > 2:  # this gradient alone oneDNN computes faster
            weight = matrix.view(-1, len(height.taps), len(width.taps), channels).permute(0, 3, 1, 2)
            strides = height.stride, width.stride
            of_padded = conv2d_input([count, channels, down, across], weight, gradient, strides)  # type: ignore[no-untyped-call]
        else:
            of_patches = (rows @ matrix).view(
                count, height.outputs, width.outputs, len(height.taps), len(width.taps), channels
            )
            of_rows = of_patches.new_zeros(padded_shape)
            for row in height.taps:
                for column in width.taps:
                    of_rows[:, height.places(row), width.places(column)] += of_patches[:, :, :, row, column]
            of_padded = of_rows.permute(0, 3, 1, 2)
        inside = of_padded.narrow(2, height.before, shape[2]).narrow(3, width.before, shape[3])
        return inside, of_matrix, None, None


def use_im2col(model: nn.Module) -> None:
    """Make every plain nn.Conv2d in the model a Convolution; parameters and names stay as they are."""
    for module in model.modules():
        if type(module) is nn.Conv2d and module.padding_mode == "zeros" and not isinstance(module.padding, str):
            module.__class__ = Convolution
