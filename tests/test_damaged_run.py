"""Damaged files of a run: each is refused in one line, and none hides another run."""

import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.numpy
from helpers.commands import Outcome
from helpers.files import csv_text

from demo.run_views import figures, run_row
from pipeline import DigitTable, Predictor, Run, UserError
from pipeline.reports.evaluate import evaluate

READERS: dict[str, Callable[[Run], object]] = {
    "recipe.yaml": lambda run: run.recipe,
    "card.json": lambda run: run.card,
    "history.csv": lambda run: run.history,
    "fingerprint.safetensors": lambda run: run.fingerprint,
    "model.safetensors": Predictor.load,
}


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "not text": lambda path: path.write_bytes(bytes(range(128, 256)) * 40),
    "UTF-16": lambda path: path.write_bytes(path.read_bytes().decode("latin-1").encode("utf-16")),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 + 1]),
    "an unmatched quote": lambda path: path.write_bytes(b'"' + path.read_bytes() + b"1" * 200_000),
    "a folder": make_folder,
}


@pytest.fixture
def copy(run: Run, tmp_path: Path) -> Run:
    """A copy of a finished run in `checkpoints/`, without the figures that other tests may have drawn."""
    figures_of_others = shutil.ignore_patterns("figures")
    return Run(Path(shutil.copytree(run.folder, tmp_path / "checkpoints" / "copy", ignore=figures_of_others)))


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_refused_in_one_line_that_names_it(name: str, damage: str, copy: Run) -> None:
    DAMAGES[damage](copy.folder / name)
    with pytest.raises(UserError) as refusal:
        READERS[name](copy)
    assert name in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1
    assert len(str(refusal.value)) < 500 + len(str(copy))


def test_a_history_without_epochs_is_refused(copy: Run) -> None:
    path = copy.folder / "history.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    with pytest.raises(UserError, match=r"history\.csv: missing or damaged \(it has no rows\)"):
        copy.history  # noqa: B018


@pytest.mark.parametrize("name", ["model.safetensors", "fingerprint.safetensors"])
def test_a_flipped_bit_is_noticed(name: str, copy: Run) -> None:
    path = copy.folder / name
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"{name}: missing or damaged \(its SHA-256 is not the one in card\.json\)"):
        READERS[name](copy)


def test_a_flipped_bit_in_a_fine_tuned_model_is_noticed(parity_run: Run, tmp_path: Path) -> None:
    copy = Run(Path(shutil.copytree(parity_run.folder, tmp_path / "copy")))
    (path,) = (copy.folder / copy.recipe.model_dump()["save_dir"]).glob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="its SHA-256 is not the one in card"):
        Predictor.load(copy)


def test_a_run_of_a_version_without_checksums_loads(copy: Run) -> None:
    card = json.loads(copy.card_path.read_text())
    assert sorted(card.pop("checksums")) == ["fingerprint.safetensors", "model.safetensors"]
    copy.card_path.write_text(json.dumps(card))
    Predictor.load(Run(copy.folder))


def test_a_fingerprint_of_another_kind_is_refused(copy: Run) -> None:
    card = copy.card.model_copy(update={"checksums": {}})
    copy.save_card(card)
    path = copy.folder / "fingerprint.safetensors"
    arrays = safetensors.numpy.load_file(path)
    for changed in (
        {"other": arrays["hashes"]},
        arrays | {"hashes": arrays["blocks"]},
        arrays | {"blocks": arrays["hashes"]},
    ):
        path.write_bytes(safetensors.numpy.save(changed))
        with pytest.raises(UserError, match=r"fingerprint\.safetensors: missing or damaged"):
            copy.fingerprint  # noqa: B018


def test_a_run_with_a_damaged_history_is_still_evaluated(
    copy: Run, digits: DigitTable, caplog: pytest.LogCaptureFixture
) -> None:
    (copy.folder / "history.csv").write_bytes(b"\xff\xfe")
    with caplog.at_level(logging.WARNING):
        evaluate(copy, digits, "rows")
    assert "The figure of the history is left out" in caplog.text
    assert sorted(path.name for path in (copy.folder / "figures").iterdir()) == [
        "confusion.png", "digits.png", "mistakes.png", "overall.png", "reliability.png", "samples.png"
    ]  # fmt: skip


def test_submit_and_evaluate_print_one_line_for_a_run_with_flipped_bits(
    copy: Run, digits: DigitTable, command: Callable[..., Outcome], tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text(csv_text(digits.select(range(20))))
    content = bytearray(copy.model_path.read_bytes())
    content[-5] ^= 1
    copy.model_path.write_bytes(content)
    for arguments in (["evaluate", "copy", "--on", "rows.csv"], ["predict", "copy", "rows.csv", "--out", "out.csv"]):
        outcome = command(*arguments)
        assert outcome.status == 2
        assert outcome.err.startswith("error: checkpoints/copy/model.safetensors: missing or damaged")
        assert len(outcome.err.splitlines()) == 1
    assert not (tmp_path / "out.csv").exists()


def test_a_damaged_run_does_not_hide_an_unfinished_one(
    copy: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    copy.save_card(copy.card.model_copy(update={"finished": False}))
    newer = Path(shutil.copytree(copy.folder, tmp_path / "checkpoints" / "newer"))
    (newer / "card.json").write_bytes(b"")
    os.utime(newer, (4e9, 4e9))
    with caplog.at_level(logging.WARNING):
        assert Run.unfinished("fast").folder.name == "copy"
    assert "Skipped: checkpoints/newer/card.json: missing or damaged" in caplog.text


def test_the_runs_tab_shows_a_damaged_run_and_leaves_out_damaged_figures(copy: Run) -> None:
    folder = copy.folder / "figures"
    for path in (folder / "folder.png", folder):
        path.mkdir(parents=True, exist_ok=True)
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("no picture")
    assert figures(copy) == '<ul class="figures"></ul>'
    copy.card_path.write_bytes(b"\xff")
    assert run_row(Run(copy.folder))[:2] == ["copy", "damaged: train it again"]
