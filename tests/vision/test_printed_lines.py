"""Printed lines and boxes are removed, and strokes stay."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from helpers.drawing import SHAPES, Box, Drawing
from helpers.printed import boxed_page, mask_of, ruled_page
from PIL import Image, ImageDraw

from pipeline import glyphs
from pipeline.vision.mask import Mask, connected_components
from pipeline.vision.rulings import remove_lines

NUMBER = Drawing("2036", height=90, brush=12)
"""Its middle is at (240, 110), and its baseline at 160."""


def boxes_in(mask: Mask) -> list[Box]:
    """Return left, top, right, bottom of the components of a mask, from left to right."""
    _, found = connected_components(mask)
    return sorted((columns.start, rows.start, columns.stop, rows.stop) for rows, columns in found)


def assert_boxes(found: Sequence[Box], boxes: Sequence[Box], within: float) -> None:
    """Assert that bounding boxes are these, in order, to `within` pixels."""
    assert len(found) == len(boxes), found
    assert np.abs(np.subtract(found, boxes)).max() <= within, found


def boxes_of(page: Image.Image) -> list[Box]:
    return [glyph.box for glyph in glyphs(page)]


@pytest.mark.parametrize("degrees", [-15, -6, 0, 3, 10])
@pytest.mark.parametrize("thickness", [2, 4, 6])
@pytest.mark.parametrize("darkness", [0.3, 0.7, 1])
def test_ruled_lines_are_no_ink_and_the_digits_stay(degrees: float, thickness: float, darkness: float) -> None:
    page = ruled_page(NUMBER, degrees, thickness, darkness, through=(300, 155), spacing=120)
    assert_boxes(boxes_of(page), NUMBER.boxes, within=6)


@pytest.mark.parametrize("degrees", [-15, -7, 11])
@pytest.mark.parametrize(("brush", "thickness"), [(12, 6), (8, 6), (6, 5)])
@pytest.mark.parametrize("spacing", [45, 100])
def test_digits_on_a_turned_line_as_dark_as_they_are_stay(
    degrees: float, brush: int, thickness: int, spacing: int
) -> None:
    drawing = Drawing("2036", height=90, brush=brush, corner=(140, 190), size=(740, 500))
    page = ruled_page(drawing, 0, thickness, 1, through=(0, 290), spacing=spacing)
    turned = page.convert("L").rotate(degrees, Image.Resampling.BICUBIC, fillcolor=255)
    assert len(boxes_of(turned.crop((100, 90, 640, 410)))) == 4


@pytest.mark.parametrize("slope", [-0.1, 0, 0.1])
def test_a_long_stem_from_one_ruled_line_to_the_next_stays(slope: float) -> None:
    drawing = Drawing("206", height=66, brush=7, corner=(240, 210))
    page = ruled_page(drawing, 0, 6, 1, through=(0, 193), spacing=100)
    ImageDraw.Draw(page).line((200 - 100 * slope, 293, 200, 193), fill=0, width=5)
    mask = mask_of(page.crop((100, 130, 600, 370)))
    assert len(boxes_in(remove_lines(mask, even=False))) == 4


def test_lines_with_ragged_edges_are_no_ink() -> None:
    random = np.random.default_rng(0)
    page = np.zeros((600, 400), dtype=bool)
    columns = np.arange(400)
    for row in range(140, 600, 57):
        rows = np.rint(row - 0.24 * columns + random.uniform(-1.3, 1.3, 400)).astype(int)
        page[rows, columns] = page[rows + 1, columns] = True
    assert not remove_lines(page, even=False).any()


@pytest.mark.parametrize("row", [100, 110, 125])
def test_a_line_that_strikes_digits_through_leaves_them_whole(row: int) -> None:
    page = ruled_page(NUMBER, 0, 3, 1, through=(0, row), spacing=400)
    assert_boxes(boxes_of(page), NUMBER.boxes, within=3)


@pytest.mark.parametrize("degrees", [-4, 0, 7])
def test_squared_paper_is_no_ink(degrees: float) -> None:
    page = ruled_page(NUMBER, degrees, 2, 1, through=(300, 155), spacing=60)
    upright = ruled_page(NUMBER, degrees + 90, 2, 1, through=(300, 155), spacing=60)
    both = Image.fromarray(np.minimum(np.asarray(page), np.asarray(upright)))
    assert_boxes(boxes_of(both), NUMBER.boxes, within=6)


@pytest.mark.parametrize("spacing", [50, 120])
def test_an_empty_page_with_lines_has_no_digits(spacing: float) -> None:
    empty = Drawing("")
    assert boxes_of(ruled_page(empty, 2, 3, 1, through=(0, 40), spacing=spacing)) == []


@pytest.mark.parametrize("degrees", [4, 10, 14])
@pytest.mark.parametrize("offset", range(0, 60, 12))
def test_an_empty_squared_page_has_no_digits_in_its_corners(degrees: float, offset: int) -> None:
    empty = Drawing("", size=(500, 400))
    across = ruled_page(empty, degrees, 3, 0.7, through=(0, offset), spacing=60)
    upright = ruled_page(empty, degrees + 90, 3, 0.7, through=(offset, 0), spacing=60)
    both = Image.fromarray(np.minimum(np.asarray(across), np.asarray(upright)))
    assert boxes_of(both) == []


@pytest.mark.parametrize("corner", [(0, 0), (538, 0), (0, 320), (538, 320)])
def test_a_digit_in_a_corner_of_plain_paper_is_found(corner: tuple[int, int]) -> None:
    page = Image.new("L", (600, 400), 255)
    page.paste(0, mask=Drawing("2", height=70, brush=10, corner=(200, 100), size=(600, 400)).opacity)
    digit = Drawing("2", height=70, brush=10)
    page.paste(0, corner, digit.opacity.crop(digit.boxes[0]))
    assert len(boxes_of(page)) == 2


@pytest.mark.parametrize("brush", [6, 14, 26])
def test_a_1_from_border_to_border_stays(brush: int) -> None:
    drawing = Drawing("1", height=160, brush=brush)
    [(left, top, right, bottom)] = drawing.boxes
    crop = mask_of(drawing.page().crop((left - 2, top, right + 2, bottom)))
    assert (remove_lines(crop, even=False) == crop).all()


@pytest.mark.parametrize("number", ["1", "11", "1111", "7", "71", "17", "117"])
@pytest.mark.parametrize("margin", [2, 8])
def test_1s_and_7s_stay_in_a_tight_crop(number: str, margin: int) -> None:
    drawing = Drawing(number, height=160, brush=9, size=(900, 400))
    left, top, right, bottom = drawing.boxes[0][0], drawing.boxes[0][1], drawing.boxes[-1][2], drawing.boxes[-1][3]
    crop = mask_of(drawing.page().crop((left - margin, top - margin, right + margin, bottom + margin)))
    assert (remove_lines(crop, even=False) == crop).all()


@pytest.mark.parametrize("number", ["17", "1117", "71", "117"])
def test_1s_and_7s_are_found_in_a_tight_crop(number: str) -> None:
    drawing = Drawing(number, height=160, brush=9, size=(900, 400))
    left, top, right, bottom = drawing.boxes[0][0], drawing.boxes[0][1], drawing.boxes[-1][2], drawing.boxes[-1][3]
    crop = drawing.page().crop((left - 3, top - 3, right + 3, bottom + 3))
    boxes = [(a - left + 3, b - top + 3, c - left + 3, d - top + 3) for a, b, c, d in drawing.boxes]
    assert_boxes(boxes_of(crop), boxes, within=2)


@pytest.mark.parametrize("shape", SHAPES)
def test_no_digit_loses_a_stroke_on_plain_paper(shape: str) -> None:
    drawing = Drawing(["2", shape, "3"], height=150, brush=7)
    mask = mask_of(drawing.page())
    assert (remove_lines(mask, even=False) == mask).all()


@pytest.mark.parametrize("number", ["9", "4", "99", "1"])
def test_an_upright_stem_stays_on_ruled_paper(number: str) -> None:
    drawing = Drawing(number, height=130, brush=8, corner=(150, 60))
    page = ruled_page(drawing, 1, 2, 1, through=(0, 185), spacing=150)
    assert_boxes(boxes_of(page), drawing.boxes, within=4)


@pytest.mark.parametrize("sides", [3, 4])
@pytest.mark.parametrize("thickness", [2, 4])
def test_a_box_around_each_digit_is_removed(sides: int, thickness: int) -> None:
    drawing = Drawing("2036", height=90, brush=10, gap=60)
    boxes = [(left - 15, top - 15, right + 15, bottom + 15) for left, top, right, bottom in drawing.boxes]
    assert_boxes(boxes_of(boxed_page(drawing, boxes, thickness, sides=sides)), drawing.boxes, within=3)


@pytest.mark.parametrize("sides", [3, 4])
@pytest.mark.parametrize("thickness", [2, 3])
def test_the_cells_of_a_form_side_by_side_are_removed(sides: int, thickness: int) -> None:
    drawing = Drawing("20355", height=90, brush=10, gap=45)
    tops, bottoms = [box[1] for box in drawing.boxes], [box[3] for box in drawing.boxes]
    middles = [(a[2] + b[0]) // 2 for a, b in pairwise(drawing.boxes)]
    edges = [drawing.boxes[0][0] - 25, *middles, drawing.boxes[-1][2] + 25]
    cells = [(left, min(tops) - 15, right, max(bottoms) + 15) for left, right in pairwise(edges)]
    assert_boxes(boxes_of(boxed_page(drawing, cells, thickness, sides=sides)), drawing.boxes, within=3)


def test_an_empty_square_beside_digits_is_removed_or_at_least_no_part_of_them() -> None:
    drawing = Drawing("25", height=90, brush=10)
    page = boxed_page(drawing, [(300, 55, 400, 165)], 3)
    assert_boxes(boxes_of(page)[:2], drawing.boxes, within=3)


def test_a_square_0_without_content_stays() -> None:
    drawing = Drawing("5", height=90, brush=10)
    mask = mask_of(boxed_page(drawing, [(150, 65, 220, 155)], 10))
    assert (remove_lines(mask, even=False) == mask).all()


def test_the_bottoms_of_digits_that_touch_side_by_side_are_no_line() -> None:
    drawing = Drawing("2222", height=90, brush=9, gap=-9)
    mask = mask_of(drawing.page())
    assert len(boxes_in(mask)) == 1
    assert (remove_lines(mask, even=False) == mask).all()
