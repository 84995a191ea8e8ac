"""A reader's answers to pictures, and when they are right."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from helpers.writing import MARKS
from pipeline import Predictor, UserError


@dataclass(frozen=True)
class Answer:
    """A reader's answer to a picture.

    Attributes:
        text: the number as read; "" for none.
        marked: the same with "?" for what is probably not a digit.
    """

    text: str
    marked: str

    @property
    def refused(self) -> bool:
        """Whether the reader sees no digit: the answer is blank, or has "?" and spaces only."""
        return not self.marked.strip("? ")

    def is_right(self, truth: str) -> bool:
        """Return whether the answer is the truth, apart from marks; for a `truth` of "", whether it is refused."""
        return without_marks(self.text) == without_marks(truth) if truth else self.refused


def ask(predictor: Predictor, picture: Image.Image | Path) -> Answer:
    """Return the answer of a run to a picture; a picture that it cannot read counts as refused."""
    try:
        reading = predictor.read(picture)
    except UserError:
        return Answer("", "?")
    return Answer(reading.text or "", reading.marked)


def without_marks(text: str) -> str:
    """Return a text without the characters of MARKS; digits and spaces are kept."""
    return "".join(character for character in text if character not in MARKS)


def digits_of(text: str) -> str:
    """Return the digits of a text, without marks and spaces."""
    return "".join(character for character in text if character.isdigit())
