"""A linear model: multinomial logistic regression on the pixels."""

from torch import nn


def linear(classes: int, image_size: int) -> nn.Module:
    """Return the model: each logit is a weighted sum of all pixels.

    It has 7,850 parameters for 28x28 images and ten classes.

    Args:
        classes: number of classes.
        image_size: pixels along one side.
    """
    return nn.Sequential(nn.Flatten(), nn.Linear(image_size * image_size, classes))
