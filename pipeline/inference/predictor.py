"""Predictor: what a trained run says of images."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.config.fine_tuning import FineTuning
from pipeline.config.recipe import Recipe, no_digits
from pipeline.data.loader import ink, normalise, ordered_loader
from pipeline.data.table import CLASSES, PARITIES, SIDE, DigitTable, Labels, Pixels
from pipeline.errors import UserError
from pipeline.inference.fuse import rewritten
from pipeline.inference.saliency import saliency
from pipeline.metrics.score import Score, digit_score, score, softmax
from pipeline.models import build
from pipeline.models.parity import ParityNetwork
from pipeline.run import Run
from pipeline.utils import device as devices
from pipeline.vision.image import Picture
from pipeline.vision.segment import Glyph, glyphs

BATCH = 1024
PARITY_BATCH = 64
"""Of images that are scaled to 224x224 in three colours, and take 200 times the memory."""
SURE = 0.75
"""Above this softmax of the logits bfloat16's rounding cannot change an answer: the likeliest leads by over 1."""
ROUNDING = 1.0
"""Of a difference of two logits, more than bfloat16's."""
IS_DIGIT = 0.7
"""Below this confidence an image may well be no digit."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """What N images hold.

    Attributes:
        probabilities: float32 (N, 10), of the digits; or (N, 2), of "even" and "odd", by a network that knows no more.
            Each row sums to 1.
        p_digit: the probability that the image holds a digit at all, float32 (N,), by a network that has learnt what
            does not; None by any other.
        threshold: the least `digit_score` of what counts as a digit.
    """

    probabilities: NDArray[np.float32]
    p_digit: NDArray[np.float32] | None = None
    threshold: float = IS_DIGIT

    def __len__(self) -> int:
        return len(self.probabilities)

    @property
    def digits(self) -> Labels | None:
        """The most probable digit, int64 (N,); None where only parity is known."""
        if self.probabilities.shape[1] != CLASSES:
            return None
        digits: Labels = self.probabilities.argmax(axis=1)
        return digits

    @property
    def known_digits(self) -> Labels:
        """The digits, or a UserError where only parity is known."""
        digits = self.digits
        if digits is None:
            raise UserError(no_digits("this run"))
        return digits

    @property
    def confidence(self) -> NDArray[np.float32]:
        """The probability of that digit, float32 (N,) in 0.1..1; or of that parity, in 0.5..1."""
        confidence: NDArray[np.float32] = self.probabilities.max(axis=1)
        return confidence

    @property
    def digit_score(self) -> NDArray[np.float32]:
        """How sure it is that the image holds a digit at all, float32 (N,) in 0..1: `p_digit`, or else confidence."""
        return self.confidence if self.p_digit is None else self.p_digit

    @property
    def is_digit(self) -> NDArray[np.bool_]:
        """Whether the image is likely enough to be a digit at all, bool (N,)."""
        is_digit: NDArray[np.bool_] = self.digit_score >= self.threshold
        return is_digit

    @property
    def p_odd(self) -> NDArray[np.float32]:
        """The probability that the digit is odd, float32 (N,) in 0..1: the sum over the five odd digits."""
        p_odd: NDArray[np.float32] = self.probabilities[:, 1::2].sum(axis=1)
        return p_odd

    @property
    def parity(self) -> Sequence[str]:
        """What is likelier by `p_odd`, "odd" or "even", whichever digit is likeliest."""
        return [PARITIES[int(p > 0.5)] for p in self.p_odd]

    def score(self, labels: Labels) -> Score:
        """Return what the predictions are worth against digits, int64 (N,): of parity where no more is known."""
        if self.digits is None:
            return score(self.probabilities.argmax(axis=1), labels % 2, self.probabilities)
        return score(self.digits, labels, self.probabilities)


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
    def text(self) -> str | None:
        """The digits, "2025"; empty where the picture is, and None where of its digits only the parity is known."""
        if not self.glyphs:
            return ""
        digits = self.predictions.digits
        return None if digits is None else "".join(map(str, digits))

    @property
    def marked(self) -> str:
        """The digits, "2?25" where one is likely to be none; of a run that knows no digits its parity, or "?"."""
        sure = self.predictions.is_digit
        if self.text is None:
            return str(self.parity) if sure[-1] else "?"
        return "".join(digit if is_digit else "?" for digit, is_digit in zip(self.text, sure, strict=True))

    @property
    def parity(self) -> str | None:
        """Whether the number is "odd" or "even", as its last digit is; None where the picture is empty."""
        return self.predictions.parity[-1] if self.glyphs else None

    @property
    def confidence(self) -> float | None:
        """The probability that every digit is right, as if their faults were independent; None where there are none.

        Where only parity is known, the probability that the number's is right, which is its last digit's.
        """
        if not self.glyphs:
            return None
        confidence = self.predictions.confidence
        return float(confidence[-1] if self.predictions.digits is None else confidence.prod())


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
        self.device = devices.pick()
        devices.keep_freed_memory()
        self.dtype = devices.compute_dtype(recipe, self.device)
        self.memory_format = devices.memory_format(self.device)
        self.trained = copy.deepcopy(model).eval().to(self.device)
        self.exact = rewritten(model, self.device).to(self.device).to(memory_format=self.memory_format)
        self.quick = copy.deepcopy(self.exact).to(self.dtype)

    @classmethod
    def load(cls, run: str | Path) -> "Predictor":
        """Return the predictor of a run: a folder, or the name of one in `checkpoints/`.

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
                score = log_odds(digit_score(logits / np.float32(self.temperature)))
                doubtful |= np.abs(score - log_odds(self.threshold)) < ROUNDING / self.temperature
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
        self.network = network.to(devices.pick())

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
    fault = misfit(model.state_dict(), weights)
    if fault:
        raise UserError(
            f"{run.model_path}: not the weights of the {recipe.model} in {run.recipe_path} ({fault}); "
            "copy the run again"
        )
    model.load_state_dict(weights)
    return model


def log_odds(probability: NDArray[np.float32] | float) -> NDArray[np.float64]:
    """Return log(p / (1 - p)), finite for p of 0 and 1 too."""
    inside = np.clip(np.asarray(probability, dtype=np.float64), 1e-6, 1 - 1e-6)
    odds: NDArray[np.float64] = np.log(inside / (1 - inside))
    return odds


def predictions_of(logits: NDArray[np.float32], threshold: float) -> Predictions:
    """Return what calibrated logits, float32 (N, classes), say; `threshold` as in `Predictions`."""
    p_digit = digit_score(logits) if logits.shape[1] > CLASSES else None
    return Predictions(softmax(logits[:, :CLASSES]), p_digit, threshold)


def misfit(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str | None:
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
