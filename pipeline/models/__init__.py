"""The networks: one architecture a file, each read like a diagram."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from torch import nn

from pipeline.config.choices import ARCHITECTURES
from pipeline.config.recipe import Recipe


def build(recipe: Recipe) -> nn.Module:
    """Return the recipe's network, freshly initialised from torch's global generator.

    It maps normalised images, float (B, 1, S, S) where S is the recipe's image_size, to logits, float (B, classes).
    """
    if recipe.members > 1:
        from pipeline.models.ensemble import Ensemble

        return Ensemble([build(recipe.member(index)) for index in range(recipe.members)])
    make, arguments = architecture(recipe)
    model = make(recipe.classes, **arguments)
    return model if ARCHITECTURES[recipe.model].torch_init else initialised(model)


def architecture(recipe: Recipe) -> tuple[Callable[..., nn.Module], dict[str, Any]]:
    """Return what makes the recipe's network of a number of classes, and the other arguments that it takes."""
    row = ARCHITECTURES[recipe.model]
    # Imported when it is needed: torchvision, which some of them need, takes a second.
    make = getattr(import_module(f"pipeline.models.{row.module}"), row.function)
    return make, {name: getattr(recipe, name) for name in row.arguments}


def initialised(model: nn.Module) -> nn.Module:
    """Return the model with weights drawn as He et al. (2015, arXiv:1502.01852) advise for networks of rectifiers.

    Convolutions: normal with variance 2 / fan in, which keeps the signal's size through the layers. Linear layers,
    which no rectifier follows here: 1 / fan in. Biases are zero, and batch norms begin as the identity.
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
