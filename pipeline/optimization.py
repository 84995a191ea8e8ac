"""A recipe's optimizer and its learning-rate schedule."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR, StepLR

from pipeline.muon import Muon
from pipeline.recipe import Recipe


def make_optimizer(recipe: Recipe, model: nn.Module) -> Optimizer:
    """Return the recipe's optimizer over all of the model's parameters."""
    if recipe.optimizer == "muon":
        return Muon(model, recipe.learning_rate, recipe.other_learning_rate, recipe.momentum, recipe.weight_decay)
    return FusedAdam(
        model.parameters(),
        lr=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        decoupled_weight_decay=recipe.optimizer == "adamw",
        fused=True,
    )


class FusedAdam(Adam):
    """torch's fused Adam, given every tensor in the order in which it lies in memory.

    The fused update passes over the weights once; but on a CPU it copies channels-last tensors there and back, which
    doubles its time.
    """

    def _init_group(self, group: dict[str, Any], *lists: list[Tensor]) -> bool:
        has_complex: bool = super()._init_group(group, *lists)  # type: ignore[no-untyped-call]
        for tensors in lists:
            tensors[:] = [in_memory_order(tensor) for tensor in tensors]
        return has_complex


def in_memory_order(tensor: Tensor) -> Tensor:
    """Return a channels-last tensor as a contiguous view, and any other as it is."""
    if tensor.ndim == 4 and not tensor.is_contiguous() and tensor.is_contiguous(memory_format=torch.channels_last):
        return tensor.permute(0, 2, 3, 1)
    return tensor


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
