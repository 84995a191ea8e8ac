"""Synthetic pictures of handwritten numbers, made on purpose by kind, with their text.

Each kind is a function of the material, of the source of random numbers, and of ranges, from which it draws the
parameters of a picture. `make_pictures` makes the pictures of a kind from a seed.
"""

import zlib
from collections.abc import Iterator
from functools import partial

import numpy as np
from PIL import Image, ImageOps

from helpers.no_digits import NO_DIGITS
from helpers.papers import Colour, Range, log_uniform, uniform, whole
from helpers.scenes import (
    HEIGHTS,
    Kind,
    Material,
    Random,
    Sample,
    difficult_photo,
    draw_cells,
    draw_lines,
    empty_page,
    held,
    ink_colour,
    lay_on_desk,
    line_colour,
    number,
    pen,
    photo,
    photo_of,
)
from helpers.writing import MARKS, Writing, join_images, pick_digits, stack_rows, write, write_joined
from pipeline.sources.drawings.strokes import Drawing

BOARDS: list[Colour] = [(25, 25, 28), (40, 70, 55), (60, 60, 65)]
"""Black, green and grey boards."""


def plain(material: Material, random: Random, light_on_dark: float = 0.4) -> Sample:
    """Return dark ink on white or, with a probability of `light_on_dark`, light ink on black, without a camera."""
    writing = number(material, random)
    light = random.random() < light_on_dark
    left, top, right, bottom = (round(random.uniform(0.3, 2) * writing.height) for _ in range(4))
    size = (left + writing.ink.width + right, top + writing.ink.height + bottom)
    page = Image.new("RGB", size, "black" if light else "white")
    page.paste((255, 255, 255) if light else ink_colour(random), (left, top), writing.ink)
    return Sample(page, writing.text)


def board(material: Material, random: Random) -> Sample:
    """Return chalk on a dark board."""
    writing = number(material, random).grained(random.uniform(0, 0.3), random)
    page, corner = empty_page(writing, random, colour=BOARDS[random.integers(len(BOARDS))])
    page.paste((225, 225, 220), corner, writing.ink)
    return Sample(photo(page, random), writing.text)


def small(material: Material, random: Random, margin: Range = (2, 7)) -> Sample:
    """Return a number on a large page; `margin` is in units of the height of a digit."""
    return photo_of(number(material, random, heights=(30, 80)), random, margin)


def faint(material: Material, random: Random, strengths: Range = (0.2, 1)) -> Sample:
    """Return ink whose strength varies within a number, over the whole of `strengths`."""
    return photo_of(number(material, random).faded(strengths, random), random)


def pencil(material: Material, random: Random, grain: Range = (0.2, 0.5)) -> Sample:
    """Return a pencil on rough paper; a share of `grain` of its strokes is pale."""
    writing = number(material, random).faded((0.55, 0.95), random)
    return photo_of(writing.grained(uniform(grain, random), random), random)


def ruled(
    material: Material,
    random: Random,
    thickness: Range = (1, 6),
    degrees: Range = (0, 15),
    darkness: Range = (0.15, 1),
    squared: bool = False,
) -> Sample:
    """Return a number on ruled or squared paper.

    Args:
        material: what it is made from.
        random: source of all other parameters.
        thickness: of the lines in pixels.
        degrees: angle of the lines and of the number, to either side.
        darkness: of the lines; 1 = as dark as the ink.
        squared: whether there are vertical lines too.
    """
    thick, angle = uniform(thickness, random), uniform(degrees, random) * random.choice([-1, 1])
    writing = number(material, random, heights=(max(HEIGHTS[0], 14 * thick), HEIGHTS[1])).turned(angle)
    page, (left, top) = empty_page(writing, random)
    ink = ink_colour(random)
    lines = line_colour(page, ink, uniform(darkness, random), random)
    below = random.uniform(0.5, 0.7) * writing.height  # from the middle of the digits to the line they are written on
    origin = (
        left + writing.ink.width / 2 - np.sin(np.radians(angle)) * below,
        top + writing.ink.height / 2 + np.cos(np.radians(angle)) * below,
    )
    spacing = random.uniform(0.4, 1.3) if squared else random.uniform(1.2, 2)
    for direction in (angle, angle + 90)[: 1 + squared]:
        draw_lines(page, lines, spacing * writing.height, thick, direction, origin)
    page.paste(ink, (left, top), writing.ink)
    return Sample(photo(page, random), writing.text)


def tight(material: Material, random: Random, margin: Range = (0, 0.35)) -> Sample:
    """Return a crop with a margin at each side, in units of the height of a digit; with 0 the ink is at the border."""
    return photo_of(number(material, random), random, margin)


def form(material: Material, random: Random, sides: Range = (3, 4), thickness: Range = (1, 4)) -> Sample:
    """Return a number in the cells of a form, one for each digit, with frames of 3 or 4 sides, shorter than the page.

    Args:
        material: what it is made from.
        random: source of all other parameters.
        sides: of a frame; one of 3 sides is open at the top.
        thickness: of a frame in pixels.
    """
    height, count = log_uniform(HEIGHTS, random), whole((1, 8), random)
    brush = pen(height, random)
    digits = [write([drawing], height, brush, random) for drawing in pick_digits(material.drawings, count, random)]
    width, tall = (round(random.uniform(*each) * height + brush) for each in ((1.05, 1.4), (1.2, 1.6)))
    step = width + round(random.choice([0, random.uniform(0.1, 0.3)]) * height)
    block = Writing(Image.new("L", (step * count, tall)), "".join(digit.text for digit in digits), height)
    page, (left, top) = empty_page(block, random)
    ink = ink_colour(random)
    boxes = [(left + step * index, top, left + step * index + width, top + tall) for index in range(count)]
    colour = line_colour(page, ink, random.uniform(0.3, 1), random)
    draw_cells(page, boxes, colour, whole(thickness, random), whole(sides, random))
    for digit, (x, y, _, _) in zip(digits, boxes, strict=True):
        free = np.array([width - digit.ink.width, tall - digit.ink.height])
        right, down = (free * random.uniform(0.3, 0.7, 2)).astype(int).tolist()
        page.paste(ink, (x + right, y + down), digit.ink)
    return Sample(photo(page, random), block.text)


def wide(material: Material, random: Random, pens: Range = (0.22, 0.3)) -> Sample:
    """Return one or two digits of a pen wider than a sixth of the picture's height.

    Args:
        material: what it is made from.
        random: source of all other parameters.
        pens: diameter of the pen, in units of the height of a digit; at least 0.21.
    """
    height = log_uniform(HEIGHTS, random)
    brush = uniform(pens, random) * height
    writing = write(pick_digits(material.drawings, whole((1, 2), random), random), height, brush, random)
    free = max(0, (6 * brush - writing.ink.height - 2) / 2 / height)
    return photo_of(writing, random, (0, min(0.3, free)))


def desk(material: Material, random: Random, degrees: Range = (0, 6), border: Range = (0.15, 2.5)) -> Sample:
    """Return a page on a desk of any grey, of which one to four edges are seen.

    Args:
        material: what it is made from.
        random: source of all other parameters.
        degrees: rotation of the page, to either side.
        border: visible width of the desk beyond an edge, in units of the height of a digit.
    """
    writing = number(material, random)
    page, corner = empty_page(writing, random, (0.7, 2))
    page.paste(ink_colour(random), corner, writing.ink)
    seen = random.random(4) < 0.6
    seen[random.integers(4)] = True
    borders = np.where(seen, random.uniform(*border, 4) * writing.height, 0).astype(int).tolist()
    angle = uniform(degrees, random) * random.choice([-1, 1])
    return Sample(photo(lay_on_desk(page, borders, angle, random), random), writing.text)


def hand(material: Material, random: Random, reach: Range = (0.6, 1.8)) -> Sample:
    """Return a page held in a dark hand, which reaches into the picture by `reach` heights of a digit."""
    writing = number(material, random)
    page, corner = empty_page(writing, random, (reach[1] + 0.2, reach[1] + 1))
    page.paste(ink_colour(random), corner, writing.ink)
    return Sample(photo(held(page, uniform(reach, random) * writing.height, random), random), writing.text)


def rows(material: Material, random: Random, gap: Range = (0.12, 0.4), count: Range = (2, 5)) -> Sample:
    """Return `count` rows of one writer, with a clear height of `gap` heights of a digit between two."""
    height = log_uniform((HEIGHTS[0], HEIGHTS[1] / 1.5), random)
    brush = pen(height, random)
    lengths = [whole((1, 6), random) for _ in range(whole(count, random))]
    drawings = pick_digits(material.drawings, sum(lengths), random)
    parts = np.split(np.arange(sum(lengths)), np.cumsum(lengths)[:-1])
    written = [write([drawings[index] for index in part], height, brush, random) for part in parts]
    return photo_of(stack_rows(written, gap, random), random)


def marked(material: Material, random: Random, marks: str = "".join(MARKS)) -> Sample:
    """Return a number with one of `marks` between two digits; a minus may also be before the first."""
    height = log_uniform(HEIGHTS, random)
    items: list[Drawing | str] = [*pick_digits(material.drawings, whole((2, 6), random), random)]
    mark = marks[random.integers(len(marks))]
    items.insert(int(random.integers(0 if mark == "-" else 1, len(items))), mark)
    return photo_of(write(items, height, pen(height, random), random), random)


def lit(
    material: Material,
    random: Random,
    side: Range = (200, 4000),
    shade: Range = (0, 0.5),
    noise: Range = (1, 12),
    quality: Range = (20, 95),
) -> Sample:
    """Return a photo in bad light, of any size.

    Args:
        material: what it is made from.
        random: source of all other parameters.
        side: longer side of the photo in pixels.
        shade: strength of a gradient, of a vignette and of a shadow, each; 1 = black.
        noise: standard deviation of the noise in grey levels.
        quality: of the JPEG, 1 to 95.
    """
    longer, count = round(log_uniform(side, random)), whole((1, 6), random)
    height = longer / (0.8 * count + 2.5)
    writing = number(material, random, (count, count), (height, height))
    page, corner = empty_page(writing, random)
    page.paste(ink_colour(random), corner, writing.ink)
    page = ImageOps.contain(page, (longer, longer))
    return Sample(difficult_photo(page, random, shade, noise, quality), writing.text)


def joined_strokes(
    material: Material, random: Random, overlap: Range = (1, 6), count: Range = (2, 4), margin: Range = (0.3, 2)
) -> Sample:
    """Return `count` touching digits in pen strokes; `overlap` is in pixels at a height of 20."""
    height = log_uniform(HEIGHTS, random)
    drawings = pick_digits(material.drawings, whole(count, random), random)
    writing = write_joined(drawings, height, pen(height, random), log_uniform(overlap, random), random)
    return photo_of(writing, random, margin)


def joined_images(
    material: Material, random: Random, overlap: Range = (1, 6), count: Range = (2, 4), margin: Range = (0.3, 2)
) -> Sample:
    """Return `count` touching digits from images of 28x28; `overlap` is in pixels of these."""
    chosen = material.table.select(random.integers(len(material.table), size=whole(count, random)))
    height = log_uniform(HEIGHTS, random)
    writing = join_images(chosen.pixels, chosen.known_labels.tolist(), height, log_uniform(overlap, random))
    return photo_of(writing, random, margin)


NUMBERS: dict[str, Kind] = {
    "plain": plain,
    "chalk on a board": board,
    "small on a page": small,
    "faint ink": faint,
    "pencil": pencil,
    "ruled": ruled,
    "squared": partial(ruled, squared=True),
    "tight crop": tight,
    "form": form,
    "wide strokes": wide,
    "desk": desk,
    "hand": hand,
    "close rows": rows,
    "far rows": partial(rows, gap=(1, 2.5)),
    "marks": marked,
    "bad light": lit,
    "touching strokes": partial(joined_strokes, overlap=(1, 2)),
    "overlapping strokes": partial(joined_strokes, overlap=(2, 6)),
    "touching images": partial(joined_images, overlap=(1, 2)),
    "overlapping images": partial(joined_images, overlap=(2, 6)),
}
"""Kinds of pictures of numbers."""
KINDS: dict[str, Kind] = NUMBERS | NO_DIGITS


def make_pictures(kind: str, material: Material, count: int, seed: int = 0) -> Iterator[Sample]:
    """Yield the first `count` pictures of a kind in KINDS; picture i is the same for every `count` above i."""
    start = [seed, zlib.crc32(kind.encode())]
    for index in range(count):
        yield KINDS[kind](material, np.random.default_rng([*start, index]))
