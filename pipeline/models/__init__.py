"""The networks: one architecture a file, each read like a diagram."""

from collections.abc import Callable
from typing import Any

from torch import nn

from pipeline.config.recipe import Recipe

AS_TORCH_DRAWS = {"branch-cnn", "light-cnn"}
"""Networks whose ancestors left the weights as torch draws them."""


def build(recipe: Recipe) -> nn.Module:
    """Return the recipe's network, freshly initialised from torch's global generator.

    It maps normalised images, float (B, 1, S, S) where S is the recipe's image_size, to logits, float (B, classes).
    """
    if recipe.members > 1:
        from pipeline.models.ensemble import Ensemble

        return Ensemble([build(recipe.member(index)) for index in range(recipe.members)])
    make, arguments = architecture(recipe)
    model = make(recipe.classes, **arguments)
    return model if recipe.model in AS_TORCH_DRAWS else initialised(model)


def architecture(recipe: Recipe) -> tuple[Callable[..., nn.Module], dict[str, Any]]:
    """Return what makes the recipe's network of a number of classes, and the other arguments that it takes."""
    size = recipe.image_size
    match recipe.model:  # torchvision, behind two of them, takes a second to import
        case "fast":
            from pipeline.models.fast import fast

            return fast, {"width": recipe.width, "stem_stride": recipe.stem_stride}
        case "resnet18":
            from pipeline.models.resnet import resnet18

            return resnet18, {}
        case "resnet50":
            from pipeline.models.resnet import resnet50

            return resnet50, {}
        case "vgg16":
            from pipeline.models.vgg16 import vgg16

            return vgg16, {"image_size": size, "dropout": recipe.dropout}
        case "branch-cnn":
            from pipeline.models.branch_cnn import BranchCNN

            return BranchCNN, {"image_size": size, "dropout": recipe.dropout}
        case "light-cnn":
            from pipeline.models.light_cnn import light_cnn

            dropouts = {"feature_dropout": recipe.feature_dropout, "dropout": recipe.dropout}
            return light_cnn, {"image_size": size, "hidden_size": recipe.hidden_size, **dropouts}


def initialised(model: nn.Module) -> nn.Module:
    """Return the model with weights drawn as He et al. (2015, arXiv:1502.01852) advise for networks of rectifiers.

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
    return model
