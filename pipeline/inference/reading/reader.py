"""Reader: from a picture to its numbers."""

from dataclasses import replace

import numpy as np

from pipeline.digits import SIDE
from pipeline.inference.predictions import Predictions, Reading
from pipeline.inference.reading.lattice import Candidate, Predict, group_parts
from pipeline.inference.reading.line import LineReader
from pipeline.inference.reading.touching import split_touching
from pipeline.vision.binarise import binarise
from pipeline.vision.frame import Glyph, Sign, scaled_box
from pipeline.vision.image import Picture, to_grey
from pipeline.vision.marks import Mark, explained_share, find_marks, is_slash, left_out, may_be_slash
from pipeline.vision.part import Part
from pipeline.vision.rows import find_rows

PICTURE_DIGIT_THRESHOLD = 0.9
"""Lowest threshold of the digit score, for a network with a class for non-digits: a picture may show anything."""
SLANTED_SCORE = 0.5
"""Score of what may be a slash or a 1, below the threshold."""
MIN_CROSSED_OUT_WIDTH = 2.2
"""Largest stroke width of what is scribbled over, relative to the digits of the picture."""


def read_picture(picture: Picture, predict: Predict, threshold: float, lines: LineReader | None) -> Reading:
    """Return the numbers in a picture, row by row.

    Args:
        picture: as in `Predictor.read`.
        predict: returns the predictions for images, uint8 (N, 28, 28).
        threshold: as in `Predictions`; raised to `PICTURE_DIGIT_THRESHOLD` if the network has a class for non-digits.
        lines: reads touching digits; None leaves them in doubt.

    Raises:
        UserError: as in `Predictor.read`.
    """
    grey, scale = to_grey(picture)
    ink = binarise(grey)
    rows = find_rows(ink)
    digits, certainty = group_parts(ink, rows, predict), 1.0
    if any(candidate.p_digit is not None for found in digits for candidate in found):
        threshold = max(threshold, PICTURE_DIGIT_THRESHOLD)
    if lines is not None:
        digits, certainty = split_touching(ink, rows, digits, lines)
    crossed_out = _crossed_out([candidate for found in digits for candidate in found], threshold)
    glyphs: list[Glyph] = []
    signs: list[Sign] = []
    omitted: list[tuple[int, int, int, int]] = []
    candidates: list[Candidate] = []
    number = 0
    for row, found in zip(rows, digits, strict=True):
        slashes, marks = _slashes(found), find_marks(ink, row)
        certainty *= explained_share(row, marks)
        kept = [candidate for candidate in found if candidate not in slashes and candidate not in crossed_out]
        kept = _doubt_slanted(kept)
        ignored = [*left_out(row, marks), *(each.part for each in found if each in crossed_out)]
        marks += [Mark(slash.part, "/") for slash in slashes]
        if not kept:  # the whole row is crossed out
            ignored, marks = ignored + [mark.part for mark in marks], []
        omitted += [scaled_box(part.box, scale) for part in ignored]
        signs += [Sign(scaled_box(mark.part.box, scale), mark.symbol, number) for mark in marks]
        glyphs += [Glyph(scaled_box(candidate.part.box, scale), candidate.frame, number) for candidate in kept]
        candidates += kept
        number += bool(kept)
    return Reading(tuple(glyphs), _predictions(candidates, predict, threshold), tuple(signs), certainty, tuple(omitted))


def _predictions(candidates: list[Candidate], predict: Predict, threshold: float) -> Predictions:
    """Return the predictions for the digits of a picture."""
    if not candidates:
        return predict(np.empty((0, SIDE, SIDE), dtype=np.uint8))
    probabilities = np.stack([candidate.probabilities for candidate in candidates])
    p_digit = [candidate.p_digit for candidate in candidates if candidate.p_digit is not None]
    if len(p_digit) < len(candidates):  # the network has no class for non-digits; touching digits have a score
        return Predictions(probabilities, None, threshold)
    return Predictions(probabilities, np.array(p_digit, np.float32), threshold)


def _crossed_out(candidates: list[Candidate], threshold: float) -> list[Candidate]:
    """Return what is scribbled over: no digits, with much wider ink than the digits of the picture."""
    refused = [candidate for candidate in candidates if candidate.p_digit is not None and candidate.p_digit < threshold]
    digits = [candidate for candidate in candidates if candidate not in refused]
    if not refused or not digits:
        return []
    typical = np.median([candidate.part.half_width for candidate in digits])
    return [candidate for candidate in refused if candidate.part.half_width > MIN_CROSSED_OUT_WIDTH * typical]


def _slashes(candidates: list[Candidate]) -> list[Candidate]:
    """Return the slashes among the candidates of a row: between digits, slanted, and higher than these."""
    return [each for each in candidates[1:-1] if is_slash(each.part, _other_parts(candidates, each))]


def _doubt_slanted(candidates: list[Candidate]) -> list[Candidate]:
    """Return the candidates of a row; one between others that may be a slash or a 1 is in doubt."""
    return [
        replace(each, p_digit=min(each.p_digit, SLANTED_SCORE))
        if each.p_digit is not None
        and each in candidates[1:-1]
        and may_be_slash(each.part, _other_parts(candidates, each))
        else each
        for each in candidates
    ]


def _other_parts(candidates: list[Candidate], candidate: Candidate) -> list[Part]:
    """Return the parts of all candidates but one."""
    return [other.part for other in candidates if other is not candidate]
