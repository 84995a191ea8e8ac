"""Paper, desks, printed lines, light and cameras of synthetic photos."""

import io
from math import ceil, cos, radians, sin

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Range = tuple[float, float]
"""Lowest and highest value."""
Size = tuple[int, int]
"""Width and height in pixels."""
Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""
Field = NDArray[np.float32]
"""One value for each pixel, (height, width)."""


def uniform(values: Range, random: np.random.Generator) -> float:
    """Return a random value of a range."""
    return float(random.uniform(*values))


def log_uniform(values: Range, random: np.random.Generator) -> float:
    """Return a random value of a range above 0, of which each octave is equally probable."""
    return float(np.exp(random.uniform(*np.log(values))))


def whole(values: Range, random: np.random.Generator) -> int:
    """Return a random whole number of a range."""
    return int(random.integers(round(values[0]), round(values[1]), endpoint=True))


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Return a colour between two: the first with a `share` of 0, the second with 1."""
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(first, second, strict=True))
    return red, green, blue


def noise_field(size: Size, cell: float | Size, random: np.random.Generator) -> Field:
    """Return smooth noise of about -1..1 with bumps of `cell` pixels, or of `cell` = (across, down) pixels."""
    across, down = cell if isinstance(cell, tuple) else (cell, cell)
    grid = random.uniform(-1, 1, (ceil(size[1] / down) + 1, ceil(size[0] / across) + 1)).astype(np.float32)
    return np.asarray(Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC))


def add_field(image: Image.Image, field: Field) -> Image.Image:
    """Return an image of mode RGB with a field of -255..255 added to each channel."""
    return Image.fromarray((np.asarray(image) + field[..., None]).clip(0, 255).astype(np.uint8))


def make_paper(size: Size, colour: Colour, roughness: float, random: np.random.Generator) -> Image.Image:
    """Return paper, mode RGB, with fibres and stains whose standard deviation is about `roughness` grey levels."""
    fibres, stains = noise_field(size, 3, random), noise_field(size, max(size) / 8, random)
    return add_field(Image.new("RGB", size, colour), roughness * (1.5 * fibres + stains))


def make_desk(size: Size, colour: Colour, random: np.random.Generator) -> Image.Image:
    """Return a desk, mode RGB, with a grain along one side."""
    longer = max(size)
    long, short = max(8, longer // 3), max(2, longer // 150)
    cell = (long, short) if random.random() < 0.5 else (short, long)
    strength = random.uniform(0, 0.12) * max(colour)
    return add_field(Image.new("RGB", size, colour), strength * noise_field(size, cell, random))


def line_mask(size: Size, spacing: float, thickness: float, degrees: float, origin: tuple[float, float]) -> Image.Image:
    """Return parallel lines, mode L, 255 = line.

    Args:
        size: of the image.
        spacing: distance of two lines in pixels.
        thickness: thickness of a line in pixels.
        degrees: angle to the horizontal, clockwise; 90 gives vertical lines.
        origin: a point (x, y) on one of the lines.
    """
    angle = radians(degrees)
    x, y = (np.arange(side, dtype=np.float32) + 0.5 for side in size)
    across = (y - origin[1])[:, None] * cos(angle) - (x - origin[0])[None] * sin(angle)
    distance = abs((across + spacing / 2) % spacing - spacing / 2)
    return Image.fromarray((255 * np.clip(thickness / 2 + 0.5 - distance, 0, 1)).astype(np.uint8))


def relight(image: Image.Image, light: Field) -> Image.Image:
    """Return an image of mode RGB multiplied by the light, 0..1."""
    return Image.fromarray((np.asarray(image) * light[..., None]).clip(0, 255).astype(np.uint8))


def _coordinates(size: Size) -> tuple[Field, Field]:
    """Return x as (1, width) and y as (height, 1), each in -1..1."""
    x, y = (np.linspace(-1, 1, side, dtype=np.float32) for side in size)
    return x[None], y[:, None]


def gradient(size: Size, strength: float, random: np.random.Generator) -> Field:
    """Return light that falls from 1 to 1 - `strength` in a random direction."""
    (x, y), angle = _coordinates(size), random.uniform(0, 2 * np.pi)
    slope = (cos(angle) * x + sin(angle) * y) / (abs(cos(angle)) + abs(sin(angle)))
    return 1 - strength / 2 * (slope + 1)


def vignette(size: Size, strength: float) -> Field:
    """Return light that falls from 1 in the middle to 1 - `strength` in the corners."""
    x, y = _coordinates(size)
    return 1 - strength * ((x**2 + y**2) / 2) ** 1.5


def shadow(size: Size, strength: float, softness: float, random: np.random.Generator) -> Field:
    """Return light with a shadow: 1 outside, 1 - `strength` inside, with a wavy edge.

    Args:
        size: of the picture.
        strength: 0 = none, 1 = black.
        softness: width of its edge, in units of half the picture.
        random: source of its place.
    """
    (x, y), angle = _coordinates(size), random.uniform(0, 2 * np.pi)
    depth = (
        cos(angle) * x + sin(angle) * y - random.uniform(-0.5, 0.6) + 0.12 * noise_field(size, max(size) / 3, random)
    )
    return 1 - strength / (1 + np.exp((-4 / softness * depth).clip(-30, 30)))


def add_hand(image: Image.Image, colour: Colour, reach: float, random: np.random.Generator) -> Image.Image:
    """Return a picture with fingers, and perhaps the palm, of a hand at its left or right border.

    Args:
        image: mode RGB.
        colour: colour of the skin.
        reach: how far the fingers reach into the picture, in pixels.
        random: source of the place of the hand, and of its side.
    """
    height = image.height
    thick = min(random.uniform(0.5, 0.9) * reach, height / 4)
    mask = Image.new("L", image.size)
    draw = ImageDraw.Draw(mask)
    top = random.uniform(0.1, 0.6) * height
    if random.random() < 0.5:
        palm = reach * random.uniform(0.3, 0.7)
        draw.ellipse((-palm, top - thick, palm, top + height * random.uniform(0.4, 0.8)), fill=255)
    for finger in range(int(random.integers(1, 4))):
        tip = reach * random.uniform(0.6, 1) - thick / 2
        y = top + 1.1 * thick * finger
        end = (tip, y - random.uniform(-0.3, 0.3) * reach)
        draw.line([(-thick, y), end], fill=255, width=round(thick))
        draw.circle(end, thick / 2, fill=255)
    if random.random() < 0.5:
        mask = mask.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    mask = mask.filter(ImageFilter.GaussianBlur(max(1, thick / 25)))
    skin = add_field(Image.new("RGB", image.size, colour), 0.2 * max(colour) * noise_field(image.size, thick, random))
    darker = Image.new("RGB", image.size)
    shaded = Image.composite(
        darker, image, mask.filter(ImageFilter.GaussianBlur(thick / 4)).point(lambda value: value // 2)
    )
    return Image.composite(skin, shaded, mask)


def photograph(
    image: Image.Image, random: np.random.Generator, blur: float = 0.6, noise: float = 3, quality: int = 85
) -> Image.Image:
    """Return a picture, mode RGB, as a camera saves it.

    Args:
        image: mode RGB.
        random: source of the noise.
        blur: radius of a Gaussian blur in pixels.
        noise: standard deviation of the noise in grey levels.
        quality: of the JPEG, 1 to 95.
    """
    blurred = image.filter(ImageFilter.GaussianBlur(blur))
    grain = random.standard_normal((image.height, image.width), dtype=np.float32)
    file = io.BytesIO()
    add_field(blurred, noise * grain).save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")
