import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.paths import PROJECT
from helpers.recipes import DIGIT_RECIPES, randomise_batch_norms
from torch import nn

from pipeline import Activations, DigitTable, Predictor, Recipe, Run, UserError
from pipeline.config.recipe import load_recipe
from pipeline.inference.activations import INPUT
from pipeline.models import build


@pytest.fixture(scope="module")
def sketchpad() -> Predictor:
    """Return the predictor of the run that ships with the project."""
    return Predictor.load(PROJECT / "checkpoints" / "sketchpad")


@pytest.fixture(scope="module")
def frame(digits: DigitTable) -> np.ndarray:
    """Return a handwritten digit, uint8 (28, 28)."""
    return digits.pixels[3]


@pytest.fixture(scope="module", params=DIGIT_RECIPES)
def network(request: pytest.FixtureRequest) -> Predictor:
    """Return a predictor with a recipe's network, and random weights."""
    members = min(2, load_recipe(request.param).members)
    recipe = load_recipe(request.param, ["pretrained=null", f"members={members}"])
    assert isinstance(recipe, Recipe)
    torch.manual_seed(0)
    return Predictor(randomise_batch_norms(build(recipe)), recipe)


def hooked(model: nn.Module, compute: Callable[[], object]) -> list[np.ndarray]:
    """Return the outputs of all modules of a model while `compute` runs, as one row of values each."""
    outputs: list[np.ndarray] = []
    handles = [
        module.register_forward_hook(
            lambda _module, _inputs, output: outputs.append(output[0].clone().flatten().numpy())
        )
        for module in model.modules()
    ]
    compute()
    for handle in handles:
        handle.remove()
    return outputs


def test_every_value_equals_the_networks_own(network: Predictor, frame: np.ndarray) -> None:
    model, table = network.fused_float32, DigitTable(frame[None])
    outputs = hooked(model, lambda: network.logits(model, torch.float32, table))
    found = network.activations(frame)
    np.testing.assert_array_equal(found.logits, network.logits(model, torch.float32, table)[0])
    for layer in found.layers:
        if layer.kind not in {"concatenation", "ensemble"}:  # computed by no module
            assert any(np.array_equal(layer.values.flatten(), output) for output in outputs), layer.name


def test_a_cell_is_the_sum_of_its_terms(network: Predictor, frame: np.ndarray) -> None:
    found = network.activations(frame)
    for index, layer in enumerate(found.layers):
        channels, height, width = layer.values.shape
        place = channels // 2, height // 2, width // 3
        cell = found.cell(index, *place)
        assert cell.value == layer.values[place]
        total = sum(term.value for term in cell.terms) + cell.bias
        if layer.kind == "ensemble" or "batch norm" in dict(cell.stages):
            continue
        expected = max(total, 0) if cell.stages else total
        assert cell.value == pytest.approx(expected, rel=1e-4, abs=1e-4 * max(1, float(np.abs(layer.values).max())))


def test_a_change_outside_the_pixels_of_a_cell_does_not_change_it(sketchpad: Predictor, frame: np.ndarray) -> None:
    found = sketchpad.activations(frame)
    for index, (row, column) in ((0, (3, 20)), (1, (5, 2)), (2, (4, 4)), (3, (9, 0)), (4, (2, 3))):
        left, top, right, bottom = (round(edge) for edge in found.cell(index, 5, row, column).pixels)
        inside = np.zeros((28, 28), dtype=bool)
        inside[top:bottom, left:right] = True
        changed = sketchpad.activations(np.where(inside, frame, 255 - frame)).layers[index].values
        np.testing.assert_allclose(changed[:, row, column], found.layers[index].values[:, row, column], atol=1e-4)
        within = sketchpad.activations(np.where(inside, 255 - frame, frame)).layers[index].values
        assert not np.allclose(within[:, row, column], found.layers[index].values[:, row, column])


def test_the_first_layer_sees_the_normalised_ink(sketchpad: Predictor, frame: np.ndarray) -> None:
    found = sketchpad.activations(frame)
    (term,) = found.cell(0, 0, 10, 12).terms
    ink = (frame[10:15, 12:17] / 255 - sketchpad.recipe.mean) / sketchpad.recipe.std
    assert term.layer == INPUT
    np.testing.assert_allclose(term.patch, ink, atol=1e-6)


def test_the_logits_give_the_prediction(sketchpad: Predictor, frame: np.ndarray) -> None:
    logits = sketchpad.activations(frame).logits / sketchpad.temperature
    probabilities = np.exp(logits[:10]) / np.exp(logits[:10]).sum()
    np.testing.assert_allclose(probabilities, sketchpad.predict(frame[None]).probabilities[0], atol=0.02)


@pytest.mark.parametrize("place", [(99, 0, 0, 0), (-1, 0, 0, 0), (0, 32, 0, 0), (0, 0, 24, 0), (0, 0, 0, -1)])
def test_a_cell_that_does_not_exist_is_refused(
    sketchpad: Predictor, frame: np.ndarray, place: tuple[int, int, int, int]
) -> None:
    with pytest.raises(UserError, match=r"There is no layer|has no value"):
        sketchpad.activations(frame).cell(*place)


def test_a_network_for_parity_is_refused(parity_run: Run, frame: np.ndarray) -> None:
    with pytest.raises(UserError, match="parity"):
        Predictor.load(parity_run.folder).activations(frame)


def test_reading_builds_no_layers(tmp_path: Path, frame: np.ndarray) -> None:
    run = shutil.copytree(PROJECT / "checkpoints" / "sketchpad", tmp_path / "run")
    predictor = Predictor.load(run)
    predictor.read(255 - frame)
    assert "_layers" not in vars(predictor)
    assert isinstance(predictor.activations(frame), Activations)
