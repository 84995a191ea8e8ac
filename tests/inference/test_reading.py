"""Reading of pictures by a run trained on the practice digits."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import Outcome
from helpers.drawing import Drawing
from helpers.paths import PROJECT
from PIL import Image, ImageDraw

from pipeline import Predictor, Run, UserError
from pipeline.inference.predictions import DEFAULT_DIGIT_THRESHOLD, Predictions
from pipeline.inference.reading.reader import read_picture

NUMBER = "2036"
SHIPPED_RUN = PROJECT / "checkpoints" / "sketchpad"


@pytest.fixture(scope="module")
def predictor(run: Run) -> Predictor:
    return Predictor.load(run.folder)


@pytest.fixture(scope="module")
def page() -> Image.Image:
    return Drawing(NUMBER, height=90).page()


def test_a_number_is_read(predictor: Predictor, page: Image.Image) -> None:
    reading = predictor.read(page)
    assert (reading.text, reading.parity) == (NUMBER, "even")
    assert len(reading.glyphs) == len(reading.predictions) == len(NUMBER)
    assert reading.confidence == pytest.approx(reading.predictions.confidence.prod())
    assert predictor.read(Drawing("63").page()).parity == "odd"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("mode", "size"), [("RGBA", (400, 400)), ("L", (60, 40)), ("RGB", (1, 1))])
def test_a_blank_picture_is_an_empty_reading_and_never_a_guess(
    mode: str, size: tuple[int, int], predictor: Predictor
) -> None:
    reading = predictor.read(Image.new(mode, size))
    assert (reading.text, reading.parity, reading.confidence) == ("", None, None)
    assert len(reading.glyphs) == len(reading.predictions) == 0


@pytest.mark.parametrize(
    "drawing",
    [
        Drawing(NUMBER, height=90, corner=(5, 280)),
        Drawing(NUMBER, height=60, brush=7, gap=20),
        Drawing(NUMBER, height=180, brush=21, gap=60, size=(1000, 600)),
        Drawing(NUMBER, height=90, brush=9),
        Drawing(NUMBER, height=90, brush=18),
    ],
)
def test_position_size_and_stroke_width_do_not_change_the_reading(drawing: Drawing, predictor: Predictor) -> None:
    assert predictor.read(drawing.page()).text == NUMBER


@pytest.mark.parametrize(
    "convert",
    [
        lambda page: page.convert("L"),
        lambda page: page.convert("P"),
        lambda page: page.convert("CMYK"),
        lambda page: Image.eval(page, lambda value: 255 - value),
        np.asarray,
        lambda page: np.asarray(page.convert("L")) / 255,
        lambda page: np.asarray(page.convert("L")).astype(np.uint16) * 257,
        lambda page: Drawing(NUMBER, height=90).canvas("white"),
    ],
)
def test_image_mode_and_polarity_do_not_change_the_reading(
    convert: Callable[[Image.Image], Image.Image | np.ndarray], predictor: Predictor, page: Image.Image
) -> None:
    assert predictor.read(convert(page)).text == NUMBER


def test_a_photo_is_read(predictor: Predictor, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    drawing = Drawing(NUMBER, height=130, brush=9, gap=35, corner=(300, 330), size=(1200, 900))
    photo.write_bytes(drawing.photo("squared"))
    assert predictor.read(photo).text == predictor.read(str(photo)).text == NUMBER


@pytest.mark.parametrize(
    ("p_digit", "marked"),
    [(None, NUMBER), (0.8, "????"), (0.95, NUMBER)],
    ids=["no class for non-digits", "p_digit below 0.9", "p_digit above 0.9"],
)
def test_only_a_class_for_non_digits_raises_the_threshold_of_a_run(
    p_digit: float | None, marked: str, page: Image.Image
) -> None:
    def predict(pixels: np.ndarray) -> Predictions:
        digits = np.array([int(digit) for digit in NUMBER])[: len(pixels)]
        probabilities = np.full((len(pixels), 10), 0.02, np.float32)
        probabilities[np.arange(len(digits)), digits] = 0.82
        return Predictions(probabilities, None if p_digit is None else np.full(len(pixels), p_digit, np.float32))

    assert read_picture(page, predict, DEFAULT_DIGIT_THRESHOLD, None).marked == marked


def test_the_command_prints_number_parity_and_confidence_of_each_picture(
    command: Callable[..., Outcome], page: Image.Image, tmp_path: Path
) -> None:
    page.save(tmp_path / "page.png")
    Image.new("L", (9, 9)).save(tmp_path / "blank.png")
    outcome = command("read", SHIPPED_RUN, "page.png", "blank.png")
    assert outcome.status == 0
    first, second = outcome.out.splitlines()
    assert first.startswith(f"page.png: {NUMBER}, even, ") and first.endswith(" % confidence")
    assert second == "blank.png: no digits"


def test_a_missing_picture_stops_the_command_with_one_line(
    command: Callable[..., Outcome], page: Image.Image, tmp_path: Path
) -> None:
    page.save(tmp_path / "page.png")
    outcome = command("read", SHIPPED_RUN, "page.png", "absent.png")
    assert outcome.status == 2
    assert outcome.out.startswith(f"page.png: {NUMBER}")
    assert outcome.err == "error: absent.png: there is no such file; check its name\n"


def test_an_invalid_array_is_rejected(predictor: Predictor) -> None:
    with pytest.raises(UserError, match="a picture must be"):
        predictor.read(np.zeros((2, 2, 2, 2)))


def test_ink_that_is_left_out_has_a_box(predictor: Predictor) -> None:
    page = Drawing("63", height=90).page()
    assert predictor.read(page).left_out == ()
    right = max(glyph.box[2] for glyph in predictor.read(page).glyphs)
    bottom = max(glyph.box[3] for glyph in predictor.read(page).glyphs)
    dot = (right + 12, bottom - 16, right + 28, bottom)
    ImageDraw.Draw(page).ellipse(dot, fill="black")
    reading = predictor.read(page)
    assert reading.text == "63"
    (box,) = reading.left_out
    np.testing.assert_allclose(box, dot, atol=3)
