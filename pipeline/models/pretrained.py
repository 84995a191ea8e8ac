"""Weights that others have trained, as a network's first ones."""

from torch import nn

from pipeline.config.recipe import Recipe
from pipeline.errors import UserError
from pipeline.utils.sockets import default_socket_timeout

TIMEOUT_SECONDS = 20.0
"""How long the server may send nothing."""
HEADS = ("fc.", "classifier.")
"""How torchvision's names of the linear layers begin."""


def load_pretrained(model: nn.Module, recipe: Recipe) -> None:
    """Give a torchvision network the weights that torchvision trained on ImageNet, fetching them where need be.

    The first convolution gets the sum over its three colours, which is what it computes of a grey image; the linear
    layers, which know ImageNet's classes, stay as they are. The file is checked by its hash, and read by torch's
    restricted unpickler, which makes tensors and nothing else.

    Raises:
        UserError: they cannot be fetched.
    """
    from torchvision.models import get_model_weights

    weights = get_model_weights(recipe.model)["IMAGENET1K_V1"]
    try:
        with default_socket_timeout(TIMEOUT_SECONDS):  # torch sets no time limit
            state = weights.get_state_dict(check_hash=True, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"{recipe.name}: the weights at {weights.url} cannot be fetched ({error}); try again with a network, put "
            "the file into ~/.cache/torch/hub/checkpoints, or train from random weights by --set pretrained=null"
        ) from None
    features = {name: tensor for name, tensor in state.items() if not name.startswith(HEADS)}
    first = next(iter(features))
    features[first] = features[first].sum(dim=1, keepdim=True)
    model.load_state_dict(model.state_dict() | features)
