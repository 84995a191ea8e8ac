"""Network architectures, one per file."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from torch import nn

from pipeline.config.choices import ARCHITECTURES
from pipeline.config.recipe import Recipe


def build(recipe: Recipe) -> nn.Module:
    """Return the recipe's network, freshly initialised from torch's global generator.

    It maps normalised images, float (B, 1, S, S) with S the recipe's image_size, to logits, float (B, classes).
    """
    if recipe.members > 1:
        from pipeline.models.ensemble import Ensemble

        return Ensemble([build(recipe.member(index)) for index in range(recipe.members)])
    make, arguments = architecture(recipe)
    model = make(recipe.classes, **arguments)
    return model if ARCHITECTURES[recipe.model].torch_init else _initialise(model)


def architecture(recipe: Recipe) -> tuple[Callable[..., nn.Module], dict[str, Any]]:
    """Return the factory of the recipe's network, which takes the number of classes, and its keyword arguments."""
    row = ARCHITECTURES[recipe.model]
    # Imported on demand: some architectures need torchvision, which takes a second to import.
    make = getattr(import_module(f"pipeline.models.{row.module}"), row.function)
    return make, {name: getattr(recipe, name) for name in row.arguments}


def _initialise(model: nn.Module) -> nn.Module:
    """Initialise the weights for ReLU networks after He et al. (2015, arXiv:1502.01852), and return the model.

    Convolutions: normal with variance 2 / fan-in, which preserves the signal's variance through the layers. Linear
    layers, which no ReLU follows here: variance 1 / fan-in. Biases are zero. Batch norms start as the identity.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="linear")
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
    return model
