"""State dicts of other programs become runs."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.commands import Outcome
from torch import Tensor, nn
from torch.nn.functional import log_softmax, max_pool2d, relu
from torchvision.models import resnet18

from pipeline import DigitTable, Predictor, Recipe, Run, Source, UserError, evaluate
from pipeline.data.loader import normalise, to_ink
from pipeline.export.import_weights import import_weights, load_import_recipe
from pipeline.kaggle.solution import count_leaks


class LightNet(nn.Module):
    """The network of PyTorch's MNIST example, with its names."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3)
        self.fc1, self.fc2 = nn.Linear(9216, 128), nn.Linear(128, 10)

    def forward(self, images: Tensor) -> Tensor:
        maps = max_pool2d(relu(self.conv2(relu(self.conv1(images)))), 2)
        return log_softmax(self.fc2(relu(self.fc1(maps.flatten(1)))), dim=1)


class TwoBranches(nn.Module):
    """Two branches whose layers are declared pairwise."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1)
        self.conv2_1, self.conv2_2 = nn.Conv2d(32, 64, 3, padding=1), nn.Conv2d(32, 64, 3, padding=1)
        self.conv3_1, self.conv3_2 = nn.Conv2d(64, 256, 3, padding=1), nn.Conv2d(64, 256, 3, padding=1)
        self.fc1, self.fc2, self.fc3 = nn.Linear(7 * 7 * 512, 1000), nn.Linear(1000, 500), nn.Linear(500, 10)

    def forward(self, images: Tensor) -> Tensor:
        stem = relu(self.conv1(images))
        pairs = ((self.conv2_1, self.conv3_1), (self.conv2_2, self.conv3_2))
        branches = [max_pool2d(relu(second(max_pool2d(relu(first(stem)), 2))), 2) for first, second in pairs]
        return self.fc3(relu(self.fc2(relu(self.fc1(torch.cat(branches, dim=1).flatten(1))))))


def one_channel_resnet() -> nn.Module:
    model = resnet18(num_classes=10)
    model.conv1 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    return model


def wrapped_resnet() -> nn.Module:
    return nn.DataParallel(one_channel_resnet())


@pytest.mark.parametrize(
    ("recipe_name", "make", "store"),
    [
        ("light-cnn", LightNet, lambda weights: weights),
        ("branch-cnn", TwoBranches, lambda weights: weights),
        ("resnet18", one_channel_resnet, lambda weights: weights),
        ("resnet18", wrapped_resnet, lambda weights: {"epoch": 3, "model_state_dict": weights, "best": {"loss": 0.1}}),
    ],
)
def test_a_run_predicts_as_the_network_that_was_saved(
    recipe_name: str,
    make: Callable[[], nn.Module],
    store: Callable[[object], object],
    practice: Source,
    digits: DigitTable,
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    network = make().eval()
    torch.save(store(network.state_dict()), tmp_path / "model.pth")
    recipe = load_import_recipe(recipe_name, ["precision=float32"])
    run = import_weights(tmp_path / "model.pth", recipe, practice, str(tmp_path / "run"))
    pixels = digits.pixels[:20]
    with torch.inference_mode():
        expected = network(normalise(to_ink(torch.from_numpy(pixels.copy())), recipe)).softmax(1).numpy()
    assert np.abs(Predictor.load(run.folder).predict(pixels).probabilities - expected).max() < 1e-5


@pytest.mark.parametrize(
    ("name", "overrides", "size"),
    [
        ("resnet18-plateau", [], 28),
        ("resnet18", ["image_size=64"], 64),
        ("vgg16", [], 32),
        ("fast", [], 28),
    ],
)
def test_weights_that_fit_any_size_are_given_images_of_mnists_size(name: str, overrides: list[str], size: int) -> None:
    assert load_import_recipe(name, overrides).image_size == size


def test_a_recipe_of_ones_own_decides_the_size(tmp_path: Path) -> None:
    Recipe.load("resnet18", ["image_size=64"]).save(tmp_path / "mine.yaml")
    assert load_import_recipe(str(tmp_path / "mine.yaml"), []).image_size == 64


def test_the_accuracy_on_the_weights_own_data_is_shown_and_a_low_one_names_its_causes(
    run: Run, practice: Source, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    torch.save(run.load_model(), tmp_path / "model.pth")
    recipe = Recipe.load(run.recipe_path)
    import_weights(tmp_path / "model.pth", recipe, practice, str(tmp_path / "right"))
    assert re.search(r"On rows of this data: (9\d|100)\.\d\d% \(.* of 1,000 right\)", caplog.text)
    assert "That is little" not in caplog.text
    wrong = recipe.model_copy(update={"mean": -0.8, "std": 0.02})
    import_weights(tmp_path / "model.pth", wrong, practice, str(tmp_path / "wrong"))
    assert "That is little: mean, std and image_size must be those of the weights' training" in caplog.text


def test_the_card_says_what_the_weights_were_trained_on(practice: Source, digits: DigitTable, tmp_path: Path) -> None:
    torch.save(LightNet().state_dict(), tmp_path / "model.pth")
    run = import_weights(tmp_path / "model.pth", Recipe.load("light-cnn"), practice, str(tmp_path / "run"))
    card = Run.open(run.folder).card
    assert (card.source, card.train_rows, card.validation_rows, card.finished) == ("practice", 1297, 0, True)
    with pytest.raises(UserError, match=r"was trained on 5 of the 5 test images"):
        count_leaks(run, digits.select(np.arange(5)), allowed=False)


def test_an_imported_run_is_evaluated_without_a_history(
    practice: Source, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.save(LightNet().state_dict(), tmp_path / "model.pth")
    run = import_weights(tmp_path / "model.pth", Recipe.load("light-cnn"), practice, str(tmp_path / "run"))
    evaluate(run, practice.read_test(), "test.csv")
    assert [record.levelname for record in caplog.records if record.levelname == "WARNING"] == []
    assert (run.folder / "figures" / "overall.png").exists()
    assert not (run.folder / "figures" / "history.png").exists()


def test_code_in_a_file_is_never_run(practice: Source, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "sprung",)

    for name, content in (("trap.pth", {"weight": Trap()}), ("model.pth", LightNet())):
        torch.save(content, tmp_path / name)
        with pytest.raises(UserError, match=rf"{name}: contains more than tensors") as refusal:
            import_weights(tmp_path / name, Recipe.load("light-cnn"), practice, str(tmp_path / "run"))
        assert "\n" not in str(refusal.value)
    assert not (tmp_path / "sprung").exists()
    assert not (tmp_path / "run").exists()


def test_the_command_imports_or_says_in_one_line_why_not(command: Callable[..., Outcome], tmp_path: Path) -> None:
    torch.save(LightNet().state_dict(), tmp_path / "model.pth")
    torch.save([1, 2], tmp_path / "list.pt")
    (tmp_path / "text.pt").write_text("no weights")
    common = ("--source", "practice", "--run", "mine")
    for arguments, message in (
        (("branch-cnn", "model.pth"), "model.pth: does not fit the network of branch-cnn (the network has"),
        (("light-cnn", "list.pt"), "list.pt: contains no state dict; write one with torch.save("),
        (("light-cnn", "text.pt"), "text.pt: cannot be read as a file of torch.save"),
        (("light-cnn", "absent.pt"), "absent.pt: cannot be read as a file of torch.save"),
        (("light-cnn", "model.pth", "--set", "hidden_size=64"), "of shape 64 x 9216); give the recipe of its arch"),
    ):
        ended = command("import", *arguments, *common)
        assert (ended.status, ended.err.count("\n")) == (2, 1)
        assert message in ended.err
        assert not (tmp_path / "checkpoints").exists()
    ended = command("import", "light-cnn", "model.pth", *common)
    assert (ended.status, ended.err) == (0, "")
    assert "Run: checkpoints/mine" in ended.out
    assert (tmp_path / "checkpoints" / "mine" / "model.safetensors").exists()
