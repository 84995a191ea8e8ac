"""Predictor: inference with a trained run."""

import copy
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.config.fine_tuning import FineTuning
from pipeline.config.recipe import Recipe, parity_only_message
from pipeline.data.loader import normalise, ordered_loader, to_ink
from pipeline.data.table import DigitTable
from pipeline.digits import CLASSES, PARITIES, SIDE, Labels, Pixels
from pipeline.errors import UserError
from pipeline.inference.activations import Activations
from pipeline.inference.fuse import fuse
from pipeline.inference.layer_graph import LayerGraph
from pipeline.inference.predictions import DEFAULT_DIGIT_THRESHOLD, Predictions, Reading, make_predictions
from pipeline.inference.reading.line import LineReader
from pipeline.inference.reading.reader import read_picture
from pipeline.inference.saliency import saliency, sum_over_patches
from pipeline.metrics.calibration import digit_score, softmax
from pipeline.models import build
from pipeline.models.parity import ParityNetwork
from pipeline.run import Run
from pipeline.utils.device import compute_dtype, keep_freed_memory, memory_format, pick_device
from pipeline.vision.image import Picture

BATCH_SIZE = 1024
PARITY_BATCH_SIZE = 64
"""Batch size for RGB images of 224x224 pixels, which need 200 times the memory."""
BFLOAT16_SAFE_CONFIDENCE = 0.75
"""Softmax above which bfloat16 rounding cannot change a prediction: the largest logit leads by more than 1."""
MAX_ROUNDING_ERROR = 1.0
"""Upper bound of bfloat16's rounding error of a difference of two logits."""


class Predictor:
    """A trained network, ready for inference.

    Args:
        model: the network as returned by `build`, with trained weights.
        recipe: the recipe it was trained with.
        temperature: calibration temperature, by which the logits are divided.
        threshold: as in `Predictions`.
        lines: reads lines of touching digits; None if the run has no network for them.
        fused: whether to fuse layers and use the fastest memory layout, which the code of other networks may not allow.
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        temperature: float = 1.0,
        threshold: float = DEFAULT_DIGIT_THRESHOLD,
        lines: LineReader | None = None,
        *,
        fused: bool = True,
    ) -> None:
        self.lines = lines
        self.recipe = recipe
        self.temperature = temperature
        self.threshold = threshold
        self.device = pick_device()
        keep_freed_memory()
        self.dtype = compute_dtype(recipe.precision, self.device)
        self.memory_format = memory_format(self.device) if fused else torch.contiguous_format
        self._model = model
        inferring = fuse(model, self.device) if fused else copy.deepcopy(model).eval().requires_grad_(False)
        self.fused_float32 = inferring.to(self.device).to(memory_format=self.memory_format)
        self.fused = copy.deepcopy(self.fused_float32).to(self.dtype)

    @cached_property
    def unfused(self) -> nn.Module:
        """The network before fusion, for saliency's gradients. It is created on first use."""
        return copy.deepcopy(self._model).eval().to(self.device)

    def count_flops(self) -> int:
        """Return the number of floating-point operations for one image, of convolutions and linear layers."""
        from torch.utils.flop_counter import FlopCounterMode  # imports triton: 80 MB

        image = torch.zeros(1, 1, SIDE, SIDE, device=self.device)
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            self.unfused(normalise(image, self.recipe))
        return int(counter.get_total_flops())

    @cached_property
    def _layers(self) -> LayerGraph:
        """The layers of the fused network in float32. They are found on first use."""
        return LayerGraph(self.fused_float32)

    @classmethod
    def load(cls, run: Run | str | Path) -> "Predictor":
        """Return the predictor of a run.

        Args:
            run: the run, its folder, or its name in `checkpoints/`.

        Raises:
            UserError: the run does not exist or has no model yet, or one of its files is missing or damaged.
        """
        found = Run.open(run)
        recipe = found.recipe
        found.require_model()
        if isinstance(recipe, FineTuning):
            folder = found.folder / recipe.save_dir
            for path in folder.glob("*.safetensors"):
                found.require_intact(path)
            return ParityPredictor(ParityNetwork.load(folder))
        card = found.card
        network = load_network(found, recipe)
        return cls(network, recipe, card.temperature, card.digit_threshold, LineReader.load(found))

    def predict(self, pixels: Pixels) -> Predictions:
        """Return the predictions for images, in order.

        On devices where bfloat16 or float16 is faster, the probabilities have its rounding error of about 0.01. Images
        for which this error could change the digit, the parity or `is_digit` are predicted again in float32. These
        results are therefore the same in all precisions.

        Args:
            pixels: uint8 (N, 28, 28), 0 = paper, 255 = ink.

        Raises:
            UserError: the array has the wrong dtype or shape.
        """
        table = DigitTable(pixels)
        logits = self.logits(self.fused, self.dtype, table)
        if self.dtype is not torch.float32:
            safe = softmax(logits[:, :CLASSES]).max(axis=1) >= BFLOAT16_SAFE_CONFIDENCE  # not if float16 gave NaN
            score = _log_odds(digit_score(logits / np.float32(self.temperature)))
            doubtful = ~safe | (np.abs(score - _log_odds(self.threshold)) < MAX_ROUNDING_ERROR / self.temperature)
            rows = np.flatnonzero(doubtful)
            logits[rows] = self.logits(self.fused_float32, torch.float32, table.select(rows))
        return make_predictions(logits / np.float32(self.temperature), self.threshold)

    def saliency(self, pixels: Pixels, digits: Labels, patches: int | None = None) -> NDArray[np.float32]:
        """Return each pixel's contribution to the logit of a digit, float32 (N, 28, 28).

        Positive values are evidence for the digit, negative values evidence against it.

        Args:
            pixels: uint8 (N, 28, 28), 0 = paper, 255 = ink.
            digits: the digit to explain for each image, int64 (N,).
            patches: sum the contributions over this many pieces of the ink. Each pixel of a piece has its sum.

        Raises:
            UserError: an array has the wrong dtype or shape.
        """
        table = DigitTable(pixels, digits)
        images = to_ink(torch.from_numpy(table.pixels.copy()).to(self.device))
        labels = torch.from_numpy(table.known_labels.copy()).to(self.device)
        maps = saliency(self.unfused, self.recipe, images, labels).cpu().numpy()
        if patches is None:
            return maps
        return np.stack([sum_over_patches(*each, patches) for each in zip(maps, table.pixels, strict=True)])

    def activations(self, frame: Pixels) -> Activations:
        """Return what each layer computes for one image, in float32.

        The layers are those of the network as inference runs it: batch norm is folded into the convolutions where
        possible, and a layer's values are those after the ReLU that follows it. Of an ensemble, the layers of the first
        member are returned, followed by the mean of all members' logits.

        Args:
            frame: uint8 (28, 28), 0 = paper, 255 = ink.

        Raises:
            UserError: the array has the wrong dtype or shape, or the network predicts parity only.
        """
        images = to_ink(torch.from_numpy(DigitTable(frame[np.newaxis]).pixels.copy()).to(self.device))
        return self._layers.run(normalise(images, self.recipe).contiguous(memory_format=self.memory_format))

    def read(self, picture: Picture) -> Reading:
        """Return the numbers in a picture, row by row. A blank picture gives an empty reading.

        Args:
            picture: a PIL image, a file's path, or an array (H, W), (H, W, 3) or (H, W, 4) of uint8, uint16 or floats
                in 0..1. The ink is dark on light or light on dark.

        Raises:
            UserError: the picture is unreadable or exceeds the limits (50 megapixels, 20 MB).
        """
        return read_picture(picture, self.predict, self.threshold, self.lines)

    @torch.inference_mode()
    def logits(self, model: nn.Module, dtype: torch.dtype, table: DigitTable) -> NDArray[np.float32]:
        """Return the logits of `model`, float32 (N, classes), computed in `dtype`."""
        logits = np.empty((len(table), self.recipe.classes), dtype=np.float32)
        done = 0
        for batch, *_ in ordered_loader(table, BATCH_SIZE):
            images = normalise(to_ink(batch.to(self.device)), self.recipe)
            outputs = model(images.to(dtype).contiguous(memory_format=self.memory_format))
            logits[done : done + len(batch)] = outputs.float().cpu().numpy()
            done += len(batch)
        return logits


class ParityPredictor(Predictor):
    """A predictor for a fine-tuned Transformers model of odd and even digits, computed in float32."""

    def __init__(self, network: ParityNetwork) -> None:
        self.network = network.to(pick_device())
        self.threshold = DEFAULT_DIGIT_THRESHOLD
        self.lines = None

    def predict(self, pixels: Pixels) -> Predictions:
        """Return the predicted parity of each image, in order. Arguments and errors are as in `Predictor.predict`."""
        table = DigitTable(pixels)
        logits = np.empty((len(table), len(PARITIES)), dtype=np.float32)
        for start in range(0, len(table), PARITY_BATCH_SIZE):
            rows = slice(start, start + PARITY_BATCH_SIZE)
            logits[rows] = self.network.logits(table.pixels[rows])
        return Predictions(softmax(logits))

    def activations(self, frame: Pixels) -> Activations:
        """Raise a UserError: the layers of a Transformers model are not shown."""
        raise UserError(parity_only_message("this run"))

    def saliency(self, pixels: Pixels, digits: Labels, patches: int | None = None) -> NDArray[np.float32]:
        """Raise a UserError: the model has no logits of digits to explain."""
        raise UserError(parity_only_message("this run"))


def load_network(run: Run, recipe: Recipe) -> nn.Module:
    """Return a run's network with its trained weights. Errors are as in `Predictor.load`."""
    model = build(recipe)
    weights = run.load_model()
    mismatch = _describe_mismatch(model.state_dict(), weights)
    if mismatch:
        raise UserError(
            f"{run.model_path}: the weights do not match the {recipe.model} network in {run.recipe_path} ({mismatch}); "
            "copy the run again"
        )
    model.load_state_dict(weights)
    return model


def _log_odds(probability: NDArray[np.float32] | float) -> NDArray[np.float64]:
    """Return log(p / (1 - p)), with p clipped to 1e-6..1 - 1e-6 so that the result is finite."""
    clipped = np.clip(np.asarray(probability, dtype=np.float64), 1e-6, 1 - 1e-6)
    odds: NDArray[np.float64] = np.log(clipped / (1 - clipped))
    return odds


def _describe_mismatch(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str | None:
    """Return a description of how weights differ from a network's, or None if names and shapes match."""
    if expected.keys() != found.keys():
        return f"another architecture: {min(expected.keys() ^ found.keys())} is in only one of the two"
    wrong = [name for name in expected if expected[name].shape != found[name].shape]
    if not wrong:
        return None
    last = list(expected)[-1]
    if wrong[-1] == last and expected[last].shape[1:] == found[last].shape[1:]:
        return f"{len(found[last])} classes, expected {len(expected[last])}"
    shapes = (" x ".join(map(str, weights[wrong[0]].shape)) for weights in (found, expected))
    return f"{wrong[0]} has shape {', expected '.join(shapes)}"
