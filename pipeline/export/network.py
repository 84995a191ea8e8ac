"""What every export needs: calibrated weights and the names of the classes."""

import torch
from torch import nn

from pipeline.config.recipe import Recipe
from pipeline.digits import CLASSES
from pipeline.inference.predictor import trained
from pipeline.models.ensemble import Ensemble
from pipeline.run import Run


def class_names(recipe: Recipe) -> list[str]:
    """Return what the classes are called: the digits, and "not a digit" where a recipe learns that."""
    return [*map(str, range(CLASSES)), "not a digit"][: recipe.classes]


def load_calibrated(run: Run, recipe: Recipe) -> nn.Module:
    """Return a run's network, its last layer divided by the run's temperature, as its logits are to be."""
    model = trained(run, recipe).eval()
    for network in model.members if isinstance(model, Ensemble) else [model]:
        last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
        with torch.no_grad():
            for parameter in last.parameters():
                parameter.div_(run.card.temperature)
    return model
