import copy

import pytest
import torch
from torch import nn

from pipeline import Recipe
from pipeline.optimization import make_optimizer


@pytest.mark.parametrize(("name", "reference"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_adam_in_any_layout_steps_as_torchs_plain_one(name: str, reference: type, layout: torch.memory_format) -> None:
    recipe = Recipe.load("resnet18", [f"optimizer={name}", "weight_decay=0.1"])
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.LazyLinear(2))
    images = torch.randn(5, 3, 6, 6)
    plain(images)
    ours = copy.deepcopy(plain).to(memory_format=layout)
    optimizers = [
        reference(plain.parameters(), lr=recipe.learning_rate, weight_decay=0.1, foreach=False),
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


def test_the_fused_step_is_given_channels_last_weights_without_a_copy() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3)).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(Recipe.load("resnet18"), model)
    model(torch.randn(2, 3, 6, 6)).sum().backward()
    lists: list[list[torch.Tensor]] = [[], [], [], [], [], []]
    optimizer._init_group(optimizer.param_groups[0], *lists)
    assert all(tensor.is_contiguous() for tensors in lists for tensor in tensors)
    assert lists[0][0].data_ptr() == model[0].weight.data_ptr()
