"""Looking inside a network: what the page receives."""

import base64
import json
import zlib
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from helpers.page import draw_number
from helpers.recipes import DIGIT_RECIPES, randomise_batch_norms

from demo.inside import Inside, describe, titles
from demo.pictures import png_url
from demo.predictors import PredictorPool
from pipeline import Activations, DigitTable, Glyph, Predictor, Recipe, UserError
from pipeline.config.recipe import load_recipe
from pipeline.models import build


@pytest.fixture(scope="module")
def glyph(pool: PredictorPool) -> Glyph:
    """Return a digit as the network sees it."""
    return pool.read(draw_number("4"), "sketchpad").glyphs[0]


def unpack(answer: str) -> tuple[dict[str, Any], np.ndarray]:
    """Return the object and the maps of an answer."""
    content = zlib.decompress(base64.b64decode(answer))
    end = 4 + int.from_bytes(content[:4], "little")
    return json.loads(content[4:end]), np.frombuffer(content[end:], dtype=np.int8)


def test_maps_and_logits_are_the_networks_own(pool: PredictorPool, glyph: Glyph) -> None:
    described, maps = unpack(Inside(pool).inside(png_url(glyph.frame), "sketchpad", None))
    predictor = pool.predictor_of("sketchpad")
    outputs: dict[str, np.ndarray] = {}
    network = predictor.fused_float32

    def keep(name: str, output: torch.Tensor) -> None:
        outputs[name] = output[0].clone().numpy()

    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: keep(name, output))
        for name, module in network.named_modules()
    ]
    predictor.logits(network, torch.float32, DigitTable(glyph.frame[None]))
    for hook in hooks:
        hook.remove()
    start = 0
    for layer, name in zip(described["layers"], ("0", "1", "4", "7", "8", "11", "14", "17", "19"), strict=True):
        count = layer["shown"] * layer["shape"][1] * layer["shape"][2]
        shown = maps[start : start + count] * (layer["scale"] / 127)
        np.testing.assert_allclose(shown, outputs[name].flatten()[:count], atol=0.51 * layer["scale"] / 127)
        start += count
    assert start == len(maps)
    assert described["logits"] == outputs["19"].astype(float).tolist()
    assert np.argmax(described["probabilities"]) == 4
    powers = np.exp(np.array(described["logits"][:10]) / described["temperature"])
    np.testing.assert_allclose(described["probabilities"], powers / powers.sum(), atol=0.01)  # inference in bfloat16


def test_a_value_is_explained_with_the_kernel_and_the_values_under_it(pool: PredictorPool, glyph: Glyph) -> None:
    described, _ = unpack(Inside(pool).inside(png_url(glyph.frame), "sketchpad", [2, 5, 3, 4]))
    cell, found = described["cell"], pool.activations(glyph.frame, "sketchpad")[0]
    assert cell["value"] == found.layers[2].values[5, 3, 4]
    for term in cell["terms"]:
        patch, kernel = np.array(term["patch"]), np.array(term["weights"])
        np.testing.assert_array_equal(patch, found.layers[1].values[term["channel"], 3:6, 4:7])
        assert term["value"] == pytest.approx((patch * kernel).sum())
    total = sum(term["value"] for term in cell["terms"]) + cell["others"][1] + cell["bias"]
    assert max(total, 0) == pytest.approx(cell["value"], abs=1e-5)
    assert cell["others"][0] + len(cell["terms"]) == 32


@pytest.mark.parametrize("name", DIGIT_RECIPES)
def test_every_recipes_network_is_described_in_little_space(name: str, glyph: Glyph) -> None:
    recipe = load_recipe(name, ["pretrained=null"])
    assert isinstance(recipe, Recipe)
    torch.manual_seed(0)
    found = Predictor(randomise_batch_norms(build(recipe)), recipe).activations(glyph.frame)
    described, maps = describe(found, [len(found.layers) - 1, 9, 0, 0])
    assert len(json.dumps(described)) < 20_000
    assert len(maps) < 400_000
    assert all(0 < layer["shown"] <= layer["shape"][0] for layer in described["layers"])
    assert described["layers"][-1]["title"] == "Logits"


def test_layers_of_a_kind_are_numbered(pool: PredictorPool, glyph: Glyph) -> None:
    found: Activations = pool.activations(glyph.frame, "sketchpad")[0]
    assert titles(found.layers) == [
        *("Convolution 1", "Pooling 1", "Convolution 2", "Convolution 3", "Pooling 2", "Convolution 4"),
        *("Convolution 5", "Pooling 3", "Logits"),
    ]


@pytest.mark.parametrize(
    ("side", "run", "place", "message"),
    [
        (27, "sketchpad", None, "Only digits of 28x28 pixels"),
        (28, "nowhere", None, "no longer exists"),
        (28, "sketchpad", [0, 99, 0, 0], "has no value"),
        (28, "sketchpad", [1, 2], "its layer, channel, row and column"),
    ],
)
def test_what_cannot_be_shown_is_answered_with_a_reason(
    pool: PredictorPool, side: int, run: str, place: list[int] | None, message: str
) -> None:
    described, maps = unpack(Inside(pool).inside(png_url(np.zeros((side, side), dtype=np.uint8)), run, place))
    assert message in described["error"]
    assert not len(maps)


def test_the_page_answers_and_refuses_values_of_other_types(client: httpx.Client, glyph: Glyph) -> None:
    def ask(*values: object) -> httpx.Response:
        return client.post("/gradio_api/run/inside", json={"data": list(values)})

    answer = ask(png_url(glyph.frame), "sketchpad", None)
    assert answer.status_code == 200
    assert len(answer.content) < 40_000
    assert len(unpack(answer.json()["data"][0])[0]["layers"]) == 9
    assert ask("file.png", "sketchpad", None).status_code == 422
    assert ask(png_url(glyph.frame), "sketchpad", ["a"]).status_code == 422


def test_a_place_with_another_number_of_values_is_refused(pool: PredictorPool, glyph: Glyph) -> None:
    with pytest.raises(UserError, match="its layer"):
        describe(pool.activations(glyph.frame, "sketchpad")[0], [1])
