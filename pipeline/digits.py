"""Image size, classes, and array types of the digits."""

import numpy as np
from numpy.typing import NDArray

SIDE = 28
"""Side of an image, in pixels."""
CLASSES = 10
"""Number of digit classes, 0 to 9."""
PARITIES = ("even", "odd")
"""Name of each parity, indexed by digit % 2."""
COMPETITION_URL = "https://www.kaggle.com/competitions/digit-recognizer"

Pixels = NDArray[np.uint8]
"""Images, uint8 (N, 28, 28): 0 is paper, 255 is ink."""
Labels = NDArray[np.int64]
"""Digits 0 to 9, int64 (N,)."""
