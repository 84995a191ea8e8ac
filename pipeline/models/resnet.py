"""torchvision's ResNets (He et al. 2015, arXiv:1512.03385) for one channel and ten classes."""

from collections.abc import Callable

from torch import nn
from torchvision.models import resnet18 as torchvision_resnet18
from torchvision.models import resnet50 as torchvision_resnet50

from pipeline.table import CLASSES


def resnet18() -> nn.Module:
    """Return the network of 18 layers: 11,175,370 parameters."""
    return for_one_channel(torchvision_resnet18)


def resnet50() -> nn.Module:
    """Return the network of 50 layers: 23,522,250 parameters."""
    return for_one_channel(torchvision_resnet50)


def for_one_channel(resnet: Callable[..., nn.Module]) -> nn.Module:
    """Return a ResNet whose first convolution reads one channel."""
    model: nn.Module = resnet(weights=None, num_classes=CLASSES)
    model.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    return model
