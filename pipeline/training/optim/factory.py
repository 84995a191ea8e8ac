"""Accelerate, optimizers and learning-rate schedulers with the settings of recipes."""

from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer, RMSprop, lr_scheduler
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR

from pipeline.config.choices import SCHEDULERS
from pipeline.config.recipe import Recipe
from pipeline.training.optim.muon import Muon
from pipeline.utils.device import cuda_fails

DENORMAL_LIMIT = 1e-25
"""Numbers of smaller magnitude are set to zero."""


def make_accelerator(recipe: Recipe) -> Accelerator:
    """Return Accelerate with the recipe's settings, on a GPU if there is one that works."""
    loading = DataLoaderConfiguration(
        split_batches=True, use_seedable_sampler=True, data_seed=recipe.seed, non_blocking=recipe.pin_memory
    )
    return Accelerator(
        cpu=cuda_fails(), gradient_accumulation_steps=recipe.gradient_accumulation, dataloader_config=loading
    )


def prepare(accelerator: Accelerator, *objects: Any) -> Any:
    """Return what Accelerate's `prepare` returns: a network, an optimizer and loaders, placed on its device.

    Without the placements, which are the default ones, Accelerate imports torch's DTensor: half a second.
    """
    return accelerator.prepare(*objects, device_placement=[True] * len(objects))


def make_optimizer(recipe: Recipe, model: nn.Module) -> Optimizer:
    """Return the recipe's optimizer for all parameters of the model."""
    _skip_compiler_import()
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


def _skip_compiler_import() -> None:
    """Keep torch from importing its compiler with the first optimizer: the import takes a second, and nothing uses it.

    torch wraps some methods for compiled programs. The wrapper calls what it finds under this name, or imports the
    compiler to make it. The steps of torch's own optimizers import it in any case; Muon's does not.
    """
    for method in vars(Optimizer).values():
        plain = getattr(method, "__wrapped__", None)
        if plain is not None:
            plain.__dynamo_disable = plain


class FusedAdam(Adam):
    """torch's fused Adam on contiguous views of the tensors.

    The fused update makes one pass over the weights. On a CPU it also copies channels-last tensors before and after
    the update, which doubles its time. Contiguous views of the same memory avoid the copies.
    """

    def _init_group(self, group: dict[str, Any], *lists: list[Tensor]) -> bool:
        has_complex: bool = super()._init_group(group, *lists)  # type: ignore[no-untyped-call]
        for tensors in lists:
            tensors[:] = [_view_contiguous(tensor) for tensor in tensors]
        return has_complex


def _view_contiguous(tensor: Tensor) -> Tensor:
    """Return a contiguous view of a channels-last tensor, and any other tensor unchanged."""
    if tensor.ndim == 4 and not tensor.is_contiguous() and tensor.is_contiguous(memory_format=torch.channels_last):
        return tensor.permute(0, 2, 3, 1)
    return tensor


def make_scaler(dtype: torch.dtype, device: torch.device) -> torch.amp.GradScaler | None:
    """Return the scaler of the loss that float16 needs, because its small gradients would be 0; None for others."""
    return torch.amp.GradScaler(device.type) if dtype is torch.float16 else None


@torch.no_grad()
def flush_denormals(optimizer: Optimizer) -> None:
    """Set numbers smaller than DENORMAL_LIMIT to zero, in the parameters and in the optimizer's state.

    Weight decay shrinks the weights of inputs that are always zero, and their averaged gradients, below 1e-38. These
    are denormal numbers, on which a CPU operation takes up to a hundred times as long. After two epochs half of
    branch-cnn's weights were denormal. A call every few hundred updates prevents this.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state = [value for value in optimizer.state[parameter].values() if isinstance(value, Tensor)]
            for tensor in (parameter, *state):
                torch.ops.aten.hardshrink.out(tensor, DENORMAL_LIMIT, out=tensor)


def make_scheduler(recipe: Recipe, optimizer: Optimizer, updates_per_epoch: int) -> LRScheduler:
    """Return the recipe's learning-rate scheduler. Its row in SCHEDULERS defines when to step it."""
    updates = recipe.epochs * updates_per_epoch
    match recipe.scheduler:
        case "one-cycle":
            rates = [group["lr"] for group in optimizer.param_groups]
            return OneCycleLR(
                optimizer,
                rates,
                updates,
                pct_start=warmup_fraction(recipe.warmup, updates),
                anneal_strategy="linear",
                cycle_momentum=False,
            )
        case "cosine":
            return CosineAnnealingLR(optimizer, updates)
        case "none":
            return ConstantLR(optimizer, factor=1)
    row = SCHEDULERS[recipe.scheduler]
    arguments = {argument: getattr(recipe, setting) for setting, argument in row.arguments.items()}
    if recipe.scheduler == "plateau":
        arguments["threshold"] = recipe.scheduler_threshold
    scheduler: LRScheduler = getattr(lr_scheduler, row.torch_name)(optimizer, **arguments)
    return scheduler


def warmup_fraction(warmup: float, updates: int) -> float:
    """Return the fraction of the updates for OneCycleLR, which divides by zero if that is exactly one update."""
    return 2 / updates if warmup * updates == 1 else warmup
