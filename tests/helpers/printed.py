"""Drawings of digits on paper with printed lines and boxes, and masks of them."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from helpers.drawing import Box, Drawing
from helpers.papers import Colour, line_mask

Mask = NDArray[np.bool_]


def grey(darkness: float) -> Colour:
    """Return a grey; 1 = black."""
    level = round(255 * (1 - darkness))
    return level, level, level


def ruled_page(
    drawing: Drawing, degrees: float, thickness: float, darkness: float, through: tuple[float, float], spacing: float
) -> Image.Image:
    """Return a drawing in black on ruled paper.

    Args:
        drawing: what is written.
        degrees: angle of the lines, clockwise; 90 gives vertical lines.
        thickness: of the lines in pixels.
        darkness: of the lines; 1 = black.
        through: a point (x, y) on one of the lines.
        spacing: distance of two lines in pixels.
    """
    page = Image.new("RGB", drawing.opacity.size, "white")
    page.paste(grey(darkness), mask=line_mask(page.size, spacing, thickness, degrees, through))
    page.paste("black", mask=drawing.opacity)
    return page


def boxed_page(drawing: Drawing, boxes: list[Box], thickness: int, *, sides: int = 4) -> Image.Image:
    """Return a drawing in black with black frames: closed ones, or of 3 sides, open at the top."""
    page = drawing.page()
    draw = ImageDraw.Draw(page)
    for left, top, right, bottom in boxes:
        corners = [(left, top), (left, bottom), (right, bottom), (right, top)]
        draw.line([*corners, corners[0]] if sides == 4 else corners, fill="black", width=thickness)
    return page


def mask_of(image: Image.Image) -> Mask:
    """Return where an image is dark, bool (height, width)."""
    return np.asarray(image.convert("L")) < 128
