"""Transformers' ResNets, and the renaming of torchvision's ResNet weights to Transformers' names."""

import re
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from transformers import ResNetConfig, ResNetForImageClassification

SHAPES: dict[str, dict[str, Any]] = {
    "resnet18": {"layer_type": "basic", "depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512]},
    "resnet50": {"layer_type": "bottleneck", "depths": [3, 4, 6, 3], "hidden_sizes": [256, 512, 1024, 2048]},
}
"""Arguments of ResNetConfig."""
NAME_RULES: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
    (r"^conv1\.", "resnet.embedder.embedder.convolution."),
    (r"^bn1\.", "resnet.embedder.embedder.normalization."),
    (r"^fc\.", "classifier.1."),
    (r"^layer(\d)\.(\d+)\.downsample\.0\.", lambda match: f"{_layer_prefix(match)}.shortcut.convolution."),
    (r"^layer(\d)\.(\d+)\.downsample\.1\.", lambda match: f"{_layer_prefix(match)}.shortcut.normalization."),
    (r"^layer(\d)\.(\d+)\.conv(\d)\.", lambda match: f"{_layer_prefix(match)}.layer.{int(match[3]) - 1}.convolution."),
    (r"^layer(\d)\.(\d+)\.bn(\d)\.", lambda match: f"{_layer_prefix(match)}.layer.{int(match[3]) - 1}.normalization."),
]
"""Patterns of torchvision's names and their replacements. The first match applies."""


class ResNet(nn.Module):
    """A ResNet of SHAPES with one input channel. The enclosing network scales the images."""

    def __init__(self, classes: int, name: str) -> None:
        super().__init__()
        labels = {number: str(number) for number in range(classes)}
        self.classifier = ResNetForImageClassification(ResNetConfig(num_channels=1, id2label=labels, **SHAPES[name]))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, float (B, classes), for images, float (B, 1, S, S)."""
        logits: Tensor = self.classifier(pixel_values=images).logits
        return logits


def rename_weights(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of torchvision's ResNet under ResNetForImageClassification's names."""
    return {_new_name(name): tensor for name, tensor in weights.items()}


def _new_name(name: str) -> str:
    """Return Transformers' name for one of torchvision's weights."""
    for pattern, replacement in NAME_RULES:
        if re.match(pattern, name):
            return re.sub(pattern, replacement, name)
    raise KeyError(name)


def _layer_prefix(match: re.Match[str]) -> str:
    """Return Transformers' prefix for a residual layer: `layer2.1` is layer 1 of stage 1."""
    return f"resnet.encoder.stages.{int(match[1]) - 1}.layers.{match[2]}"
