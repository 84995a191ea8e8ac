import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from pipeline import Recipe, Run
from pipeline.models import build
from pipeline.training.optim.factory import make_optimizer
from pipeline.training.optim.muon import Muon, orthogonalise


@pytest.mark.parametrize("shape", [(16, 25), (64, 576), (64, 9)])
def test_orthogonalising_keeps_singular_vectors_and_sets_singular_values_near_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    rank = min(shape)
    left, _ = torch.linalg.qr(torch.randn(shape[0], rank))
    right, _ = torch.linalg.qr(torch.randn(shape[1], rank))
    matrix = left @ torch.diag(torch.linspace(0.3, 1, rank)) @ right.T
    found = left.T @ orthogonalise(matrix) @ right
    assert (found.diagonal() > 0.4).all()
    assert (found.diagonal() < 1.3).all()
    assert torch.allclose(found, torch.diag(found.diagonal()), atol=1e-4)


def test_the_scale_of_a_gradient_does_not_change_a_convolutions_update() -> None:
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


def test_other_parameters_are_updated_by_adam() -> None:
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


def test_weight_decay_applies_to_convolutions_only() -> None:
    model = nn.Conv2d(4, 8, 3)
    nn.init.ones_(model.weight)
    nn.init.ones_(model.bias)
    model.weight.grad = torch.zeros_like(model.weight)
    model.bias.grad = torch.zeros_like(model.bias)
    Muon(model, learning_rate=0.1, other_learning_rate=0.1, momentum=0.9, weight_decay=0.5).step()
    assert torch.allclose(model.weight, torch.tensor(0.95))
    assert torch.allclose(model.bias, torch.tensor(1.0))


OLD_KEYS = {"momentum_buffer": "momentum", "exp_avg": "mean", "exp_avg_sq": "square"}


def _with_old_keys(state_dict: dict) -> dict:
    """Return an optimizer state with the keys of older versions."""
    states = {
        index: {OLD_KEYS.get(key, key): value for key, value in state.items()}
        for index, state in state_dict["state"].items()
    }
    return {**state_dict, "state": states}


def _update(model: nn.Module, optimizer: torch.optim.Optimizer, batches: list[torch.Tensor]) -> None:
    """Make one update per batch."""
    for images in batches:
        optimizer.zero_grad()
        model(images).square().mean().backward()
        optimizer.step()


def test_a_progress_file_with_the_keys_of_older_versions_resumes_identically(tmp_path: Path) -> None:
    recipe = Recipe.load("fast", ["optimizer=muon", "weight_decay=0.1"])
    torch.manual_seed(0)
    batches = [torch.randn(8, 1, 28, 28) for _ in range(6)]
    model = build(recipe)
    optimizer = make_optimizer(recipe, model)
    _update(model, optimizer, batches[:3])
    state = optimizer.state_dict()
    assert {key for values in state["state"].values() for key in values} == {*OLD_KEYS, "step"}
    old = _with_old_keys(state)
    assert {key for values in old["state"].values() for key in values} == {*OLD_KEYS.values(), "step"}
    run = Run(tmp_path)
    run.save_progress({"model": model.state_dict(), "optimizer": old})

    progress = run.load_progress()
    resumed = build(recipe)
    resumed.load_state_dict(progress["model"])
    resumed_optimizer = make_optimizer(recipe, resumed)
    resumed_optimizer.load_state_dict(progress["optimizer"])
    for each in ((model, optimizer), (resumed, resumed_optimizer)):
        _update(*each, batches[3:])
    for name, value in model.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
    for index, values in optimizer.state_dict()["state"].items():
        found = resumed_optimizer.state_dict()["state"][index]
        assert found.keys() == values.keys()
        assert all(torch.equal(found[key], value) for key, value in values.items())
