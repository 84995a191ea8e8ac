"""VGG-16 (Simonyan and Zisserman 2014, arXiv:1409.1556) for one channel, small images and ten classes."""

from collections import OrderedDict

from torch import nn


def vgg16(classes: int, image_size: int, dropout: float) -> nn.Module:
    """Return the thirteen convolutions of VGG-16 and three linear layers: 15,243,978 parameters for 32x32 pixels.

    Five poolings leave one pixel of 32x32, so that the linear layers have 512 units instead of ImageNet's 4,096
    (Liu and Deng 2015, who fit the network to small images so).

    Args:
        classes: to tell apart; ten in the count of parameters.
        image_size: at least 32.
        dropout: after each hidden linear layer.
    """
    features = nn.Sequential(
        # 1 x 32 x 32
        *convolutions(1, 64, 64), nn.MaxPool2d(2),
        *convolutions(64, 128, 128), nn.MaxPool2d(2),
        *convolutions(128, 256, 256, 256), nn.MaxPool2d(2),
        *convolutions(256, 512, 512, 512), nn.MaxPool2d(2),
        *convolutions(512, 512, 512, 512), nn.MaxPool2d(2),
        # 512 x 1 x 1
    )  # fmt: skip
    classifier = nn.Sequential(
        nn.Flatten(),
        nn.Linear(512 * (image_size // 32) ** 2, 512), nn.ReLU(inplace=True), nn.Dropout(dropout),
        nn.Linear(512, 512), nn.ReLU(inplace=True), nn.Dropout(dropout),
        nn.Linear(512, classes),
    )  # fmt: skip
    return nn.Sequential(OrderedDict(features=features, classifier=classifier))  # torchvision's names


def convolutions(inputs: int, *outputs: int) -> list[nn.Module]:
    """Return convolutions of 3x3, each with a rectifier."""
    layers: list[nn.Module] = []
    for channels in outputs:
        layers += [nn.Conv2d(inputs, channels, 3, padding=1), nn.ReLU(inplace=True)]
        inputs = channels
    return layers
