"""The small CNN that a CPU trains in seconds."""

from torch import nn


def fast(classes: int) -> nn.Module:
    """Return the network: 28x28 -> 12x12 -> 10x10 -> 5x5 -> 3x3 -> one value a channel; 70,586 parameters.

    The first layer strides, for a map of 24x24 and a pooling of it would cost more than all that follows. The second
    pooling comes before the norm, so that a quarter of the values are normalised: max pooling commutes with the
    rectifier, and with batch norm wherever its scale is positive.
    """
    return nn.Sequential(
        # 1 x 28 x 28
        convolution(1, 16, 5, stride=2, padding=0), *normalised(16),
        # 16 x 12 x 12
        convolution(16, 32, 3, padding=0), *normalised(32),
        # 32 x 10 x 10
        convolution(32, 32, 3), nn.MaxPool2d(2), *normalised(32),
        # 32 x 5 x 5
        convolution(32, 64, 3), *normalised(64),
        convolution(64, 64, 3, padding=0), *normalised(64),
        # 64 x 3 x 3
        nn.MaxPool2d(3),
        nn.Flatten(),
        nn.Linear(64, classes),
    )  # fmt: skip


def convolution(inputs: int, outputs: int, size: int, stride: int = 1, padding: int = 1) -> nn.Conv2d:
    """Return a convolution without bias, which the batch norm after it brings."""
    return nn.Conv2d(inputs, outputs, size, stride, padding, bias=False)


def normalised(channels: int) -> tuple[nn.Module, nn.Module]:
    """Return batch norm and a rectifier."""
    return nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
