"""torchvision's ResNets (He et al. 2015, arXiv:1512.03385) for one channel and ten classes."""

from torch import nn
from torchvision.models import resnet18 as torchvision_resnet18
from torchvision.models import resnet50 as torchvision_resnet50


def resnet18(classes: int) -> nn.Module:
    """Return the network of 18 layers: 11,175,370 parameters for ten classes."""
    return for_one_channel(torchvision_resnet18(num_classes=classes))


def resnet50(classes: int) -> nn.Module:
    """Return the network of 50 layers: 23,522,250 parameters for ten classes."""
    return for_one_channel(torchvision_resnet50(num_classes=classes))


def for_one_channel(model: nn.Module) -> nn.Module:
    """Return a ResNet with a first convolution that reads one channel."""
    model.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    return model
