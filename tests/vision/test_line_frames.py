import numpy as np
import pytest
from PIL import Image, ImageDraw

from pipeline.vision.line import LINE_STROKE_PX, MARGIN_PX, MAX_INK_ROWS, frame_line


def rings(height: int, stroke: int, count: int = 3) -> np.ndarray:
    """Return the mask of `count` touching rings of a height and stroke width in pixels."""
    image = Image.new("L", (height * count, height))
    draw = ImageDraw.Draw(image)
    for index in range(count):
        draw.ellipse((index * height, 0, (index + 1) * height - 1, height - 1), outline=255, width=stroke)
    return np.asarray(image) > 0


@pytest.mark.parametrize("height", [15, 40, 100, 400])
def test_digits_become_20_pixels_high_at_any_size(height: int) -> None:
    line = frame_line(rings(height, max(2, height // 8)), height)
    assert line.dtype == np.uint8
    rows = np.flatnonzero(line.max(axis=1) > 127)
    assert len(rows) == pytest.approx(20, abs=1)
    assert rows[0] + rows[-1] == pytest.approx(27, abs=1)
    assert line.shape == (28, pytest.approx(60 + 2 * MARGIN_PX, abs=4))


@pytest.mark.parametrize("stroke", [4, 8, 12, 18])
def test_strokes_become_as_wide_as_those_of_mnist_unless_they_are_much_wider(stroke: int) -> None:
    line = frame_line(rings(100, stroke, count=1), 100).astype(float) / 255
    middle = line[14]
    assert middle[: len(middle) // 2].sum() == pytest.approx(LINE_STROKE_PX, abs=0.3)


def test_both_sides_have_a_margin_of_paper() -> None:
    line = frame_line(rings(100, 12), 100)
    columns = np.flatnonzero(line.max(axis=0) > 127)
    assert columns[0] == pytest.approx(MARGIN_PX, abs=1)
    assert line.shape[1] - 1 - columns[-1] == pytest.approx(MARGIN_PX, abs=1)


def test_ink_taller_than_the_line_is_scaled_to_it() -> None:
    line = frame_line(rings(200, 20), 80)
    assert len(np.flatnonzero(line.max(axis=1) > 127)) == pytest.approx(MAX_INK_ROWS, abs=1)


def test_a_hairline_does_not_break() -> None:
    ink = rings(400, 1, count=1)
    line = frame_line(ink, 400)
    assert (line[8:20] > 127).any(axis=1).all()


def test_grey_ink_and_its_mask_give_nearly_the_same_line() -> None:
    mask = rings(100, 12)
    assert np.abs(frame_line(mask, 100).astype(int) - frame_line(mask.astype(np.float32), 100)).max() == 0
