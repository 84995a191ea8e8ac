"""Pen strokes: drawings recorded by a tablet or a pad, and their rendering with a round brush."""

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

SUPERSAMPLING = 4
"""Factor by which a canvas is drawn larger, then reduced, for antialiasing."""
SEGMENT_PATTERN = re.compile(r'\.SEGMENT DIGIT .*"(\d)"')

Points = NDArray[np.float64]
"""(M, 2): x to the right, y down."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """The pen strokes of one digit.

    Attributes:
        label: 0..9.
        strokes: the points of each stroke, in any unit, x to the right and y down.
    """

    label: int
    strokes: tuple[Points, ...]

    def placed(self, longer_side: float) -> "tuple[list[Points], Points]":
        """Return (strokes, extent): strokes moved to (0, 0) and scaled to `longer_side` pixels; extent (2,)."""
        points = np.concatenate(self.strokes)
        low, extent = points.min(axis=0), np.ptp(points, axis=0)
        scale = longer_side / max(extent.max(), 1e-9)
        return [(stroke - low) * scale for stroke in self.strokes], extent * scale


def render_strokes(strokes: Sequence[Points], size: tuple[int, int], brush: float) -> Image.Image:
    """Return strokes drawn on an empty canvas, mode L, 0 = paper, 255 = ink.

    Args:
        strokes: their points in pixels of the canvas.
        size: width and height of the canvas in pixels.
        brush: diameter of the brush in pixels.
    """
    large = Image.new("L", (size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING))
    draw = ImageDraw.Draw(large)
    for stroke in strokes:
        points = (SUPERSAMPLING * stroke).tolist()
        draw.line([tuple(point) for point in points], fill=255, width=max(1, round(SUPERSAMPLING * brush)))
        for point in points:
            draw.circle(point, SUPERSAMPLING * brush / 2, fill=255)
    return large.reduce(SUPERSAMPLING)


def read_drawings(path: Path) -> list[Drawing]:
    """Return the drawings of UCI's set 81 (Alpaydin and Alimoglu 1998, CC BY 4.0), in order.

    Args:
        path: UCI's zip, which contains `pendigits-orig.tra.Z` in the UNIPEN format; or a file .json.gz, a gzipped
            list of {"label": 3, "strokes": [[[x, y], ...], ...]} with y down.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        drawings = _from_json(path) if path.name.endswith(".json.gz") else _from_unipen(_unpack(path))
    except (OSError, EOFError, BadZipFile, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: missing or damaged ({error}); delete it and download it again") from None
    if not drawings:
        raise UserError(f"{path}: contains no drawings; delete it and download it again")
    return drawings


def _from_json(path: Path) -> list[Drawing]:
    """Return the drawings in a gzipped JSON list."""
    with gzip.open(path) as stream:
        entries: list[dict[str, Any]] = json.load(stream)
    return [_drawing(entry["label"], entry["strokes"]) for entry in entries]


def _unpack(path: Path) -> str:
    """Return the text of the drawings in UCI's zip, decompressed from the format of Unix's `compress`."""
    import uncompresspy

    with ZipFile(path) as archive, archive.open("pendigits-orig.tra.Z") as packed, uncompresspy.open(packed) as plain:
        text: str = plain.read().decode("ascii")
        return text


def _from_unipen(text: str) -> list[Drawing]:
    """Return the drawings in a text in the UNIPEN format, in which y points up."""
    drawings = []
    label, strokes = -1, list[list[list[float]]]()
    for line in [*text.splitlines(), '.SEGMENT DIGIT "0"']:
        segment = SEGMENT_PATTERN.match(line)
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
    """Return a validated drawing; raise a ValueError if the label or the shape of a stroke is invalid."""
    arrays = tuple(np.array(stroke, dtype=np.float64) for stroke in strokes)
    if label not in range(CLASSES) or not arrays or any(array.ndim != 2 or array.shape[1] != 2 for array in arrays):
        raise ValueError(f"a drawing labelled {label} has no label from 0 to 9, or no strokes of (x, y) points")
    return Drawing(label, arrays)
