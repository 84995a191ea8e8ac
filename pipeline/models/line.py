"""A fully convolutional network that reads a line of touching digits, for CTC (Graves et al. 2006)."""

from typing import cast

from torch import Tensor, nn
from torch.nn.functional import relu

from pipeline.digits import CLASSES, SIDE

BLANK = 0
"""Class of the CTC blank; digit d is class d + 1."""
NON_DIGIT = CLASSES
"""Symbol of ink that is not a digit, in a line's string; its class is NON_DIGIT + 1."""
LINE_CLASSES = CLASSES + 2
"""The blank, the ten digits, and the non-digit."""
STRIDE = 2
"""Columns of a line per frame of the output."""


class LineNetwork(nn.Module):
    """Maps lines, float (B, 1, 28, W) in 0..1, to logits, float (T, B, LINE_CLASSES), T = W // 4 * 2.

    It has 613,716 parameters. The convolutions reduce the 28 rows to one and the columns to a quarter; the last layer
    gives two frames per remaining column. A frame sees the 56 columns around it, three digits. Pooling comes before
    batch norm, as in `models/fast.py`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            # 1 x 28 x W
            _convolution(1, 24, (5, 5)), nn.MaxPool2d(2), *_norm_relu(24),
            # 24 x 14 x W/2
            _convolution(24, 48, (3, 3)), *_norm_relu(48),
            _convolution(48, 64, (3, 3)), nn.MaxPool2d(2), *_norm_relu(64),
            # 64 x 7 x W/4
            _convolution(64, 112, (3, 3)), *_norm_relu(112),
            Residual(112, (3, 3)),
            Residual(112, (3, 3)),
            nn.Conv2d(112, 160, (SIDE // 4, 1), bias=False), *_norm_relu(160),
            # 160 x 1 x W/4
            Residual(160, (1, 3)),
            Residual(160, (1, 3)),
        )  # fmt: skip
        self.head = nn.ConvTranspose1d(160, LINE_CLASSES, kernel_size=2, stride=2)

    def forward(self, lines: Tensor) -> Tensor:
        """Return the logits of each frame of lines, as the class describes."""
        return cast(Tensor, self.head(self.features(lines).flatten(2))).permute(2, 0, 1)


class Residual(nn.Module):
    """A convolution with batch norm, added to its input (He et al. 2016, arXiv:1512.03385), then ReLU."""

    def __init__(self, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.convolution = _convolution(channels, channels, size)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps, float (B, C, H, W), for maps of that shape."""
        return relu(maps + self.norm(self.convolution(maps)))


def _convolution(inputs: int, outputs: int, size: tuple[int, int]) -> nn.Conv2d:
    """Return a convolution that keeps rows and columns, without bias: the batch norm after it has one."""
    return nn.Conv2d(inputs, outputs, size, padding=(size[0] // 2, size[1] // 2), bias=False)


def _norm_relu(channels: int) -> tuple[nn.Module, nn.Module]:
    """Return batch norm and ReLU."""
    return nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
