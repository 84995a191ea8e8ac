"""Predictions for images and readings of pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.config.recipe import parity_only_message
from pipeline.digits import CLASSES, PARITIES, Labels
from pipeline.errors import UserError
from pipeline.metrics.calibration import digit_score, softmax
from pipeline.metrics.score import Score, score
from pipeline.vision.frame import Glyph, Sign

DEFAULT_DIGIT_THRESHOLD = 0.7
"""Digit score below which an image counts as a non-digit, for a run without a calibrated threshold."""

MIN_WORD_LENGTH = 3
"""Glyphs of the shortest word."""
MAX_DIGITS_OF_WORD = 0.5
"""Fraction of the glyphs of a word that look like digits."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions for N images.

    Attributes:
        probabilities: float32 (N, 10), one per digit; or (N, 2), for "even" and "odd", from a network that predicts
            parity only. Each row sums to 1.
        p_digit: the probability that the image shows a digit, float32 (N,); None if the network has no class for
            non-digits.
        threshold: the minimum `digit_score` of a digit.
    """

    probabilities: NDArray[np.float32]
    p_digit: NDArray[np.float32] | None = None
    threshold: float = DEFAULT_DIGIT_THRESHOLD

    def __len__(self) -> int:
        return len(self.probabilities)

    @property
    def digits(self) -> Labels | None:
        """The most probable digit, int64 (N,); None if the network predicts parity only."""
        if self.probabilities.shape[1] != CLASSES:
            return None
        digits: Labels = self.probabilities.argmax(axis=1)
        return digits

    @property
    def known_digits(self) -> Labels:
        """The digits. Raise a UserError if the network predicts parity only."""
        digits = self.digits
        if digits is None:
            raise UserError(parity_only_message("this run"))
        return digits

    @property
    def confidence(self) -> NDArray[np.float32]:
        """The probability of the predicted digit, float32 (N,) in 0.1..1, or of the predicted parity, in 0.5..1."""
        confidence: NDArray[np.float32] = self.probabilities.max(axis=1)
        return confidence

    @property
    def digit_score(self) -> NDArray[np.float32]:
        """The score for showing a digit, float32 (N,) in 0..1: `p_digit`, or the confidence if that is None."""
        return self.confidence if self.p_digit is None else self.p_digit

    @property
    def is_digit(self) -> NDArray[np.bool_]:
        """Whether the digit score reaches the threshold, bool (N,)."""
        is_digit: NDArray[np.bool_] = self.digit_score >= self.threshold
        return is_digit

    @property
    def p_odd(self) -> NDArray[np.float32]:
        """The probability that the digit is odd, float32 (N,) in 0..1: the sum over the five odd digits."""
        p_odd: NDArray[np.float32] = self.probabilities[:, 1::2].sum(axis=1)
        return p_odd

    @property
    def parity(self) -> Sequence[str]:
        """The parity of the most probable digit, "odd" or "even"; without digits, the more probable one by `p_odd`."""
        digits = self.digits
        odd = self.p_odd > 0.5 if digits is None else digits % 2
        return [PARITIES[int(each)] for each in odd]

    def score(self, labels: Labels) -> Score:
        """Return the score against labels, digits as int64 (N,). A network for parity is scored on parity."""
        if self.digits is None:
            return score(self.probabilities.argmax(axis=1), labels % 2, self.probabilities)
        return score(self.digits, labels, self.probabilities)


@dataclass(frozen=True, eq=False)
class Reading:
    """The reading of a picture: one number for each row of its handwriting.

    Attributes:
        glyphs: position, row and framed image of each digit; row by row from the top, from left to right.
        predictions: predictions for the glyphs, one row per glyph.
        signs: the marks between the digits: points, commas, dashes and others.
        certainty: the probability that touching digits are separated correctly and that no ink is left out, in 0..1.
        left_out: boxes of the ink beside the digits that is neither in a digit nor in a mark, as `Glyph.box`.
    """

    glyphs: tuple[Glyph, ...]
    predictions: Predictions
    signs: tuple[Sign, ...] = ()
    certainty: float = 1.0
    left_out: tuple[tuple[int, int, int, int], ...] = ()

    @property
    def text(self) -> str | None:
        """The digits and marks, for example "2025", or "12.5 347" for two rows.

        Empty for a blank picture; None if the network predicts parity only.
        """
        if not self.glyphs:
            return ""
        digits = self.predictions.digits
        return None if digits is None else self._by_row([str(digit) for digit in digits])

    def __str__(self) -> str:
        if self.confidence is None:
            return "no digits"
        text = "digits unknown" if self.text is None else self.marked
        remark = "; ? marks a probable non-digit" if "?" in self.marked else ""
        return f"{text}, {self.parity}, {100 * self.confidence:.1f} % confidence{remark}"

    @property
    def marked(self) -> str:
        """The text with "?" for non-digits, for example "2?25".

        If the network predicts parity only, the parity of each row, or "?" if its last glyph is a non-digit.
        """
        is_digit = self.is_digit
        if self.text is None:
            each = zip(self.glyphs, self.predictions.parity, is_digit, strict=True)
            return " ".join({glyph.row: parity if known else "?" for glyph, parity, known in each}.values())
        digits = self.predictions.known_digits
        return self._by_row([str(digit) if known else "?" for digit, known in zip(digits, is_digit, strict=True)])

    @property
    def is_digit(self) -> NDArray[np.bool_]:
        """Whether each glyph is a digit, bool (N,): its digit score reaches the threshold, and its row is no word.

        A row is a word if it has three or more glyphs and at least half of them are refused.
        """
        is_digit = self.predictions.is_digit.copy()
        rows = np.array([glyph.row for glyph in self.glyphs])
        for row in np.unique(rows):
            within = rows == row
            if within.sum() >= MIN_WORD_LENGTH and is_digit[within].mean() <= MAX_DIGITS_OF_WORD:
                is_digit[within] = False
        return is_digit

    @property
    def parity(self) -> str | None:
        """The parity of each row, separated by spaces: "odd" or "even", which is that of its last digit.

        None for a blank picture.
        """
        last = {glyph.row: parity for glyph, parity in zip(self.glyphs, self.predictions.parity, strict=True)}
        return " ".join(last.values()) or None

    @property
    def confidence(self) -> float | None:
        """The probability that all digits are correct, assuming independent errors; None if there are no digits.

        If the network predicts parity only, the probability that the parity of each row is correct.
        """
        if not self.glyphs:
            return None
        confidence = self.predictions.confidence
        if self.predictions.digits is not None:
            return float(confidence.prod() * self.certainty)
        last = {glyph.row: value for glyph, value in zip(self.glyphs, confidence, strict=True)}
        return float(np.prod(list(last.values())))

    def _by_row(self, characters: Sequence[str]) -> str:
        """Return one character per glyph and the signs between them, with a space between two rows."""
        placed = [(glyph.row, glyph.box[0], each) for glyph, each in zip(self.glyphs, characters, strict=True)]
        placed += [(sign.row, sign.box[0], sign.symbol) for sign in self.signs]
        rows: dict[int, str] = {}
        for row, _, character in sorted(placed):
            rows[row] = rows.get(row, "") + character
        return " ".join(rows.values())


def make_predictions(logits: NDArray[np.float32], threshold: float) -> Predictions:
    """Return the predictions for calibrated logits, float32 (N, classes). `threshold` is as in `Predictions`."""
    p_digit = digit_score(logits) if logits.shape[1] > CLASSES else None
    return Predictions(softmax(logits[:, :CLASSES]), p_digit, threshold)
