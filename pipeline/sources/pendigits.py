"""Pendigits: digits that 30 people drew with a pen on a tablet, framed in MNIST's format."""

from pathlib import Path

import numpy as np

from pipeline.data.table import DigitTable
from pipeline.digits import Pixels
from pipeline.sources.download import Download
from pipeline.sources.source import Source
from pipeline.sources.strokes import Drawing, Points, read_drawings, render_strokes
from pipeline.vision.frame import frame_digit

PENDIGITS = Download(
    "pendigits",
    "https://archive.ics.uci.edu/static/public/81/pen+based+recognition+of+handwritten+digits.zip",
    "1e02bea023613c2b11c9492f6f34caf975420455934f3527d270cee9a1f03b64",
    ("pendigits.zip", "pendigits.json.gz"),
)
HELD_OUT_DRAWINGS = 1_500
"""Number of drawings at the end of the data set that are never trained on."""
DRAWING_SIDE_PX = 120
"""Longer side of a drawing on its canvas; framing keeps only its shape."""


def load_drawings(data: Path) -> tuple[list[Drawing], list[Drawing]]:
    """Return (training drawings, held-out drawings); download them to the folder `data` if they are missing.

    Raises:
        UserError: the file is missing and cannot be downloaded, or is damaged.
    """
    every = read_drawings(PENDIGITS.fetch(data))
    return every[:-HELD_OUT_DRAWINGS], every[-HELD_OUT_DRAWINGS:]


def render_drawings(drawings: list[Drawing], times: int, seed: int) -> DigitTable:
    """Return `times` frames of each drawing, each with a random brush, slant, rotation and aspect ratio.

    Args:
        drawings: N drawings.
        times: at least 1; the table has times * N rows.
        seed: seed of all random parameters.
    """
    random = np.random.default_rng(seed)
    frames = [_render(drawing, random) for _ in range(times) for drawing in drawings]
    labels = [drawing.label for drawing in drawings] * times
    return DigitTable(np.array(frames), np.array(labels, dtype=np.int64))


def _render(drawing: Drawing, random: np.random.Generator) -> Pixels:
    """Return one randomly augmented frame of a drawing, uint8 (28, 28)."""
    angle, slant, aspect = random.normal(0, 0.12), random.normal(0, 0.15), np.exp(random.normal(0, 0.12))
    brush = np.exp(random.uniform(np.log(3), np.log(24)))
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = rotation @ np.array([[1, slant], [0, 1]]) @ np.diag([aspect, 1 / aspect])
    augmented = Drawing(drawing.label, tuple(stroke @ matrix.T for stroke in drawing.strokes))
    strokes, extent = augmented.placed(DRAWING_SIDE_PX)
    return frame_strokes(strokes, extent, brush)


def frame_strokes(strokes: list[Points], extent: Points, brush: float) -> Pixels:
    """Return strokes as a frame, uint8 (28, 28).

    Args:
        strokes: points in pixels, from (0, 0) to `extent`.
        extent: width and height of the strokes, (2,).
        brush: diameter of the brush in pixels.
    """
    width, height = (int(np.ceil(length + 2 * brush)) + 1 for length in extent)
    image = render_strokes([stroke + brush for stroke in strokes], (width, height), brush)
    return frame_digit((np.asarray(image) / 255).astype(np.float32))


def pendigits_source(data: Path) -> Source:
    """Return the framed pen drawings of UCI's set 81; the held-out drawings are the test rows."""
    return Source(
        "pendigits",
        PENDIGITS.fetch(data),
        "requested",
        lambda: render_drawings(load_drawings(data)[0], 1, seed=0),
        lambda: render_drawings(load_drawings(data)[1], 1, seed=0),
    )
