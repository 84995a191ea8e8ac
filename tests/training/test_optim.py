import copy
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.paths import PROJECT
from torch import nn

from pipeline import Recipe
from pipeline.config.choices import SCHEDULERS
from pipeline.training.optim.factory import DENORMAL_LIMIT, flush_denormals, make_optimizer, make_scheduler


@pytest.mark.parametrize(
    ("name", "reference", "arguments"),
    [
        ("adam", torch.optim.Adam, {}),
        ("adamw", torch.optim.AdamW, {}),
        ("sgd", torch.optim.SGD, {"momentum": 0.9}),
        ("rmsprop", torch.optim.RMSprop, {"momentum": 0.9}),
    ],
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_every_optimizer_matches_torchs_own_in_any_memory_layout(
    name: str, reference: type, arguments: dict[str, float], layout: torch.memory_format
) -> None:
    recipe = Recipe.load("resnet18", [f"optimizer={name}", "weight_decay=0.1"])
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.LazyLinear(2))
    images = torch.randn(5, 3, 6, 6)
    plain(images)
    ours = copy.deepcopy(plain).to(memory_format=layout)
    optimizers = [
        reference(plain.parameters(), lr=recipe.learning_rate, weight_decay=0.1, foreach=False, **arguments),
        make_optimizer(recipe, ours),
    ]
    for _ in range(3):
        for model, optimizer in zip((plain, ours), optimizers, strict=True):
            optimizer.zero_grad()
            model(images).square().sum().backward()
            optimizer.step()
    for expected, found in zip(plain.parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(found, expected)
    assert ours[0].weight.is_contiguous(memory_format=layout)


def test_fused_adam_gets_channels_last_weights_without_a_copy() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3)).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(Recipe.load("resnet18"), model)
    model(torch.randn(2, 3, 6, 6)).sum().backward()
    lists: list[list[torch.Tensor]] = [[], [], [], [], [], []]
    optimizer._init_group(optimizer.param_groups[0], *lists)
    assert all(tensor.is_contiguous() for tensors in lists for tensor in tensors)
    assert lists[0][0].data_ptr() == model[0].weight.data_ptr()


def rates(settings: list[str], losses: list[float] | None = None) -> list[float]:
    """Return the learning rate at the start of ten epochs with ten updates each."""
    recipe = Recipe.load("fast", ["epochs=10", "learning_rate=1", "optimizer=sgd", *settings])
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=recipe.learning_rate)
    scheduler = make_scheduler(recipe, optimizer, updates_per_epoch=10)
    found = []
    for epoch in range(10):
        found.append(optimizer.param_groups[0]["lr"])
        for _ in range(10):
            optimizer.step()
            if SCHEDULERS[recipe.scheduler].per_update:
                scheduler.step()
        if losses:
            scheduler.step(losses[epoch])
        elif not SCHEDULERS[recipe.scheduler].per_update:
            scheduler.step()
    return found


def test_without_a_scheduler_the_learning_rate_is_constant() -> None:
    assert rates(["scheduler=none"]) == [1.0] * 10


def test_step_decays_every_step_size_epochs_and_exponential_every_epoch() -> None:
    assert rates(["scheduler=step", "step_size=4", "gamma=0.5"]) == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25]
    assert rates(["scheduler=exponential", "gamma=0.5"]) == [0.5**epoch for epoch in range(10)]


def test_cosine_decays_from_the_learning_rate_to_zero() -> None:
    expected = [(1 + math.cos(math.pi * epoch / 10)) / 2 for epoch in range(10)]
    assert rates(["scheduler=cosine"]) == pytest.approx(expected)


def test_plateau_decays_if_the_validation_loss_stagnates_beyond_its_patience() -> None:
    losses = [5.0, 4, 4, 4, 4, 3, 3, 3, 2, 2]
    settings = ["scheduler=plateau", "gamma=0.1", "scheduler_patience=1"]
    found = rates(settings, losses)
    assert found == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01])


def test_plateau_decays_if_the_validation_loss_decreases_by_less_than_its_threshold() -> None:
    losses = [5.0, 4, 3.9, 3.8, 3.5, 3.4, 3, 2, 1, 1]
    settings = ["scheduler=plateau", "gamma=0.1", "scheduler_patience=0", "scheduler_threshold=0.1"]
    found = rates(settings, losses)
    # 3.9 and 3.8 are within a tenth of 4, and 3.4 within a tenth of 3.5.
    assert found == pytest.approx([1, 1, 1, 0.1, 0.01, 0.01, 0.001, 0.001, 0.001, 0.001])


def test_one_cycle_rises_and_falls() -> None:
    found = rates(["scheduler=one-cycle", "warmup=0.3"])
    assert found.index(max(found)) == 3
    assert found[0] < 0.1
    assert found[-1] < 0.2


@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop", "muon"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_only_denormal_numbers_are_flushed(name: str, layout: torch.memory_format) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(64, 2)).to(memory_format=layout)
    optimizer = make_optimizer(Recipe.load("fast", [f"optimizer={name}"]), model)
    model(torch.randn(5, 3, 6, 6)).square().sum().backward()
    optimizer.step()
    tensors = [*model.parameters()]
    tensors += [value for parameter in tensors for value in optimizer.state[parameter].values() if value.ndim]
    with torch.no_grad():
        for tensor in tensors:
            tensor[0] = DENORMAL_LIMIT / 2
    before = [tensor.clone() for tensor in tensors]
    flush_denormals(optimizer)
    assert len(tensors) > 4
    for tensor, old in zip(tensors, before, strict=True):
        assert torch.equal(tensor, torch.where(old.abs() < DENORMAL_LIMIT, 0, old))
        assert not tensor[0].any()


def test_a_training_with_muon_does_not_import_torchs_compiler(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from pipeline import Recipe, find_source, train
brief = Recipe.load("fast", ["epochs=1", "minimum_updates=0"])
train(brief, find_source("practice", Path("data")))
assert "torch._dynamo" not in sys.modules
"""
    environment = {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True, stdout=subprocess.DEVNULL)
