"""Marks between digits are recognised by their shape and place."""

import numpy as np
import pytest
from helpers.drawing import SHAPES, Drawing
from helpers.writing import write
from PIL import Image, ImageDraw

from pipeline.sources.drawings.strokes import Drawing as Strokes
from pipeline.vision.binarise import binarise
from pipeline.vision.image import to_grey
from pipeline.vision.marks import find_marks, is_slash, may_be_slash
from pipeline.vision.part import Part
from pipeline.vision.rows import find_rows


def written(text: str, height: float = 90, brush: float = 10) -> Image.Image:
    """Return digits and marks written in black."""
    items = [
        Strokes(int(character), tuple(np.array(stroke) for stroke in SHAPES[character]))
        if character.isdigit()
        else character
        for character in text
    ]
    writing = write(items, height, brush, np.random.default_rng(0), gap=(0.25, 0.25))
    page = Image.new("RGB", (writing.ink.width + 120, writing.ink.height + 120), "white")
    page.paste("black", (60, 60), writing.ink)
    return page


def symbols(page: Image.Image) -> str:
    """Return the symbols of the marks in a picture of one row."""
    ink = binarise(to_grey(page)[0])
    [row] = find_rows(ink)
    return "".join(mark.symbol for mark in find_marks(ink, row))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3.24", "."),
        ("3,24", ","),
        ("25,3", ","),
        ("22:30", ":"),
        ("-5", "-"),
        ("25-3", "-"),
        ("63÷7", "÷"),
        ("2.5-3", ".-"),
        ("2036", ""),
    ],
)
@pytest.mark.parametrize("height", [60, 120])
def test_a_mark_has_its_symbol(text: str, expected: str, height: float) -> None:
    assert symbols(written(text, height, height / 9)) == expected


@pytest.mark.parametrize(("text", "expected"), [("8.8", "."), ("83:28", ":")])
def test_a_point_may_be_as_small_as_a_thin_pen_makes_it(text: str, expected: str) -> None:
    assert symbols(written(text, 60, 8).reduce(2)) == expected


def test_the_points_of_a_division_sign_may_be_small() -> None:
    assert symbols(written("88÷3", 90, 12)) == "÷"


def test_a_point_after_the_last_digit_is_left_out() -> None:
    assert symbols(written("25.")) == ""


def test_two_dashes_above_one_another_are_an_equals_sign() -> None:
    drawing = Drawing("22", height=90, brush=10, gap=80)
    page = drawing.page()
    draw = ImageDraw.Draw(page)
    left, right = drawing.boxes[0][2] + 20, drawing.boxes[1][0] - 20
    for y in (88, 122):
        draw.rectangle((left, y, right, y + 9), fill="black")
    assert symbols(page) == "="


@pytest.mark.parametrize(("size", "colour"), [(3, "black"), (12, "#c8c8c8")])
def test_specks_and_pale_stains_are_no_marks(size: int, colour: str) -> None:
    drawing = Drawing("25", height=90, brush=10, gap=60)
    page = drawing.page()
    x = (drawing.boxes[0][2] + drawing.boxes[1][0]) // 2
    ImageDraw.Draw(page).ellipse((x, 145, x + size, 145 + size), fill=colour)
    assert symbols(page) == ""


def test_a_blot_that_is_neither_point_nor_dash_is_unknown() -> None:
    drawing = Drawing("25", height=90, brush=10, gap=60)
    page = drawing.page()
    x = (drawing.boxes[0][2] + drawing.boxes[1][0]) // 2
    ImageDraw.Draw(page).ellipse((x - 6, 62, x + 6, 74), fill="black")
    assert symbols(page) == "?"


def parts_of(page: Image.Image) -> list[Part]:
    [row] = find_rows(binarise(to_grey(page)[0]))
    return list(row.parts)


@pytest.mark.parametrize("height", [60, 120])
def test_a_slash_is_straight_slanted_and_higher_than_the_digits(height: float) -> None:
    parts = parts_of(written("20/24", height, height / 9))
    assert [is_slash(part, [other for other in parts if other is not part]) for part in parts] == [
        False,
        False,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("number", ["213", "271", "2947"])
def test_digits_are_no_slashes(number: str) -> None:
    parts = parts_of(written(number))
    assert not any(is_slash(part, [other for other in parts if other is not part]) for part in parts)


def with_bar(number: str, slant: float) -> tuple[Part, list[Part]]:
    """Return a straight stroke that leans by 0.4, and the digits of a number, as high as it, that lean by `slant`."""
    page = written(number)
    middle = page.height / 2
    leaning = page.transform(page.size, Image.Transform.AFFINE, (1, slant, -slant * middle, 0, 1, 0), fillcolor="white")
    digits = parts_of(leaning)
    bar = Image.new("1", (round(0.4 * digits[0].height) + 10, digits[0].height))
    ImageDraw.Draw(bar).line((4, bar.height, bar.width - 5, 0), fill=1, width=9)
    rows, columns = digits[0].box[0], slice(1000, 1000 + bar.width)
    return Part((rows, columns), np.asarray(bar)), digits


def test_a_slanted_stroke_as_high_as_the_digits_may_be_a_slash() -> None:
    bar, digits = with_bar("3582", slant=0)
    assert may_be_slash(bar, digits)
    assert not is_slash(bar, digits)


def test_a_slanted_one_among_slanted_digits_is_no_slash() -> None:
    bar, digits = with_bar("3582", slant=0.4)
    assert not may_be_slash(bar, digits)
