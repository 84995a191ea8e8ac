"""Recipes and networks for tests."""

import torch
from torch import nn

from pipeline import Recipe
from pipeline.config.recipe import load_recipe
from pipeline.config.settings import recipe_names

DIGIT_RECIPES = [name for name in recipe_names() if isinstance(load_recipe(name), Recipe)]
"""Built-in recipes that predict digits and use this project's training loop."""

SMALL_FINE_TUNING = [
    "image_size=32",
    "epochs=2",
    "eval_steps=20",
    "save_steps=20",
    "learning_rate=2e-2",
    "precision=float32",
]
"""Overrides with which `even-odd` fine-tunes a very small network in one or two seconds."""


def randomise_batch_norms(model: nn.Module) -> nn.Module:
    """Randomise the batch norms of a model as if it were trained, with some negative scales, and return it."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.normal_(0.5, 0.5)
            module.bias.data.normal_(0, 0.1)
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model.eval()
