"""Predictor: what a trained run says of images."""

import copy
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.config.fine_tuning import FineTuning
from pipeline.config.recipe import Recipe, no_digits
from pipeline.data.loader import ink, normalise, ordered_loader
from pipeline.data.table import DigitTable
from pipeline.digits import CLASSES, PARITIES, SIDE, Labels, Pixels
from pipeline.errors import UserError
from pipeline.inference.fuse import fuse
from pipeline.inference.predictions import IS_DIGIT, Predictions, Reading, predictions_of
from pipeline.inference.saliency import saliency
from pipeline.metrics.calibration import digit_score, softmax
from pipeline.models import build
from pipeline.models.parity import ParityNetwork
from pipeline.run import Run
from pipeline.utils.device import compute_dtype, keep_freed_memory, memory_format, pick_device
from pipeline.vision.frame import glyphs
from pipeline.vision.image import Picture

BATCH = 1024
PARITY_BATCH = 64
"""Of images that are scaled to 224x224 in three colours, and take 200 times the memory."""
SURE = 0.75
"""Above this softmax of the logits bfloat16's rounding cannot change an answer: the likeliest leads by over 1."""
ROUNDING = 1.0
"""Of a difference of two logits, more than bfloat16's."""


class Predictor:
    """A trained network, ready to answer.

    Args:
        model: the network, as `build` makes it, with its weights.
        recipe: with which it was trained.
        temperature: by which its logits are divided, so that probabilities mean what they say.
        threshold: as in `Predictions`.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, temperature: float = 1.0, threshold: float = IS_DIGIT) -> None:
        self.recipe = recipe
        self.temperature = temperature
        self.threshold = threshold
        self.device = pick_device()
        keep_freed_memory()
        self.dtype = compute_dtype(recipe.precision, self.device)
        self.memory_format = memory_format(self.device)
        self._model = model
        self.exact = fuse(model, self.device).to(self.device).to(memory_format=self.memory_format)
        self.quick = copy.deepcopy(self.exact).to(self.dtype)

    @cached_property
    def trained(self) -> nn.Module:
        """The network as it was trained, of which saliency takes gradients; made when it is first needed."""
        return copy.deepcopy(self._model).eval().to(self.device)

    @classmethod
    def load(cls, run: Run | str | Path) -> "Predictor":
        """Return the predictor of a run.

        Args:
            run: it, its folder, or its name in `checkpoints/`.

        Raises:
            UserError: there is no such run, or a file in it is missing or damaged.
        """
        found = Run.open(run)
        recipe = found.recipe
        if isinstance(recipe, FineTuning):
            return ParityPredictor(ParityNetwork.load(found.folder / recipe.save_dir))
        card = found.card
        return cls(trained(found, recipe), recipe, card.temperature, card.digit_threshold)

    def predict(self, pixels: Pixels) -> Predictions:
        """Return what each image holds, in order.

        Where the device computes faster in bfloat16 the probabilities are rounded as that does, to about 0.01; an
        image whose answer hangs on such a difference is read again in float32, so that digit, parity and whether it is
        a digit at all are the same.

        Args:
            pixels: uint8 (N, 28, 28), 0 = paper, 255 = ink.

        Raises:
            UserError: the array has another dtype or shape.
        """
        table = DigitTable(pixels)
        logits = self.logits(self.quick, self.dtype, table)
        if self.dtype is not torch.float32:
            doubtful = softmax(logits).max(axis=1) < SURE
            if self.recipe.classes > CLASSES:
                score = _log_odds(digit_score(logits / np.float32(self.temperature)))
                doubtful |= np.abs(score - _log_odds(self.threshold)) < ROUNDING / self.temperature
            again = np.flatnonzero(doubtful)
            logits[again] = self.logits(self.exact, torch.float32, table.select(again))
        return predictions_of(logits / np.float32(self.temperature), self.threshold)

    def saliency(self, pixels: Pixels, digits: Labels) -> NDArray[np.float32]:
        """Return what each pixel's ink adds to the logit of a digit, float32 (N, 28, 28); below 0 it speaks against it.

        Args:
            pixels: uint8 (N, 28, 28), 0 = paper, 255 = ink.
            digits: the digit that is explained for each image, int64 (N,).

        Raises:
            UserError: the arrays have another dtype or shape.
        """
        table = DigitTable(pixels, digits)
        images = ink(torch.from_numpy(table.pixels.copy()).to(self.device))
        labels = torch.from_numpy(table.known_labels.copy()).to(self.device)
        return saliency(self.trained, self.recipe, images, labels).cpu().numpy()

    def read(self, picture: Picture) -> Reading:
        """Return the number in a picture; an empty reading where it is blank, never a guess.

        Args:
            picture: a PIL image, the path of a file, or an array (H, W), (H, W, 3) or (H, W, 4) of uint8, uint16 or
                floats in 0..1; ink dark on light or light on dark.

        Raises:
            UserError: the picture cannot be read or is over the limits (50 megapixels, 20 MB).
        """
        found = tuple(glyphs(picture))
        frames = np.array([glyph.frame for glyph in found], dtype=np.uint8).reshape(-1, SIDE, SIDE)
        return Reading(found, self.predict(frames))

    @torch.inference_mode()
    def logits(self, model: nn.Module, dtype: torch.dtype, table: DigitTable) -> NDArray[np.float32]:
        """Return the logits, float32 (N, classes), as `model` computes them in `dtype`."""
        logits = np.empty((len(table), self.recipe.classes), dtype=np.float32)
        done = 0
        for batch, *_ in ordered_loader(table, BATCH):
            images = normalise(ink(batch.to(self.device)), self.recipe)
            answers = model(images.to(dtype).contiguous(memory_format=self.memory_format))
            logits[done : done + len(batch)] = answers.float().cpu().numpy()
            done += len(batch)
        return logits


class ParityPredictor(Predictor):
    """A fine-tuned network of Transformers, which tells odd from even: its own answers, computed in float32."""

    def __init__(self, network: ParityNetwork) -> None:
        self.network = network.to(pick_device())

    def predict(self, pixels: Pixels) -> Predictions:
        """Return the parity of each image, in order; arguments and errors as in `Predictor.predict`."""
        table = DigitTable(pixels)
        logits = np.empty((len(table), len(PARITIES)), dtype=np.float32)
        for start in range(0, len(table), PARITY_BATCH):
            rows = slice(start, start + PARITY_BATCH)
            logits[rows] = self.network.logits(table.pixels[rows])
        return Predictions(softmax(logits))

    def saliency(self, pixels: Pixels, digits: Labels) -> NDArray[np.float32]:
        """Raise a UserError: there is no logit of a digit to explain."""
        raise UserError(no_digits("this run"))


def trained(run: Run, recipe: Recipe) -> nn.Module:
    """Return the network of a run with that recipe, with its weights; for errors see `Predictor.load`."""
    model = build(recipe)
    weights = run.load_model()
    fault = _misfit(model.state_dict(), weights)
    if fault:
        raise UserError(
            f"{run.model_path}: not the weights of the {recipe.model} in {run.recipe_path} ({fault}); "
            "copy the run again"
        )
    model.load_state_dict(weights)
    return model


def _log_odds(probability: NDArray[np.float32] | float) -> NDArray[np.float64]:
    """Return log(p / (1 - p)), finite for p of 0 and 1 too."""
    inside = np.clip(np.asarray(probability, dtype=np.float64), 1e-6, 1 - 1e-6)
    odds: NDArray[np.float64] = np.log(inside / (1 - inside))
    return odds


def _misfit(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str | None:
    """Return in words how weights differ from those of a network, or None where they fit."""
    if expected.keys() != found.keys():
        return f"of another architecture: {min(expected.keys() ^ found.keys())} is in one and not in the other"
    wrong = [name for name in expected if expected[name].shape != found[name].shape]
    if not wrong:
        return None
    last = list(expected)[-1]
    if wrong[-1] == last and expected[last].shape[1:] == found[last].shape[1:]:
        return f"for {len(found[last])} classes where {len(expected[last])} are expected"
    shapes = (" x ".join(map(str, weights[wrong[0]].shape)) for weights in (found, expected))
    return f"{wrong[0]} is {' where '.join(shapes)} is expected"
