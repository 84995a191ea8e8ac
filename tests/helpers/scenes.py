"""Pages, and photos of them: what the synthetic pictures of all kinds have in common."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageStat

from helpers.papers import (
    Colour,
    Range,
    add_hand,
    gradient,
    line_mask,
    log_uniform,
    make_desk,
    make_paper,
    mix,
    photograph,
    relight,
    shadow,
    uniform,
    vignette,
    whole,
)
from helpers.writing import Writing, pick_digits, write
from pipeline.data.table import DigitTable
from pipeline.sources.drawings.strokes import Drawing

BLUE: Colour = (30, 45, 130)
INKS: list[Colour] = [(20, 20, 25), BLUE, (70, 70, 75), (110, 25, 30)]
"""Black, blue, pencil, dark red."""
SKINS: list[Colour] = [(70, 45, 35), (120, 80, 60), (45, 40, 40)]
"""Two skins and a glove or a hand in the shade."""
HEIGHTS: Range = (45, 130)
"""Heights of digits in pixels."""
PENS: Range = (0.05, 0.13)
"""Diameters of pens, in units of the height of a digit."""
NUMBER_DIGITS: Range = (1, 6)
PAGE_MARGIN: Range = (0.5, 2)
"""Empty paper on each side of a number, in units of the height of a digit."""

Random = np.random.Generator
Corner = tuple[int, int]
"""Left and top in pixels."""


@dataclass(frozen=True, eq=False)
class Material:
    """What pictures are made from.

    Attributes:
        drawings: digits in pen strokes, in order of their writers.
        table: digits as labelled images of 28x28.
    """

    drawings: Sequence[Drawing]
    table: DigitTable


@dataclass(frozen=True, eq=False)
class Sample:
    """A picture and its text.

    Attributes:
        image: mode RGB.
        text: digits and marks from left to right, rows separated by one space; "" if there are no digits.
    """

    image: Image.Image
    text: str


Kind = Callable[[Material, Random], Sample]
"""A kind of pictures: each call returns another one."""


def number(material: Material, random: Random, digits: Range = NUMBER_DIGITS, heights: Range = HEIGHTS) -> Writing:
    """Return a number of one writer, with a random height and pen."""
    height = log_uniform(heights, random)
    drawings = pick_digits(material.drawings, whole(digits, random), random)
    return write(drawings, height, pen(height, random), random)


def pen(height: float, random: Random) -> float:
    """Return the diameter of a pen in pixels, for digits of this height."""
    return max(2, log_uniform(PENS, random) * height)


def ink_colour(random: Random) -> Colour:
    """Return the colour of a pen."""
    return INKS[random.integers(len(INKS))]


def paper_colour(random: Random) -> Colour:
    """Return white, cream or light grey."""
    level = random.uniform(150, 250)
    return round(level), round(level * random.uniform(0.97, 1)), round(level * random.uniform(0.88, 1))


def empty_page(
    writing: Writing, random: Random, margin: Range = PAGE_MARGIN, colour: Colour | None = None
) -> tuple[Image.Image, Corner]:
    """Return a page for a writing, and the writing's place.

    Args:
        writing: what the page must have room for.
        random: source of all other parameters.
        margin: empty paper at each side, in units of the height of a digit.
        colour: of the paper; by default that of `paper_colour`.
    """
    left, top, right, bottom = (round(uniform(margin, random) * writing.height) for _ in range(4))
    size = (left + writing.ink.width + right, top + writing.ink.height + bottom)
    return make_paper(size, colour or paper_colour(random), random.uniform(0.5, 2), random), (left, top)


def photo(page: Image.Image, random: Random) -> Image.Image:
    """Return a photo of a page in good light."""
    lit = relight(page, gradient(page.size, random.uniform(0, 0.25), random))
    return photograph(lit, random, random.uniform(0.3, 0.9), random.uniform(1, 4), whole((60, 95), random))


def photo_of(writing: Writing, random: Random, margin: Range = PAGE_MARGIN) -> Sample:
    """Return a photo of a writing on empty paper."""
    page, corner = empty_page(writing, random, margin)
    page.paste(ink_colour(random), corner, writing.ink)
    return Sample(photo(page, random), writing.text)


def difficult_photo(
    page: Image.Image,
    random: Random,
    shade: Range = (0, 0.5),
    noise: Range = (1, 12),
    quality: Range = (20, 95),
) -> Image.Image:
    """Return a photo of a page in bad light.

    Args:
        page: mode RGB.
        random: source of all other parameters.
        shade: strength of a gradient, of a vignette and of a shadow, each; 1 = black.
        noise: standard deviation of the noise in grey levels.
        quality: of the JPEG, 1 to 95.
    """
    light = gradient(page.size, uniform(shade, random), random) * vignette(page.size, uniform(shade, random))
    light = light * shadow(page.size, uniform(shade, random), log_uniform((0.03, 1), random), random)
    blur = 0.4 + max(page.size) / 2500
    return photograph(relight(page, light), random, blur, uniform(noise, random), whole(quality, random))


def draw_lines(
    page: Image.Image, colour: Colour, spacing: float, thickness: float, degrees: float, origin: tuple[float, float]
) -> None:
    """Draw the lines of `line_mask` on a page."""
    page.paste(colour, mask=line_mask(page.size, spacing, thickness, degrees, origin))


def draw_cells(
    page: Image.Image, boxes: Sequence[tuple[int, int, int, int]], colour: Colour, thickness: int, sides: int
) -> None:
    """Draw the frames of cells on a page.

    Args:
        page: mode RGB.
        boxes: left, top, right, bottom of each cell in pixels.
        colour: of the frames.
        thickness: of the frames in pixels.
        sides: 4, or 3 for cells that are open at the top.
    """
    draw = ImageDraw.Draw(page)
    for left, top, right, bottom in boxes:
        corners = [(left, top), (left, bottom), (right, bottom), (right, top)]
        draw.line([*corners, corners[0]] if sides == 4 else corners, fill=colour, width=thickness)


def lay_on_desk(page: Image.Image, borders: Sequence[int], degrees: float, random: Random) -> Image.Image:
    """Return a page on a desk of a random grey.

    Args:
        page: mode RGB.
        borders: visible width of the desk at the left, top, right and bottom, in pixels; 0 = the page goes on there.
        degrees: rotation of the page, clockwise.
        random: source of the desk.
    """
    left, top, right, bottom = borders
    grey = random.uniform(10, 235)
    size = (left + page.width + right, top + page.height + bottom)
    desk = make_desk(size, (round(grey), round(grey * 0.93), round(grey * random.uniform(0.8, 1))), random)
    mask = Image.new("L", desk.size)
    mask.paste(255, (left, top, left + page.width, top + page.height))
    middle = (left + page.width / 2, top + page.height / 2)
    mask = mask.rotate(-degrees, Image.Resampling.BICUBIC, center=middle)
    laid = Image.new("RGB", desk.size, page.getpixel((0, 0)))
    laid.paste(page, (left, top))
    laid = laid.rotate(-degrees, Image.Resampling.BICUBIC, center=middle)
    edge_shadow = mask.filter(ImageFilter.GaussianBlur(max(desk.size) / 100)).point(lambda value: value // 2)
    desk.paste((0, 0, 0), mask=edge_shadow)
    desk.paste(laid, mask=mask)
    return desk


def held(page: Image.Image, reach: float, random: Random) -> Image.Image:
    """Return a page held in a dark hand, whose fingers reach `reach` pixels into the picture."""
    return add_hand(page, SKINS[random.integers(len(SKINS))], reach, random)


def line_colour(page: Image.Image, ink: Colour, darkness: float, random: Random) -> Colour:
    """Return the colour of printed lines: that of the paper at a `darkness` of 0; that of the ink, or blue, at 1."""
    red, green, blue = (round(level) for level in ImageStat.Stat(page).mean)
    return mix((red, green, blue), ink if random.random() < 0.5 else BLUE, darkness)
