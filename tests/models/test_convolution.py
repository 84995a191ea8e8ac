import copy

import pytest
import torch
from torch import Tensor, nn

from pipeline import Recipe
from pipeline.models import build
from pipeline.models.convolution import Convolution, use_im2col
from pipeline.utils.device import autocast

# (inputs, outputs, height, width, kernel, stride, padding): all convolutions of ResNets on small maps, and others.
SHAPES = [
    (3, 5, 4, 4, 3, 1, 1),
    (3, 5, 7, 7, 3, 2, 1),
    (3, 5, 4, 4, 3, 2, 1),
    (3, 5, 2, 2, 3, 1, 1),
    (3, 5, 2, 2, 3, 2, 1),
    (3, 5, 1, 1, 3, 1, 1),
    (3, 5, 4, 4, 1, 2, 0),
    (3, 5, 1, 1, 1, 1, 0),
    (3, 5, 5, 5, 3, 1, 0),
    (1, 2, 6, 3, (5, 2), (2, 1), (1, 0)),
    (2, 2, 1, 3, 5, 1, 3),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_small_convolutions_and_their_gradients_match_torch(shape: tuple) -> None:
    inputs, outputs, height, width, kernel, stride, padding = shape
    torch.manual_seed(0)
    plain = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False, dtype=torch.float64)
    im2col = nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False, dtype=torch.float64))
    im2col.to(memory_format=torch.channels_last)
    im2col[0].load_state_dict(plain.state_dict())
    use_im2col(im2col)
    assert isinstance(im2col[0], Convolution)
    images = torch.randn(4, inputs, height, width, dtype=torch.float64)

    def results(network: nn.Module, weight: Tensor) -> list[Tensor]:
        inputs = images.clone().requires_grad_()
        output = network(inputs)
        factors = torch.linspace(-1, 1, output.numel(), dtype=torch.float64).view_as(output)
        (output * factors).sum().backward()
        return [output, inputs.grad, weight.grad]

    for found, expected in zip(results(im2col, im2col[0].weight), results(plain, plain.weight), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ["fast", "resnet18"])
def test_a_network_with_im2col_has_the_same_gradients(name: str) -> None:
    torch.manual_seed(0)
    plain, im2col = build(Recipe.load(name)), build(Recipe.load(name))
    im2col.load_state_dict(plain.state_dict())
    use_im2col(im2col)
    assert plain.state_dict().keys() == im2col.state_dict().keys()
    images = torch.randn(16, 1, 28, 28)
    for model in (plain, im2col):
        model(images).square().sum().backward()
    for expected, found in zip(plain.parameters(), im2col.parameters(), strict=True):
        scale = expected.grad.abs().max().item()
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-3, atol=1e-4 * scale)


def test_small_convolutions_follow_autocast() -> None:
    model = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False))
    use_im2col(model)
    with autocast(torch.bfloat16, torch.device("cpu")):
        output = model(torch.randn(2, 8, 2, 2))
    assert output.dtype is torch.bfloat16
    output.float().sum().backward()
    assert model[0].weight.grad.dtype is torch.float32


@pytest.mark.parametrize(
    "plain",
    [
        nn.Conv2d(4, 4, 3, padding=1),
        nn.Conv2d(4, 4, 3, padding=1, groups=2),
        nn.Conv2d(4, 4, 3, padding=2, dilation=2),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
    ],
)
def test_all_kinds_of_convolutions_match_torch(plain: nn.Conv2d) -> None:
    im2col = copy.deepcopy(nn.Sequential(plain))
    use_im2col(im2col)
    images = torch.randn(2, 4, 4, 4)
    torch.testing.assert_close(im2col(images), plain(images))
