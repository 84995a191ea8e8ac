"""Digits drawn with a pen on a tablet, by 30 people: what MNIST lacks, framed as MNIST is."""

from pathlib import Path

import numpy as np

from pipeline.data.table import DigitTable
from pipeline.digits import Pixels
from pipeline.sources.download import Download
from pipeline.sources.source import Source
from pipeline.sources.strokes import Drawing, Points, canvas, read_drawings
from pipeline.vision.frame import frame_of

PENDIGITS = Download(
    "pendigits",
    "https://archive.ics.uci.edu/static/public/81/pen+based+recognition+of+handwritten+digits.zip",
    "1e02bea023613c2b11c9492f6f34caf975420455934f3527d270cee9a1f03b64",
    ("pendigits.zip", "pendigits.json.gz"),
)
HELD_OUT = 1_500
"""The last so many drawings are never trained on."""
SIDE_DRAWN = 120
"""Pixels along the longer side of a drawing; of the canvas it is framed from only its shape stays."""


def drawings(data: Path) -> tuple[list[Drawing], list[Drawing]]:
    """Return the drawings to learn from, and those that are held out; fetched into `data` where they are not there.

    Raises:
        UserError: they are not there and cannot be fetched, or their file is damaged.
    """
    every = read_drawings(PENDIGITS.fetch(data))
    return every[:-HELD_OUT], every[-HELD_OUT:]


def drawn_anew(drawings: list[Drawing], times: int, seed: int) -> DigitTable:
    """Return each drawing so many times as a frame: with another brush, slant, turn and proportion each time.

    Args:
        drawings: N of them.
        times: at least 1; the table has times * N rows.
        seed: of all that is drawn by chance.
    """
    random = np.random.default_rng(seed)
    frames = [_frame_with(drawing, random) for _ in range(times) for drawing in drawings]
    labels = [drawing.label for drawing in drawings] * times
    return DigitTable(np.array(frames), np.array(labels, dtype=np.int64))


def _frame_with(drawing: Drawing, random: np.random.Generator) -> Pixels:
    """Return one frame, uint8 (28, 28), of a drawing made by another hand."""
    turn, slant, proportion = random.normal(0, 0.12), random.normal(0, 0.15), np.exp(random.normal(0, 0.12))
    brush = np.exp(random.uniform(np.log(3), np.log(24)))
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = rotation @ np.array([[1, slant], [0, 1]]) @ np.diag([proportion, 1 / proportion])
    other = Drawing(drawing.label, tuple(stroke @ matrix.T for stroke in drawing.strokes))
    strokes, extent = other.placed(SIDE_DRAWN)
    return framed(strokes, extent, brush)


def framed(strokes: list[Points], extent: Points, brush: float) -> Pixels:
    """Return strokes, drawn with a brush of so many pixels, as a frame, uint8 (28, 28)."""
    width, height = (int(np.ceil(length + 2 * brush)) + 1 for length in extent)
    image = canvas([stroke + brush for stroke in strokes], (width, height), brush)
    return frame_of((np.asarray(image) / 255).astype(np.float32))


def pendigits_source(data: Path) -> Source:
    """Return the pen drawings of UCI's set 81, framed: those to learn from, and those that are held out."""
    return Source(
        "pendigits",
        PENDIGITS.fetch(data),
        "asked for",
        lambda: drawn_anew(drawings(data)[0], 1, seed=0),
        lambda: drawn_anew(drawings(data)[1], 1, seed=0),
    )
