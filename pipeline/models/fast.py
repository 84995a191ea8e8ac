"""The small CNN that a CPU trains in seconds."""

from torch import nn

from pipeline.table import CLASSES


def fast() -> nn.Module:
    """Return the network: 28x28 -> 14x14 -> 7x7 -> 5x5 -> one value a channel; 70,586 parameters.

    Where a block pools, it pools first and normalises a quarter of the values: max pooling commutes with the
    rectifier, and with batch norm wherever its scale is positive.
    """
    return nn.Sequential(
        # 1 x 28 x 28
        convolution(1, 16, 5), nn.MaxPool2d(2), *normalised(16),
        # 16 x 14 x 14
        convolution(16, 32, 3), *normalised(32),
        convolution(32, 32, 3), nn.MaxPool2d(2), *normalised(32),
        # 32 x 7 x 7
        convolution(32, 64, 3), *normalised(64),
        convolution(64, 64, 3, padding=0), *normalised(64),
        # 64 x 5 x 5
        nn.MaxPool2d(5),
        nn.Flatten(),
        nn.Linear(64, CLASSES),
    )  # fmt: skip


def convolution(inputs: int, outputs: int, size: int, padding: int | None = None) -> nn.Conv2d:
    """Return a convolution, by default one that keeps height and width; the batch norm after it brings the bias."""
    return nn.Conv2d(inputs, outputs, size, padding=size // 2 if padding is None else padding, bias=False)


def normalised(channels: int) -> tuple[nn.Module, nn.Module]:
    """Return batch norm and a rectifier."""
    return nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
