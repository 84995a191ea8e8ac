"""A digit classifier for Transformers. Exported folders contain a copy of this file.

Transformers runs this file and the network's own file, next to it, if `trust_remote_code=True`.
"""

from typing import Any

from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import ImageClassifierOutputWithNoAttention

from .ensemble import Ensemble
from .fast import fast as network


class DigitConfig(PretrainedConfig):  # type: ignore[no-untyped-call]
    """Configuration of a `DigitClassifier`.

    Args:
        image_size: pixels along one side of the network's input. Images are scaled to it.
        arguments: keyword arguments of the function that builds the network.
        members: number of networks in the ensemble; 1 for a single network.
    """

    model_type = "digit-recognizer"

    def __init__(
        self, image_size: int = 28, arguments: dict[str, Any] | None = None, members: int = 1, **others: Any
    ) -> None:
        super().__init__(**others)
        self.image_size = image_size
        self.arguments = arguments or {}
        self.members = members


class DigitClassifier(PreTrainedModel):  # type: ignore[no-untyped-call]
    """An image classifier for digits. Its logits are calibrated: their softmax gives the probability of each class."""

    config_class = DigitConfig
    main_input_name = "pixel_values"

    def __init__(self, config: DigitConfig) -> None:
        super().__init__(config)
        members = [network(**config.arguments) for _ in range(config.members)]
        self.network = Ensemble(members) if len(members) > 1 else members[0]
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self, pixel_values: Tensor, labels: Tensor | None = None, **_: Any
    ) -> ImageClassifierOutputWithNoAttention:
        """Return the logits, float (B, classes), for grey images, float (B, 3, 28, 28), from the image processor."""
        images = pixel_values.mean(dim=1, keepdim=True)
        if images.shape[-1] != self.config.image_size:
            images = interpolate(images, [self.config.image_size] * 2, mode="bilinear", antialias=True)
        logits = self.network(images)
        loss = None if labels is None else cross_entropy(logits, labels)
        return ImageClassifierOutputWithNoAttention(loss=loss, logits=logits)
