"""Touching digits: parts that are not one digit, read as lines."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.digits import CLASSES
from pipeline.inference.reading.lattice import MAX_GAP, Candidate
from pipeline.inference.reading.line import LineReader, LineReading
from pipeline.vision.binarise import Ink
from pipeline.vision.frame import frame_part
from pipeline.vision.line import MARGIN_PX, frame_line
from pipeline.vision.part import Part, crop, gap, join
from pipeline.vision.rows import Row

DOUBTFUL_SCORE = 0.9
"""Score below which a part may be something else than one digit."""
DOUBTFUL_WIDTH = 1.05
"""Width of a part, relative to the height of its row, from which it may be several digits."""
VIEW_HEIGHTS = (0.82, 0.95)
"""Heights of a digit, relative to its row, at which a line is shown: a row's parts are higher if their digits jump."""
WIDE_VIEW_HEIGHTS = (0.75, 0.82, 0.88, 0.95, 1.02)
"""Those of a line that is too wide for one digit: more views are more accurate, and slower."""
CERTAIN_WIDTH = 1.4
"""Width, relative to the height of its row, from which a part is more than one digit, however doubtful its line."""
MIN_PROBABILITY = 0.2
"""Probability of a line from which it is believed."""
CERTAIN_PROBABILITY = 0.5
"""Probability of a line from which its digits are certain; those of other lines get its probability as their score."""
NARROW = 0.9
"""Width of a line, relative to the height of its row, up to which it is more probably one letter than two digits."""
MIN_NARROW_PROBABILITY = 0.9
"""Probability of a narrow line from which it is believed."""


def split_touching(
    ink: Ink, rows: list[Row], digits: list[list[Candidate]], lines: LineReader
) -> tuple[list[list[Candidate]], float]:
    """Return the digits of each row, with parts in doubt read as lines, and the certainty of the lines.

    A line is believed if it is more probable than that each of its parts is one digit. The certainty, in 0..1, is the
    probability of all believed lines, divided by the product of their digits' probabilities.

    Args:
        ink: the ink of a picture.
        rows: its rows.
        digits: the digits of each row, from left to right.
        lines: reads lines.
    """
    chains = [_chains(row, candidates) for row, candidates in zip(rows, digits, strict=True)]
    doubtful = [(row, chain) for row, found in zip(rows, chains, strict=True) for chain in found if chain.in_doubt]
    wholes = [join([candidate.part for candidate in chain.candidates]) for _, chain in doubtful]
    views = [
        [frame_line(whole.mask, factor * row.height) for factor in _view_heights(whole.width / row.height)]
        for whole, (row, _) in zip(wholes, doubtful, strict=True)
    ]
    readings = iter(zip(wholes, views, lines.read(views), strict=True))
    result, certainty = [], 1.0
    for row, found in zip(rows, chains, strict=True):
        each: list[Candidate] = []
        for chain in found:
            if chain.in_doubt:
                whole, (first, *_), reading = next(readings)
                if _is_believed(reading, chain.candidates, whole.width / row.height):
                    each += _pieces(ink, whole, first.shape[1], reading)
                    certainty *= min(1.0, reading.probability / float(reading.probabilities.max(axis=1).prod()))
                    continue
            each += chain.candidates
        result.append(each)
    return result, certainty


@dataclass(frozen=True, eq=False)
class _Chain:
    """Digits of a row that are read together.

    Attributes:
        candidates: from left to right, at least one.
        in_doubt: whether they may be other digits than those that the network predicts.
    """

    candidates: list[Candidate]
    in_doubt: bool


def _chains(row: Row, candidates: list[Candidate]) -> list[_Chain]:
    """Return the digits of a row: close neighbours of which one is in doubt together, others alone."""
    chains: list[_Chain] = []
    for candidate in candidates:
        in_doubt = _is_in_doubt(row, candidate)
        if chains:
            last, before = chains[-1], chains[-1].candidates[-1]
            close = gap(before.part, candidate.part) <= MAX_GAP * row.height
            if close and (in_doubt or _is_in_doubt(row, before)):
                chains[-1] = _Chain([*last.candidates, candidate], True)
                continue
        chains.append(_Chain([candidate], in_doubt))
    return chains


def _is_in_doubt(row: Row, candidate: Candidate) -> bool:
    """Return whether a candidate may be something else than the digit that the network predicts."""
    wide = candidate.part.width > DOUBTFUL_WIDTH * max(row.height, candidate.part.height)
    return wide or candidate.score < DOUBTFUL_SCORE


def _view_heights(width: float) -> tuple[float, ...]:
    """Return the heights of the views of a line of a width relative to the height of its row."""
    return WIDE_VIEW_HEIGHTS if width > DOUBTFUL_WIDTH else VIEW_HEIGHTS


def _is_believed(reading: LineReading, chain: Sequence[Candidate], width: float) -> bool:
    """Return whether a line is several digits, and more probable than the parts of its chain.

    Args:
        reading: the line.
        chain: what the network says of its parts.
        width: of the line, relative to the height of its row.
    """
    if len(reading.symbols) < 2 or max(reading.symbols) >= CLASSES:
        return False
    if len(chain) == 1 and width > CERTAIN_WIDTH:
        return True
    score = float(np.prod([candidate.score for candidate in chain]))
    return reading.probability > max(MIN_NARROW_PROBABILITY if width < NARROW else MIN_PROBABILITY, score)


def _pieces(ink: Ink, whole: Part, width: int, reading: LineReading) -> list[Candidate]:
    """Return the digits of a line of `width` columns, with the ink in their columns."""
    scale = whole.width / max(1, width - 2 * MARGIN_PX)
    p_digit = 1.0 if reading.probability > CERTAIN_PROBABILITY else reading.probability
    pieces = []
    for probabilities, (start, stop) in zip(reading.probabilities, reading.columns, strict=True):
        left, right = (int(np.clip(round((column - MARGIN_PX) * scale), 0, whole.width)) for column in (start, stop))
        left = min(left, whole.width - 1)
        part = crop(whole, columns=slice(left, max(right, left + 1)))
        pieces.append(Candidate(part, frame_part(ink, part), probabilities.astype(np.float32), p_digit))
    return pieces
