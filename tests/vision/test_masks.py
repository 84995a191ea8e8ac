"""Measures of a mask of ink, against their plain definitions."""

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from pipeline.vision.hough import Runs
from pipeline.vision.mask import Mask, close_gaps, connected_components, join_grain, stroke_width


def masks() -> Iterator[Mask]:
    """Yield masks of 1 to 30 pixels a side: sparse to full ink, anywhere on the page, and none."""
    random = np.random.default_rng(0)
    yield np.zeros((5, 7), dtype=np.bool_)
    for _ in range(300):
        mask = np.zeros(random.integers(1, 31, 2), dtype=np.bool_)
        (top, left), (height, width) = random.integers(0, mask.shape), random.integers(1, 31, 2)
        box = mask[top : top + height, left : left + width]
        box[:] = random.random(box.shape) < random.random()
        yield mask
        yield mask.T


def test_the_components_are_those_of_the_complete_mask() -> None:
    for mask in masks():
        labels, boxes = connected_components(mask)
        plain, _ = ndimage.label(mask, np.ones((3, 3)))
        assert np.array_equal(labels, plain)
        assert boxes == ndimage.find_objects(plain)


def test_the_stroke_width_is_twice_the_area_divided_by_the_outline() -> None:
    for mask in masks():
        outline = mask & ~ndimage.binary_erosion(mask)
        assert stroke_width(mask) == 2 * mask.sum() / max(1, outline.sum())


def test_the_runs_are_the_stretches_of_ink_in_each_column() -> None:
    for mask in masks():
        stretches = []
        for column, pixels in enumerate(mask.T):
            rows = np.flatnonzero(pixels)
            for stretch in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1) if rows.size else []:
                stretches.append((column, stretch[0], stretch[-1] + 1))
        runs = Runs.of(mask)
        assert list(zip(runs.column, runs.start, runs.stop, strict=True)) == stretches


def test_gaps_are_closed_as_by_a_square() -> None:
    for mask in masks():
        for gap in (2, 3, 4):
            plain = ndimage.binary_closing(np.pad(mask, gap), np.ones((gap + 1, gap + 1)))
            assert np.array_equal(close_gaps(mask, gap), plain[gap:-gap, gap:-gap])


def stroke(length: int, grain: int = 0) -> Mask:
    """Return an upright stroke of 9 pixels; with grain, each fourth part of it is left out."""
    mask = np.ones((length, 9), dtype=np.bool_)
    if grain:
        mask[np.arange(length) % (4 * grain) >= 3 * grain] = False
    return mask


def test_the_grains_of_a_pencil_are_joined_to_strokes() -> None:
    page = np.zeros((200, 200), dtype=np.bool_)
    page[40:139, 30:39] = stroke(99, grain=3)
    page[40:139, 90:99] = stroke(99, grain=3)
    assert len(connected_components(page)[1]) > 10
    _, boxes = connected_components(join_grain(page))
    assert [(rows.start, rows.stop) for rows, _ in boxes] == [(40, 139), (40, 139)]


def test_whole_strokes_beside_one_another_are_not_joined() -> None:
    page = np.zeros((200, 200), dtype=np.bool_)
    page[40:139, 30:39] = page[40:139, 42:51] = stroke(99)
    assert np.array_equal(join_grain(page), page)


def test_grains_that_are_lower_than_digits_are_not_joined() -> None:
    page = np.zeros((200, 200), dtype=np.bool_)
    page[40:66, 30:39] = stroke(26, grain=3)
    assert np.array_equal(join_grain(page), page)


def test_a_row_of_grains_as_long_as_a_printed_line_is_not_joined() -> None:
    page = np.zeros((200, 200), dtype=np.bool_)
    page[90:99, 20:180] = stroke(160, grain=3).T
    assert np.array_equal(join_grain(page), page)


def test_noise_is_not_joined() -> None:
    page = np.random.default_rng(0).random((200, 200)) < 0.05
    assert np.array_equal(join_grain(page), page)
