import copy

import pytest
import torch
from torch import nn

from pipeline.training.muon import Muon, orthogonalised


@pytest.mark.parametrize("shape", [(16, 25), (64, 576), (64, 9)])
def test_a_step_has_singular_values_near_one_along_the_gradients_own_directions(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    rank = min(shape)
    left, _ = torch.linalg.qr(torch.randn(shape[0], rank))
    right, _ = torch.linalg.qr(torch.randn(shape[1], rank))
    matrix = left @ torch.diag(torch.linspace(0.3, 1, rank)) @ right.T
    found = left.T @ orthogonalised(matrix) @ right
    assert (found.diagonal() > 0.4).all()
    assert (found.diagonal() < 1.3).all()
    assert torch.allclose(found, torch.diag(found.diagonal()), atol=1e-4)


def test_the_size_of_a_gradient_does_not_matter_to_a_convolution() -> None:
    torch.manual_seed(0)
    gradient = torch.randn(8, 4, 3, 3)
    results = []
    for size in (1e-3, 1e3):
        model = nn.Conv2d(4, 8, 3, bias=False)
        nn.init.zeros_(model.weight)
        model.weight.grad = size * gradient
        Muon(model, learning_rate=0.1, other_learning_rate=0.1, momentum=0.9, weight_decay=0).step()
        results.append(model.weight.detach())
    assert torch.allclose(*results, atol=1e-4)
    assert results[0].abs().max() > 0.01


def test_all_else_steps_as_adam_does() -> None:
    torch.manual_seed(0)
    ours = nn.Linear(5, 3)
    theirs = copy.deepcopy(ours)
    optimizers = [
        Muon(ours, learning_rate=1, other_learning_rate=0.01, momentum=0.9, weight_decay=0),
        torch.optim.Adam(theirs.parameters(), lr=0.01, betas=(0.9, 0.99)),
    ]
    for _ in range(5):
        images = torch.randn(7, 5)
        for model, optimizer in zip((ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            model(images).square().sum().backward()
            optimizer.step()
    assert torch.allclose(ours.weight, theirs.weight, atol=1e-6)
    assert torch.allclose(ours.bias, theirs.bias, atol=1e-6)


def test_weight_decay_shrinks_convolutions_alone() -> None:
    model = nn.Conv2d(4, 8, 3)
    nn.init.ones_(model.weight)
    nn.init.ones_(model.bias)
    model.weight.grad = torch.zeros_like(model.weight)
    model.bias.grad = torch.zeros_like(model.bias)
    Muon(model, learning_rate=0.1, other_learning_rate=0.1, momentum=0.9, weight_decay=0.5).step()
    assert torch.allclose(model.weight, torch.tensor(0.95))
    assert torch.allclose(model.bias, torch.tensor(1.0))
