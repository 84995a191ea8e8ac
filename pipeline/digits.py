"""What a digit is here: the size of its image, its classes, and the types of both."""

import numpy as np
from numpy.typing import NDArray

SIDE = 28
"""Pixels along one side of an image."""
CLASSES = 10
"""One for each digit."""
PARITIES = ("even", "odd")
"""What digit % 2 is called."""
COMPETITION_URL = "https://www.kaggle.com/competitions/digit-recognizer"

Pixels = NDArray[np.uint8]
"""Images, (N, 28, 28): 0 = paper, 255 = ink."""
Labels = NDArray[np.int64]
"""Digits 0 to 9, (N,)."""
