"""The page's views of readings and runs."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.page import draw_number
from PIL import Image

from demo import views
from demo.pictures import AGAINST_COLOUR, FOR_COLOUR, heat, open_shown
from pipeline import Glyph, Predictions, Reading, Sign


def reading(*rows: tuple[float, ...], digits: Sequence[int] = (7, 4), signs: tuple[Sign, ...] = ()) -> Reading:
    """Return a reading of rows whose digits have these probabilities; those of a row are all the same digit.

    The digits are 9 pixels large and lie 20 pixels apart.
    """
    glyphs, predictions = [], []
    for row, probabilities in enumerate(rows):
        for place, p in enumerate(probabilities):
            box = (20 * place, 20 * row, 20 * place + 9, 20 * row + 9)
            glyphs.append(Glyph(box, np.zeros((28, 28), dtype=np.uint8), row))
            predictions.append([p if digit == digits[row] else (1 - p) / 9 for digit in range(10)])
    return Reading(tuple(glyphs), Predictions(np.array(predictions, dtype=np.float32)), signs)


def test_a_confident_number_is_shown_with_its_parity() -> None:
    shown = views.number(reading((0.98, 0.97)))
    assert ">77</p>" in shown
    assert ">odd<" in shown
    assert "95% sure" in shown


def test_a_digit_in_doubt_is_shown_with_the_next_one_and_without_parity() -> None:
    shown = views.number(reading((0.98, 0.97, 0.3)))
    assert '>77<span class="unsure">7?</span></p>' in shown
    assert "not sure; 9 next" in shown
    assert "odd" not in shown
    assert "confidence" not in shown
    assert views.cards(reading((0.98, 0.97, 0.3)), "run").count("card doubtful") == 1
    assert views.as_json(reading((0.98, 0.97, 0.3)))["marked"] == "77?"


def test_a_row_that_is_probably_a_word_is_shown_without_digits(tmp_path: Path) -> None:
    word = reading((0.98, 0.3, 0.3))
    draw_number("7").save(tmp_path / "7.png")
    assert ">???</p>" in views.number(word)
    assert views.cards(word, "run").count("card doubtful") == 3
    assert views.boxed(tmp_path / "7.png", word).count("<b>?</b>") == 3
    assert [glyph["is_digit"] for glyph in views.as_json(word)["glyphs"]] == [False, False, False]


def test_each_of_several_rows_is_shown_with_its_own_parity() -> None:
    two = reading((0.99, 0.99), (0.99,))
    shown = views.number(two)
    assert re.findall(r'class="read">([^<]*)</p><p class="facts"><span class="chip">(\w+)<', shown) == [
        ("77", "odd"),
        ("4", "even"),
    ]
    assert shown.count("97% sure") == 1
    assert [len(row.split('class="card ')) - 1 for row in views.cards(two, "run").split("<h3>Row ")] == [0, 2, 1]
    assert [glyph["row"] for glyph in views.as_json(two)["glyphs"]] == [0, 0, 1]


def test_only_the_row_of_a_probable_non_digit_has_no_parity() -> None:
    shown = views.number(reading((0.99, 0.99, 0.3), (0.99,)))
    assert re.findall(r'class="chip( doubtful)?">([^<]*)<', shown) == [(" doubtful", "not sure; 9 next"), ("", "even")]
    assert "confidence" not in shown


def test_one_row_has_no_row_label() -> None:
    assert "Row 1" not in views.cards(reading((0.98, 0.97)), "run")


def test_marks_are_shown_between_the_digits_and_have_boxes_without_a_label(tmp_path: Path) -> None:
    draw_number("7").save(tmp_path / "7.png")
    marked = reading((0.99, 0.99), signs=(Sign((12, 6, 15, 9), ".", 0),))
    assert '>7<span class="mark">.</span>7</p>' in views.number(marked)
    boxes = views.boxed(tmp_path / "7.png", marked)
    assert '<i style="left: 2.00%; top: 2.31%; width: 0.50%; height: 1.15%" title="."></i>' in boxes
    assert boxes.count("<b>7</b>") == 2
    assert views.as_json(marked)["text"] == "7.7"
    assert views.as_json(marked)["marks"] == [{"box": [12, 6, 15, 9], "symbol": ".", "row": 0}]
    assert views.as_json(replace(marked, left_out=((1, 2, 3, 4),)))["left_out"] == [[1, 2, 3, 4]]


def test_saliency_colours_show_the_sign() -> None:
    signed = np.zeros((28, 28), dtype=np.float32)
    signed[0, 0], signed[0, 1] = 2, -1
    pixels = heat(signed)
    assert tuple(pixels[0, 0, :3]) == FOR_COLOUR
    assert tuple(pixels[0, 1, :3]) == AGAINST_COLOUR
    assert pixels[0, 0, 3] == 255 > pixels[0, 1, 3] > pixels[5, 5, 3] == 0


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "1", "P", "I;16"])
def test_pictures_of_every_mode_are_shown_with_bounding_boxes(tmp_path: Path, mode: str) -> None:
    draw_number("7").convert("L" if mode == "I;16" else mode).convert(mode).save(tmp_path / "7.png")
    shown = views.boxed(tmp_path / "7.png", reading((0.99,)))
    assert "left: 0.00%; top: 0.00%; width: 1.50%; height: 3.46%" in shown


def test_grey_levels_of_16_bits_are_shown_as_grey(tmp_path: Path) -> None:
    levels = np.full((100, 100), 1000, dtype=np.uint16)
    levels[:50] = 60_000
    Image.fromarray(levels).save(tmp_path / "7.png")
    shown, _ = open_shown(tmp_path / "7.png")
    assert shown.getpixel((50, 90)) == (4, 4, 4)
    assert shown.getpixel((50, 10)) == (255, 255, 255)


def test_the_exif_orientation_is_applied(tmp_path: Path) -> None:
    sideways = draw_number("7").resize((6000, 2600))
    exif = sideways.getexif()
    exif[0x0112] = 6
    sideways.save(tmp_path / "7.jpg", exif=exif)
    assert "width: 0.35%; height: 0.15%" in views.boxed(tmp_path / "7.jpg", reading((0.99,)))


def test_messages_are_escaped() -> None:
    assert "<b>" not in views.problem("<b>.png is no picture")


def test_boxes_of_a_drawing_name_the_digits_and_mark_what_was_left_out() -> None:
    found = reading((0.98, 0.3))
    shown = views.split((100, 50), Reading(found.glyphs, found.predictions, left_out=((40, 10, 50, 20),)))
    assert re.findall(r"<b>([^<]*)</b>", shown) == ["7", "7?"]
    assert 'class="left-out" style="left: 40.00%; top: 20.00%; width: 10.00%; height: 20.00%"' in shown


def test_touching_digits_are_named() -> None:
    apart = reading((0.98, 0.97))
    glyphs = tuple(Glyph((9 * place, 0, 9 * place + 9, 9), np.zeros((28, 28), dtype=np.uint8)) for place in range(2))
    assert "touch" not in views.number(apart)
    assert "7 and 7 touch" in views.number(Reading(glyphs, apart.predictions))
