"""ParityNetwork: its input, and pretrained weights from a folder and from the Hub."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.paths import PROJECT
from helpers.waiting import free_port
from PIL import Image

from pipeline import DigitTable, Source, UserError
from pipeline.config.recipe import load_recipe
from pipeline.models.parity import ParityNetwork
from pipeline.training.fine_tune import ParityDataset, fine_tune


def test_batches_match_the_image_processors_output_for_pictures(tiny: Path, digits: DigitTable) -> None:
    network = ParityNetwork.from_recipe(load_recipe("even-odd", [f"pretrained={tiny}", "image_size=48"]))  # type: ignore[arg-type]
    dataset = ParityDataset(digits, network)
    batch = dataset.__getitems__([5, 0, 700])
    pictures = [Image.fromarray(digits.pixels[row]) for row in (5, 0, 700)]
    expected = network.processor(images=pictures, return_tensors="pt")["pixel_values"]
    assert batch["pixel_values"].shape == (3, 3, 48, 48)
    assert torch.equal(batch["pixel_values"], expected)
    assert batch["labels"].tolist() == (digits.known_labels[[5, 0, 700]] % 2).tolist()


def test_the_head_of_a_pretrained_model_is_replaced_and_the_backbone_is_kept(tiny: Path) -> None:
    from transformers import AutoModelForImageClassification

    original = AutoModelForImageClassification.from_pretrained(tiny)
    assert original.config.num_labels == 5
    network = ParityNetwork.from_recipe(load_recipe("even-odd", [f"pretrained={tiny}", "image_size=32"]))  # type: ignore[arg-type]
    assert network.model.config.id2label == {0: "even", 1: "odd"}
    kept = network.model.state_dict()
    assert kept["classifier.1.weight"].shape == (2, 16)
    backbone = [name for name in kept if name.startswith("resnet.")]
    assert all(torch.equal(kept[name], original.state_dict()[name]) for name in backbone)


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (shutil.rmtree, "no such folder; give one that contains config.json"),
        (lambda folder: (folder / "config.json").unlink(), "Transformers cannot load the model"),
        (lambda folder: (folder / "config.json").write_text("{"), "Transformers cannot load the model"),
        (lambda folder: (folder / "model.safetensors").unlink(), "Transformers cannot load the model"),
        (lambda folder: (folder / "preprocessor_config.json").unlink(), "Transformers cannot load the model"),
        (lambda folder: os.truncate(folder / "model.safetensors", 5000), "Transformers cannot load the model"),
        (
            lambda folder: (folder / "config.json").write_text(
                (folder / "config.json").read_text().replace('"embedding_size": 8', '"embedding_size": 12')
            ),
            "the weights do not match config.json: resnet",
        ),
    ],
)
def test_a_damaged_folder_of_pretrained_weights_is_named_in_one_line(
    damage: Callable[[Path], object], fault: str, tiny: Path, practice: Source, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny, tmp_path / "deep" / "weights"))
    damage(folder)
    with pytest.raises(UserError) as refusal:
        fine_tune(load_recipe("even-odd", [f"pretrained={folder}"]), practice, str(tmp_path / "run"), quiet=True)  # type: ignore[arg-type]
    assert str(refusal.value).startswith(f"{folder}: {fault}")
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "run" / "recipe.yaml").exists()


def test_an_unreachable_hub_is_reported_within_seconds_with_three_remedies(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "HF_ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "HF_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(PROJECT),
    }
    program = (
        "import sys, time; from pathlib import Path; from pipeline import UserError\n"
        "from pipeline.models.parity import fetch_from_hub\n"
        "started = time.monotonic()\n"
        "try: fetch_from_hub('microsoft/resnet-18')\n"
        "except UserError as error: print(error)\n"
        "assert time.monotonic() - started < 10"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert outcome.stdout.count("\n") == 1
    for words in (
        "microsoft/resnet-18: no such folder, and the download from the Hugging Face hub failed (",
        "check your network connection and try again",
        "hf download microsoft/resnet-18 --local-dir FOLDER",
        "--set pretrained=FOLDER",
        "--set pretrained=null",
    ):
        assert words in outcome.stdout


def test_a_model_in_the_hubs_cache_needs_no_network(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    from pipeline.models import parity

    snapshot = tmp_path / "models--someone--tiny" / "snapshots" / "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(tiny, snapshot)
    (tmp_path / "models--someone--tiny" / "refs").mkdir()
    (tmp_path / "models--someone--tiny" / "refs" / "main").write_text(snapshot.name)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(parity, "urlopen", None)
    started = time.monotonic()
    assert parity.fetch_from_hub("someone/tiny") == snapshot
    assert time.monotonic() - started < 5
