"""Muon, the optimizer that trains small convolutional networks in the fewest epochs."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.adam import adam

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
        self.muon_step([parameter for parameter in filters["params"] if parameter.grad is not None], filters)
        self.adam_step([parameter for parameter in others["params"] if parameter.grad is not None], others)

    def muon_step(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """Step along the orthogonalised momentum."""
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)
            momentum = self.state[parameter]["momentum"]
            assert parameter.grad is not None
            momentum.mul_(group["momentum"]).add_(parameter.grad)
            update = torch.add(parameter.grad, momentum, alpha=group["momentum"])
            if group["weight_decay"]:
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.sub_(orthogonalised(update.flatten(1)).view_as(update), alpha=group["lr"])

    def adam_step(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """Step as Adam does (Kingma and Ba 2014, arXiv:1412.6980, algorithm 1), all parameters in one call."""
        for parameter in parameters:
            if not self.state[parameter]:
                zeros = torch.zeros_like(parameter)
                self.state[parameter].update(step=torch.zeros(()), mean=zeros, square=zeros.clone())
        if not parameters:
            return
        states = [self.state[parameter] for parameter in parameters]
        adam(
            parameters,
            [parameter.grad for parameter in parameters if parameter.grad is not None],
            [state["mean"] for state in states],
            [state["square"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=ADAM_BETAS[0],
            beta2=ADAM_BETAS[1],
            lr=group["lr"],
            weight_decay=0.0,
            eps=ADAM_EPSILON,
            maximize=False,
        )


def orthogonalised(matrix: Tensor) -> Tensor:
    """Return about the nearest matrix to float (M, N) whose singular values are all 1.

    Three Newton-Schulz iterations with Jordan's coefficients, which bring the singular values near 1 fast and not
    exactly.
    """
    wide: Tensor = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / (torch.linalg.vector_norm(wide) + 1e-7)
    for _ in range(3):
        square = wide @ wide.T
        factor = torch.addmm(square, square, square, beta=-4.7750, alpha=2.0315)
        wide = torch.addmm(wide, factor, wide, beta=3.4445)
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T
