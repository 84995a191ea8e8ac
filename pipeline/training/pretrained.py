"""Pretrained ImageNet weights as a network's initial weights."""

from torch import nn

from pipeline.config.recipe import Recipe
from pipeline.errors import UserError
from pipeline.utils.sockets import default_socket_timeout

TIMEOUT_SECONDS = 20.0
"""Longest pause between two packets of the download."""
HEAD_PREFIXES = ("fc.", "classifier.")
"""Prefixes of torchvision's names for the linear layers."""


def load_pretrained(model: nn.Module, recipe: Recipe) -> None:
    """Load torchvision's ImageNet weights into a torchvision network, downloading them if they are not cached.

    The first convolution gets the sum of the weights over the three colour channels: this equals the original on a
    grey image. The linear layers, which belong to ImageNet's classes, keep their initial weights. The file is verified
    by its hash and loaded by torch's restricted unpickler, which creates tensors only.

    Raises:
        UserError: the weights cannot be downloaded.
    """
    from torchvision.models import get_model_weights

    weights = get_model_weights(recipe.model)["IMAGENET1K_V1"]
    try:
        with default_socket_timeout(TIMEOUT_SECONDS):  # torch sets no time-out
            state = weights.get_state_dict(check_hash=True, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"{recipe.name}: cannot download the weights from {weights.url} ({error}); check your network connection "
            "and try again, put the file into ~/.cache/torch/hub/checkpoints, or train from random weights with "
            "--set pretrained=null"
        ) from None
    features = {name: tensor for name, tensor in state.items() if not name.startswith(HEAD_PREFIXES)}
    first = next(iter(features))
    features[first] = features[first].sum(dim=1, keepdim=True)
    model.load_state_dict(model.state_dict() | features)
