"""Ink is told from paper, whatever their greys, light and surroundings."""

from collections.abc import Sequence

import numpy as np
import pytest
from helpers.drawing import Box, Drawing
from PIL import Image

from pipeline import glyphs
from pipeline.vision.binarise import binarise
from pipeline.vision.image import to_grey
from pipeline.vision.mask import stroke_width

PAGE = Drawing("2036", height=130, brush=10, corner=(150, 150), size=(800, 600))
INK = np.asarray(PAGE.opacity) / 255


def picture(paper: np.ndarray, darkness: np.ndarray | float = 0.7, noise: float = 3) -> np.ndarray:
    """Return the drawing on paper of some greys, 0..1, as uint8 with noise in grey levels."""
    grey = 255 * paper * (1 - darkness * INK) + np.random.default_rng(0).normal(0, noise, INK.shape)
    return grey.clip(0, 255).astype(np.uint8)


def assert_found(image: np.ndarray | Image.Image, boxes: Sequence[Box] = PAGE.boxes, within: float = 4) -> None:
    found = [glyph.box for glyph in glyphs(image)]
    assert len(found) == len(boxes), found
    assert np.abs(np.subtract(found, boxes)).max() <= within, found


def coordinates() -> tuple[np.ndarray, np.ndarray]:
    """Return the rows and columns of the page, each in 0..1."""
    rows, columns = np.mgrid[: INK.shape[0], : INK.shape[1]]
    return rows / INK.shape[0], columns / INK.shape[1]


@pytest.mark.parametrize("even", [True, False])
@pytest.mark.parametrize("light_ink", [True, False])
def test_light_ink_on_dark_paper_gives_the_mask_of_dark_on_light(light_ink: bool, even: bool) -> None:
    rows, columns = coordinates()
    paper = np.ones_like(rows) if even else 0.9 - 0.3 * columns * rows
    grey = paper * (1 - 0.8 * INK)
    ink = binarise((1 - grey if light_ink else grey).astype(np.float32))
    assert ink.even == even
    assert (ink.mask != (INK > 0.5)).mean() < 0.005


def test_the_mask_is_the_ink_above_one_half() -> None:
    ink = binarise(to_grey(picture(np.full(INK.shape, 0.8)))[0])
    assert ink.amount.dtype == np.float32
    assert ink.amount.min() >= 0 and ink.amount.max() <= 1
    assert (ink.mask == (ink.amount > 0.5)).all()


@pytest.mark.parametrize("desk", [0.03, 0.15, 0.3])
@pytest.mark.parametrize("sides", ["left", "left top", "left top right bottom"])
def test_a_desk_around_a_sheet_is_no_ink(sides: str, desk: float) -> None:
    rows, columns = coordinates()
    edges = {"left": columns < 0.07, "top": rows < 0.1, "right": columns > 0.95, "bottom": rows > 0.9}
    paper = np.where(np.any([edges[side] for side in sides.split()], axis=0), desk, 0.85)
    assert_found(picture(paper))


@pytest.mark.parametrize("brush", [40, 55])
@pytest.mark.parametrize("number", ["2", "7", "17"])
def test_strokes_wider_than_a_sixth_of_the_picture_are_ink(number: str, brush: int) -> None:
    drawing = Drawing(number, height=180, brush=brush, gap=20, corner=(20, 20), size=(500, 40 + 180 + brush))
    left, _, right, _ = drawing.opacity.getbbox() or (0, 0, 0, 0)
    page = drawing.page().crop((left - 20, 0, right + 20, drawing.opacity.height))
    assert brush > page.height / 7
    boxes = [(a - left + 20, b, c - left + 20, d) for a, b, c, d in drawing.boxes]
    assert_found(page, boxes)
    noise = np.random.default_rng(0).normal(0, 4, (page.height, page.width))
    photo = (np.asarray(page.convert("L")) * 0.6 + 40 + noise).clip(0, 255).astype(np.uint8)
    assert_found(photo, boxes, within=6)


@pytest.mark.parametrize("light_ink", [True, False])
@pytest.mark.parametrize("number", ["8", "6", "0"])
def test_strokes_that_cover_most_of_a_tight_crop_are_ink(number: str, light_ink: bool) -> None:
    drawing = Drawing(number, height=180, brush=75, corner=(20, 20), size=(500, 300))
    left, top, right, bottom = drawing.boxes[0]
    ink = np.asarray(drawing.opacity.crop((left - 8, top - 8, right + 8, bottom + 8))) / 255
    assert ink.mean() > 0.5
    grey = (0.3 + 0.4 * ink if light_ink else 0.7 - 0.4 * ink) * 255
    photo = (grey + np.random.default_rng(0).normal(0, 4, grey.shape)).clip(0, 255).astype(np.uint8)
    assert_found(photo, [(8, 8, right - left + 8, bottom - top + 8)], within=6)


@pytest.mark.parametrize("number", ["3", "5", "52", "35"])
def test_wide_strokes_that_touch_the_border_are_ink(number: str) -> None:
    drawing = Drawing(number, height=150, brush=52, gap=20, corner=(30, 30), size=(600, 300))
    left, _, right, _ = drawing.opacity.getbbox() or (0, 0, 0, 0)
    top, bottom = min(box[1] for box in drawing.boxes), max(box[3] for box in drawing.boxes)
    ink = np.asarray(drawing.opacity.crop((left, top, right, bottom))) / 255
    noise = np.random.default_rng(0).normal(0, 4, ink.shape)
    photo = ((0.7 - 0.4 * ink) * 255 + noise).clip(0, 255).astype(np.uint8)
    assert_found(photo, [(a - left, b - top, c - left, d - top) for a, b, c, d in drawing.boxes], within=6)


@pytest.mark.parametrize("degrees", [-8, 5, 12])
def test_a_turned_sheet_on_a_darker_desk_is_paper(degrees: float) -> None:
    sheet = Image.fromarray(picture(np.full(INK.shape, 0.85))).crop((100, 100, 700, 400))
    page = Image.new("L", (900, 700), 60)
    opacity = Image.new("L", sheet.size, 255).rotate(degrees, expand=True)
    page.paste(sheet.rotate(degrees, Image.Resampling.BICUBIC, expand=True), (120, 120), opacity)
    noise = np.random.default_rng(0).normal(0, 3, (700, 900))
    assert len(glyphs((np.asarray(page) + noise).clip(0, 255).astype(np.uint8))) == 4


def test_faint_ink_next_to_strong_ink_is_ink() -> None:
    _, columns = coordinates()
    assert_found(picture(np.full(INK.shape, 0.85), darkness=0.9 - 0.6 * columns, noise=2))


@pytest.mark.parametrize(("strength", "softness"), [(0.4, 0.05), (0.4, 0.2), (0.65, 0.1), (0.65, 0.2)])
def test_a_shadow_that_fades_is_paper(strength: float, softness: float) -> None:
    rows, columns = coordinates()
    depth = columns + 0.5 * rows - 0.75
    paper = 0.85 * (1 - strength / (1 + np.exp(-4 * depth / softness)))
    assert_found(picture(paper, noise=2))


def test_paper_without_ink_has_none() -> None:
    rows, _ = coordinates()
    grey = 0.8 - 0.2 * rows + np.random.default_rng(0).normal(0, 0.01, rows.shape)
    assert binarise(grey.astype(np.float32)).mask.mean() < 0.001


@pytest.mark.parametrize("brush", [4, 10, 20])
def test_the_stroke_width_is_about_that_of_the_brush(brush: int) -> None:
    mask = np.asarray(Drawing("11", height=300, brush=brush).opacity) > 127
    assert stroke_width(mask) == pytest.approx(brush, rel=0.15, abs=1)


@pytest.mark.parametrize("noise", [0, 4])
def test_grained_strokes_are_whole_on_even_and_on_uneven_paper(noise: float) -> None:
    drawing = Drawing("207", height=120, brush=10)
    random = np.random.default_rng(0)
    page = np.asarray(drawing.page().convert("L")).astype(float)
    for _ in range(60):  # bands without ink
        row = random.integers(400)
        page[row : row + 2] = 255
    page = np.clip(page * 0.9 + random.normal(0, noise, page.shape), 0, 255)
    boxes = [glyph.box for glyph in glyphs(Image.fromarray(page.astype(np.uint8)))]
    assert [box[::2] for box in boxes] == [pytest.approx(box[::2], abs=4) for box in drawing.boxes]
