"""Two convolutions and two linear layers: the network of PyTorch's own MNIST example and of many first projects."""

from torch import nn


def light_cnn(classes: int, image_size: int, hidden_size: int, feature_dropout: float, dropout: float) -> nn.Module:
    """Return the network: 28x28 -> 26x26 -> 24x24 -> 12x12 -> hidden units; 1,199,882 parameters for 28x28 and 128.

    Args:
        classes: to tell apart; ten in the count of parameters.
        image_size: at least 6.
        hidden_size: units of the hidden linear layer, which hold nearly all of the parameters.
        feature_dropout: of the features that enter the linear layers.
        dropout: after the hidden linear layer.
    """
    pooled = (image_size - 4) // 2
    return nn.Sequential(
        # 1 x 28 x 28
        nn.Conv2d(1, 32, 3), nn.ReLU(inplace=True),
        # 32 x 26 x 26
        nn.Conv2d(32, 64, 3), nn.MaxPool2d(2), nn.ReLU(inplace=True),  # the two commute; a quarter is rectified
        # 64 x 12 x 12
        nn.Dropout(feature_dropout),
        nn.Flatten(),
        nn.Linear(64 * pooled * pooled, hidden_size), nn.ReLU(inplace=True), nn.Dropout(dropout),
        nn.Linear(hidden_size, classes),
    )  # fmt: skip
