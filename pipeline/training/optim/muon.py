"""The Muon optimizer, which trains small convolutional networks in few epochs."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.adam import adam

ADAM_BETAS = (0.9, 0.99)
ADAM_EPSILON = 1e-8
OLD_STATE_KEYS = {"momentum": "momentum_buffer", "mean": "exp_avg", "square": "exp_avg_sq"}
"""State keys of older versions, and the current ones. Progress files may still contain the older keys."""


class Muon(Optimizer):
    """Muon for convolutions, Adam for all other parameters.

    Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) treats a convolution's gradient, with Nesterov
    momentum, as a matrix with one row per filter. The update is the nearest orthogonal matrix, and therefore changes
    every direction of the filter bank at the same rate.

    Args:
        model: the network to train.
        learning_rate: learning rate of the convolutions.
        other_learning_rate: learning rate of Adam, for biases, norms and linear layers.
        momentum: Nesterov momentum of the convolutions, in [0, 1).
        weight_decay: decoupled weight decay of the convolutions. Other parameters have none.
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
        """Update every parameter that has a gradient. Closures are not supported."""
        filters, others = self.param_groups
        self._muon_step([parameter for parameter in filters["params"] if parameter.grad is not None], filters)
        self._adam_step([parameter for parameter in others["params"] if parameter.grad is not None], others)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load an optimizer state. States that were saved with the keys of older versions are accepted."""
        state = {
            index: {OLD_STATE_KEYS.get(key, key): value for key, value in values.items()}
            for index, values in state_dict["state"].items()
        }
        super().load_state_dict({**state_dict, "state": state})

    def _muon_step(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """Update parameters by their orthogonalised momentum."""
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
            buffer = self.state[parameter]["momentum_buffer"]
            assert parameter.grad is not None
            buffer.mul_(group["momentum"]).add_(parameter.grad)
            update = torch.add(parameter.grad, buffer, alpha=group["momentum"])
            if group["weight_decay"]:
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.sub_(orthogonalise(update.flatten(1)).view_as(update), alpha=group["lr"])

    def _adam_step(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """Update all parameters by one call of Adam (Kingma and Ba 2014, arXiv:1412.6980, algorithm 1)."""
        for parameter in parameters:
            if not self.state[parameter]:
                zeros = torch.zeros_like(parameter)
                self.state[parameter].update(step=torch.zeros(()), exp_avg=zeros, exp_avg_sq=zeros.clone())
        if not parameters:
            return
        states = [self.state[parameter] for parameter in parameters]
        adam(
            parameters,
            [parameter.grad for parameter in parameters if parameter.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
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


def orthogonalise(matrix: Tensor) -> Tensor:
    """Return approximately the nearest matrix to `matrix`, float (M, N), whose singular values are all 1.

    Three Newton-Schulz iterations with Jordan's coefficients bring the singular values close to 1 quickly, but not
    exactly to 1.
    """
    wide: Tensor = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / (torch.linalg.vector_norm(wide) + 1e-7)
    for _ in range(3):
        square = wide @ wide.T
        factor = torch.addmm(square, square, square, beta=-4.7750, alpha=2.0315)
        wide = torch.addmm(wide, factor, wide, beta=3.4445)
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T
