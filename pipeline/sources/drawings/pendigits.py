"""Pendigits: digits that 30 people drew with a pen on a tablet, framed in MNIST's format."""

from pathlib import Path

from pipeline.sources.download import Download
from pipeline.sources.drawings.handwriting import render_drawings
from pipeline.sources.drawings.strokes import Drawing, read_drawings
from pipeline.sources.source import Source

PENDIGITS = Download(
    "pendigits",
    "https://archive.ics.uci.edu/static/public/81/pen+based+recognition+of+handwritten+digits.zip",
    "1e02bea023613c2b11c9492f6f34caf975420455934f3527d270cee9a1f03b64",
    ("pendigits.zip", "pendigits.json.gz"),
)
HELD_OUT_DRAWINGS = 1_500
"""Number of drawings at the end of the data set that are never trained on."""


def load_drawings(data: Path) -> tuple[list[Drawing], list[Drawing]]:
    """Return (training drawings, held-out drawings); download them to the folder `data` if they are missing.

    Raises:
        UserError: the file is missing and cannot be downloaded, or is damaged.
    """
    every = read_drawings(PENDIGITS.fetch(data))
    return every[:-HELD_OUT_DRAWINGS], every[-HELD_OUT_DRAWINGS:]


def pendigits_source(data: Path) -> Source:
    """Return the framed pen drawings of UCI's set 81; the held-out drawings are the test rows."""
    archive = PENDIGITS.fetch(data)
    return Source(
        "pendigits",
        archive,
        "requested",
        lambda: render_drawings(load_drawings(data)[0], 1, seed=0),
        lambda: render_drawings(load_drawings(data)[1], 1, seed=0),
        files=(archive,),
    )
