"""Export to ONNX: one file that maps pixels to calibrated logits."""

import json
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from pipeline.config.fine_tuning import FineTuning
from pipeline.config.recipe import Recipe
from pipeline.digits import SIDE
from pipeline.errors import UserError
from pipeline.export.network import class_names, load_calibrated
from pipeline.run import Run
from pipeline.utils.files import open_atomic


def write_onnx(run: Run, out: Path) -> None:
    """Write one ONNX file that includes the preprocessing and accepts any number of images."""
    recipe = run.recipe
    if isinstance(recipe, FineTuning):
        raise UserError(f"{run}: ONNX cannot express its image processor; export it with --to transformers")
    model = FromPixels(load_calibrated(run, recipe), recipe).eval()
    pixels = torch.zeros(2, SIDE, SIDE, dtype=torch.uint8)
    program = torch.onnx.export(
        model,
        (pixels,),
        dynamo=True,
        input_names=["pixels"],
        output_names=["logits"],
        dynamic_shapes={"pixels": {0: torch.export.Dim("images")}},
        verbose=False,
    )
    assert program is not None
    program.model.metadata_props.update(
        recipe=recipe.model_dump_json(),
        classes=json.dumps(class_names(recipe)),
        pixels="uint8 (images, 28, 28), 0 = paper, 255 = ink",
        logits=f"float32 (images, {recipe.classes}); calibrated: their softmax gives the class probabilities",
    )
    with open_atomic(out) as temporary:
        program.save(temporary, external_data=False)


class FromPixels(nn.Module):
    """A network with its preprocessing: scaling and normalisation of pixels."""

    def __init__(self, network: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.network = network
        self.mean, self.std = recipe.mean, recipe.std
        # Scaling is linear in each direction: it is a product with the scaled identity matrix.
        identity = torch.eye(SIDE).view(1, 1, SIDE, SIDE)
        scaled = interpolate(identity, [recipe.image_size, SIDE], mode="bilinear", antialias=True)[0, 0]
        self.scaling = scaled if recipe.image_size != SIDE else None

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits, float32 (N, classes), for pixels, uint8 (N, 28, 28)."""
        images = pixels.unsqueeze(1).float() / 255
        if self.scaling is not None:
            images = self.scaling @ images @ self.scaling.T
        logits: Tensor = self.network((images - self.mean) / self.std)
        return logits
