"""Two convolutions and two linear layers, as in PyTorch's MNIST example and many beginners' projects."""

from torch import nn


def light_cnn(classes: int, image_size: int, hidden_size: int, feature_dropout: float, dropout: float) -> nn.Module:
    """Return the network: 28x28 -> 26x26 -> 24x24 -> 12x12 -> hidden units.

    It has 1,199,882 parameters for 28x28 images, 128 hidden units and ten classes.

    Args:
        classes: number of classes.
        image_size: pixels along one side, at least 6.
        hidden_size: units of the hidden linear layer, which holds nearly all of the parameters.
        feature_dropout: dropout probability before the linear layers.
        dropout: dropout probability after the hidden linear layer.
    """
    pooled = (image_size - 4) // 2
    return nn.Sequential(
        # 1 x 28 x 28
        nn.Conv2d(1, 32, 3), nn.ReLU(inplace=True),
        # 32 x 26 x 26; pooling and ReLU commute, and pooling first leaves a quarter of the values for ReLU
        nn.Conv2d(32, 64, 3), nn.MaxPool2d(2), nn.ReLU(inplace=True),
        # 64 x 12 x 12
        nn.Dropout(feature_dropout),
        nn.Flatten(),
        nn.Linear(64 * pooled * pooled, hidden_size), nn.ReLU(inplace=True), nn.Dropout(dropout),
        nn.Linear(hidden_size, classes),
    )  # fmt: skip
