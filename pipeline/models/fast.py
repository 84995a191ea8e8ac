"""The small CNN that a CPU trains in seconds."""

from torch import nn


def fast(classes: int, width: int, stem_stride: int) -> nn.Module:
    """Return the network: 28x28 -> 12x12 -> 10x10 -> 5x5 -> 3x3 -> one value a channel; 70,586 parameters at width 1.

    Where seconds count the first layer strides, for a map of 24x24 and a pooling of it would cost more than all that
    follows. Poolings come before the norm, so that a quarter of the values are normalised: max pooling commutes with
    the rectifier, and with batch norm wherever its scale is positive.

    Args:
        classes: to tell apart; ten in the count of parameters.
        width: by how much the channels are multiplied.
        stem_stride: of the first layer: 2, or 1, and its map is pooled.
    """
    narrow, middle, wide = 16 * width, 32 * width, 64 * width
    pooled = [nn.MaxPool2d(2)] if stem_stride == 1 else []
    return nn.Sequential(
        # 1 x 28 x 28; the channels are those of width 1
        convolution(1, narrow, 5, stride=stem_stride, padding=0), *pooled, *normalised(narrow),
        # 16 x 12 x 12
        convolution(narrow, middle, 3, padding=0), *normalised(middle),
        # 32 x 10 x 10
        convolution(middle, middle, 3), nn.MaxPool2d(2), *normalised(middle),
        # 32 x 5 x 5
        convolution(middle, wide, 3), *normalised(wide),
        convolution(wide, wide, 3, padding=0), *normalised(wide),
        # 64 x 3 x 3
        nn.MaxPool2d(3),
        nn.Flatten(),
        nn.Linear(wide, classes),
    )  # fmt: skip


def convolution(inputs: int, outputs: int, size: int, stride: int = 1, padding: int = 1) -> nn.Conv2d:
    """Return a convolution without bias, which the batch norm after it brings."""
    return nn.Conv2d(inputs, outputs, size, stride, padding, bias=False)


def normalised(channels: int) -> tuple[nn.Module, nn.Module]:
    """Return batch norm and a rectifier."""
    return nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
