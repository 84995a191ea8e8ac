"""Ensembles: members that omit a fold of the rows, and their out-of-fold predictions."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline import DigitTable, Predictor, Recipe, Run, Source, UserError, train
from pipeline.metrics.calibration import softmax
from pipeline.models import build
from pipeline.reports.evaluate import evaluate, validation_rows
from pipeline.training import ensemble
from pipeline.training.ensemble import held_out_folds

SHORT = ["validation_fraction=0", "members=3", "folds=2", "epochs=2", "minimum_updates=0", "batch_size=64"]


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return Recipe.load("fast", SHORT)


@pytest.fixture(scope="module")
def trained(recipe: Recipe, practice: Source, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Train an ensemble of three small members."""
    return train(recipe, practice, str(tmp_path_factory.mktemp("runs") / "three"), quiet=True)


def test_each_set_of_folds_covers_every_row_once(recipe: Recipe, digits: DigitTable) -> None:
    first, second, third = held_out_folds(recipe, digits)
    assert np.array_equal(np.sort(np.concatenate([first, second])), np.arange(len(digits)))
    assert not np.array_equal(third, first), "the rows are split again after `folds` members"


def test_folds_are_stratified(digits: DigitTable) -> None:
    counts = [np.bincount(digits.known_labels[digits.folds(5, seed=3) == fold], minlength=10) for fold in range(5)]
    assert np.ptp(counts, axis=0).max() <= 1


def test_an_ensemble_averages_the_logits_of_its_members(trained: Run, digits: DigitTable) -> None:
    model = build(trained.recipe).eval()
    model.load_state_dict(trained.load_model())
    images = torch.rand(4, 1, 28, 28)
    with torch.no_grad():
        mean = sum(member(images) for member in model.members) / 3
        assert torch.allclose(model(images), mean, atol=1e-6)


def test_out_of_fold_logits_come_from_members_not_trained_on_the_row(
    trained: Run, recipe: Recipe, practice: Source
) -> None:
    table, out_of_fold = practice.read_train(), trained.out_of_fold
    assert out_of_fold is not None and np.array_equal(out_of_fold.rows, np.arange(len(table)))
    model = build(recipe).eval()
    model.load_state_dict(trained.load_model())
    folds = held_out_folds(recipe, table)
    row = int(np.setdiff1d(folds[0], folds[2])[0])  # omitted by the first member only
    predictor = Predictor(model.members[0], recipe.member(0))
    expected = predictor.logits(predictor.fused_float32, torch.float32, table.select(np.array([row])))
    assert out_of_fold.logits[row] == pytest.approx(expected[0] / trained.card.temperature, abs=1e-4)


def test_validation_scores_are_out_of_fold_scores(trained: Run, practice: Source) -> None:
    rows = validation_rows(trained, practice)
    out_of_fold = trained.out_of_fold
    assert out_of_fold is not None
    accuracy = (softmax(out_of_fold.logits).argmax(axis=1) == rows.known_labels).mean()
    assert evaluate(trained, rows, "validation").accuracy == accuracy == trained.card.scores["validation_accuracy"]
    assert Predictor.load(trained.folder).predict(rows.pixels).score(rows.known_labels).accuracy > accuracy


def test_the_members_runs_are_deleted_at_the_end(trained: Run) -> None:
    assert not (trained.folder / "members").exists()
    assert len(trained.history) == 2
    assert trained.card.finished


def test_an_interrupted_ensemble_resumes(
    recipe: Recipe, practice: Source, trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    folder = tmp_path / "again"
    with monkeypatch.context() as patch:
        patch.setattr(ensemble, "_merge_members", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, practice, str(folder), quiet=True)
    shutil.rmtree(folder / "members" / "01")
    resumed = train(recipe, practice, str(folder), resume=True, quiet=True)
    for name, weights in trained.load_model().items():
        assert torch.equal(resumed.load_model()[name], weights), name


def test_a_killed_member_stops_the_run_and_keeps_the_progress(practice: Source, tmp_path: Path) -> None:
    settings = [f"--set={setting}" for setting in [*SHORT, "epochs=200", "members=2"]]
    command = [sys.executable, "-m", "pipeline", "train", "fast", "--source", "practice", "--data"]
    command += [str(practice.data_dir), "--run", str(tmp_path / "run"), *settings]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    progress = tmp_path / "run" / "members" / "00" / "history.csv"
    deadline = time.monotonic() + 120
    while not progress.exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.2)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    member = next(int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes())
    os.kill(member, signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "ended with signal 9; the progress of the others is kept. To resume:" in errors
    assert Run(tmp_path / "run" / "members" / "00").history


def test_validation_rows_are_rejected_for_ensembles() -> None:
    with pytest.raises(UserError, match="an ensemble is evaluated out of fold"):
        Recipe.load("fast", ["members=2"])


def test_more_folds_than_rows_are_rejected(digits: DigitTable) -> None:
    with pytest.raises(UserError, match="5 rows cannot be split into 10 folds"):
        digits.select(np.arange(5)).folds(10, seed=0)
