"""Activations: what each layer of a network computes for one image, and how it computes a single value."""

from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray
from torch import nn

from pipeline.digits import SIDE
from pipeline.errors import UserError

INPUT = -1
"""Index of the network's input, where a layer's sources are given."""


@dataclass(frozen=True)
class Window:
    """The pixels on which one value of a layer depends, along both axes.

    Value i of a row or column depends on the pixels from `start + i * step`, `size` of them. Some may lie outside.
    """

    start: int
    step: int
    size: int

    def through(self, size: int, stride: int, padding: int) -> "Window":
        """Return the window of a layer with this kernel on top of a layer with this window."""
        return Window(self.start - padding * self.step, self.step * stride, self.size + (size - 1) * self.step)

    def joined(self, other: "Window") -> "Window":
        """Return the smallest window that contains both; their steps are the same."""
        start = min(self.start, other.start)
        return Window(start, self.step, max(self.start + self.size, other.start + other.size) - start)


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer of a network and its values for one image.

    Attributes:
        name: name of its module or operation in the network, such as "features.3".
        kind: "convolution", "maximum", "mean", "linear", "sum", "concatenation", or "ensemble", the mean over networks.
        values: float32 (C, H, W), one map per channel; a layer of single values has H = W = 1. They are the network's
            output of this layer, after the operations of `stages`.
        sources: the layers before it, as indices; `INPUT` is the image.
        kernel: side of its square kernel; 1 for operations on single values.
        stride: step of the kernel.
        padding: zeros around its input.
        window: the pixels of the image, (S, S), on which a value depends.
        stages: names and values, float32 (C, H, W), of operations on single values that follow it, such as "ReLU".
        module: the convolution or linear layer whose weights it uses, with batch norm folded in; None without weights.
    """

    name: str
    kind: str
    values: NDArray[np.float32]
    sources: tuple[int, ...]
    kernel: int
    stride: int
    padding: int
    window: Window
    stages: tuple[tuple[str, NDArray[np.float32]], ...]
    module: nn.Conv2d | nn.Linear | None


@dataclass(frozen=True, eq=False)
class Term:
    """One channel's part in a value of a layer.

    Attributes:
        layer: the layer that it comes from, or `INPUT`.
        channel: the channel there.
        row: row of the patch's top left value in that channel; negative in the padding.
        column: likewise.
        patch: the values there, float32 (kernel, kernel); zeros in the padding.
        weights: the kernel that they are multiplied with, float32 (kernel, kernel), or None without weights.
        value: the sum of the products, or the layer's maximum, mean or value without weights.
    """

    layer: int
    channel: int
    row: int
    column: int
    patch: NDArray[np.float32]
    weights: NDArray[np.float32] | None
    value: float


@dataclass(frozen=True, eq=False)
class Cell:
    """How a network computes one value of a layer.

    Attributes:
        value: the value, as the network computed it.
        terms: the parts that it is the sum of, largest magnitude first; one part for a maximum, mean or concatenation.
        bias: the constant that is added to them.
        stages: names and results of the operations that follow, such as "ReLU".
        pixels: left, top, right, bottom of the ink on which the value depends, in 0..28 pixels of the frame.
    """

    value: float
    terms: tuple[Term, ...]
    bias: float
    stages: tuple[tuple[str, float], ...]
    pixels: tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Activations:
    """Every layer's values for one image, from the input to the logits.

    Attributes:
        image: the network's input, normalised ink, float32 (S, S).
        layers: the layers in the order of computation; the last holds the logits, (classes, 1, 1).
    """

    image: NDArray[np.float32]
    layers: tuple[Layer, ...]

    @property
    def logits(self) -> NDArray[np.float32]:
        """The logits before calibration, float32 (classes,)."""
        return self.layers[-1].values[:, 0, 0]

    def values(self, index: int) -> NDArray[np.float32]:
        """Return the values of a layer, or of the image for `INPUT`, float32 (C, H, W)."""
        return self.image[None] if index == INPUT else self.layers[index].values

    def pixels_of(self, layer: int, row: int, column: int) -> tuple[float, float, float, float]:
        """Return the box of the ink on which a value depends: left, top, right, bottom in 0..28 pixels of the frame."""
        window, scale = self.layers[layer].window, SIDE / len(self.image)
        spans = []
        for place in (column, row):
            start = window.start + place * window.step
            spans.append([float(np.clip(edge * scale, 0, SIDE)) for edge in (start, start + window.size)])
        (left, right), (top, bottom) = spans
        return left, top, right, bottom

    def cell(self, layer: int, channel: int, row: int, column: int) -> Cell:
        """Return how one value of a layer is computed.

        Args:
            layer: index of the layer.
            channel: index of its map.
            row: row of the value in the map, from the top.
            column: column of the value in the map.

        Raises:
            UserError: there is no such value.
        """
        place = channel, row, column
        if not 0 <= layer < len(self.layers):
            raise UserError(f"There is no layer {layer}: the network has {len(self.layers)}")
        found = self.layers[layer]
        if not all(0 <= index < length for index, length in zip(place, found.values.shape, strict=True)):
            raise UserError(f"Layer {layer} has no value {place}: its shape is {found.values.shape}")
        terms = sorted(self._terms(found, *place), key=lambda term: -abs(term.value))
        bias = found.module.bias if found.module is not None else None
        return Cell(
            float(found.values[place]),
            tuple(terms),
            0.0 if bias is None else float(bias[channel]),
            tuple((name, float(values[place])) for name, values in found.stages),
            self.pixels_of(layer, row, column),
        )

    def _terms(self, layer: Layer, channel: int, row: int, column: int) -> list[Term]:
        """Return the parts of one value of a layer."""
        top, left = (place * layer.stride - layer.padding for place in (row, column))
        if layer.module is not None:
            (source,) = layer.sources
            weights = layer.module.weight[channel].float().cpu().numpy().reshape(-1, layer.kernel, layer.kernel)
            patches = [self._patch(source, each, top, left, layer.kernel, 0) for each in range(len(weights))]
            return [
                Term(source, each, top, left, patch, kernel, float((patch.astype(np.float64) * kernel).sum()))
                for each, (patch, kernel) in enumerate(zip(patches, weights, strict=True))
            ]
        if layer.kind == "concatenation":
            starts = [0, *accumulate(len(self.values(source)) for source in layer.sources)]
            index = max(index for index, start in enumerate(starts[:-1]) if start <= channel)
            places = [(layer.sources[index], channel - starts[index])]
        else:
            places = [(source, channel) for source in layer.sources]
        terms = []
        for source, each in places:
            patch = self._patch(source, each, top, left, layer.kernel, -np.inf if layer.kind == "maximum" else 0)
            value = patch.mean() if layer.kind == "mean" else patch.max()
            terms.append(Term(source, each, top, left, patch, None, float(value)))
        return terms

    def _patch(self, layer: int, channel: int, top: int, left: int, side: int, padding: float) -> NDArray[np.float32]:
        """Return a square of a channel, float32 (side, side), with `padding` outside."""
        values = self.values(layer)[channel]
        patch = np.full((side, side), padding, dtype=np.float32)
        rows, columns = (slice(max(0, start), start + side) for start in (top, left))
        inside = values[rows, columns]
        first_row, first_column = rows.start - top, columns.start - left
        patch[first_row : first_row + inside.shape[0], first_column : first_column + inside.shape[1]] = inside
        return patch
