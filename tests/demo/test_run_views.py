"""The page's views of runs."""

import os
import shutil
from pathlib import Path

import pytest
from helpers.paths import PROJECT

from demo import run_views
from demo.predictors import PredictorPool
from pipeline import Run


def scored(folder: Path, rows: int, **scores: float) -> list[str]:
    """Return the row of a run with these scores on a number of validation rows."""
    run = Run(Path(shutil.copytree(PROJECT / "checkpoints" / "sketchpad", folder / "run")))
    card = run.card.model_copy(update={"validation_rows": rows, "scores": scores})
    (run.folder / "card.json").write_text(card.model_dump_json())
    return run_views.run_row(Run(run.folder))


def test_an_accuracy_says_on_how_many_rows(tmp_path: Path) -> None:
    row = run_views.run_row(Run(PROJECT / "checkpoints" / "sketchpad"))
    assert row[3] == "99.63 % of MNIST's 10,000 test images"


def test_an_accuracy_on_few_rows_is_a_count(tmp_path: Path) -> None:
    row = scored(tmp_path, 6, validation_accuracy=1.0, validation_parity_accuracy=5 / 6)
    assert row[3:5] == ["6 of 6 validation rows", "5"]


def test_cells_are_escaped() -> None:
    assert "<b>" not in run_views.table(["Run"], [["<b>"]])


def test_a_damaged_run_is_marked_in_the_table(tmp_path: Path) -> None:
    assert run_views.run_row(Run(tmp_path))[1] == "damaged: train it again"


def test_a_run_that_was_trained_again_is_loaded_again(
    run: Run, pool: PredictorPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(run.folder, tmp_path / "checkpoints" / "mine")
    monkeypatch.chdir(tmp_path)
    before = pool.predictor_of("mine")
    assert pool.predictor_of("mine") is before
    os.utime(tmp_path / "checkpoints" / "mine" / "model.safetensors")
    assert pool.predictor_of("mine") is not before
