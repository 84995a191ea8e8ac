"""Convolutions on small feature maps as matrix products (im2col), which are several times faster on a CPU.

oneDNN is fast on large maps. On maps of 4x4 pixels or fewer, its weight gradients in particular take many times as long
as the arithmetic needs. benchmarks/notes.md has the measurements.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad
from torch.nn.grad import conv2d_input


class Convolution(nn.Conv2d):
    """An nn.Conv2d that is computed by matrix products if its output is small and it runs on a CPU.

    The parameters and their names are those of nn.Conv2d. The results are the same up to rounding.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Return float (B, outputs, H', W') for images, float (B, inputs, H, W)."""
        return conv2d_im2col(self, images) if suits_im2col(self, images, largest=4) else super().forward(images)


def suits_im2col(layer: nn.Conv2d, images: Tensor, largest: int) -> bool:
    """Return whether im2col applies: CPU, no groups, no dilation, and at most `largest` output pixels per side."""
    if images.device.type != "cpu" or layer.groups > 1 or layer.dilation != (1, 1):
        return False
    return max(span.outputs for span in _tap_spans(layer, images)) <= largest


def _tap_spans(layer: nn.Conv2d, images: Tensor) -> "tuple[TapSpan, TapSpan]":
    """Return the spans of the layer's taps on images (B, inputs, H, W), vertically and horizontally."""
    vertical, horizontal = (
        TapSpan.of(images.shape[axis + 2], layer.kernel_size[axis], layer.stride[axis], int(layer.padding[axis]))
        for axis in (0, 1)
    )
    return vertical, horizontal


def conv2d_im2col(layer: nn.Conv2d, images: Tensor) -> Tensor:
    """Return the layer's output for images (B, inputs, H, W), computed by a matrix product.

    Autocast is respected, and the output has the images' memory layout.
    """
    height, width = _tap_spans(layer, images)
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else layer.weight.dtype
    matrix = WeightMatrix.apply(layer.weight, height, width, dtype)
    result: Tensor = MatrixProduct.apply(images.to(dtype), matrix, height, width)
    if images.is_contiguous():
        result = result.contiguous()
    return result if layer.bias is None else result + layer.bias.to(result.dtype).view(-1, 1, 1)


class TapSpan(NamedTuple):
    """The taps of a kernel that overlap an image along one axis."""

    first: int
    """The first tap that overlaps a pixel for at least one output."""
    end: int
    """The last such tap, plus one."""
    outputs: int
    before: int
    """Pixels of padding before the image that the taps from `first` on cover."""
    after: int
    """Pixels of padding after the image, likewise."""
    stride: int

    @classmethod
    def of(cls, size: int, kernel: int, stride: int, padding: int) -> "TapSpan":
        """Return the span for an image of `size` pixels."""
        outputs = (size + 2 * padding - kernel) // stride + 1
        last = (outputs - 1) * stride
        first = max(0, padding - last)
        end = min(kernel, size + padding)
        return cls(first, end, outputs, padding - first, max(0, last + end - padding - size), stride)

    def positions(self, tap: int) -> slice:
        """Return the positions in the padded image of the `tap`-th tap from `first`, one per output."""
        return slice(tap, tap + (self.outputs - 1) * self.stride + 1, self.stride)

    @property
    def taps(self) -> range:
        """The taps that overlap the image, counted from `first`."""
        return range(self.end - self.first)


class WeightMatrix(torch.autograd.Function):
    """The taps of a kernel that overlap the image, as a matrix with one row per filter.

    Taps that only overlap padding are omitted, because their gradient is zero: eight of nine on a one-pixel map.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, height: TapSpan, width: TapSpan, dtype: torch.dtype) -> Tensor:
        """Return the matrix, (outputs, taps * inputs) in `dtype`, of a weight, (outputs, inputs, height, width).

        The second dimension is in the order (vertical taps, horizontal taps, inputs).
        """
        ctx.save_for_backward(weight)
        ctx.spans = height, width
        taps = weight[:, :, height.first : height.end, width.first : width.end]
        return taps.to(dtype).permute(0, 2, 3, 1).flatten(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        """Return the gradient of the weight, written once, in the weight's memory layout."""
        (weight,) = ctx.saved_tensors
        height, width = ctx.spans
        taps = gradient.view(len(weight), len(height.taps), len(width.taps), -1).permute(0, 3, 1, 2)
        result = torch.empty_like(weight) if taps.shape == weight.shape else torch.zeros_like(weight)
        result[:, :, height.first : height.end, width.first : width.end] = taps
        return result, None, None, None


class MatrixProduct(torch.autograd.Function):
    """The product of image patches and the weight matrix. Its gradients are matrix products too."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, matrix: Tensor, height: TapSpan, width: TapSpan) -> Tensor:
        """Return (B, outputs, H', W'), channels last.

        Args:
            ctx: context for the backward pass.
            images: (B, inputs, H, W).
            matrix: the result of `WeightMatrix`, (outputs, taps * inputs).
            height: vertical span of the taps.
            width: horizontal span of the taps.
        """
        rows = images.permute(0, 2, 3, 1)
        padded = pad(rows, (0, 0, width.before, width.after, height.before, height.after)).contiguous()
        count, channels = len(images), images.shape[1]
        batch_stride, row_stride, column_stride, channel_stride = padded.stride()
        patches = padded.as_strided(
            (count, height.outputs, width.outputs, len(height.taps), len(width.taps), channels),
            (
                batch_stride,
                row_stride * height.stride,
                column_stride * width.stride,
                row_stride,
                column_stride,
                channel_stride,
            ),
        ).reshape(count * height.outputs * width.outputs, -1)
        ctx.save_for_backward(patches, matrix)
        ctx.geometry = images.shape, padded.shape, height, width
        return (patches @ matrix.T).view(count, height.outputs, width.outputs, -1).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        """Return the gradients of the images and the matrix."""
        patches, matrix = ctx.saved_tensors
        shape, padded_shape, height, width = ctx.geometry
        rows = gradient.permute(0, 2, 3, 1).reshape(-1, len(matrix))
        matrix_gradient = rows.T @ patches
        if not ctx.needs_input_grad[0]:
            return None, matrix_gradient, None, None
        count, padded_height, padded_width, channels = padded_shape
        if max(height.outputs, width.outputs) > 2:  # oneDNN computes only this gradient faster
            weight = matrix.view(-1, len(height.taps), len(width.taps), channels).permute(0, 3, 1, 2)
            strides = height.stride, width.stride
            shape_nchw = [count, channels, padded_height, padded_width]
            padded_gradient = conv2d_input(shape_nchw, weight, gradient, strides)  # type: ignore[no-untyped-call]
        else:
            patch_gradient = (rows @ matrix).view(
                count, height.outputs, width.outputs, len(height.taps), len(width.taps), channels
            )
            nhwc_gradient = patch_gradient.new_zeros(padded_shape)
            for row in height.taps:
                for column in width.taps:
                    positions = height.positions(row), width.positions(column)
                    nhwc_gradient[:, *positions] += patch_gradient[:, :, :, row, column]
            padded_gradient = nhwc_gradient.permute(0, 3, 1, 2)
        inside = padded_gradient.narrow(2, height.before, shape[2]).narrow(3, width.before, shape[3])
        return inside, matrix_gradient, None, None


def use_im2col(model: nn.Module) -> None:
    """Turn every plain nn.Conv2d of the model into a Convolution, in place. Parameters and names do not change."""
    for module in model.modules():
        if type(module) is nn.Conv2d and module.padding_mode == "zeros" and not isinstance(module.padding, str):
            module.__class__ = Convolution
