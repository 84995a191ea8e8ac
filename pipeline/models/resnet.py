"""torchvision's ResNets (He et al. 2015, arXiv:1512.03385) with one input channel."""

from torch import nn
from torchvision.models import resnet18 as torchvision_resnet18
from torchvision.models import resnet50 as torchvision_resnet50


def resnet18(classes: int) -> nn.Module:
    """Return ResNet-18: 11,175,370 parameters for ten classes."""
    return _use_one_channel(torchvision_resnet18(num_classes=classes))


def resnet50(classes: int) -> nn.Module:
    """Return ResNet-50: 23,522,250 parameters for ten classes."""
    return _use_one_channel(torchvision_resnet50(num_classes=classes))


def _use_one_channel(model: nn.Module) -> nn.Module:
    """Replace a ResNet's first convolution by one with a single input channel, and return the model."""
    model.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    return model
