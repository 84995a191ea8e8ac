import numpy as np
import pytest
import torch
from PIL import Image

from pipeline import UserError
from pipeline.estimator.arrays import in_bytes, is_single, pixels_of, rows_of


def test_bytes_are_pixels_as_they_are() -> None:
    rows = np.arange(2 * 784, dtype=np.uint8).reshape(2, 784)
    np.testing.assert_array_equal(pixels_of(rows, None), rows.reshape(2, 28, 28))
    np.testing.assert_array_equal(pixels_of(rows, (0.0, 16.0)), rows.reshape(2, 28, 28))


def test_a_range_is_stretched_from_paper_to_ink_and_clipped() -> None:
    np.testing.assert_array_equal(in_bytes(np.array([-9.0, -1, 0, 1, 9]), (-1.0, 1.0)), [0, 0, 128, 255, 255])


def test_images_all_of_one_value_are_paper() -> None:
    assert not in_bytes(np.full(3, 7.0), (7.0, 7.0)).any()


@pytest.mark.parametrize("values", [np.array([0, 256]), np.array([-1, 3]), np.array([0.0, 255.0]), np.array([-0.5])])
def test_values_outside_their_dtypes_range_are_refused(values: np.ndarray) -> None:
    with pytest.raises(UserError, match="are not ink"):
        in_bytes(values, None)


def test_a_row_is_the_smallest_square_that_holds_it_scaled_with_its_rest_paper() -> None:
    image = pixels_of(np.full((1, 3), 255, dtype=np.uint8), None)[0]
    assert image.shape == (28, 28)
    assert (image[:7, :].min(), image[21:, :7].min(), image[21:, 21:].max()) == (255, 255, 0)


def test_scaling_keeps_the_order_of_rows_and_columns() -> None:
    small = np.zeros((1, 64), dtype=np.uint8)
    small[0, 8 * 1 + 6] = 255
    row, column = np.unravel_index(pixels_of(small, None)[0].argmax(), (28, 28))
    assert (row // 3.5, column // 3.5) == (1, 6)


def test_what_is_no_array_is_left_to_others() -> None:
    table = [[1, 2], [3, 4]]
    assert rows_of(table) is table


def test_one_image_is_told_from_many() -> None:
    square = np.zeros((28, 28))
    assert is_single(square, 784)
    assert is_single(torch.zeros(1, 28, 28), 784)
    assert is_single(Image.new("L", (28, 28)), 784)
    assert not is_single(square, 28)
    assert not is_single(square[np.newaxis], 784)
    assert rows_of(square, 784).shape == (1, 784)
    assert rows_of(square).shape == (28, 28)
