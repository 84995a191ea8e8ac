import pytest
import torch
from helpers.recipes import randomise_batch_norms
from torch import nn

from pipeline import Recipe
from pipeline.inference.fuse import FusedConvReLU, MaxPool2x2, fuse
from pipeline.models import build

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["fast", "resnet18"])
@pytest.mark.parametrize("rows", [1, 7])
def test_a_fused_network_computes_the_same(name: str, rows: int) -> None:
    model = randomise_batch_norms(build(Recipe.load(name)))
    images = torch.randn(rows, 1, 28, 28)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with torch.inference_mode():
        expected = model(images)
        found = fuse(model, CPU)(images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_fast_with_positive_scales_is_fused_completely() -> None:
    kinds = {type(module) for module in fuse(build(Recipe.load("fast")).eval(), CPU).modules()}
    assert not kinds & {nn.BatchNorm2d, nn.ReLU}
    assert kinds >= {FusedConvReLU, MaxPool2x2}


def test_a_norm_with_a_negative_scale_is_not_folded_across_pooling() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.BatchNorm2d(2), nn.ReLU()).eval()
    model[2].weight.data = torch.tensor([1.0, -1.0])
    found = fuse(model, CPU)
    assert any(isinstance(module, nn.BatchNorm2d) for module in found.modules())
    images = torch.randn(3, 1, 9, 9)
    torch.testing.assert_close(found(images), model(images))


def test_a_relu_is_not_fused_into_a_convolution_with_two_users() -> None:
    class Fork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution, self.relu = nn.Conv2d(1, 2, 3), nn.ReLU()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raw = self.convolution(images)
            return self.relu(raw) + raw

    model = Fork().eval()
    images = torch.randn(3, 1, 6, 6)
    torch.testing.assert_close(fuse(model, CPU)(images), model(images))


@pytest.mark.parametrize("size", [4, 5])
def test_max_pool_2x2_matches_torch(size: int) -> None:
    images = torch.randn(2, 3, size, size)
    assert torch.equal(MaxPool2x2()(images), nn.MaxPool2d(2)(images))


def test_a_convolution_that_is_called_twice_is_not_folded() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution, self.norm = nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.norm(self.convolution(self.norm(self.convolution(images))))

    model = randomise_batch_norms(Twice())
    images = torch.randn(3, 2, 6, 6)
    torch.testing.assert_close(fuse(model, CPU)(images), model(images))
