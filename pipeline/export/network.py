"""Calibrated networks and class names for exports."""

import torch
from torch import nn

from pipeline.config.recipe import Recipe
from pipeline.digits import CLASSES
from pipeline.inference.predictor import load_network
from pipeline.models.ensemble import Ensemble
from pipeline.run import Run

CLASS_NAMES = [str(digit) for digit in range(CLASSES)]


def load_calibrated(run: Run, recipe: Recipe) -> nn.Module:
    """Return a run's network with its last linear layer divided by the run's temperature: its logits are calibrated."""
    model = load_network(run, recipe).eval()
    for network in model.members if isinstance(model, Ensemble) else [model]:
        last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
        with torch.no_grad():
            for parameter in last.parameters():
                parameter.div_(run.card.temperature)
    return model
