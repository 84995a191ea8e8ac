"""Synthetic drawings of digits with a round brush, and synthetic photos of them, with known bounding boxes."""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SHAPES: dict[str, list[list[tuple[float, float]]]] = {
    "0": [[(0.5, 0), (0.15, 0.2), (0.08, 0.6), (0.25, 0.95), (0.5, 1), (0.72, 0.9), (0.8, 0.5), (0.7, 0.15), (0.5, 0)]],
    "1": [[(0.3, 0), (0.3, 1)]],
    "2": [[(0.05, 0.2), (0.2, 0.03), (0.5, 0), (0.65, 0.2), (0.55, 0.5), (0.05, 1), (0.75, 1)]],
    "3": [[(0.05, 0.08), (0.4, 0), (0.6, 0.2), (0.3, 0.45), (0.62, 0.65), (0.5, 0.95), (0.05, 0.95)]],
    "4": [[(0.15, 0), (0.05, 0.55), (0.75, 0.55)], [(0.55, 0.1), (0.5, 1)]],
    "5": [[(0.15, 0), (0.1, 0.45), (0.45, 0.42), (0.65, 0.7), (0.4, 1), (0.02, 0.95)], [(0.15, 0), (0.7, 0)]],
    "6": [[(0.5, 0), (0.15, 0.4), (0.08, 0.8), (0.35, 1), (0.6, 0.8), (0.45, 0.55), (0.12, 0.7)]],
    "7": [[(0.02, 0), (0.7, 0), (0.3, 1)]],
    "8": [[(0.4, 0.45), (0.1, 0.2), (0.4, 0), (0.65, 0.2), (0.05, 0.8), (0.35, 1), (0.65, 0.8), (0.4, 0.45)]],
    "9": [[(0.62, 0.15), (0.3, 0), (0.08, 0.25), (0.3, 0.5), (0.62, 0.2), (0.6, 0.6), (0.5, 1)]],
    "crossed 7": [[(0.02, 0), (0.7, 0), (0.3, 1)], [(0.2, 0.5), (0.75, 0.5)]],
    "slashed 0": [[(0.4, 0), (0.05, 0.5), (0.4, 1), (0.75, 0.5), (0.4, 0)], [(0.75, 0.05), (0.05, 0.95)]],
    "4 in two strokes": [[(0.1, 0), (0.05, 0.6), (0.5, 0.6)], [(0.62, 0.45), (0.6, 1)]],
    "5 with a loose bar": [[(0.12, 0.12), (0.1, 0.5), (0.5, 0.5), (0.6, 0.8), (0.05, 1)], [(0.3, 0), (0.75, 0)]],
    "leaning 7": [[(0.1, 0), (1.0, 0), (0.3, 1)]],
}
"""Strokes of each shape, points (x, y) in units of the digit's height, with y downwards."""

Box = tuple[int, int, int, int]


class Drawing:
    """A row of digits.

    Attributes:
        opacity: opacity of the ink, an image in mode L.
        boxes: bounding boxes of the digits: left, top, right, bottom, in pixels.
    """

    def __init__(
        self,
        number: str | list[str],
        height: int = 120,
        brush: int = 14,
        gap: int = 30,
        corner: tuple[int, int] = (40, 60),
        size: tuple[int, int] = (600, 400),
    ) -> None:
        self.opacity = Image.new("L", size)
        self.boxes: list[Box] = []
        x, top = corner[0] + brush / 2, corner[1] + brush / 2
        for digit in number:
            layer = Image.new("L", (2 * size[0], 2 * size[1]))
            strokes = [[(2 * (x + height * u), 2 * (top + height * v)) for u, v in each] for each in SHAPES[digit]]
            draw = ImageDraw.Draw(layer)
            for stroke in strokes:
                draw.line(stroke, fill=255, width=2 * brush)
                for u, v in stroke:
                    draw.ellipse((u - brush, v - brush, u + brush, v + brush), fill=255)
            layer = layer.reduce(2)
            box = layer.getbbox()
            assert box is not None
            self.boxes.append(box)
            self.opacity.paste(255, mask=layer)
            x += max(u for stroke in SHAPES[digit] for u, _ in stroke) * height + brush + gap

    def canvas(self, ink: str = "black") -> Image.Image:
        """Return the drawing as ink on a transparent canvas, as a sketchpad does."""
        canvas = Image.new("RGBA", self.opacity.size, ink)
        canvas.putalpha(self.opacity)
        return canvas

    def page(self, ink: str = "black", paper: str = "white") -> Image.Image:
        """Return the drawing as ink on opaque paper."""
        page = Image.new("RGB", self.opacity.size, paper)
        page.paste(ink, mask=self.opacity)
        return page

    def photo(self, lines: str = "", *, shadow: bool = False, table: bool = False, noise: float = 6) -> bytes:
        """Return a photo of the drawing as JPEG: pen on paper, uneven light, slightly blurred.

        Args:
            lines: lines on the paper: "ruled", "squared", or none.
            shadow: whether a shadow covers the lower right.
            table: whether a dark table is visible along the left edge.
            noise: standard deviation of the pixel noise, on a scale of 0 to 255.
        """
        width, height = self.opacity.size
        y, x = np.mgrid[:height, :width]
        paper = np.full((height, width), 0.85)
        if lines:
            paper[(y + x // 90) % 55 < 2] *= 0.7
        if lines == "squared":
            paper[(x - y // 90) % 55 < 2] *= 0.7
        paper *= 1 - 0.65 * np.asarray(self.opacity) / 255
        paper *= 1 - 0.4 * x / width - 0.2 * (y / height) ** 2
        if shadow:
            paper *= 1 - 0.35 / (1 + np.exp((0.9 * height - y - 0.5 * x) / 5))
        if table:
            paper[x < 0.04 * width + 0.02 * y] = 0.2
        grain = np.random.default_rng(0).normal(0, noise, (height, width))
        grey = Image.fromarray((255 * paper + grain).clip(0, 255).astype(np.uint8))
        file = io.BytesIO()
        grey.convert("RGB").filter(ImageFilter.GaussianBlur(0.8)).save(file, "JPEG", quality=80)
        return file.getvalue()
