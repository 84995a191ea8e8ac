"""The network of a classifier: the recipe's, or one that its user gave."""

import copy
from collections.abc import Callable

import torch
from torch import nn

from pipeline.config.recipe import Recipe
from pipeline.digits import CLASSES, SIDE
from pipeline.errors import UserError
from pipeline.models import build

NetworkMaker = Callable[[], nn.Module]
"""A function or class that returns a new network."""


def make_network(recipe: Recipe, given: nn.Module | NetworkMaker | None) -> nn.Module:
    """Return a new network: the recipe's, a copy of a module, or what a function returns.

    Raises:
        UserError: the function returns no module, or the module does not map images to ten scores each.
    """
    if given is None:
        return build(recipe)
    model = copy.deepcopy(given) if isinstance(given, nn.Module) else given()
    if not isinstance(model, nn.Module):
        raise UserError(f"network: {name_of(given)} returns a {type(model).__name__}, not a torch module: return one")
    images = torch.zeros(2, 1, SIDE, SIDE)
    try:
        with torch.no_grad():
            found = tuple(model.eval()(images).shape)
    except Exception as error:  # whatever the code of the network raises
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"network: {name_of(given)} fails on images (2, 1, {SIDE}, {SIDE}): {reason}") from error
    if found != (len(images), CLASSES):
        raise UserError(
            f"network: {name_of(given)} returns {found} for two images, expected {(len(images), CLASSES)}: return the "
            f"scores of {CLASSES} classes"
        )
    return model


def name_of(network: nn.Module | NetworkMaker) -> str:
    """Return the name of a module's class or of a function."""
    return type(network).__name__ if isinstance(network, nn.Module) else getattr(network, "__name__", repr(network))
