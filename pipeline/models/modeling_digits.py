"""A network that reads digits, as Transformers loads it. An exported folder holds a copy of this file.

`trust_remote_code=True` lets Transformers run it, and the network's own file beside it.
"""

from typing import Any

from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import ImageClassifierOutputWithNoAttention

from .ensemble import Ensemble
from .fast import fast as network


class DigitConfig(PretrainedConfig):  # type: ignore[no-untyped-call]
    """What the network is made with.

    Args:
        image_size: pixels along one side of what it sees; images are scaled to it.
        arguments: of the function that makes it.
        members: how many of it answer together.
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
    """Images of digits -> the logits of its classes, calibrated: their softmax is how probable each is."""

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
        """Return the logits, float (B, classes), of the image processor's float (B, 3, 28, 28), of grey images."""
        images = pixel_values.mean(dim=1, keepdim=True)
        if images.shape[-1] != self.config.image_size:
            images = interpolate(images, [self.config.image_size] * 2, mode="bilinear", antialias=True)
        logits = self.network(images)
        loss = None if labels is None else cross_entropy(logits, labels)
        return ImageClassifierOutputWithNoAttention(loss=loss, logits=logits)
