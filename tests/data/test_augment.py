import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn.functional import affine_grid
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import affine

from pipeline import DigitTable, Recipe
from pipeline.data.augment import augment, blur, elastic_displacements, erase, sampling_grid, warp
from pipeline.data.loader import to_ink

NO_AUGMENTATION = {"rotation": 0, "shift": 0, "zoom": 0, "shear": 0, "elastic": 0, "blur": 0, "erase": 0}


@pytest.fixture
def images(digits: DigitTable) -> Tensor:
    return to_ink(torch.from_numpy(digits.pixels[:64].copy()))


def warped(
    images: Tensor, rotation: float = 0, shear: float = 0, size: float = 1, shift: tuple[float, float] = (0, 0)
) -> Tensor:
    """Return the images, all warped with the same parameters."""
    parameters = (torch.full((len(images),), float(value)) for value in (rotation, shear, size))
    return warp(images, *parameters, torch.tensor(shift, dtype=torch.float32).unsqueeze(1).expand(2, len(images)))


def test_no_warp_changes_nothing(images: Tensor) -> None:
    assert torch.allclose(warped(images), images, atol=1e-6)
    assert augment(images, Recipe.load("fast").model_copy(update=NO_AUGMENTATION)) is images


def test_the_sampling_grid_is_that_of_torch() -> None:
    transform = torch.randn(3, 2, 3, generator=torch.Generator().manual_seed(0))
    expected = affine_grid(transform, [3, 1, 20, 28], align_corners=False)
    assert torch.allclose(sampling_grid(transform[:, :, :2], transform[:, :, 2:], 20, 28), expected, atol=1e-6)


def test_a_rotation_is_counter_clockwise(images: Tensor) -> None:
    assert torch.allclose(warped(images, rotation=math.pi / 2), torch.rot90(images, 1, dims=(2, 3)), atol=1e-5)


def test_a_shift_goes_right_and_down_by_whole_pixels_exactly(images: Tensor) -> None:
    shifted = torch.zeros_like(images)
    shifted[:, :, 2:, 3:] = images[:, :, :-2, :-3]
    assert torch.allclose(warped(images, shift=(3 / 14, 2 / 14)), shifted, atol=1e-5)


def test_a_larger_size_makes_larger_digits(images: Tensor) -> None:
    small, large = warped(images, size=0.8), warped(images, size=1.1)
    assert (small.sum((1, 2, 3)) < images.sum((1, 2, 3))).all()
    assert (large.sum((1, 2, 3)) > images.sum((1, 2, 3))).all()


def test_a_shear_leans_verticals_to_the_right() -> None:
    image = torch.zeros(1, 1, 28, 28)
    image[:, :, 2:26, 13:15] = 1
    columns = torch.arange(28.0)
    sheared = warped(image, shear=math.tan(math.radians(20)))[0, 0]
    centres = (sheared @ columns / sheared.sum(1).clamp(min=1e-6))[4:24]
    assert torch.allclose(centres.diff(), torch.full((19,), -math.tan(math.radians(20))), atol=0.05)


@pytest.mark.parametrize(
    ("rotation", "size", "shift"), [(13.0, 1.0, (0, 0)), (-30.0, 1.2, (2, -3)), (0.0, 0.9, (1, 1))]
)
def test_a_batch_is_warped_as_torchvision_warps_each_image(
    images: Tensor, rotation: float, size: float, shift: tuple[int, int]
) -> None:
    ours = warped(images, math.radians(rotation), 0, size, (shift[0] / 14, shift[1] / 14))
    theirs = affine(images, -rotation, list(shift), size, [0.0, 0.0], interpolation=InterpolationMode.BILINEAR)
    assert torch.allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize(
    "setting", ["rotation=20", "shift=0.2", "zoom=0.3", "shear=20", "elastic=1", "blur=2", "erase=1"]
)
def test_each_image_is_augmented_differently(setting: str) -> None:
    recipe = Recipe.load("fast", [f"{name}=0" for name in NO_AUGMENTATION] + [setting])
    torch.manual_seed(0)
    same = torch.rand(1, 1, 28, 28).expand(64, -1, -1, -1)  # noise: every erased rectangle is visible
    results = augment(same, recipe)
    assert len({image.numpy().tobytes() for image in results}) == 64


@pytest.mark.parametrize("elastic", [0, 1])
def test_the_fraction_of_unwarped_images_is_the_recipes(elastic: int, images: Tensor) -> None:
    torch.manual_seed(0)
    many = images.repeat(32, 1, 1, 1)
    recipe = Recipe.load("fast", ["unwarped=0.3", f"elastic={elastic}"])
    same = torch.isclose(augment(many, recipe), many, atol=1e-5).flatten(1).all(1)
    assert same.float().mean().item() == pytest.approx(0.3, abs=0.03)


def test_bicubic_warps_keep_fine_lines_and_stay_in_range(images: Tensor) -> None:
    lines = torch.zeros(1, 1, 28, 28)
    lines[..., 14] = 1
    zero = torch.zeros(1)
    half_a_pixel = zero, zero, zero + 1, torch.full((2, 1), 0.5 / 14)
    assert warp(lines, *half_a_pixel).max() == pytest.approx(0.5)
    assert warp(lines, *half_a_pixel, interpolation="bicubic").max() > 0.55
    torch.manual_seed(0)
    augmented = augment(images, Recipe.load("fast", ["interpolation=bicubic"]))
    assert (augmented.min(), augmented.max()) == (0, 1)


def test_each_image_is_blurred_like_scipy(images: Tensor) -> None:
    deviations = torch.linspace(0.3, 3, len(images))
    blurry = blur(images, deviations)
    for image, deviation, result in zip(images[:, 0], deviations.tolist(), blurry[:, 0], strict=True):
        expected = gaussian_filter(image.numpy(), deviation, mode="constant", radius=4)
        assert np.allclose(result.numpy(), expected, atol=1e-5)


def test_a_blur_of_0_changes_nothing(images: Tensor) -> None:
    assert torch.equal(blur(images, torch.zeros(len(images))), images)


def test_random_parameters_stay_within_their_limits() -> None:
    image = torch.zeros(512, 1, 28, 28)
    image[:, :, 13:15, 13:15] = 1
    recipe = Recipe.load("fast").model_copy(update={**NO_AUGMENTATION, "shift": 0.1})
    columns = torch.arange(28) - 13.5
    shifted = augment(image, recipe)
    across = (shifted.sum((1, 2)) @ columns) / shifted.sum((1, 2, 3))
    assert across.abs().max() <= 2.8 + 1e-4
    assert across.max() > 2.5
    assert across.min() < -2.5


def test_the_same_seed_gives_the_same_images(images: Tensor) -> None:
    results = []
    for _ in range(2):
        torch.manual_seed(7)
        results.append(augment(images, Recipe.load("fast")))
    assert torch.equal(*results)


def test_displacements_offset_the_sampling_position_of_each_pixel(images: Tensor) -> None:
    displacement = torch.zeros(len(images), 28, 28, 2)
    displacement[..., 0] = 3 / 14  # three pixels to the right
    zero = torch.zeros(len(images))
    displaced = warp(images, zero, zero, zero + 1, torch.zeros(2, len(images)), displacement)
    assert torch.allclose(displaced[..., :-3], images[..., 3:], atol=1e-5)


def test_elastic_displacements_are_smooth_with_the_given_deviation() -> None:
    torch.manual_seed(0)
    displacement = elastic_displacements(torch.zeros(500, 1, 28, 28), elastic=2.0) * 14  # in pixels
    corners = displacement[:, [0, 0, -1, -1], [0, -1, 0, -1]]  # points of the coarse grid, without interpolation
    assert corners.std().item() == pytest.approx(2.0, rel=0.05)
    assert abs(corners.mean().item()) < 0.1
    assert displacement.diff(dim=1).abs().max() < 3  # smooth: the points of the grid are 6.75 pixels apart


def test_an_erased_image_loses_one_rectangle_within_the_limits() -> None:
    torch.manual_seed(0)
    left = erase(torch.ones(2000, 1, 28, 28), probability=1.0)[:, 0]
    holes = left == 0
    areas = holes.sum((1, 2)) / 784
    down, across = holes.any(2).sum(1), holes.any(1).sum(1)
    assert torch.equal(holes.sum((1, 2)), down * across), "each hole is a complete rectangle"
    assert 0.01 < areas.min() < 0.05
    assert 0.28 < areas.max() < 0.37
    assert (down / across).max() < 4.5


def test_the_fraction_of_erased_images_is_the_probability() -> None:
    torch.manual_seed(0)
    left = erase(torch.ones(4000, 1, 28, 28), probability=0.3)
    assert (left.amin((1, 2, 3)) == 0).float().mean().item() == pytest.approx(0.3, abs=0.03)
