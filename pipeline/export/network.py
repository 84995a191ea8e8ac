"""Calibrated networks and class names for exports."""

import torch
from torch import nn

from pipeline.config.recipe import Recipe
from pipeline.digits import CLASSES
from pipeline.inference.predictor import load_network
from pipeline.models.ensemble import Ensemble
from pipeline.run import Run


def class_names(recipe: Recipe) -> list[str]:
    """Return the class names: the digits, and "not a digit" if the recipe has a class for non-digits."""
    return [*map(str, range(CLASSES)), "not a digit"][: recipe.classes]


def load_calibrated(run: Run, recipe: Recipe) -> nn.Module:
    """Return a run's network with its last linear layer divided by the run's temperature: its logits are calibrated."""
    model = load_network(run, recipe).eval()
    for network in model.members if isinstance(model, Ensemble) else [model]:
        last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
        with torch.no_grad():
            for parameter in last.parameters():
                parameter.div_(run.card.temperature)
    return model
