import copy

import pytest
import torch
from torch import Tensor, nn

from pipeline import Recipe
from pipeline.models import build
from pipeline.models.convolution import Convolution, use_im2col
from pipeline.utils.device import autocast

# inputs, outputs, height, width, kernel, stride, padding: all that ResNets do on small maps, and some that they do not.
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
def test_a_small_convolution_and_its_gradients_are_those_of_torch(shape: tuple) -> None:
    inputs, outputs, height, width, kernel, stride, padding = shape
    torch.manual_seed(0)
    plain = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False, dtype=torch.float64)
    quick = nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False, dtype=torch.float64))
    quick.to(memory_format=torch.channels_last)
    quick[0].load_state_dict(plain.state_dict())
    use_im2col(quick)
    assert isinstance(quick[0], Convolution)
    images = torch.randn(4, inputs, height, width, dtype=torch.float64)

    def results(network: nn.Module, weight: Tensor) -> list[Tensor]:
        given = images.clone().requires_grad_()
        answer = network(given)
        weighed = torch.linspace(-1, 1, answer.numel(), dtype=torch.float64).view_as(answer)
        (answer * weighed).sum().backward()
        return [answer, given.grad, weight.grad]

    for found, expected in zip(results(quick, quick[0].weight), results(plain, plain.weight), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ["fast", "resnet18"])
def test_a_quickened_network_learns_from_a_batch_what_the_plain_one_learns(name: str) -> None:
    torch.manual_seed(0)
    plain, quick = build(Recipe.load(name)), build(Recipe.load(name))
    quick.load_state_dict(plain.state_dict())
    use_im2col(quick)
    assert plain.state_dict().keys() == quick.state_dict().keys()
    images = torch.randn(16, 1, 28, 28)
    for model in (plain, quick):
        model(images).square().sum().backward()
    for expected, found in zip(plain.parameters(), quick.parameters(), strict=True):
        scale = expected.grad.abs().max().item()
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-3, atol=1e-4 * scale)


def test_small_convolutions_follow_autocast() -> None:
    model = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False))
    use_im2col(model)
    with autocast(torch.bfloat16, torch.device("cpu")):
        answer = model(torch.randn(2, 8, 2, 2))
    assert answer.dtype is torch.bfloat16
    answer.float().sum().backward()
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
def test_convolutions_of_every_kind_give_what_torch_gives(plain: nn.Conv2d) -> None:
    quick = copy.deepcopy(nn.Sequential(plain))
    use_im2col(quick)
    images = torch.randn(2, 4, 4, 4)
    torch.testing.assert_close(quick(images), plain(images))
