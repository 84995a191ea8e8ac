"""Pen strokes: what a tablet or a pad records of a drawing, and the drawing of them with a round brush."""

import gzip
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.digits import CLASSES
from pipeline.errors import UserError

FINER = 4
"""Canvases are drawn at so many times their size and then shrunk."""
SEGMENT = re.compile(r'\.SEGMENT DIGIT .*"(\d)"')

Points = NDArray[np.float64]
"""(M, 2): across and down."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """One digit as it was drawn.

    Attributes:
        label: 0..9.
        strokes: the points of each, in any unit, x to the right and y down.
    """

    label: int
    strokes: tuple[Points, ...]

    def placed(self, longer_side: float) -> "tuple[list[Points], Points]":
        """Return the strokes with their corner at (0, 0) and the longer side so many pixels, and their extent (2,)."""
        points = np.concatenate(self.strokes)
        low, extent = points.min(axis=0), np.ptp(points, axis=0)
        scale = longer_side / max(extent.max(), 1e-9)
        return [(stroke - low) * scale for stroke in self.strokes], extent * scale


def canvas(strokes: Sequence[Points], size: tuple[int, int], brush: float) -> Image.Image:
    """Return strokes, in pixels, drawn on an empty canvas as a mask, 255 where there is ink.

    Args:
        strokes: their points in pixels of the canvas.
        size: of the canvas, width and height.
        brush: its diameter in pixels.
    """
    large = Image.new("L", (size[0] * FINER, size[1] * FINER))
    draw = ImageDraw.Draw(large)
    for stroke in strokes:
        points = (FINER * stroke).tolist()
        draw.line([tuple(point) for point in points], fill=255, width=max(1, round(FINER * brush)))
        for point in points:
            draw.circle(point, FINER * brush / 2, fill=255)
    return large.reduce(FINER)


def read_drawings(path: Path) -> list[Drawing]:
    """Return the drawings of UCI's set 81 (Alpaydin and Alimoglu 1998, CC BY 4.0), in their order.

    Args:
        path: UCI's zip, which holds `pendigits-orig.tra.Z` in the UNIPEN format; or, its name ending in .json.gz, a
            list of {"label": 3, "strokes": [[[x, y], ...], ...]} with y down.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        drawings = _from_json(path) if path.name.endswith(".json.gz") else _from_unipen(_unpacked(path))
    except (OSError, EOFError, BadZipFile, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: missing or damaged ({error}); delete it, and fetch it again") from None
    if not drawings:
        raise UserError(f"{path}: holds no drawings; delete it, and fetch it again")
    return drawings


def _from_json(path: Path) -> list[Drawing]:
    """Return the drawings of a gzipped JSON list."""
    with gzip.open(path) as stream:
        entries: list[dict[str, Any]] = json.load(stream)
    return [_drawing(entry["label"], entry["strokes"]) for entry in entries]


def _unpacked(path: Path) -> str:
    """Return the text of the drawings in UCI's zip, which holds it as the Unix program compress packs it."""
    import uncompresspy

    with ZipFile(path) as archive, archive.open("pendigits-orig.tra.Z") as packed, uncompresspy.open(packed) as plain:
        text: str = plain.read().decode("ascii")
        return text


def _from_unipen(text: str) -> list[Drawing]:
    """Return the drawings of a text in the UNIPEN format, in which y is up."""
    drawings = []
    label, strokes = -1, list[list[list[float]]]()
    for line in [*text.splitlines(), '.SEGMENT DIGIT "0"']:
        segment = SEGMENT.match(line)
        if segment:
            if any(strokes):
                drawings.append(_drawing(label, [stroke for stroke in strokes if stroke]))
            label, strokes = int(segment[1]), []
        elif line.startswith(".PEN_DOWN"):
            strokes.append([])
        elif strokes and line[:1] not in (".", ""):
            x, y = map(float, line.split())
            strokes[-1].append([x, -y])
    return drawings


def _drawing(label: int, strokes: Sequence[Any]) -> Drawing:
    """Return a checked drawing."""
    arrays = tuple(np.array(stroke, dtype=np.float64) for stroke in strokes)
    if label not in range(CLASSES) or not arrays or any(array.ndim != 2 or array.shape[1] != 2 for array in arrays):
        raise ValueError(f"a drawing of {label} has no label from 0 to 9, or no strokes of points")
    return Drawing(label, arrays)
