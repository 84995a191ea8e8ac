"""An exponential moving average of a network's weights."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Tensors = tuple[Tensor, ...] | list[Tensor]


def average_weights(model: nn.Module, decay: float) -> AveragedModel:
    """Return a copy of a network whose `update_parameters(model)` adds the network's weights to an average.

    The statistics of batch norms are averaged too; integers are copied. The decay grows with the number of updates n,
    so that the first weights are soon forgotten: (1 + n) / (10 + n), at most `decay`, as in TensorFlow's
    ExponentialMovingAverage.

    Args:
        model: the network.
        decay: weight of the former average in an update, in 0..1.
    """

    @torch.no_grad()
    def update(averaged: Tensors, current: Tensors, updates: Tensor | int) -> None:
        if averaged[0].is_floating_point():
            weight = max(1 - decay, 9 / (10 + float(updates)))
            torch._foreach_lerp_(averaged, current, weight)
        else:
            torch._foreach_copy_(averaged, current)

    return AveragedModel(model, multi_avg_fn=update, use_buffers=True)
