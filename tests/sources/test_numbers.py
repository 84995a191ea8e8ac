from itertools import islice

import numpy as np
import pytest
import torch

from pipeline import DigitTable
from pipeline.models.line import NON_DIGIT
from pipeline.sources.lines.numbers import join_shapes, make_numbers
from pipeline.sources.lines.shapes import MARGIN, SCALE, Shape, make_shapes


@pytest.fixture(scope="module")
def shapes(digits: DigitTable) -> list[Shape]:
    return make_shapes(digits.select(np.arange(60)), digits.pixels[60:70], seed=0)


def frames(count: int) -> list[Shape]:
    """Return the shapes of square frames of 20x20 pixels, with strokes of three pixels."""
    image = np.zeros((count, 28, 28), dtype=np.uint8)
    image[:, 4:24, 4:24] = 255
    image[:, 7:21, 7:21] = 0
    return make_shapes(DigitTable(image, np.zeros(count, dtype=np.int64)), np.empty((0, 28, 28), np.uint8), seed=0)


def ink_columns(distances: np.ndarray) -> int:
    return int((distances > 0).any(axis=0).sum())


def test_shapes_have_the_labels_of_their_images_and_margins_of_paper(digits: DigitTable) -> None:
    shapes = make_shapes(digits.select(np.arange(60)), digits.pixels[60:70], seed=0)
    assert [shape.symbol for shape in shapes] == [*digits.known_labels[:60].tolist(), *10 * [NON_DIGIT]]
    for shape in shapes:
        ink = shape.distances > 0
        assert ink.any()
        assert not ink[: MARGIN // 2].any() and not ink[:, : MARGIN // 2].any()
        assert np.array_equal(shape.last > 0, ink.any(axis=1))


def test_blank_images_give_no_shape() -> None:
    blank = np.zeros((2, 28, 28), dtype=np.uint8)
    assert make_shapes(DigitTable(blank, np.zeros(2, dtype=np.int64)), blank, seed=0) == []


@pytest.mark.parametrize("overlap", [-6, -1, 0, 1, 3, 6])
def test_the_ink_of_neighbours_overlaps_by_as_many_pixels_as_asked_for(overlap: float) -> None:
    shapes = frames(3)
    joined = join_shapes(shapes, [overlap, overlap], np.random.default_rng(3))
    assert joined.symbols == [0, 0, 0]
    apart = sum(ink_columns(shape.distances) for shape in shapes)
    first, last = np.flatnonzero((joined.distances > 0).any(axis=0))[[0, -1]]
    assert last - first + 1 == pytest.approx(apart - 2 * overlap * SCALE, abs=1)


def test_a_shape_never_moves_past_the_one_before() -> None:
    shapes = frames(2)
    joined = join_shapes(shapes, [40], np.random.default_rng(0))
    assert ink_columns(joined.distances) > max(ink_columns(shape.distances) for shape in shapes)


def test_equal_seeds_give_equal_batches(shapes: list[Shape]) -> None:
    first, again, other = (list(islice(make_numbers(shapes, 8, seed), 3)) for seed in (0, 0, 1))
    for one, two in zip(first, again, strict=True):
        assert torch.equal(one.lines, two.lines)
        assert one.symbols == two.symbols
    assert first[0].symbols != other[0].symbols


def test_batches_have_lines_of_ink_and_the_symbols_of_their_shapes(shapes: list[Shape]) -> None:
    batches = list(islice(make_numbers(shapes, 16, seed=0), 8))
    for batch in batches:
        assert batch.lines.shape[:3] == (16, 1, 28) and batch.lines.shape[3] % 4 == 0
        assert batch.lines.min() >= 0 and batch.lines.max() <= 1
        assert (batch.lines.amax(dim=(1, 2, 3)) > 0.5).all()
    symbols = [line for batch in batches for line in batch.symbols]
    assert {len(line) for line in symbols} == {1, 2, 3, 4, 5}
    assert 0.03 < np.mean([NON_DIGIT in line for line in symbols]) < 0.2


def test_without_non_digits_all_symbols_are_digits(digits: DigitTable) -> None:
    shapes = make_shapes(digits.select(np.arange(20)), np.empty((0, 28, 28), np.uint8), seed=0)
    batch = next(make_numbers(shapes, 16, seed=0))
    assert max(symbol for line in batch.symbols for symbol in line) < NON_DIGIT
