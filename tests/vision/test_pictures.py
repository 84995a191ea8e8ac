"""The synthetic pictures of the tests are what their kinds and parameters say."""

import numpy as np
import pytest
from helpers.answers import Answer
from helpers.drawing import SHAPES
from helpers.papers import line_mask, shadow, vignette
from helpers.pictures import KINDS, NO_DIGITS, NUMBERS, lit, make_pictures, tight, wide
from helpers.scenes import Material, draw_cells, empty_page, held, lay_on_desk
from helpers.writing import (
    INK_THRESHOLD,
    MARKS,
    WRITER_DRAWINGS,
    join_images,
    pick_digits,
    slide_together,
    stack_rows,
    write,
    write_joined,
)
from PIL import Image
from scipy import ndimage

from pipeline.data.table import DigitTable
from pipeline.sources.drawings.strokes import Drawing

DRAWINGS = [
    Drawing(label, tuple(np.array(stroke) for stroke in SHAPES[str(label)])) for label in [*range(10)] * WRITER_DRAWINGS
]


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def material(digits: DigitTable) -> Material:
    return Material(DRAWINGS, digits)


def grey(image: Image.Image) -> np.ndarray:
    """Return the grey levels of an image, float (height, width)."""
    return np.asarray(image.convert("L"), dtype=float)


def is_dark(image: Image.Image) -> np.ndarray:
    """Return the pixels that are darker than the middle of an image's range, bool (height, width)."""
    values = grey(image)
    return values < (values.min() + values.max()) / 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_depends_on_its_seed_and_position_only(kind: str, material: Material) -> None:
    first, second = make_pictures(kind, material, 2)
    (again,) = make_pictures(kind, material, 1)
    (other,) = make_pictures(kind, material, 1, seed=1)
    assert (first.image, first.text) == (again.image, again.text)
    assert second.image != first.image != other.image
    assert first.image.mode == "RGB"


@pytest.mark.parametrize("kind", NUMBERS)
def test_the_text_of_a_number_has_its_digits_marks_and_rows(kind: str, material: Material) -> None:
    for sample in make_pictures(kind, material, 3):
        rows, marks = sample.text.split(" "), [character for character in sample.text if character in MARKS]
        assert all(any(character.isdigit() for character in row) for row in rows)
        assert 2 <= len(rows) <= 5 if "rows" in kind else len(rows) == 1
        assert len(marks) == (kind == "marks")


@pytest.mark.parametrize("kind", NO_DIGITS)
def test_the_text_of_a_picture_without_digits_is_empty(kind: str, material: Material) -> None:
    assert [sample.text for sample in make_pictures(kind, material, 2)] == ["", ""]


def test_a_row_is_written_in_the_order_of_its_text(random: np.random.Generator) -> None:
    writing = write([DRAWINGS[1], "-", DRAWINGS[7]], 100, 8, random, gap=(0.3, 0.3))
    labels, count = ndimage.label(np.asarray(writing.ink) > INK_THRESHOLD)
    boxes = sorted(ndimage.find_objects(labels), key=lambda box: box[1].start)
    assert (writing.text, count) == ("1-7", 3)
    heights = [box[0].stop - box[0].start for box in boxes]
    assert heights[1] < 20 < 90 < min(heights[0], heights[2])


def test_the_digits_of_a_number_are_of_one_writer(random: np.random.Generator) -> None:
    drawings = [Drawing(0, (np.array([[index, 0.0]]),)) for index in range(1000)]
    picked = [drawing.strokes[0][0, 0] for drawing in pick_digits(drawings, 6, random)]
    assert np.ptp(picked) < WRITER_DRAWINGS


def test_ink_fades_over_the_whole_range_within_a_number(random: np.random.Generator) -> None:
    writing = write(DRAWINGS[2:6], 100, 10, random)
    faded = np.asarray(writing.faded((0.2, 1), random).ink)[np.asarray(writing.ink) == 255] / 255
    assert faded.min() == pytest.approx(0.2, abs=0.02)
    assert faded.max() == pytest.approx(1, abs=0.02)


def test_a_pencil_leaves_a_share_of_the_stroke_pale(random: np.random.Generator) -> None:
    writing = write(DRAWINGS[2:6], 100, 10, random)
    grained = np.asarray(writing.grained(0.3, random).ink)[np.asarray(writing.ink) == 255]
    assert np.mean(grained < INK_THRESHOLD) == pytest.approx(0.3, abs=0.08)


@pytest.mark.parametrize("margin", [0, 0.35])
def test_a_crop_is_as_tight_as_asked(margin: float, random: np.random.Generator) -> None:
    writing = write(DRAWINGS[2:6], 100, 10, random)
    page, corner = empty_page(writing, random, (margin, margin))
    assert corner == (100 * margin, 100 * margin)
    assert np.subtract(page.size, writing.ink.size).tolist() == [200 * margin, 200 * margin]


def test_digits_touch_the_border_of_the_tightest_crop(material: Material, random: np.random.Generator) -> None:
    dark = is_dark(tight(material, random, margin=(0, 0)).image)
    assert all(side.any() for side in (dark[:3], dark[-3:], dark[:, :3], dark[:, -3:]))


@pytest.mark.parametrize(("overlap", "width"), [(0, 20), (1, 19), (6, 14)])
def test_inks_slide_together_until_they_overlap_as_asked(overlap: int, width: int) -> None:
    box = np.zeros((30, 16), dtype=np.uint8)
    box[5:15, 3:13] = 255
    joined = slide_together([Image.fromarray(box)] * 2, overlap)
    left, _, right, _ = joined.getbbox() or (0, 0, 0, 0)
    assert right - left == width


def test_inks_slide_into_the_gaps_of_one_another() -> None:
    hook, low = np.zeros((20, 20), dtype=np.uint8), np.zeros((20, 20), dtype=np.uint8)
    hook[:8], hook[:, :4], low[12:] = 255, 255, 255
    joined = slide_together([Image.fromarray(hook), Image.fromarray(low)], 1)
    assert joined.width == 3 + 20


def test_touching_digits_are_one_component(material: Material, random: np.random.Generator) -> None:
    strokes = write_joined([DRAWINGS[label] for label in (3, 8, 2)], 100, 10, 2, random)
    bars = np.zeros((2, 28, 28), dtype=np.uint8)
    bars[:, 4:24, 12:16] = 255
    images = join_images(bars, [1, 1], 100, 2)
    assert (strokes.text, images.text) == ("382", "11")
    assert [ndimage.label(np.asarray(each.ink) > INK_THRESHOLD)[1] for each in (strokes, images)] == [1, 1]
    assert images.ink.width == pytest.approx(100 / 20 * (4 + 4 - 2), abs=3)


def test_rows_have_the_clear_height_asked_for(random: np.random.Generator) -> None:
    rows = [write(DRAWINGS[start : start + 3], 80, 6, random) for start in (0, 3, 6)]
    stacked = stack_rows(rows, (0.5, 0.5), random)
    clear = ~(np.asarray(stacked.ink) > INK_THRESHOLD).any(axis=1)
    assert stacked.text == "012 345 678"
    assert [run.stop - run.start for (run,) in ndimage.find_objects(ndimage.label(clear)[0])] == pytest.approx(
        [40, 40], abs=1
    )


@pytest.mark.parametrize("thickness", [1, 3, 6])
def test_lines_are_as_thick_and_as_slanted_as_asked(thickness: int) -> None:
    level = np.asarray(line_mask((300, 200), 50, thickness, 0, (0, 10))) / 255
    assert level[:, 0].sum() == pytest.approx(4 * thickness, abs=0.1)
    slanted = np.asarray(line_mask((300, 200), 500, thickness, 10, (0, 10)))
    middle = 10 + 250 * np.tan(np.radians(10))
    assert ndimage.center_of_mass(slanted[:, 250])[0] + 0.5 == pytest.approx(middle, abs=0.7)


@pytest.mark.parametrize("sides", [3, 4])
def test_the_frame_of_a_cell_has_three_or_four_sides(sides: int) -> None:
    page = Image.new("RGB", (100, 100), "white")
    draw_cells(page, [(20, 20, 80, 80)], (0, 0, 0), 3, sides)
    dark = is_dark(page)
    assert [dark[50, 20], dark[80, 50], dark[50, 80], dark[20, 50]] == [True, True, True, sides == 4]
    assert not dark[:15].any() and not dark[:, 90:].any()


def test_strokes_are_wider_than_a_sixth_of_the_picture(material: Material, random: np.random.Generator) -> None:
    for _ in range(5):
        image = wide(material, random).image
        assert 2 * ndimage.distance_transform_edt(is_dark(image)).max() > min(image.size) / 6


def test_a_desk_is_seen_only_beyond_the_edges_asked_for(random: np.random.Generator) -> None:
    page = Image.new("RGB", (200, 100), (255, 255, 255))
    scene = grey(lay_on_desk(page, (30, 0, 0, 0), 0, random))
    assert scene.shape == (100, 230)
    assert scene[:, 30:].min() == 255 > scene[:, :30].max()


def test_a_hand_reaches_as_far_as_asked(random: np.random.Generator) -> None:
    for _ in range(5):
        dark = is_dark(held(Image.new("RGB", (400, 300), "white"), 100, random))
        columns = np.flatnonzero(dark.any(axis=0))
        assert columns[0] == 0 or columns[-1] == 399
        assert not dark[:, 110:290].any()


def test_light_falls_by_the_strength_asked_for(random: np.random.Generator) -> None:
    corners = vignette((101, 61), 0.4)
    assert (corners[30, 50], corners[0, 0]) == (1, pytest.approx(0.6))
    shaded = shadow((100, 60), 0.3, 0.05, random)
    assert shaded.min() == pytest.approx(0.7, abs=0.01) and shaded.max() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("side", [200, 2000])
def test_a_photo_in_bad_light_has_the_size_asked_for(
    side: int, material: Material, random: np.random.Generator
) -> None:
    assert max(lit(material, random, side=(side, side)).image.size) == side


@pytest.mark.parametrize(
    ("answer", "truth", "right"),
    [
        (Answer("12", "12"), "12", True),
        (Answer("12", "1?"), "12", True),
        (Answer("125", "125"), "12.5", True),
        (Answer("1234", "1234"), "12 34", False),
        (Answer("", ""), "", True),
        (Answer("81", "??"), "", True),
        (Answer("81", "8?"), "", False),
    ],
)
def test_an_answer_is_right_apart_from_marks_or_if_it_refuses_what_is_no_digit(
    answer: Answer, truth: str, right: bool
) -> None:
    assert answer.is_right(truth) == right
