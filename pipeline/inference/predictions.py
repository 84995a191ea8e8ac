"""Predictions and readings: what a predictor says of images and of pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.config.recipe import no_digits
from pipeline.digits import CLASSES, PARITIES, Labels
from pipeline.errors import UserError
from pipeline.metrics.calibration import digit_score, softmax
from pipeline.metrics.score import Score, score
from pipeline.vision.frame import Glyph

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

    def __str__(self) -> str:
        if self.confidence is None:
            return "no digits"
        text = "digits unknown" if self.text is None else self.marked
        remark = "; ? is probably not a digit" if "?" in self.marked else ""
        return f"{text}, {self.parity}, {100 * self.confidence:.1f} % sure{remark}"

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


def predictions_of(logits: NDArray[np.float32], threshold: float) -> Predictions:
    """Return what calibrated logits, float32 (N, classes), say; `threshold` as in `Predictions`."""
    p_digit = digit_score(logits) if logits.shape[1] > CLASSES else None
    return Predictions(softmax(logits[:, :CLASSES]), p_digit, threshold)
