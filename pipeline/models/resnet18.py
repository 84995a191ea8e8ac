"""torchvision's ResNet-18 (He et al. 2015, arXiv:1512.03385) for one channel and ten classes: 11,175,370 parameters."""

from torch import nn
from torchvision.models import resnet18 as torchvision_resnet18

from pipeline.table import CLASSES


def resnet18() -> nn.Module:
    """Return the network; its first convolution reads one channel."""
    model: nn.Module = torchvision_resnet18(weights=None, num_classes=CLASSES)
    model.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    return model
