import numpy as np
import pytest
import torch
from PIL import Image
from scipy.sparse import csr_array

from pipeline import UserError
from pipeline.estimator.arrays import flatten_images, is_single_image, to_pixels, to_uint8


def test_uint8_is_unchanged() -> None:
    rows = np.arange(2 * 784, dtype=np.uint8).reshape(2, 784)
    np.testing.assert_array_equal(to_pixels(rows, None), rows.reshape(2, 28, 28))
    np.testing.assert_array_equal(to_pixels(rows, (0.0, 16.0)), rows.reshape(2, 28, 28))


def test_a_value_range_is_scaled_to_uint8_and_clipped() -> None:
    np.testing.assert_array_equal(to_uint8(np.array([-9.0, -1, 0, 1, 9]), (-1.0, 1.0)), [0, 0, 128, 255, 255])


def test_constant_images_are_paper() -> None:
    assert not to_uint8(np.full(3, 7.0), (7.0, 7.0)).any()


@pytest.mark.parametrize("values", [np.array([0, 256]), np.array([-1, 3]), np.array([0.0, 255.0]), np.array([-0.5])])
def test_values_outside_the_range_of_their_dtype_are_refused(values: np.ndarray) -> None:
    with pytest.raises(UserError, match="are out of range"):
        to_uint8(values, None)


def test_a_row_fills_the_smallest_square_and_the_rest_is_paper() -> None:
    image = to_pixels(np.full((1, 3), 255, dtype=np.uint8), None)[0]
    assert image.shape == (28, 28)
    assert (image[:7, :].min(), image[21:, :7].min(), image[21:, 21:].max()) == (255, 255, 0)


def test_scaling_keeps_rows_and_columns() -> None:
    small = np.zeros((1, 64), dtype=np.uint8)
    small[0, 8 * 1 + 6] = 255
    row, column = np.unravel_index(to_pixels(small, None)[0].argmax(), (28, 28))
    assert (row // 3.5, column // 3.5) == (1, 6)


def test_other_objects_are_returned_unchanged() -> None:
    table = [[1, 2], [3, 4]]
    assert flatten_images(table) is table


def test_a_single_image_is_recognised() -> None:
    square = np.zeros((28, 28))
    assert is_single_image(square, 784)
    assert is_single_image(torch.zeros(1, 28, 28), 784)
    assert is_single_image(Image.new("L", (28, 28)), 784)
    assert not is_single_image(square, 28)
    assert not is_single_image(square[np.newaxis], 784)
    assert flatten_images(square, 784).shape == (1, 784)
    assert flatten_images(square).shape == (28, 28)


def test_images_with_channels_last_and_sparse_rows_are_flattened() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1)).astype(np.uint8)
    np.testing.assert_array_equal(flatten_images(images), images.reshape(3, 784))
    np.testing.assert_array_equal(flatten_images(csr_array(images.reshape(3, 784))), images.reshape(3, 784))
