"""What a digit is here: the size of its image, its classes, and the types of both."""

import numpy as np
from numpy.typing import NDArray

SIDE = 28
"""Pixels along one side of an image."""
CLASSES = 10
PARITIES = ("even", "odd")
"""What digit % 2 is called."""
Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
