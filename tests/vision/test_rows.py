"""Parts of ink are grouped into rows."""

import io
from collections.abc import Sequence

import numpy as np
import pytest
from helpers.drawing import Drawing
from PIL import Image, ImageDraw

from pipeline.vision.binarise import Ink, binarise
from pipeline.vision.image import to_grey
from pipeline.vision.part import Part, gap, join
from pipeline.vision.rows import Row, find_rows


def ink_of(page: Image.Image) -> Ink:
    return binarise(to_grey(page)[0])


def stacked(numbers: Sequence[str], step: int, height: int = 90, shift: int = 0) -> Image.Image:
    """Return numbers below one another, `step` pixels from top to top, each `shift` pixels further to the right."""
    page = Image.new("RGB", (700, 100 + step * len(numbers)), "white")
    for index, number in enumerate(numbers):
        drawing = Drawing(
            number, height=height, brush=9, corner=(40 + shift * index, 40 + step * index), size=page.size
        )
        page.paste("black", mask=drawing.opacity)
    return page


def counts(rows: Sequence[Row]) -> list[int]:
    return [len(row.parts) for row in rows]


@pytest.mark.parametrize("step", [112, 120, 200])
def test_rows_close_to_one_another_are_separate_and_ordered_from_top_to_bottom(step: int) -> None:
    rows = find_rows(ink_of(stacked(["2036", "58", "604"], step)))
    assert counts(rows) == [4, 2, 3]
    tops = [row.parts[0].box[0].start for row in rows]
    assert tops == sorted(tops)
    for row in rows:
        lefts = [part.box[1].start for part in row.parts]
        assert lefts == sorted(lefts)


def test_rows_that_do_not_start_below_one_another_are_separate() -> None:
    assert counts(find_rows(ink_of(stacked(["20", "358", "64"], 115, shift=120)))) == [2, 3, 2]


@pytest.mark.parametrize("degrees", [-14, -7, 7, 14])
def test_a_slanted_row_is_one_row(degrees: float) -> None:
    page = Drawing("20364", height=70, brush=9, corner=(60, 180), size=(700, 420)).page()
    turned = page.rotate(degrees, Image.Resampling.BICUBIC, fillcolor="white")
    assert counts(find_rows(ink_of(turned))) == [5]


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_number_whose_first_digit_lies_far_below_or_above_the_second_is_one_row(sign: int) -> None:
    page = Image.new("L", (700, 400), 255)
    for index, (digit, climb) in enumerate(zip("2036", [0, 56, 72, 88], strict=True)):
        corner = (60 + 150 * index, 170 + sign * climb)
        page.paste(0, mask=Drawing(digit, height=70, brush=9, corner=corner, size=page.size).opacity)
    assert counts(find_rows(ink_of(page))) == [4]


def test_a_digit_beside_a_row_but_above_or_below_its_line_is_a_row_of_its_own() -> None:
    for top in (40, 320):
        page = Drawing("2036", height=70, brush=9, corner=(200, 180), size=(800, 450)).page()
        page.paste("black", mask=Drawing("5", height=70, brush=9, corner=(40, top), size=page.size).opacity)
        assert sorted(counts(find_rows(ink_of(page)))) == [1, 4]


def test_two_slanted_rows_stay_two() -> None:
    page = stacked(["203648", "583"], 115, height=70).rotate(-6, Image.Resampling.BICUBIC, fillcolor="white")
    assert counts(find_rows(ink_of(page))) == [6, 3]


@pytest.mark.parametrize("touching", [0, 2])
def test_digits_of_two_rows_that_touch_are_two(touching: int) -> None:
    page = stacked(["2036", "5804"], 101)
    middle = Drawing("2036", height=90, brush=9, corner=(40, 40), size=page.size).boxes[touching]
    column = (middle[0] + middle[2]) // 2
    ImageDraw.Draw(page).line((column, 125, column, 150), "black", 9)
    assert counts(find_rows(ink_of(page))) == [4, 4]


def test_a_digit_as_high_as_two_rows_is_not_cut_without_two_rows_beside_it() -> None:
    alone = Drawing("2036", height=90, brush=9, corner=(40, 85), size=(700, 300)).page()
    ImageDraw.Draw(alone).line((600, 45, 600, 230), "black", 9)
    assert counts(find_rows(ink_of(alone))) == [5]


def test_a_page_of_many_small_numbers_is_read_whole() -> None:
    photo = Drawing(["1", "2", "4", "7"] * 6, height=32, brush=5, gap=28, corner=(40, 300), size=(1500, 1100)).photo()
    assert counts(find_rows(ink_of(Image.open(io.BytesIO(photo))))) == [24]


def test_a_digit_that_is_broken_across_is_one_part() -> None:
    drawing = Drawing("2036", height=90, brush=10)
    page = drawing.page()
    draw = ImageDraw.Draw(page)
    left, top, right, bottom = drawing.boxes[2]
    middle = (top + bottom) // 2 + 12
    draw.rectangle((left, middle, right, middle + 3), fill="white")
    [row] = find_rows(ink_of(page))
    assert len(row.parts) == 4
    assert row.parts[2].height == pytest.approx(bottom - top, abs=2)


@pytest.mark.parametrize("margin", [0, 1, 6])
@pytest.mark.parametrize("number", ["2036", "58", "8"])
def test_digits_at_the_border_of_a_tight_crop_are_found(margin: int, number: str) -> None:
    drawing = Drawing(number, height=110, brush=10)
    left, top, right, bottom = drawing.opacity.getbbox() or (0, 0, 0, 0)
    crop = drawing.page().crop((left - margin, top - margin, right + margin, bottom + margin))
    assert counts(find_rows(ink_of(crop))) == [len(number)]


def test_fragments_of_other_rows_at_the_border_are_left_out() -> None:
    page = stacked(["2036", "5847", "6043"], 130).crop((0, 100, 700, 320))
    assert counts(find_rows(ink_of(page))) == [4]


def test_a_dark_edge_along_a_side_is_left_out() -> None:
    page = Drawing("2036", height=90, brush=10).page()
    ImageDraw.Draw(page).rectangle((0, 0, 6, 400), fill="black")
    assert counts(find_rows(ink_of(page))) == [4]


def test_an_edge_from_the_border_that_is_much_higher_than_the_digits_is_left_out() -> None:
    page = Drawing("2036", height=70, brush=9, corner=(150, 180), size=(700, 450)).page("black", "#d0d0d0")
    ImageDraw.Draw(page).line((40, 0, 46, 380), fill="black", width=9)
    noise = np.random.default_rng(0).normal(0, 3, (450, 700, 3))
    photo = Image.fromarray((np.asarray(page) + noise).clip(0, 255).astype(np.uint8))
    assert counts(find_rows(ink_of(photo))) == [4]


def test_low_ink_beside_digits_is_a_mark_of_their_row() -> None:
    drawing = Drawing("25", height=90, brush=10, gap=50)
    page = drawing.page()
    x = (drawing.boxes[0][2] + drawing.boxes[1][0]) / 2
    ImageDraw.Draw(page).ellipse((x - 6, 148, x + 6, 160), fill="black")
    [row] = find_rows(ink_of(page))
    assert (len(row.parts), len(row.marks)) == (2, 1)


def test_paper_has_no_rows() -> None:
    assert find_rows(ink_of(Image.new("L", (200, 100), 255))) == []


def square(top: int, left: int, side: int, *, border: bool = False) -> Part:
    return Part((slice(top, top + side), slice(left, left + side)), np.ones((side, side), dtype=bool), border)


def test_joined_parts_keep_their_ink_and_their_places() -> None:
    whole = join([square(10, 5, 4), square(2, 12, 3, border=True)])
    assert whole.box == (slice(2, 14), slice(5, 15))
    assert whole.mask.sum() == 16 + 9
    assert whole.mask[8:, :4].all() and whole.mask[:3, 7:].all()
    assert whole.border


def test_the_gap_of_two_parts_is_negative_if_they_share_columns() -> None:
    assert gap(square(0, 0, 4), square(0, 9, 4)) == 5
    assert gap(square(0, 0, 4), square(8, 2, 4)) == -2


def test_the_height_of_a_row_is_the_median_of_its_parts() -> None:
    assert Row((square(0, 0, 10), square(0, 20, 12), square(0, 40, 30))).height == 12
