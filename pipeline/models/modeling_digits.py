"""A digit classifier and its image processor for Transformers. Exported folders contain a copy of this file.

Transformers runs this file and the network's own file, next to it, if `trust_remote_code=True`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor
from torch.nn.functional import cross_entropy, interpolate
from transformers import PretrainedConfig, PreTrainedModel, ViTImageProcessor
from transformers.modeling_outputs import ImageClassifierOutputWithNoAttention

from .ensemble import Ensemble
from .fast import fast as network


class DigitConfig(PretrainedConfig):  # type: ignore[no-untyped-call]
    """Configuration of a `DigitClassifier`.

    Args:
        image_size: pixels along one side of the network's input. Images are scaled to it.
        arguments: keyword arguments of the function that builds the network.
        members: number of networks in the ensemble; 1 for a single network.
        ood_threshold: the `ood_score` above which an image is rejected; None if the network has no such score.
    """

    model_type = "digit-recognizer"
    keys_to_ignore_at_inference = ("ood_score",)  # for Trainer, whose predictions are the logits

    def __init__(
        self,
        image_size: int = 28,
        arguments: dict[str, Any] | None = None,
        members: int = 1,
        ood_threshold: float | None = None,
        **others: Any,
    ) -> None:
        super().__init__(**others)
        self.image_size = image_size
        self.arguments = arguments or {}
        self.members = members
        self.ood_threshold = ood_threshold


@dataclass
class DigitClassifierOutput(ImageClassifierOutputWithNoAttention):
    """The output of a `DigitClassifier`.

    Attributes:
        ood_score: out-of-distribution score, float (B,) in 0..1: the probability that an image is not a digit. None if
            the network was not trained on non-digits.
    """

    ood_score: Tensor | None = None


class DigitClassifier(PreTrainedModel):  # type: ignore[no-untyped-call]
    """An image classifier for digits. Its logits are calibrated: their softmax gives the probability of each digit."""

    config_class = DigitConfig
    main_input_name = "pixel_values"

    def __init__(self, config: DigitConfig) -> None:
        super().__init__(config)
        members = [network(**config.arguments) for _ in range(config.members)]
        self.network = Ensemble(members) if len(members) > 1 else members[0]
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None, **_: Any) -> DigitClassifierOutput:
        """Return the logits, float (B, 10), for grey images, float (B, 3, 28, 28), from the image processor."""
        images = pixel_values.mean(dim=1, keepdim=True)
        if images.shape[-1] != self.config.image_size:
            images = interpolate(images, [self.config.image_size] * 2, mode="bilinear", antialias=True)
        scores = self.network(images)
        logits = scores[:, : self.config.num_labels]  # a further class is that of non-digits
        ood_score = None if self.config.ood_threshold is None else scores.softmax(1)[:, -1]
        loss = None if labels is None else cross_entropy(logits, labels)
        return DigitClassifierOutput(loss=loss, logits=logits, ood_score=ood_score)


class DigitImageProcessor(ViTImageProcessor):
    """An image processor that also takes arrays and tensors (28, 28) of integers 0 to 255 or floats 0 to 1."""

    def preprocess(self, images: Any, *args: Any, **kwargs: Any) -> Any:
        """Return "pixel_values", float (B, 3, 28, 28), of one image or a list of images."""
        images = [_to_picture(each) for each in images] if isinstance(images, list | tuple) else _to_picture(images)
        return super().preprocess(images, *args, **kwargs)


def _to_picture(image: Any) -> Any:
    """Return an array or tensor (H, W) as a grey picture, and anything else unchanged.

    Raises:
        ValueError: a value is out of range.
    """
    if getattr(image, "ndim", None) != 2:
        return image
    values = np.asarray(image)
    grey = np.rint(255 * values) if np.issubdtype(values.dtype, np.floating) else values
    if grey.size and not 0 <= grey.min() <= grey.max() <= 255:
        raise ValueError(f"values from {values.min():g} to {values.max():g}: give integers 0 to 255 or floats 0 to 1")
    return Image.fromarray(grey.astype(np.uint8))
