"""Muon, the optimizer that trains small convolutional networks in the fewest epochs."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

ADAM_BETAS = (0.9, 0.99)
ADAM_EPSILON = 1e-8


class Muon(Optimizer):
    """Muon for convolutions, Adam for all else (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon).

    A convolution's gradient, with Nesterov momentum, is taken as a matrix with a row for each filter, and the step is
    the orthogonal matrix nearest to it: every direction of the filter bank is learnt at the same speed.

    Args:
        learning_rate: of the convolutions.
        other_learning_rate: of Adam, for biases, norms and linear layers.
        momentum: in [0, 1).
        weight_decay: decoupled, of the convolutions alone.
    """

    def __init__(
        self,
        model: nn.Module,
        learning_rate: float,
        other_learning_rate: float,
        momentum: float,
        weight_decay: float,
    ) -> None:
        filters = [parameter for parameter in model.parameters() if parameter.ndim == 4]
        others = [parameter for parameter in model.parameters() if parameter.ndim != 4]
        groups: list[dict[str, Any]] = [
            {"params": filters, "lr": learning_rate, "momentum": momentum, "weight_decay": weight_decay},
            {"params": others, "lr": other_learning_rate},
        ]
        super().__init__(groups, {})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient; a closure is not supported."""
        filters, others = self.param_groups
        for parameter in filters["params"]:
            if parameter.grad is not None:
                self.muon_step(parameter, **{name: filters[name] for name in ("lr", "momentum", "weight_decay")})
        for parameter in others["params"]:
            if parameter.grad is not None:
                self.adam_step(parameter, others["lr"])

    def muon_step(self, parameter: Tensor, lr: float, momentum: float, weight_decay: float) -> None:
        """Step along the orthogonalised momentum."""
        assert parameter.grad is not None
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].mul_(momentum).add_(parameter.grad)
        update = parameter.grad + momentum * state["momentum"]
        parameter.mul_(1 - lr * weight_decay)
        parameter.sub_(lr * orthogonalised(update.flatten(1)).view_as(update))

    def adam_step(self, parameter: Tensor, lr: float) -> None:
        """Step as Adam does (Kingma and Ba 2014, arXiv:1412.6980, algorithm 1)."""
        assert parameter.grad is not None
        state = self.state[parameter]
        if not state:
            state.update(step=0, mean=torch.zeros_like(parameter), square=torch.zeros_like(parameter))
        state["step"] += 1
        state["mean"].lerp_(parameter.grad, 1 - ADAM_BETAS[0])
        state["square"].lerp_(parameter.grad.square(), 1 - ADAM_BETAS[1])
        mean = state["mean"] / (1 - ADAM_BETAS[0] ** state["step"])
        square = state["square"] / (1 - ADAM_BETAS[1] ** state["step"])
        parameter.sub_(lr * mean / (square.sqrt() + ADAM_EPSILON))


def orthogonalised(matrix: Tensor) -> Tensor:
    """Return about the nearest matrix to float (M, N) whose singular values are all 1.

    Three Newton-Schulz iterations with Jordan's coefficients, which bring the singular values near 1 fast and not
    exactly.
    """
    wide: Tensor = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / (torch.linalg.vector_norm(wide) + 1e-7)
    for _ in range(3):
        square = wide @ wide.T
        wide = 3.4445 * wide + (-4.7750 * square + 2.0315 * square @ square) @ wide
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T
