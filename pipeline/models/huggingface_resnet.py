"""ResNets as Transformers writes them, and torchvision's weights under their names there."""

import re
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from transformers import ResNetConfig, ResNetForImageClassification

SHAPES: dict[str, dict[str, Any]] = {
    "resnet18": {"layer_type": "basic", "depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512]},
    "resnet50": {"layer_type": "bottleneck", "depths": [3, 4, 6, 3], "hidden_sizes": [256, 512, 1024, 2048]},
}
NAMES: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
    (r"^conv1\.", "resnet.embedder.embedder.convolution."),
    (r"^bn1\.", "resnet.embedder.embedder.normalization."),
    (r"^fc\.", "classifier.1."),
    (r"^layer(\d)\.(\d+)\.downsample\.0\.", lambda found: f"{layer(found)}.shortcut.convolution."),
    (r"^layer(\d)\.(\d+)\.downsample\.1\.", lambda found: f"{layer(found)}.shortcut.normalization."),
    (r"^layer(\d)\.(\d+)\.conv(\d)\.", lambda found: f"{layer(found)}.layer.{int(found[3]) - 1}.convolution."),
    (r"^layer(\d)\.(\d+)\.bn(\d)\.", lambda found: f"{layer(found)}.layer.{int(found[3]) - 1}.normalization."),
]


class ResNet(nn.Module):
    """A ResNet of one of the SHAPES for one channel, in a network that scales its images first."""

    def __init__(self, classes: int, name: str) -> None:
        super().__init__()
        labels = {number: str(number) for number in range(classes)}
        self.classifier = ResNetForImageClassification(ResNetConfig(num_channels=1, id2label=labels, **SHAPES[name]))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, float (B, classes), of float (B, 1, S, S)."""
        logits: Tensor = self.classifier(pixel_values=images).logits
        return logits


def renamed(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of torchvision's ResNet under the names that ResNetForImageClassification has for them."""
    return {new_name(name): tensor for name, tensor in weights.items()}


def new_name(name: str) -> str:
    """Return Transformers' name of one of torchvision's weights."""
    for pattern, new in NAMES:
        if re.match(pattern, name):
            return re.sub(pattern, new, name)
    raise KeyError(name)


def layer(found: re.Match[str]) -> str:
    """Return where Transformers keeps a residual layer: `layer2.1` is the second of its stage 1."""
    return f"resnet.encoder.stages.{int(found[1]) - 1}.layers.{found[2]}"
