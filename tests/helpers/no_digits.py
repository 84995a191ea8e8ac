"""Synthetic pictures without digits, by kind. Parameters are as in `helpers.pictures`."""

from dataclasses import replace

import numpy as np

from helpers.papers import Range, log_uniform, make_paper, uniform, whole
from helpers.scenes import (
    HEIGHTS,
    Kind,
    Material,
    Random,
    Sample,
    difficult_photo,
    draw_lines,
    ink_colour,
    line_colour,
    paper_colour,
    pen,
    photo,
    photo_of,
)
from helpers.writing import LETTERS, write
from pipeline.sources.drawings.strokes import Drawing


def blank(material: Material, random: Random, roughness: Range = (0.5, 5)) -> Sample:
    """Return an empty page in bad light; its texture has a standard deviation of about `roughness` grey levels."""
    size = (whole((200, 1000), random), whole((200, 1000), random))
    return Sample(
        difficult_photo(make_paper(size, paper_colour(random), uniform(roughness, random), random), random), ""
    )


def scribble(material: Material, random: Random, corners: Range = (8, 16)) -> Sample:
    """Return a scribble: a line between several random `corners`."""
    points = random.normal(0, 1, (whole(corners, random), 2))
    positions = np.linspace(0, len(points) - 1, 8 * len(points))
    line = np.column_stack([np.interp(positions, np.arange(len(points)), points[:, axis]) for axis in (0, 1)])
    line += np.cumsum(random.normal(0, 0.06, line.shape), axis=0)
    height = log_uniform(HEIGHTS, random)
    writing = write([Drawing(0, (line,))], height, pen(height, random), random)
    return photo_of(replace(writing, text=""), random)


def word(material: Material, random: Random, length: Range = (3, 7)) -> Sample:
    """Return a word of `length` letters that do not look like digits."""
    height = log_uniform(HEIGHTS, random)
    letters = random.choice(list(LETTERS), whole(length, random)).tolist()
    return photo_of(replace(write(letters, height, pen(height, random), random), text=""), random)


def empty_lines(material: Material, random: Random, thickness: Range = (1, 6), degrees: Range = (0, 15)) -> Sample:
    """Return an empty ruled or squared page; `thickness` and `degrees` are those of its lines."""
    page = make_paper((whole((300, 800), random), whole((300, 800), random)), paper_colour(random), 1, random)
    colour = line_colour(page, ink_colour(random), random.uniform(0.15, 1), random)
    thick, angle = uniform(thickness, random), uniform(degrees, random) * random.choice([-1, 1])
    for direction in (angle, angle + 90)[: whole((1, 2), random)]:
        draw_lines(page, colour, random.uniform(10 * thick, 40 + 15 * thick), thick, direction, (0, 0))
    return Sample(photo(page, random), "")


NO_DIGITS: dict[str, Kind] = {
    "blank": blank,
    "scribble": scribble,
    "word": word,
    "empty lines": empty_lines,
}
"""Kinds of pictures without digits."""
