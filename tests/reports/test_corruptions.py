import numpy as np
import pytest

from pipeline import DigitTable
from pipeline.reports.corruptions import CORRUPTIONS, Corruption, blur, contrast, noise, rotation, shift, thickness

each = pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda corruption: corruption.name)


def block(top: int, bottom: int, left: int, right: int) -> np.ndarray:
    """Return one image with a block of full ink."""
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, top:bottom, left:right] = 255
    return image


def centres(pixels: np.ndarray) -> np.ndarray:
    """Return the centre of mass of each image, float (N, 2)."""
    ink = pixels.astype(float)
    coordinates = np.arange(28)
    return (
        np.stack([ink.sum(axis=2) @ coordinates, ink.sum(axis=1) @ coordinates], axis=1) / ink.sum(axis=(1, 2))[:, None]
    )


@each
def test_severity_0_changes_nothing(corruption: Corruption, digits: DigitTable) -> None:
    assert 0 in corruption.severities
    assert np.array_equal(corruption.apply(digits.pixels, 0), digits.pixels)


@each
def test_images_stay_images_and_are_the_same_each_time(corruption: Corruption, digits: DigitTable) -> None:
    few = digits.pixels[:20].copy()
    outputs = []
    for severity in corruption.severities:
        worse = corruption.apply(few, severity)
        assert (worse.dtype, worse.shape) == (np.uint8, few.shape)
        assert np.array_equal(worse, corruption.apply(few, severity))
        outputs.append(worse.tobytes())
    assert len(set(outputs)) == len(corruption.severities)
    assert np.array_equal(few, digits.pixels[:20]), "the input is unchanged"


@each
def test_severities_are_in_order(corruption: Corruption) -> None:
    assert list(corruption.severities) == sorted(set(corruption.severities))


def test_a_shift_has_its_length_in_pixels_and_a_random_direction() -> None:
    dots = block(12, 16, 12, 16).repeat(200, axis=0)
    moved = centres(shift(dots, 5)) - centres(dots)
    assert np.hypot(*moved.T) == pytest.approx(5, abs=0.1)
    assert np.abs(moved.mean(axis=0)).max() < 1


def test_a_rotation_has_its_angle_in_degrees_and_a_random_direction() -> None:
    horizontal = block(13, 15, 4, 24)
    assert np.abs(rotation(horizontal, 90).astype(int) - horizontal.transpose(0, 2, 1)).max() <= 1
    corner = block(4, 8, 12, 16).repeat(50, axis=0)
    columns = centres(rotation(corner, 30))[:, 1] - 13.5
    assert np.unique(columns.round(1)).tolist() == [-4, 4], "8 pixels above the middle, times sin 30 degrees"


@pytest.mark.parametrize("severity", [-2, -1, 1, 3])
def test_thickness_is_in_pixels_of_stroke_width(severity: int) -> None:
    strokes = thickness(block(12, 16, 0, 28), severity)
    assert strokes[0, :, 14].sum() / 255 == pytest.approx(4 + severity, abs=0.02)


def test_noise_has_its_standard_deviation_in_units_of_full_ink() -> None:
    grey = np.full((50, 28, 28), 128, np.uint8)
    assert noise(grey, 0.1).std() == pytest.approx(25.5, rel=0.02)


def test_blur_has_its_standard_deviation_in_pixels_and_keeps_the_sum_of_ink() -> None:
    line = block(0, 28, 14, 15)
    across = blur(line, 2)[0, 14].astype(float)
    assert across.sum() == pytest.approx(255, rel=0.03)
    assert np.sqrt(across @ (np.arange(28) - 14) ** 2 / across.sum()) == pytest.approx(2, rel=0.05)


def test_contrast_is_removed_around_the_mean(digits: DigitTable) -> None:
    few = digits.pixels[:20]
    flat = contrast(few, 0.75)
    assert flat.mean(axis=(1, 2)) == pytest.approx(few.mean(axis=(1, 2)), abs=0.5)
    assert flat.std(axis=(1, 2)) == pytest.approx(few.std(axis=(1, 2)) / 4, rel=0.02)
