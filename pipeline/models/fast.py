"""A small CNN that trains on a CPU in seconds."""

from torch import nn


def fast(classes: int, width: int, stem_stride: int, batch_norm: bool) -> nn.Module:
    """Return the network: 28x28 -> 12x12 -> 10x10 -> 5x5 -> 3x3 -> one value per channel.

    It has 70,586 parameters at width 1 for ten classes. The first layer can use stride 2: a 24x24 map and its pooling
    cost more than all of the later layers. Pooling comes before batch norm, which then normalises a quarter of the
    values. Max pooling commutes with ReLU, and with batch norm wherever the scale is positive.

    Args:
        classes: number of classes.
        width: multiplier of the channel counts.
        stem_stride: stride of the first layer: 2, or 1 followed by max pooling.
        batch_norm: whether batch norm follows each convolution; without it, the convolutions have biases.
    """

    def convolution(inputs: int, outputs: int, size: int, stride: int = 1, padding: int = 1) -> nn.Module:
        return nn.Conv2d(inputs, outputs, size, stride, padding, bias=not batch_norm)

    def norm_relu(channels: int) -> list[nn.Module]:
        return [*([nn.BatchNorm2d(channels)] if batch_norm else []), nn.ReLU(inplace=True)]

    narrow, middle, wide = 16 * width, 32 * width, 64 * width
    pooling = [nn.MaxPool2d(2)] if stem_stride == 1 else []
    return nn.Sequential(
        # 1 x 28 x 28; channel counts in these comments are for width 1
        convolution(1, narrow, 5, stride=stem_stride, padding=0), *pooling, *norm_relu(narrow),
        # 16 x 12 x 12
        convolution(narrow, middle, 3, padding=0), *norm_relu(middle),
        # 32 x 10 x 10
        convolution(middle, middle, 3), nn.MaxPool2d(2), *norm_relu(middle),
        # 32 x 5 x 5
        convolution(middle, wide, 3), *norm_relu(wide),
        convolution(wide, wide, 3, padding=0), *norm_relu(wide),
        # 64 x 3 x 3
        nn.MaxPool2d(3),
        nn.Flatten(),
        nn.Linear(wide, classes),
    )  # fmt: skip
