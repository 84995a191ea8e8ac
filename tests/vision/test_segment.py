import io
from collections.abc import Sequence

import numpy as np
import pytest
from helpers.drawing import Box, Drawing
from PIL import Image, ImageDraw
from scipy import ndimage

from pipeline import Glyph, UserError, glyphs
from pipeline.vision.binarise import Ink
from pipeline.vision.segment import find_parts


def assert_found(found: Sequence[Glyph], boxes: Sequence[Box], within: float = 3) -> None:
    """Assert that glyphs have these bounding boxes, in order, to `within` pixels."""
    assert len(found) == len(boxes), [glyph.box for glyph in found]
    for glyph, box in zip(found, boxes, strict=True):
        assert np.abs(np.subtract(glyph.box, box)).max() <= within, (glyph.box, box)


def difference(a: Sequence[Glyph], b: Sequence[Glyph]) -> float:
    """Return the absolute difference of two lists of frames, as a fraction of their ink."""
    assert len(a) == len(b)
    one, other = (np.stack([glyph.frame for glyph in each]).astype(float) for each in (a, b))
    return float(np.abs(one - other).sum() / one.sum())


@pytest.mark.parametrize("number", ["7", "2025", "6084", "31", "11111", "593"])
def test_digits_are_found_from_left_to_right(number: str) -> None:
    drawing = Drawing(number, height=90)
    assert_found(glyphs(drawing.canvas()), drawing.boxes, within=1)


@pytest.mark.parametrize("shape", ["4", "4 in two strokes", "5 with a loose bar", "crossed 7", "slashed 0"])
@pytest.mark.parametrize("brush", [8, 14, 20])
def test_the_strokes_of_one_digit_are_one_glyph(shape: str, brush: int) -> None:
    drawing = Drawing(["2", shape, "3"], height=130, brush=brush)
    assert_found(glyphs(drawing.page()), drawing.boxes, within=1)


def test_digits_that_are_close_or_overlap_are_two() -> None:
    close = Drawing("18", gap=4)
    assert_found(glyphs(close.page()), close.boxes, within=1)
    leaning = Drawing(["leaning 7", "6"], brush=8, gap=-30)
    assert leaning.boxes[0][2] > leaning.boxes[1][0] + 8
    assert_found(glyphs(leaning.page()), leaning.boxes, within=1)


@pytest.mark.parametrize("number", ["0", "1", "2", "4", "7", "9"])
@pytest.mark.parametrize("brush", [10, 26])
def test_a_frame_has_mnists_size_centre_and_grey_levels(number: str, brush: int) -> None:
    [glyph] = glyphs(Drawing(number, height=220, brush=brush).canvas())
    assert (glyph.frame.dtype, glyph.frame.shape) == (np.uint8, (28, 28))
    rows, columns = np.nonzero(glyph.frame > 100)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 in {19, 20, 21}
    ink = glyph.frame / glyph.frame.sum()
    assert (ink.sum(axis=1) @ np.arange(28), ink.sum(axis=0) @ np.arange(28)) == pytest.approx((14, 14), abs=0.1)
    assert glyph.frame.max() > 240
    assert ((glyph.frame > 20) & (glyph.frame < 235)).any()


def test_the_aspect_ratio_is_kept() -> None:
    [glyph] = glyphs(Drawing("1", height=200, brush=12).canvas())
    rows, columns = np.nonzero(glyph.frame > 100)
    assert np.ptp(columns) + 1 < 5 < 18 < np.ptp(rows) + 1


def test_position_size_and_stroke_width_hardly_change_a_frame() -> None:
    plain = glyphs(Drawing("2").canvas())
    assert difference(plain, glyphs(Drawing("2", corner=(300, 17)).canvas())) < 0.02
    assert difference(plain, glyphs(Drawing("2", height=240, brush=28).canvas())) < 0.15
    assert difference(plain, glyphs(Drawing("2", height=60, brush=7).canvas())) < 0.15
    for brush in (9, 20):
        assert difference(plain, glyphs(Drawing("2", brush=brush).canvas())) < 0.35


@pytest.mark.parametrize("brush", [1, 2, 3])
@pytest.mark.parametrize("number", ["2", "3", "5", "6", "8"])
def test_a_hairline_is_one_digit_without_gaps(number: str, brush: int) -> None:
    [fine] = glyphs(Drawing(number, height=240, brush=brush).canvas())
    _, parts = ndimage.label(fine.frame > 100, np.ones((3, 3)))
    assert parts == 1
    assert difference([fine], glyphs(Drawing(number, height=240, brush=20).canvas())) < 0.5


@pytest.mark.parametrize("number", ["0", "2", "3", "6", "8"])
def test_a_hairline_that_a_dry_pen_has_left_out_in_places_is_one_digit(number: str) -> None:
    drawing = Drawing(f"4{number}", height=90, brush=2)
    whole, broken = drawing.page(), drawing.page()
    rows, columns = np.nonzero(np.asarray(whole.convert("L"))[:, 120:] < 128)
    for y, x in zip(rows[::40].tolist(), (120 + columns[::40]).tolist(), strict=True):
        ImageDraw.Draw(broken).rectangle((x - 1, y - 1, x + 1, y + 1), fill="white")
    assert difference(glyphs(whole), glyphs(broken)) < 0.15


def test_hairlines_that_are_close_are_two_digits() -> None:
    close = Drawing("18", height=90, brush=2, gap=6)
    assert_found(glyphs(close.page()), close.boxes, within=2)


COLOURS = [("black", "white"), ("white", "black"), ("yellow", "white"), ("red", "#0000c0"), ("#909090", "#b0b0b0")]


@pytest.mark.parametrize(("ink", "paper"), COLOURS)
def test_any_ink_on_any_paper_is_ink(ink: str, paper: str) -> None:
    drawing = Drawing("2025", height=90)
    found = glyphs(drawing.page(ink, paper))
    assert_found(found, drawing.boxes, within=1)
    assert difference(glyphs(drawing.canvas()), found) < 0.08


@pytest.mark.parametrize("ink", ["black", "white", "#ffd000"])
def test_transparency_is_paper(ink: str) -> None:
    drawing = Drawing("2025", height=90)
    assert difference(glyphs(drawing.page()), glyphs(drawing.canvas(ink))) < 0.02


def test_a_digit_may_fill_its_picture() -> None:
    image = Drawing("3", height=220, brush=26).page()
    tight = image.crop(image.convert("L").point(lambda grey: 255 - grey).getbbox())
    assert difference(glyphs(image), glyphs(tight)) < 0.05


def test_framing_a_frame_hardly_changes_it() -> None:
    [glyph] = glyphs(Drawing("5", height=200, brush=24).canvas())
    again = glyphs(Image.fromarray(glyph.frame))
    assert difference([glyph], again) < 0.25


@pytest.mark.parametrize(
    "blank",
    [
        Image.new("RGB", (400, 400), "white"),
        Image.new("RGBA", (400, 400)),
        Image.new("L", (1, 1)),
        Image.new("L", (3, 2), 200),
        Image.new("L", (9, 9)),
        Image.new("RGB", (400, 300), "black"),
        Image.effect_noise((400, 300), 12),
    ],
)
def test_a_blank_picture_has_no_digits(blank: Image.Image) -> None:
    assert glyphs(blank) == []


def test_an_empty_page_has_no_digits() -> None:
    page = Drawing("", size=(1200, 900)).photo(shadow=True)
    assert glyphs(Image.open(io.BytesIO(page))) == []


def test_specks_are_left_out() -> None:
    drawing = Drawing("2025", height=90)
    page = drawing.page()
    draw = ImageDraw.Draw(page)
    for x, y in np.random.default_rng(0).integers(0, 400, (40, 2)).tolist():
        draw.ellipse((x, y, x + 3, y + 3), fill="black")
    assert len(glyphs(page)) == 4


@pytest.mark.parametrize("lines", ["", "ruled", "squared"])
@pytest.mark.parametrize("number", ["2025", "6", "71938"])
def test_pen_on_paper_is_found_in_a_photo(number: str, lines: str) -> None:
    drawing = Drawing(number, height=130, brush=9, gap=35, corner=(300, 330), size=(1200, 900))
    assert_found(glyphs(Image.open(io.BytesIO(drawing.photo(lines)))), drawing.boxes)


@pytest.mark.parametrize("circumstances", [{"shadow": True}, {"table": True}, {"noise": 20}])
def test_neither_shadow_nor_table_nor_noise_is_a_digit(circumstances: dict[str, float]) -> None:
    drawing = Drawing("48095", height=130, brush=9, gap=35, corner=(300, 330), size=(1200, 900))
    photo = drawing.photo("ruled", **circumstances)  # type: ignore[arg-type]
    assert_found(glyphs(Image.open(io.BytesIO(photo))), drawing.boxes)


def test_a_pattern_is_refused() -> None:
    pattern = np.zeros((600, 600), dtype=np.uint8)
    dashes = np.arange(600) % 30 < 9
    pattern[np.logical_and.outer(dashes, dashes)] = 255
    with pytest.raises(UserError, match="the picture has 400 marks, over the limit of 200; crop it to one number"):
        glyphs(pattern)


def test_boxes_are_in_pixels_of_the_original_picture() -> None:
    drawing = Drawing("36", height=700, brush=60, corner=(900, 500), size=(3000, 2000))
    assert_found(glyphs(drawing.page()), drawing.boxes, within=4)


@pytest.mark.parametrize("number", ["35", "9521"])
def test_the_edge_of_a_sheet_is_no_digit(number: str) -> None:
    drawing = Drawing(number, height=70, brush=9, corner=(150, 150))
    page = drawing.page()
    ImageDraw.Draw(page).line((90, 40, 84, 300), fill="black", width=9)
    assert_found(glyphs(page), drawing.boxes, within=1)


@pytest.mark.parametrize("number", ["35", "540"])
def test_what_enters_at_a_corner_is_no_digit(number: str) -> None:
    drawing = Drawing(number, height=90, brush=10, corner=(150, 110))
    page = drawing.page()
    ImageDraw.Draw(page).polygon([(0, 0), (12, 0), (0, 110)], fill="black")
    assert_found(glyphs(page), drawing.boxes, within=1)


def test_what_lies_among_many_specks_is_noise() -> None:
    mask = np.zeros((400, 400), dtype=np.bool_)
    mask[:200:4, :200:4] = True
    mask[40:60, 40:46] = mask[300:330, 300:306] = True
    parts = find_parts(Ink(mask.astype(np.float32), mask, even=False))
    assert [part.box for part in parts] == [(slice(300, 330), slice(300, 306))]


@pytest.mark.parametrize("height", [30, 90])
@pytest.mark.parametrize("density", [0.002, 0.02])
def test_digits_among_specks_everywhere_are_found(height: int, density: float) -> None:
    drawing = Drawing("35", height=height, brush=max(3, height // 9), corner=(200, 100))
    page = np.asarray(drawing.page().convert("L")).copy()
    page[np.random.default_rng(0).random(page.shape) < density] = 0
    assert_found(glyphs(page), drawing.boxes, within=15)  # specks that touch a digit are part of it


def test_a_high_7_beside_low_digits_stays() -> None:
    drawing = Drawing("2222", height=60, brush=7, corner=(100, 100))
    page = drawing.page()
    ImageDraw.Draw(page).line([(450, 80), (488, 80), (460, 280)], fill="black", width=7, joint="curve")
    assert len(glyphs(page)) == 5


def test_a_stroke_beside_few_specks_stays() -> None:
    mask = np.zeros((400, 400), dtype=np.bool_)
    mask[:80:8, :80:8] = True
    mask[41:71, 41:47] = mask[300:330, 300:306] = True
    assert len(find_parts(Ink(mask.astype(np.float32), mask, even=False))) == 2
