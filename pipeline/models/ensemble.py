"""An ensemble of networks of one architecture."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Ensemble(nn.Module):
    """An ensemble that averages the logits of its members."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, float (B, classes), for images, float (B, 1, S, S)."""
        return torch.stack([member(images) for member in self.members]).mean(0)
