import math
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline import DigitTable, Predictor, Recipe, Run, Source, UserError, train
from pipeline.models.line import LineNetwork
from pipeline.sources.lines import material
from pipeline.sources.lines.numbers import make_numbers
from pipeline.sources.lines.shapes import Shape, make_shapes
from pipeline.training import line
from pipeline.training.line import calibrate_line, line_loss, train_line_network

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small batches and few shapes."""
    monkeypatch.setattr(line, "BATCH_SIZE", 16)
    monkeypatch.setattr(line, "CALIBRATION_BATCHES", 2)
    monkeypatch.setattr(material, "MAX_ROWS", 100)
    monkeypatch.setattr(material, "SIGNS", 20)


@pytest.fixture(scope="module")
def shapes(digits: DigitTable) -> list[Shape]:
    return make_shapes(digits.select(np.arange(100)), np.empty((0, 28, 28), np.uint8), seed=0)


def mean_loss(model: LineNetwork, shapes: list[Shape]) -> float:
    with torch.inference_mode():
        batches = islice(make_numbers(shapes, 16, seed=9), 4)
        return float(np.mean([line_loss(model(batch.lines), batch.symbols).item() for batch in batches]))


def test_a_short_training_reduces_the_loss_and_is_reproducible(shapes: list[Shape]) -> None:
    first, again, longer = (train_line_network(shapes, updates, 0, CPU, torch.float32) for updates in (2, 2, 25))
    assert mean_loss(longer, shapes) < 0.8 * mean_loss(first, shapes)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))


def test_the_loss_is_in_nats_per_symbol() -> None:
    logits = torch.zeros(2, 1, 12)  # two frames; the paths of [5] are "5 blank", "blank 5" and "5 5"
    assert line_loss(logits, [[5]]).item() == pytest.approx(-math.log(3 / 144))


def test_a_network_that_is_sure_and_wrong_gets_a_high_temperature(shapes: list[Shape]) -> None:
    batches = list(islice(make_numbers(shapes, 16, seed=1), 2))
    model = LineNetwork().eval()
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.zero_()
        model.head.bias[1] = 20
    temperature, accuracy = calibrate_line(model, batches, CPU)
    assert temperature > 4
    assert accuracy < 0.1


def test_a_recipe_with_line_updates_gives_a_run_that_reads_lines(tmp_path: Path, practice: Source) -> None:
    recipe = Recipe.load("fast", ["epochs=1", "minimum_updates=0", "line_updates=10"])  # one update of warm-up
    run = train(recipe, practice, str(tmp_path / "both"), quiet=True)
    assert run.line_path.exists() and run.card.finished
    reader = Predictor.load(run).lines
    assert reader is not None
    assert reader.temperature == Run(run.folder).card.line_temperature
    assert len(reader.read([[np.zeros((28, 40), np.uint8)]])) == 1


def test_the_line_network_does_not_change_the_rest_of_a_run(tmp_path: Path, practice: Source) -> None:
    settings = ["epochs=1", "minimum_updates=0"]
    without, both = (
        train(Recipe.load("fast", [*settings, f"line_updates={updates}"]), practice, str(tmp_path / name), quiet=True)
        for name, updates in (("without", 0), ("both", 2))
    )
    assert without.model_path.read_bytes() == both.model_path.read_bytes()
    assert without.card.temperature == both.card.temperature
    assert Predictor.load(without).lines is None


def test_damaged_and_foreign_weights_are_errors(tmp_path: Path, run: Run) -> None:
    (tmp_path / "copy").mkdir()
    for path in run.folder.glob("*.*"):
        if path.is_file():
            (tmp_path / "copy" / path.name).write_bytes(path.read_bytes())
    copy = Run(tmp_path / "copy")
    copy.save_line(copy.load_model())
    with pytest.raises(UserError, match="not the weights of a line network"):
        Predictor.load(copy)
    copy.line_path.write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"line\.safetensors"):
        Predictor.load(copy)


def test_an_ensemble_has_no_line_network() -> None:
    with pytest.raises(UserError, match="an ensemble has no network for touching digits"):
        Recipe.load("fast", ["members=2", "validation_fraction=0", "line_updates=10"])
