"""Predictor: what a trained run says of images."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline import device as devices
from pipeline.checkpoint import Run
from pipeline.dataset import ink, normalise, ordered_loader
from pipeline.errors import UserError
from pipeline.framing import Glyph, glyphs
from pipeline.inference import rewritten
from pipeline.models import build
from pipeline.pictures import Picture
from pipeline.recipe import Recipe
from pipeline.saliency import saliency
from pipeline.table import CLASSES, SIDE, DigitTable, Labels, Pixels

BATCH = 1024
SURE = 0.75
"""Above this softmax of the logits bfloat16's rounding cannot change an answer: the likeliest leads by over 1."""
IS_DIGIT = 0.7
"""Below this confidence an image may well be no digit."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """What N images hold.

    Attributes:
        probabilities: float32 (N, 10); each row sums to 1.
    """

    probabilities: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.probabilities)

    @property
    def digits(self) -> Labels:
        """The most probable digit, int64 (N,)."""
        digits: Labels = self.probabilities.argmax(axis=1)
        return digits

    @property
    def confidence(self) -> NDArray[np.float32]:
        """The probability of that digit, float32 (N,) in 0.1..1."""
        confidence: NDArray[np.float32] = self.probabilities.max(axis=1)
        return confidence

    @property
    def is_digit(self) -> NDArray[np.bool_]:
        """Whether the answer is sure enough for the image to be a digit at all, bool (N,)."""
        is_digit: NDArray[np.bool_] = self.confidence >= IS_DIGIT
        return is_digit

    @property
    def p_odd(self) -> NDArray[np.float32]:
        """The probability that the digit is odd, float32 (N,) in 0..1: the sum over the five odd digits."""
        p_odd: NDArray[np.float32] = self.probabilities[:, 1::2].sum(axis=1)
        return p_odd

    @property
    def parity(self) -> Sequence[str]:
        """What is likelier by `p_odd`, "odd" or "even", whichever digit is likeliest."""
        return ["odd" if p > 0.5 else "even" for p in self.p_odd]


@dataclass(frozen=True, eq=False)
class Reading:
    """What a picture says: its digits, from left to right, as one number.

    Attributes:
        glyphs: where each digit is, and as it was framed.
        predictions: what each is, one row a glyph.
    """

    glyphs: tuple[Glyph, ...]
    predictions: Predictions

    @property
    def text(self) -> str:
        """The digits, "2025"; empty where the picture is."""
        return "".join(map(str, self.predictions.digits))

    @property
    def parity(self) -> str | None:
        """Whether the number is "odd" or "even", as its last digit is; None where the picture is empty."""
        return self.predictions.parity[-1] if self.glyphs else None

    @property
    def confidence(self) -> float | None:
        """The probability that every digit is right, as if their faults were independent; None where there are none."""
        return float(self.predictions.confidence.prod()) if self.glyphs else None


class Predictor:
    """A trained network, ready to answer.

    Args:
        model: the network, as `build` makes it, with its weights.
        recipe: with which it was trained.
        temperature: by which its logits are divided, so that probabilities mean what they say.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, temperature: float = 1.0) -> None:
        self.recipe = recipe
        self.temperature = temperature
        self.device = devices.pick()
        devices.keep_freed_memory()
        self.dtype = devices.compute_dtype(recipe, self.device)
        self.memory_format = devices.memory_format(self.device)
        self.trained = copy.deepcopy(model).eval().to(self.device)
        self.exact = rewritten(model, self.device).to(self.device).to(memory_format=self.memory_format)
        self.quick = copy.deepcopy(self.exact).to(self.dtype)

    @classmethod
    def load(cls, run: str | Path) -> Self:
        """Return the predictor of a run: a folder, or the name of one in `checkpoints/`.

        Raises:
            UserError: there is no such run, or a file in it is missing or damaged.
        """
        found = Run.open(run)
        recipe = found.recipe
        model = build(recipe)
        weights = found.load_model()
        fault = misfit(model.state_dict(), weights)
        if fault:
            raise UserError(
                f"{found.model_path}: not the weights of the {recipe.model} in {found.recipe_path} ({fault}); "
                "copy the run again"
            )
        model.load_state_dict(weights)
        return cls(model, recipe, found.card.temperature)

    def predict(self, pixels: Pixels) -> Predictions:
        """Return what each image holds, in order.

        Where the device computes faster in bfloat16 the probabilities are rounded as that does, to about 0.01; an
        image whose answer hangs on such a difference is read again in float32, so that digit and parity are the same.

        Args:
            pixels: uint8 (N, 28, 28), 0 = paper, 255 = ink.

        Raises:
            UserError: the array has another dtype or shape.
        """
        table = DigitTable(pixels)
        logits = self.logits(self.quick, self.dtype, table)
        if self.dtype is not torch.float32:
            doubtful = np.flatnonzero(softmax(logits).max(axis=1) < SURE)
            logits[doubtful] = self.logits(self.exact, torch.float32, table.select(doubtful))
        return Predictions(softmax(logits / np.float32(self.temperature)))

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
        """Return the logits, float32 (N, 10), as `model` computes them in `dtype`."""
        logits = np.empty((len(table), CLASSES), dtype=np.float32)
        done = 0
        for batch, *_ in ordered_loader(table, BATCH):
            images = normalise(ink(batch.to(self.device)), self.recipe)
            answers = model(images.to(dtype).contiguous(memory_format=self.memory_format))
            logits[done : done + len(batch)] = answers.float().cpu().numpy()
            done += len(batch)
        return logits


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return probabilities, float32 (N, 10); each row sums to 1."""
    return torch.from_numpy(logits).softmax(1).numpy()


def misfit(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str | None:
    """Return in words how weights differ from those of a network, or None where they fit."""
    if expected.keys() != found.keys():
        return f"of another architecture: {min(expected.keys() ^ found.keys())} is in one and not in the other"
    wrong = [name for name in expected if expected[name].shape != found[name].shape]
    if not wrong:
        return None
    last = list(expected)[-1]
    if wrong[-1] == last and len(expected[last]) == CLASSES:
        return f"for {len(found[last])} classes where {CLASSES} are expected"
    shapes = (" x ".join(map(str, weights[wrong[0]].shape)) for weights in (found, expected))
    return f"{wrong[0]} is {' where '.join(shapes)} is expected"
