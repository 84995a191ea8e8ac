"""Rendering of pen drawings as frames, with the random variation of hands, pens and scans."""

from collections.abc import Sequence

import numpy as np

from pipeline.data.table import DigitTable
from pipeline.digits import Pixels
from pipeline.sources.drawings.strokes import Drawing, Points, render_strokes
from pipeline.vision.frame import frame_digit
from pipeline.vision.image import Grey, resize

DRAWING_SIDE_PX = 120
"""Longer side of a drawing on its canvas; framing keeps only its shape."""
MIN_BRUSH_PX, MAX_BRUSH_PX = 2.5, 28
"""Diameter of the brush on that canvas."""
STRETCHED_FRACTION = 0.35
"""Fraction of the drawings that are stretched to a random ratio of width to height."""
MIN_ASPECT, MAX_ASPECT = 0.45, 1.2
"""Ratio of width to height of a stretched drawing."""
BAR_RATIO = 0.12
"""Ratio of the principal axes below which a drawing is a bar, which is not stretched: its width has no meaning."""
REMNANT_FRACTION = 0.04
"""Fraction of the drawings with a remnant of a neighbouring digit, cut off by the edge of the image."""
WORN_FRACTION = 0.15
"""Fraction of the drawings whose ink is uneven, with breaks in thin strokes."""
COARSE_FRACTION = 0.15
"""Fraction of the drawings that are scanned with few pixels."""
MIN_GREY_PX, MIN_BLACK_PX, MAX_SCAN_PX = 9, 14, 32
"""Longer side of a coarse scan: the smallest in grey, the smallest in black and white, and the largest."""
MIN_SQUARE_RATIO = 0.4
"""Ratio of the sides above which a scan may be stretched to a square."""


def render_drawings(drawings: Sequence[Drawing], times: int, seed: int) -> DigitTable:
    """Return `times` frames of each drawing of a digit, each with its own random variation.

    Args:
        drawings: N drawings.
        times: at least 1; the table has times * N rows.
        seed: seed of all random parameters.
    """
    labels = [drawing.label for drawing in drawings] * times
    return DigitTable(render_frames(drawings, times, seed), np.array(labels, dtype=np.int64))


def render_frames(drawings: Sequence[Drawing], times: int, seed: int) -> Pixels:
    """Return the images of `render_drawings`, uint8 (times * N, 28, 28); the drawings may be of non-digits."""
    random = np.random.default_rng(seed)
    return np.array([_render(drawing, random) for _ in range(times) for drawing in drawings])


def frame_strokes(strokes: Sequence[Points], extent: Points, brush: float) -> Pixels:
    """Return strokes as a frame, uint8 (28, 28).

    Args:
        strokes: points in pixels, from (0, 0) to `extent`.
        extent: width and height of the strokes, (2,).
        brush: diameter of the brush in pixels.
    """
    return frame_digit(_draw(strokes, extent, brush))


def scan_coarsely(ink: Grey, random: np.random.Generator) -> Grey:
    """Return a random coarse scan of ink, float32 (h', w') in 0..1: grey or black, in proportion or as a square.

    Args:
        ink: float32 (h, w) in 0..1.
    """
    grey = random.random() < 0.5
    side = random.uniform(MIN_GREY_PX if grey else MIN_BLACK_PX, MAX_SCAN_PX)
    ratios = np.array(ink.shape) / max(ink.shape)
    if ratios.min() > MIN_SQUARE_RATIO and random.random() < 0.5:
        ratios[:] = 1
    small = resize(ink, [max(1, round(side * ratio)) for ratio in ratios])
    small = (small / (2 * random.uniform(0.3, 0.5) * small.max())).clip(0, 1)
    scan: Grey = small if grey else (small > 0.5).astype(np.float32)
    return scan


def _render(drawing: Drawing, random: np.random.Generator) -> Pixels:
    """Return one frame of a drawing with random variation, uint8 (28, 28)."""
    brush = np.exp(random.uniform(np.log(MIN_BRUSH_PX), np.log(MAX_BRUSH_PX)))
    strokes, extent = _reshape(drawing, random).placed(DRAWING_SIDE_PX)
    ink = _draw(strokes, extent, brush)
    if random.random() < REMNANT_FRACTION:
        ink = _add_remnant(ink, brush, random)
    if random.random() < WORN_FRACTION:
        ink = _wear(ink, brush, random)
    if random.random() < COARSE_FRACTION:
        ink = scan_coarsely(ink, random)
    return frame_digit(ink)


def _reshape(drawing: Drawing, random: np.random.Generator) -> Drawing:
    """Return a drawing with a random slant, rotation and ratio of width to height."""
    angle, slant, aspect = random.normal(0, 0.12), random.normal(0, 0.15), np.exp(random.normal(0, 0.12))
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = rotation @ np.array([[1, slant], [0, 1]]) @ np.diag([aspect, 1 / aspect])
    strokes = [stroke @ matrix.T for stroke in drawing.strokes]
    points = np.concatenate(strokes)
    if random.random() < STRETCHED_FRACTION and not _is_bar(points):
        width, height = np.ptp(points, axis=0)
        target = np.exp(random.uniform(np.log(MIN_ASPECT), np.log(MAX_ASPECT)))
        strokes = [stroke * np.array([target * height / width, 1]) for stroke in strokes]
    return Drawing(drawing.label, tuple(strokes))


def _is_bar(points: Points) -> bool:
    """Return whether points are nearly on one line."""
    centred = points - points.mean(axis=0)
    minor, major = np.linalg.eigvalsh(centred.T @ centred)  # squares of the principal axes
    return bool(minor <= BAR_RATIO**2 * major)


def _draw(strokes: Sequence[Points], extent: Points, brush: float) -> Grey:
    """Return strokes drawn with a margin of half a brush, float32 (h, w) in 0..1; arguments as in `frame_strokes`."""
    width, height = (int(np.ceil(length + 2 * brush)) + 1 for length in extent)
    image = render_strokes([stroke + brush for stroke in strokes], (width, height), brush)
    return (np.asarray(image) / 255).astype(np.float32)


def _add_remnant(ink: Grey, brush: float, random: np.random.Generator) -> Grey:
    """Return ink with a piece of a neighbouring stroke at its left or right edge, which cuts the piece off."""
    height = len(ink)
    margin = round(random.uniform(0.3, 1) * brush)
    length, depth = random.uniform(0.1, 0.4) * height, random.uniform(0, 0.5) * brush
    top = random.uniform(brush, max(brush, height - brush - length))
    bow = random.uniform(-0.2, 0.2) * length
    piece = np.array([[margin - depth, top], [margin - depth + bow, top + length / 2], [margin - depth, top + length]])
    strip = np.asarray(render_strokes([piece], (margin, height), brush), dtype=np.float32) / np.float32(255)
    return np.hstack([ink, strip]) if random.random() < 0.5 else np.hstack([strip[:, ::-1], ink])


def _wear(ink: Grey, brush: float, random: np.random.Generator) -> Grey:
    """Return ink that is missing in small random spots, about as large as the brush is wide."""
    cells = [max(2, round(side / max(brush, 6))) for side in ink.shape]
    spots = resize(random.random(cells).astype(np.float32), list(ink.shape))
    kept: Grey = ink * (spots > np.quantile(spots, random.uniform(0.01, 0.12)))
    return kept
