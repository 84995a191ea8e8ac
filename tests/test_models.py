import pytest
import torch

from pipeline import Recipe
from pipeline import device as devices
from pipeline.models import build


@pytest.mark.parametrize(("name", "parameters"), [("fast", 70_586), ("resnet18", 11_175_370)])
def test_a_network_maps_images_to_ten_logits_with_the_parameters_it_says(name: str, parameters: int) -> None:
    model = build(Recipe.load(name)).eval()
    assert model(torch.zeros(3, 1, 28, 28)).shape == (3, 10)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


@pytest.mark.parametrize("name", ["fast", "resnet18"])
def test_weights_begin_as_kaiming_advises(name: str) -> None:
    torch.manual_seed(0)
    for module in build(Recipe.load(name)).modules():
        if isinstance(module, torch.nn.Conv2d) and module.weight.numel() > 2000:
            fan_in = module.weight[0].numel()
            assert module.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.05)
        if isinstance(module, torch.nn.Linear):
            assert module.weight.std().item() == pytest.approx(module.in_features**-0.5, rel=0.1)
            assert not module.bias.any()


def test_the_seed_decides_the_first_weights() -> None:
    def first(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return next(build(Recipe.load("fast")).parameters())

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


def test_bfloat16_is_chosen_only_where_the_processor_multiplies_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, cpu = Recipe.load("fast"), torch.device("cpu")
    for native, chosen in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda native=native: {"avx512_bf16": native})
        assert devices.compute_dtype(recipe, cpu) is chosen
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert devices.compute_dtype(recipe, cpu) is torch.float32


def test_a_recipe_can_demand_its_precision() -> None:
    cpu = torch.device("cpu")
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        assert devices.compute_dtype(Recipe.load("fast", [f"precision={name}"]), cpu) is dtype
