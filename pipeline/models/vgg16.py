"""VGG-16 (Simonyan and Zisserman 2014, arXiv:1409.1556) for small images with one channel."""

from collections import OrderedDict

from torch import nn


def vgg16(classes: int, image_size: int, dropout: float) -> nn.Module:
    """Return VGG-16's thirteen convolutions with three linear layers.

    It has 15,243,978 parameters for 32x32 images and ten classes. Five poolings reduce 32x32 to one pixel. The hidden
    linear layers therefore have 512 units instead of 4,096 as for ImageNet. Liu and Deng (2015) adapt the network to
    small images in this way.

    Args:
        classes: number of classes.
        image_size: pixels along one side, at least 32.
        dropout: dropout probability after each hidden linear layer.
    """
    features = nn.Sequential(
        # 1 x 32 x 32
        *_convolutions(1, 64, 64), nn.MaxPool2d(2),
        *_convolutions(64, 128, 128), nn.MaxPool2d(2),
        *_convolutions(128, 256, 256, 256), nn.MaxPool2d(2),
        *_convolutions(256, 512, 512, 512), nn.MaxPool2d(2),
        *_convolutions(512, 512, 512, 512), nn.MaxPool2d(2),
        # 512 x 1 x 1
    )  # fmt: skip
    classifier = nn.Sequential(
        nn.Flatten(),
        nn.Linear(512 * (image_size // 32) ** 2, 512), nn.ReLU(inplace=True), nn.Dropout(dropout),
        nn.Linear(512, 512), nn.ReLU(inplace=True), nn.Dropout(dropout),
        nn.Linear(512, classes),
    )  # fmt: skip
    return nn.Sequential(OrderedDict(features=features, classifier=classifier))  # torchvision's names


def _convolutions(inputs: int, *outputs: int) -> list[nn.Module]:
    """Return 3x3 convolutions, each followed by ReLU."""
    layers: list[nn.Module] = []
    for channels in outputs:
        layers += [nn.Conv2d(inputs, channels, 3, padding=1), nn.ReLU(inplace=True)]
        inputs = channels
    return layers
