import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from helpers.commands import Outcome
from helpers.recipes import randomise_batch_norms
from safetensors import safe_open
from safetensors.torch import load_file

from pipeline import Card, DigitTable, Predictor, Recipe, Run, UserError
from pipeline.data.loader import normalise, to_ink
from pipeline.export.formats import export
from pipeline.metrics.calibration import softmax
from pipeline.metrics.interval import format_accuracy
from pipeline.models import build

TEMPERATURE = 0.7
NETWORKS = {
    "fast": ["fast"],
    "fast-27": ["fast", "image_size=27"],
    "fast-plain": ["fast", "batch_norm=false"],
    "linear": ["linear"],
    "light-cnn": ["light-cnn"],
    "branch-cnn": ["branch-cnn"],
    "vgg16": ["vgg16"],
    "resnet18": ["resnet18", "image_size=28"],
    "resnet18-32": ["resnet18", "image_size=32"],
    "resnet50": ["resnet50", "image_size=28"],
    "fast-ensemble": ["fast", "validation_fraction=0", "members=2", "width=2", "stem_stride=1", "outliers=10"],
    "fast-outliers": ["fast", "outliers=10"],
    "resnet18-outliers": ["resnet18", "image_size=28", "outliers=10"],
    "resnet18-ensemble": ["resnet18", "image_size=28", "validation_fraction=0", "patience=null", "members=2"],
}
WITH_OUTLIERS = ("fast-ensemble", "fast-outliers", "resnet18-outliers")
"""The networks that were trained on non-digits too."""
BUILT_IN = {"resnet18", "resnet50"}
"""The networks that Transformers has a class for; exports of the others contain custom code."""
LOADER_PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np, torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModel, AutoModelForImageClassification, pipeline

pixels, found = np.load("pixels.npy"), {}
pictures = [Image.fromarray(image) for image in pixels]
for folder in map(Path, sys.argv[1:]):
    code = {"trust_remote_code": True} if (folder / "modeling_digits.py").exists() else {}
    processor = AutoImageProcessor.from_pretrained(folder)
    model = AutoModelForImageClassification.from_pretrained(folder, **code).eval()
    with torch.inference_mode():
        halves = pictures[:100], pictures[100:]
        batches = [processor(half, return_tensors="pt") for half in halves]
        np.save(f"{folder.name}.npy", np.concatenate([model(**batch).logits.numpy() for batch in batches]))
        if code:
            processor = AutoImageProcessor.from_pretrained(folder, **code)
            output = AutoModel.from_pretrained(folder, **code).eval()(**processor(list(pixels), return_tensors="pt"))
            forms = [pixels[0], pixels[0] / 255, torch.from_numpy(pixels[0].copy()), pictures[0]]
            one, *others = [processor(form, return_tensors="pt")["pixel_values"] for form in forms]
            assert one.shape == (1, 3, 28, 28) and all(torch.equal(one, other) for other in others)
            assert (output.ood_score is None) == (model.config.ood_threshold is None)
            if output.ood_score is not None:
                rejected = output.ood_score > model.config.ood_threshold
                np.savez(f"{folder.name}.npz", ood_score=output.ood_score.numpy(), rejected=rejected.numpy())
    classify = pipeline("image-classification", model=str(folder), **code)
    assert pictures[0].mode == "L"
    found[folder.name] = {"code": bool(code), "answer": classify(pictures[0])[0], "class": type(model).__name__}
assert not any(name.split(".")[0] == "pipeline" for name in sys.modules)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def pixels(digits: DigitTable) -> np.ndarray:
    """Return 100 real digits and 100 images of noise."""
    noise = np.random.default_rng(0).integers(0, 256, (100, 28, 28), dtype=np.uint8)
    return np.concatenate([digits.pixels[:100], noise])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Return a run of every network with distinct weights and a temperature, as after training."""
    folder = tmp_path_factory.mktemp("runs")
    for name, (recipe_name, *settings) in NETWORKS.items():
        recipe = Recipe.load(recipe_name, [*settings, "precision=float32"])
        card = Card(
            recipe=recipe_name,
            source="practice",
            fingerprint="0",
            train_rows=1167,
            validation_rows=130,
            seed=0,
            parameters=0,
            device="cpu",
            precision="float32",
            versions={},
            commit=None,
            started="2026-11-21T12:00:00Z",
            temperature=TEMPERATURE,
            digit_threshold=0.9,
            scores={"validation_accuracy": 0.9},
        )
        run = Run(folder / name)
        run.save_model(randomise_batch_norms(build(recipe)).state_dict())
        run.save_card(card)
        recipe.save(run.recipe_path)
    return {name: Run(folder / name) for name in NETWORKS}


def logits(run: Run, pixels: np.ndarray) -> np.ndarray:
    """Return the calibrated logits of the digits, of a run's original network."""
    recipe = run.require_digits()
    model = build(recipe).eval()
    model.load_state_dict(run.load_model())
    with torch.inference_mode():
        batches = torch.from_numpy(pixels.copy()).split(100)
        return torch.cat([model(normalise(to_ink(batch), recipe)) for batch in batches]).numpy()[:, :10] / TEMPERATURE


@pytest.fixture(scope="module")
def loaded(
    runs: dict[str, Run], pixels: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, dict[str, object]]]:
    """Export every network for Transformers; load and run the exports in a process that cannot import the project."""
    folder = tmp_path_factory.mktemp("loaded")
    np.save(folder / "pixels.npy", pixels)
    for name, run in runs.items():
        export(run, "transformers", folder / name)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "home")}
    ended = subprocess.run(
        [sys.executable, "-I", "-c", LOADER_PROGRAM, *(str(folder / name) for name in runs)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return folder, json.loads(ended.stdout)


@pytest.mark.parametrize("name", NETWORKS)
def test_transformers_gives_our_logits_without_the_project(
    name: str, runs: dict[str, Run], pixels: np.ndarray, loaded: tuple[Path, dict[str, dict[str, object]]]
) -> None:
    folder, found = loaded
    expected = logits(runs[name], pixels)
    assert expected.std() > 0.01
    assert np.abs(np.load(folder / f"{name}.npy") - expected).max() < 1e-4
    assert found[name]["code"] is (name not in BUILT_IN)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_softmax_of_transformers_logits_is_predictors_probabilities(
    name: str, runs: dict[str, Run], pixels: np.ndarray, loaded: tuple[Path, dict[str, dict[str, object]]]
) -> None:
    found = softmax(np.load(loaded[0] / f"{name}.npy"))
    assert np.abs(found - Predictor.load(runs[name].folder).predict(pixels).probabilities).max() < 1e-4


@pytest.mark.parametrize("name", WITH_OUTLIERS)
def test_transformers_rejects_what_predictor_rejects(
    name: str, runs: dict[str, Run], pixels: np.ndarray, loaded: tuple[Path, dict[str, dict[str, object]]]
) -> None:
    found = np.load(loaded[0] / f"{name}.npz")
    predictions = Predictor.load(runs[name].folder).predict(pixels)
    assert predictions.p_digit is not None
    assert np.abs(found["ood_score"] - (1 - predictions.p_digit)).max() < 1e-4
    assert (found["rejected"] == ~predictions.is_digit).mean() > 0.99


@pytest.mark.parametrize("name", NETWORKS)
def test_a_transformers_pipeline_predicts_the_same_digit(
    name: str, runs: dict[str, Run], pixels: np.ndarray, loaded: tuple[Path, dict[str, dict[str, object]]]
) -> None:
    answer = loaded[1][name]["answer"]
    predictions = Predictor.load(runs[name].folder).predict(pixels[:1])
    assert answer["label"] == str(predictions.known_digits[0])  # type: ignore[index]
    assert answer["score"] == pytest.approx(predictions.confidence[0], abs=0.02)  # type: ignore[index]


@pytest.mark.parametrize(
    "name", ["fast", "fast-27", "fast-plain", "linear", "light-cnn", "branch-cnn", "vgg16", "resnet18"]
)
def test_onnx_gives_our_logits_for_any_number_of_images(
    name: str, runs: dict[str, Run], pixels: np.ndarray, tmp_path: Path
) -> None:
    export(runs[name], "onnx", tmp_path / "model.onnx")
    onnx.checker.check_model(str(tmp_path / "model.onnx"))
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    expected = logits(runs[name], pixels)
    for rows in (1, 3, 200):
        (found,) = session.run(["logits"], {"pixels": pixels[:rows]})
        assert found.shape == (rows, 10)
        assert np.abs(found - expected[:rows]).max() < 1e-4
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == [str(digit) for digit in range(10)]
    assert onnx.load(tmp_path / "model.onnx").ir_version <= 9, "onnxruntime 1.17 opens it"
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("name", ["fast", *WITH_OUTLIERS])
def test_onnx_gives_predictors_probabilities_and_rejections(
    name: str, runs: dict[str, Run], pixels: np.ndarray, tmp_path: Path
) -> None:
    export(runs[name], "onnx", tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    found = dict(zip([each.name for each in session.get_outputs()], session.run(None, {"pixels": pixels}), strict=True))
    predictions = Predictor.load(runs[name].folder).predict(pixels)
    assert np.abs(softmax(found["logits"]) - predictions.probabilities).max() < 1e-4
    metadata = session.get_modelmeta().custom_metadata_map
    if name not in WITH_OUTLIERS:
        assert found.keys() == {"logits"}
        assert not {"ood_score", "ood_threshold"} & set(metadata)
        return
    assert predictions.p_digit is not None
    assert np.abs(found["ood_score"] - (1 - predictions.p_digit)).max() < 1e-4
    rejected = found["ood_score"] > float(metadata["ood_threshold"])
    assert (rejected == ~predictions.is_digit).mean() > 0.99


def test_safetensors_contain_the_weights_and_their_metadata(runs: dict[str, Run], tmp_path: Path) -> None:
    export(runs["fast"], "safetensors", tmp_path / "fast.safetensors")
    weights = load_file(tmp_path / "fast.safetensors")
    kept = runs["fast"].load_model()
    assert weights.keys() == kept.keys()
    assert all(torch.equal(weights[name], kept[name]) for name in kept)
    with safe_open(tmp_path / "fast.safetensors", "pt") as file:
        metadata = file.metadata()
    assert Recipe.model_validate_json(metadata["recipe"]) == runs["fast"].recipe
    assert float(metadata["temperature"]) == TEMPERATURE
    assert json.loads(metadata["classes"]) == [str(digit) for digit in range(10)]


def test_safetensors_name_the_class_of_non_digits_apart_from_the_digits(runs: dict[str, Run], tmp_path: Path) -> None:
    export(runs["fast-outliers"], "safetensors", tmp_path / "fast.safetensors")
    with safe_open(tmp_path / "fast.safetensors", "pt") as file:
        metadata = file.metadata()
    assert json.loads(metadata["classes"]) == [str(digit) for digit in range(10)]
    assert metadata["ood_class"] == "10"
    assert float(metadata["ood_threshold"]) == pytest.approx(0.1)


def test_an_array_out_of_range_is_refused_by_the_image_processor() -> None:
    from pipeline.models.modeling_digits import DigitImageProcessor

    with pytest.raises(ValueError, match="values from 0 to 200: give integers 0 to 255 or floats 0 to 1"):
        DigitImageProcessor()(np.linspace(0, 200, 784).reshape(28, 28))


def test_the_model_card_gives_the_accuracy_and_mentions_custom_code(runs: dict[str, Run], tmp_path: Path) -> None:
    for name, trusted in (("fast", True), ("resnet18", False)):
        export(runs[name], "transformers", tmp_path / name)
        card = (tmp_path / name / "README.md").read_text()
        assert card.startswith("---\nlibrary_name: transformers\npipeline_tag: image-classification\n")
        assert f"- Validation accuracy: {format_accuracy(117, 130)}\n" in card
        assert ("trust_remote_code=True" in card) is trusted
    code = (tmp_path / "fast" / "fast.py").read_text() + (tmp_path / "fast" / "modeling_digits.py").read_text()
    imported = {line.split()[1].split(".")[0] for line in code.splitlines() if line.startswith(("import ", "from "))}
    own = ""  # a relative import
    assert imported == {"dataclasses", "typing", "numpy", "PIL", "torch", "transformers", own}


def test_an_export_replaces_only_an_earlier_export(runs: dict[str, Run], tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(runs["resnet18"], "transformers", out)
    export(runs["fast"], "transformers", out)
    assert {path.name for path in out.iterdir()} == {
        "README.md",
        "config.json",
        "ensemble.py",
        "fast.py",
        "model.safetensors",
        "modeling_digits.py",
        "preprocessor_config.json",
    }
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text('{"model_type": "resnet"}')
    with pytest.raises(UserError, match="mine: is neither empty nor an export; choose another --out"):
        export(runs["fast"], "transformers", tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["config.json"]
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="file: is a file, expected a folder; choose another --out"):
        export(runs["fast"], "transformers", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"out", "mine", "file"}


def test_an_export_never_replaces_a_file_of_its_run(runs: dict[str, Run], tmp_path: Path) -> None:
    run = runs["fast"]
    (tmp_path / "link.safetensors").symlink_to(run.model_path)
    before = run.model_path.read_bytes()
    for out in (run.model_path, tmp_path / "link.safetensors"):
        with pytest.raises(UserError, match="is an input, which the output would replace"):
            export(run, "safetensors", out)
    assert run.model_path.read_bytes() == before


def test_a_failed_export_keeps_the_earlier_one(runs: dict[str, Run], tmp_path: Path) -> None:
    export(runs["fast"], "transformers", tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    damaged = Run(tmp_path / "damaged")
    damaged.save_card(runs["fast"].card)
    runs["fast"].recipe.save(damaged.recipe_path)
    with pytest.raises(UserError, match="its training was stopped before it had saved a model; resume it: python -m"):
        export(damaged, "transformers", tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert {path.name for path in tmp_path.iterdir()} == {"out", "damaged"}


def test_the_command_reports_the_file_and_rejects_unknown_formats(
    command: Callable[..., Outcome], runs: dict[str, Run], tmp_path: Path
) -> None:
    folder = runs["fast"].folder
    ended = command("export", folder, "--to", "onnx", "--out", "new/fast.onnx")
    assert (ended.status, ended.out, ended.err) == (0, f"Wrote new/fast.onnx: {folder} as onnx\n", "")
    assert (tmp_path / "new" / "fast.onnx").stat().st_size > 250_000
    ended = command("export", folder, "--to", "onxx", "--out", "fast.onnx")
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert '--to onxx: no such format; did you mean "onnx"? (known: transformers, onnx, safetensors)' in ended.err
