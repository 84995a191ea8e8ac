"""Export to ONNX: one file that maps pixels to calibrated logits."""

import json
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from pipeline.config.fine_tuning import FineTuning
from pipeline.config.recipe import Recipe
from pipeline.digits import CLASSES, SIDE
from pipeline.errors import UserError
from pipeline.export.network import CLASS_NAMES, load_calibrated
from pipeline.run import Run
from pipeline.utils.files import open_atomic

IR_VERSION = 9
"""Version of the file format: the newest that onnxruntime 1.17 opens."""


def write_onnx(run: Run, out: Path) -> None:
    """Write one ONNX file that includes the preprocessing and accepts any number of images.

    A run with a class for non-digits has a second output, the out-of-distribution score.
    """
    recipe = run.recipe
    if isinstance(recipe, FineTuning):
        raise UserError(f"{run}: ONNX cannot express its image processor; export it with --to transformers")
    model = FromPixels(load_calibrated(run, recipe), recipe).eval()
    pixels = torch.zeros(2, SIDE, SIDE, dtype=torch.uint8)
    outliers = {
        "ood_score": "float32 (images,), the probability that an image is not a digit; reject it above ood_threshold",
        "ood_threshold": str(1 - run.card.digit_threshold),
    }
    program = torch.onnx.export(
        model,
        (pixels,),
        dynamo=True,
        input_names=["pixels"],
        output_names=["logits", "ood_score"] if recipe.outliers else ["logits"],
        dynamic_shapes={"pixels": {0: torch.export.Dim("images")}},
        verbose=False,
    )
    assert program is not None
    program.model.ir_version = IR_VERSION
    program.model.metadata_props.update(
        recipe=recipe.model_dump_json(),
        classes=json.dumps(CLASS_NAMES),
        pixels="uint8 (images, 28, 28), 0 = paper, 255 = ink",
        logits=f"float32 (images, {CLASSES}); calibrated: their softmax gives the probability of each digit",
        **(outliers if recipe.outliers else {}),
    )
    with open_atomic(out) as temporary:
        program.save(temporary, external_data=False)


class FromPixels(nn.Module):
    """A network with its preprocessing, scaling and normalisation of pixels, and separate outputs."""

    def __init__(self, network: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.network = network
        self.mean, self.std = recipe.mean, recipe.std
        # Scaling is linear in each direction: it is a product with the scaled identity matrix.
        identity = torch.eye(SIDE).view(1, 1, SIDE, SIDE)
        scaled = interpolate(identity, [recipe.image_size, SIDE], mode="bilinear", antialias=True)[0, 0]
        self.scaling = scaled if recipe.image_size != SIDE else None

    def forward(self, pixels: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return the logits of the digits, float32 (N, 10), for pixels, uint8 (N, 28, 28).

        A network with a class for non-digits also returns its probability, float32 (N,).
        """
        images = pixels.unsqueeze(1).float() / 255
        if self.scaling is not None:
            images = self.scaling @ images @ self.scaling.T
        logits: Tensor = self.network((images - self.mean) / self.std)
        if logits.shape[1] == CLASSES:
            return logits
        return logits[:, :CLASSES], logits.softmax(1)[:, CLASSES]
