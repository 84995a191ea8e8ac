"""The networks: one architecture a file, each read like a diagram."""

from torch import nn

from pipeline.recipe import Recipe


def build(recipe: Recipe) -> nn.Module:
    """Return the recipe's network, freshly initialised from torch's global generator.

    It maps normalised images, float (B, 1, 28, 28), to logits, float (B, 10).
    """
    if recipe.model == "resnet18":
        from pipeline.models.resnet18 import resnet18  # torchvision takes a second to import

        model = resnet18()
    else:
        from pipeline.models.fast import fast

        model = fast()
    initialise(model)
    return model


def initialise(model: nn.Module) -> None:
    """Draw the weights as He et al. (2015, arXiv:1502.01852) advise for networks of rectifiers.

    Convolutions: normal with variance 2 / fan in, which keeps the signal's size through the layers. Linear layers,
    which no rectifier follows here: 1 / fan in. Biases are zero, and batch norms begin as the identity.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="linear")
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
