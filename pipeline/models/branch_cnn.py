"""A CNN with two parallel branches on a shared stem."""

import torch
from torch import Tensor, nn


class BranchCNN(nn.Module):
    """28x28 -> two branches of 28x28 -> 14x14 -> 7x7, concatenated to 512 channels -> three linear layers.

    The network has 25,927,246 parameters for 28x28 images and ten classes. All but a third of a million of them are in
    the linear layers.

    Args:
        classes: number of classes.
        image_size: pixels along one side, at least 4.
        dropout: dropout probability after each hidden linear layer.
    """

    def __init__(self, classes: int, image_size: int, dropout: float) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(inplace=True))
        self.branches = nn.ModuleList([_branch(), _branch()])
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(512 * (image_size // 4) ** 2, 1000), nn.ReLU(inplace=True), nn.Dropout(dropout),
            nn.Linear(1000, 500), nn.ReLU(inplace=True), nn.Dropout(dropout),
            nn.Linear(500, classes),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, float (B, classes), for images, float (B, 1, S, S) with S = image_size."""
        features = self.stem(images)
        joined = torch.cat([branch(features) for branch in self.branches], dim=1)
        logits: Tensor = self.head(joined)
        return logits


def _branch() -> nn.Module:
    """Return one branch. Pooling comes before ReLU: the result is the same, at a quarter of the cost."""
    return nn.Sequential(
        # 32 x 28 x 28
        nn.Conv2d(32, 64, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(inplace=True),
        # 64 x 14 x 14
        nn.Conv2d(64, 256, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(inplace=True),
        # 256 x 7 x 7
    )  # fmt: skip
