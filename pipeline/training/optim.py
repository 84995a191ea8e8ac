"""A recipe's optimizer and its learning-rate schedule."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer, RMSprop, lr_scheduler
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR

from pipeline.config.choices import SCHEDULERS
from pipeline.config.recipe import Recipe
from pipeline.training.muon import Muon

DENORMAL_LIMIT = 1e-25


def make_optimizer(recipe: Recipe, model: nn.Module) -> Optimizer:
    """Return the recipe's optimizer over all of the model's parameters."""
    rate, momentum, decay = recipe.learning_rate, recipe.momentum, recipe.weight_decay
    match recipe.optimizer:
        case "muon":
            return Muon(model, rate, recipe.other_learning_rate, momentum, decay)
        case "sgd":
            return SGD(model.parameters(), rate, momentum, weight_decay=decay, foreach=True)
        case "rmsprop":
            return RMSprop(model.parameters(), rate, momentum=momentum, weight_decay=decay, foreach=True)
    decoupled = recipe.optimizer == "adamw"
    return FusedAdam(model.parameters(), rate, weight_decay=decay, decoupled_weight_decay=decoupled, fused=True)


class FusedAdam(Adam):
    """torch's fused Adam, given every tensor in the order in which it lies in memory.

    The fused update passes over the weights once; but on a CPU it copies channels-last tensors there and back, which
    doubles its time.
    """

    def _init_group(self, group: dict[str, Any], *lists: list[Tensor]) -> bool:
        has_complex: bool = super()._init_group(group, *lists)  # type: ignore[no-untyped-call]
        for tensors in lists:
            tensors[:] = [_in_memory_order(tensor) for tensor in tensors]
        return has_complex


def _in_memory_order(tensor: Tensor) -> Tensor:
    """Return a channels-last tensor as a contiguous view, and any other as it is."""
    if tensor.ndim == 4 and not tensor.is_contiguous() and tensor.is_contiguous(memory_format=torch.channels_last):
        return tensor.permute(0, 2, 3, 1)
    return tensor


@torch.no_grad()
def flush_denormals(optimizer: Optimizer) -> None:
    """Make numbers below TINY zero, among the parameters and in what the optimizer keeps of them.

    Weight decay shrinks the weights of inputs that never fire, and their averaged gradients with them, below 1e-38,
    where each operation takes a processor up to a hundred times as long: half of branch-cnn's were there after two
    epochs. Done every few hundred updates, none gets so far.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            kept = [value for value in optimizer.state[parameter].values() if isinstance(value, Tensor)]
            for tensor in (parameter, *kept):
                torch.ops.aten.hardshrink.out(tensor, DENORMAL_LIMIT, out=tensor)


def make_scheduler(recipe: Recipe, optimizer: Optimizer, updates_per_epoch: int) -> LRScheduler:
    """Return the recipe's learning-rate scheduler; its row in SCHEDULERS says when it is to be stepped."""
    updates = recipe.epochs * updates_per_epoch
    match recipe.scheduler:
        case "one-cycle":
            rates = [group["lr"] for group in optimizer.param_groups]
            return OneCycleLR(
                optimizer, rates, updates, pct_start=recipe.warmup, anneal_strategy="linear", cycle_momentum=False
            )
        case "cosine":
            return CosineAnnealingLR(optimizer, updates)
        case "none":
            return ConstantLR(optimizer, factor=1)
    row = SCHEDULERS[recipe.scheduler]
    arguments = {argument: getattr(recipe, setting) for setting, argument in row.arguments.items()}
    scheduler: LRScheduler = getattr(lr_scheduler, row.torch_name)(optimizer, **arguments)
    return scheduler
