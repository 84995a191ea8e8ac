from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torchvision

from pipeline import Recipe, Source, UserError, train
from pipeline.config.choices import ARCHITECTURES
from pipeline.models import build
from pipeline.training.pretrained import load_pretrained
from pipeline.utils.device import compute_dtype

PARAMETERS = {
    "linear": 7_850,
    "fast": 70_586,
    "best": 10 * 1_111_754,
    "sketch": 279_531,
    "resnet18": 11_175_370,
    "resnet18-imagenet": 11_175_370,
    "resnet18-plateau": 11_175_370,
    "resnet50": 23_522_250,
    "vgg16": 15_243_978,
    "branch-cnn": 25_927_246,
    "light-cnn": 1_199_882,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_network_returns_logits_and_has_the_documented_number_of_parameters(name: str) -> None:
    recipe = Recipe.load(name)
    model = build(recipe).eval()
    assert model(torch.zeros(3, 1, recipe.image_size, recipe.image_size)).shape == (3, recipe.classes)
    assert recipe.classes == (11 if name == "sketch" else 10)
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[name]


def test_light_cnn_has_the_documented_parameters_per_layer() -> None:
    layers = [sum(p.numel() for p in layer.parameters()) for layer in build(Recipe.load("light-cnn")).children()]
    assert [count for count in layers if count] == [320, 18_496, 1_179_776, 1_290]


def test_fast_without_batch_norm_has_a_bias_in_each_convolution() -> None:
    layers = list(build(Recipe.load("fast", ["batch_norm=false"])).modules())
    convolutions = [layer for layer in layers if isinstance(layer, torch.nn.Conv2d)]
    assert len(convolutions) == 5 and all(layer.bias is not None for layer in convolutions)
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in layers)


def test_branch_cnn_concatenates_its_branches_to_512_channels_of_7x7() -> None:
    model = build(Recipe.load("branch-cnn"))
    features = model.stem(torch.zeros(2, 1, 28, 28))  # type: ignore[operator]
    assert features.shape == (2, 32, 28, 28)
    assert [branch(features).shape for branch in model.branches] == [(2, 256, 7, 7)] * 2  # type: ignore[union-attr]
    assert [layer.out_features for layer in model.head if hasattr(layer, "out_features")] == [1000, 500, 10]  # type: ignore[union-attr]


@pytest.mark.parametrize(("name", "rates"), [("light-cnn", [0.25, 0.5]), ("branch-cnn", [0.5, 0.5])])
def test_dropout_follows_the_recipe(name: str, rates: list[float]) -> None:
    def dropouts(recipe: Recipe) -> list[float]:
        return [module.p for module in build(recipe).modules() if isinstance(module, torch.nn.Dropout)]

    assert dropouts(Recipe.load(name)) == rates
    assert dropouts(Recipe.load(name, ["dropout=0.1"]))[-1] == 0.1


@pytest.mark.parametrize("name", ["linear", "fast", "resnet18", "resnet50", "vgg16", "branch-cnn", "light-cnn"])
def test_a_network_accepts_its_documented_image_sizes(name: str) -> None:
    sizes = ARCHITECTURES[name].sizes
    for size in (sizes[0], min(sizes[-1], sizes[0] + 40)):
        model = build(Recipe.load(name, [f"image_size={size}"])).eval()
        assert model(torch.zeros(1, 1, size, size)).shape == (1, 10)


@pytest.mark.parametrize(("name", "size"), [("vgg16", 7), ("vgg16", 31), ("light-cnn", 5), ("fast", 26), ("fast", 39)])
def test_an_unsupported_image_size_is_rejected(name: str, size: int) -> None:
    with pytest.raises(
        UserError, match=rf"image_size: {size} is not valid: {name} accepts sizes from \d+ to \d+ pixels"
    ):
        Recipe.load(name, [f"image_size={size}"])


@pytest.mark.parametrize("name", ["fast", "resnet18", "resnet50", "vgg16"])
def test_weights_have_kaiming_initialisation(name: str) -> None:
    torch.manual_seed(0)
    for module in build(Recipe.load(name)).modules():
        if isinstance(module, torch.nn.Conv2d) and module.weight.numel() > 2000:
            fan_in = module.weight[0].numel()
            assert module.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.05)
        if isinstance(module, torch.nn.Linear):
            assert module.weight.std().item() == pytest.approx(module.in_features**-0.5, rel=0.1)
            assert not module.bias.any()


@pytest.mark.parametrize("name", ["resnet18", "vgg16"])
def test_pretrained_features_of_a_grey_image_equal_the_originals_of_rgb(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    original = torchvision.models.get_model(name).eval()
    weights = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"]
    cached = tmp_path / "checkpoints" / Path(weights.url).name
    cached.parent.mkdir()
    torch.save(original.state_dict(), cached)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    recipe = Recipe.load("resnet18-imagenet", [f"model={name}"])
    ours = build(recipe).eval()
    head = next(reversed(ours.state_dict().values())).clone()
    load_pretrained(ours, recipe)
    grey = torch.randn(2, 1, 64, 64)
    three = grey.expand(-1, 3, -1, -1)
    if name == "vgg16":
        assert torch.allclose(ours.features(grey), original.features(three), atol=1e-3)  # type: ignore[operator]
    else:
        assert torch.allclose(ours.conv1(grey), original.conv1(three), atol=1e-4)  # type: ignore[operator]
        assert torch.equal(ours.layer4[1].conv2.weight, original.layer4[1].conv2.weight)  # type: ignore[index,union-attr]
    assert torch.equal(next(reversed(ours.state_dict().values())), head)


def test_a_failed_download_of_pretrained_weights_names_the_remedies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, practice: Source
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "urlopen", refuse)
    with pytest.raises(
        UserError, match=r"cannot download the weights from .* \(.*no route to host.*--set pretrained=null"
    ):
        train(Recipe.load("resnet18-imagenet"), practice, str(tmp_path / "run"), quiet=True)
    assert not (tmp_path / "run" / "recipe.yaml").exists()


def test_the_seed_determines_the_initial_weights() -> None:
    def first(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return next(build(Recipe.load("fast")).parameters())

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


def test_bfloat16_is_used_only_if_the_cpu_supports_it(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, cpu = Recipe.load("fast"), torch.device("cpu")
    for native, chosen in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda native=native: {"avx512_bf16": native})
        assert compute_dtype(recipe.precision, cpu) is chosen
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert compute_dtype(recipe.precision, cpu) is torch.float32


def test_a_recipe_can_set_its_precision() -> None:
    cpu = torch.device("cpu")
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        assert compute_dtype(name, cpu) is dtype
