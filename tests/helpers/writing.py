"""Synthetic handwriting: digits, marks and letters in pen strokes, as images of ink."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from helpers.papers import Range, noise_field, uniform
from pipeline.digits import Pixels
from pipeline.sources.drawings.strokes import Drawing, Points, render_strokes

WRITER_DRAWINGS = 50
"""Length of a run of drawings that are mostly of one writer."""
INK_THRESHOLD = 127
"""Pixels above this are ink."""
DIGIT_SIDE_PX = 20
"""Height of a digit in an image of 28x28 pixels."""

Shape = list[list[tuple[float, float]]]
"""Strokes as points (x, y) in units of the height of a digit, y down; 0 is the top of a digit and 1 its baseline."""

MARKS: dict[str, Shape] = {
    ".": [[(0.02, 0.98), (0.03, 1)]],
    ",": [[(0.1, 0.92), (0.09, 1.02), (0, 1.18)]],
    ":": [[(0.02, 0.4), (0.03, 0.41)], [(0.02, 0.85), (0.03, 0.86)]],
    "-": [[(0, 0.53), (0.38, 0.5)]],
    "/": [[(0.42, -0.05), (0, 1.08)]],
    "÷": [[(0, 0.52), (0.5, 0.5)], [(0.25, 0.22), (0.26, 0.23)], [(0.25, 0.8), (0.26, 0.81)]],
}
LETTERS: dict[str, Shape] = {
    "A": [[(0, 1), (0.33, 0), (0.66, 1)], [(0.14, 0.62), (0.52, 0.6)]],
    "E": [[(0.5, 0), (0, 0.02), (0, 1), (0.52, 0.98)], [(0, 0.5), (0.42, 0.48)]],
    "F": [[(0.5, 0), (0, 0.02), (0, 1)], [(0, 0.5), (0.4, 0.48)]],
    "H": [[(0, 0), (0, 1)], [(0.55, 0), (0.55, 1)], [(0, 0.52), (0.55, 0.5)]],
    "K": [[(0, 0), (0, 1)], [(0.5, 0), (0.02, 0.55), (0.55, 1)]],
    "M": [[(0, 1), (0.06, 0), (0.35, 0.65), (0.66, 0), (0.72, 1)]],
    "N": [[(0, 1), (0, 0), (0.52, 1), (0.54, 0)]],
    "R": [[(0, 1), (0, 0), (0.35, 0.03), (0.47, 0.25), (0.32, 0.47), (0.02, 0.52), (0.52, 1)]],
    "W": [[(0, 0), (0.18, 1), (0.36, 0.3), (0.55, 1), (0.75, 0)]],
    "X": [[(0, 0), (0.52, 1)], [(0.52, 0), (0, 1)]],
    "k": [[(0, 0), (0, 1)], [(0.34, 0.45), (0.02, 0.72), (0.38, 1)]],
    "m": [[(0, 0.5), (0, 1), (0.03, 0.6), (0.2, 0.5), (0.28, 0.62), (0.28, 1), (0.32, 0.6), (0.5, 0.5), (0.58, 1)]],
    "n": [[(0, 0.5), (0.02, 1), (0.04, 0.62), (0.22, 0.5), (0.34, 0.62), (0.36, 1)]],
    "r": [[(0, 0.5), (0.02, 1), (0.04, 0.66), (0.16, 0.52), (0.3, 0.52)]],
    "t": [[(0.16, 0.1), (0.15, 0.88), (0.24, 1), (0.36, 0.94)], [(0, 0.4), (0.34, 0.38)]],
    "w": [[(0, 0.5), (0.12, 1), (0.25, 0.6), (0.38, 1), (0.52, 0.5)]],
    "x": [[(0, 0.5), (0.36, 1)], [(0.36, 0.5), (0, 1)]],
}


@dataclass(frozen=True, eq=False)
class Writing:
    """Ink without paper.

    Attributes:
        ink: mode L, 0 = none, 255 = ink; cropped to the ink.
        text: the digits and marks, from left to right; rows are separated by one space.
        height: height of a digit in pixels.
    """

    ink: Image.Image
    text: str
    height: float

    def turned(self, degrees: float) -> "Writing":
        """Return the writing rotated clockwise."""
        turned = self.ink.rotate(-degrees, Image.Resampling.BICUBIC, expand=True)
        return replace(self, ink=crop_to_ink(turned))

    def faded(self, strengths: Range, random: np.random.Generator) -> "Writing":
        """Return the writing with a strength of ink that varies smoothly over the whole range `strengths`, in 0..1."""
        ink = np.asarray(self.ink)
        field = noise_field(self.ink.size, self.height / 2, random)
        inside = field[ink > INK_THRESHOLD]
        low, high = inside.min(), inside.max()
        strength = np.interp(field, (low, high), strengths)
        return replace(self, ink=Image.fromarray(np.rint(ink * strength).astype(np.uint8)))

    def grained(self, share: float, random: np.random.Generator) -> "Writing":
        """Return the writing as of a pencil on rough paper, which leaves about `share` of the pixels pale."""
        tooth = noise_field(self.ink.size, max(1.5, self.height / 50), random)
        pale = np.clip(0.5 + 3 * (np.quantile(tooth, share) - tooth), 0, 1)
        return replace(self, ink=Image.fromarray((np.asarray(self.ink) * (1 - 0.85 * pale)).astype(np.uint8)))


def crop_to_ink(image: Image.Image) -> Image.Image:
    """Return an image of mode L cropped to its ink."""
    return image.crop(image.point(lambda value: 255 * (value > INK_THRESHOLD)).getbbox())


def pick_digits(drawings: Sequence[Drawing], count: int, random: np.random.Generator) -> list[Drawing]:
    """Return `count` drawings, mostly of one writer: from a random run of WRITER_DRAWINGS in their order."""
    first = int(random.integers(max(1, len(drawings) - WRITER_DRAWINGS)))
    writer = drawings[first : first + WRITER_DRAWINGS]
    return [writer[index] for index in random.choice(len(writer), count)]


def write(
    items: Sequence[Drawing | str], height: float, brush: float, random: np.random.Generator, gap: Range = (0.1, 0.35)
) -> Writing:
    """Return digits, marks and letters written in a row.

    Args:
        items: drawings of digits; characters of MARKS or LETTERS.
        height: height of a digit in pixels; each varies by a few percent.
        brush: diameter of the pen in pixels.
        random: source of sizes, gaps and positions.
        gap: clear width between two items, in units of `height`.
    """
    left = 0.0
    strokes: list[Points] = []
    for item in items:
        placed, width = _place(item, height, random)
        corner = np.array([left, random.uniform(-0.04, 0.04) * height])
        strokes += [stroke + corner for stroke in placed]
        left += width + brush + uniform(gap, random) * height
    points = np.concatenate(strokes)
    low, high = points.min(axis=0) - brush, points.max(axis=0) + brush
    columns, rows = (int(np.ceil(side)) for side in high - low)
    ink = render_strokes([smooth(stroke - low) for stroke in strokes], (columns, rows), brush)
    text = "".join(str(item.label) if isinstance(item, Drawing) else item for item in items)
    return Writing(crop_to_ink(ink), text, height)


def _place(item: Drawing | str, height: float, random: np.random.Generator) -> tuple[list[Points], float]:
    """Return the strokes of an item on the baseline y = `height`, from x = 0, and its width in pixels."""
    size = height * random.uniform(0.92, 1.08)
    if isinstance(item, Drawing):
        strokes, (width, own) = item.placed(size)
        return [stroke + np.array([0, height - own]) for stroke in strokes], width
    strokes = [_bend(np.array(stroke), random) * size for stroke in (MARKS | LETTERS)[item]]
    return strokes, float(np.concatenate(strokes)[:, 0].max())


def _bend(stroke: Points, random: np.random.Generator) -> Points:
    """Return a stroke with points every 0.06 and a slight bend, as drawn by hand."""
    lengths = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(stroke, axis=0).T))])
    positions = np.linspace(0, lengths[-1], 2 + int(lengths[-1] / 0.06))
    dense = np.column_stack([np.interp(positions, lengths, stroke[:, axis]) for axis in (0, 1)])
    phase = random.uniform(0, 2 * np.pi, 2)
    return dense + 0.015 * np.sin(5 * positions[:, None] + phase)


def smooth(stroke: Points) -> Points:
    """Return a stroke with its corners cut twice (Chaikin, 1974), so that it is round in a large picture."""
    for _ in range(2):
        start, end = stroke[:-1], stroke[1:]
        cut = np.stack([0.75 * start + 0.25 * end, 0.25 * start + 0.75 * end], axis=1).reshape(-1, 2)
        stroke = np.concatenate([stroke[:1], cut, stroke[-1:]])
    return stroke


def stack_rows(rows: Sequence[Writing], gap: Range, random: np.random.Generator) -> Writing:
    """Return rows of writing, one above the other; `gap` is the clear height between two, in units of a digit's."""
    height = rows[0].height
    steps = [row.ink.height + round(uniform(gap, random) * height) for row in rows]
    lefts = [round(random.uniform(0, 0.4) * height) for _ in rows]
    width = max(left + row.ink.width for left, row in zip(lefts, rows, strict=True))
    ink = Image.new("L", (width, sum(steps)))
    for row, left, top in zip(rows, lefts, np.cumsum([0, *steps]).tolist(), strict=False):
        ink.paste(row.ink, (left, top))
    return Writing(crop_to_ink(ink), " ".join(row.text for row in rows), height)


def write_joined(
    drawings: Sequence[Drawing], height: float, brush: float, overlap: float, random: np.random.Generator
) -> Writing:
    """Return digits that touch. `overlap` is that of their ink, in pixels at a height of DIGIT_SIDE_PX."""
    digits = [write([drawing], height, brush, random) for drawing in drawings]
    layers = []
    for digit in digits:
        layer = Image.new("L", (digit.ink.width, round(1.3 * height + brush)))
        layer.paste(digit.ink, (0, round(layer.height - digit.ink.height - random.uniform(0, 0.1) * height)))
        layers.append(layer)
    ink = slide_together(layers, round(overlap * height / DIGIT_SIDE_PX))
    return Writing(crop_to_ink(ink), "".join(digit.text for digit in digits), height)


def join_images(images: Pixels, labels: Sequence[int], height: float, overlap: float) -> Writing:
    """Return touching digits from small images, enlarged, with sharp edges.

    Args:
        images: uint8 (N, 28, 28), 0 = paper, 255 = ink.
        labels: their digits, N values of 0..9.
        height: height in pixels of a digit that fills DIGIT_SIDE_PX rows.
        overlap: that of their ink, in pixels of `images`.
    """
    side = round(images.shape[1] * height / DIGIT_SIDE_PX)
    layers = [Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC) for image in images]
    layers = [layer.point(lambda value: 4 * (value - INK_THRESHOLD) + INK_THRESHOLD) for layer in layers]
    ink = slide_together(layers, round(overlap * height / DIGIT_SIDE_PX))
    return Writing(crop_to_ink(ink), "".join(map(str, labels)), height)


def slide_together(layers: Sequence[Image.Image], overlap: int) -> Image.Image:
    """Return inks moved to the left, each until it overlaps the one before by `overlap` pixels in some row.

    Args:
        layers: two or more images of mode L and of one height, each with ink.
        overlap: number of pixels, at least 0; with 0 they touch. It is less where the ink would pass the left border.
    """
    joined = np.asarray(layers[0])
    for layer in layers[1:]:
        ink = np.asarray(layer)
        last = np.where(joined > INK_THRESHOLD, np.arange(joined.shape[1]), -1).max(axis=1)
        first = np.where(ink > INK_THRESHOLD, np.arange(ink.shape[1]), ink.shape[1]).min(axis=1)
        shared = (last >= 0) & (first < ink.shape[1])
        start = (last - first)[shared].max() if shared.any() else last.max() - first.min()
        start = max(0, start + 1 - overlap)
        canvas = np.zeros((len(ink), max(joined.shape[1], start + ink.shape[1])), dtype=np.uint8)
        canvas[:, : joined.shape[1]] = joined
        overlapped = canvas[:, start : start + ink.shape[1]]
        np.maximum(overlapped, ink, out=overlapped)
        joined = canvas
    return Image.fromarray(joined)
