"""Ensembles: members that never see a fold of the rows, and what is said of those rows."""

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
from pipeline.training.ensemble import folds_of

SHORT = ["validation_fraction=0", "members=3", "folds=2", "epochs=2", "minimum_updates=40", "batch_size=64"]


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return Recipe.load("fast", SHORT)


@pytest.fixture(scope="module")
def trained(recipe: Recipe, practice: Source, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """An ensemble of three small members."""
    return train(recipe, practice, str(tmp_path_factory.mktemp("runs") / "three"), quiet=True)


def test_every_row_is_left_out_once_in_as_many_members_as_there_are_folds(recipe: Recipe, digits: DigitTable) -> None:
    first, second, third = folds_of(recipe, digits)
    assert np.array_equal(np.sort(np.concatenate([first, second])), np.arange(len(digits)))
    assert not np.array_equal(third, first), "the rows are parted anew after as many members as folds"


def test_folds_hold_the_same_share_of_each_digit(digits: DigitTable) -> None:
    counts = [np.bincount(digits.known_labels[digits.folds(5, seed=3) == fold], minlength=10) for fold in range(5)]
    assert np.ptp(counts, axis=0).max() <= 1


def test_members_answer_together_by_the_mean_of_their_logits(trained: Run, digits: DigitTable) -> None:
    model = build(trained.recipe).eval()
    model.load_state_dict(trained.load_model())
    images = torch.rand(4, 1, 28, 28)
    with torch.no_grad():
        mean = sum(member(images) for member in model.members) / 3
        assert torch.allclose(model(images), mean, atol=1e-6)


def test_a_row_is_judged_by_members_that_never_saw_it(trained: Run, recipe: Recipe, practice: Source) -> None:
    table, kept = practice.read_train(), trained.out_of_fold
    assert kept is not None and np.array_equal(kept.rows, np.arange(len(table)))
    model = build(recipe).eval()
    model.load_state_dict(trained.load_model())
    folds = folds_of(recipe, table)
    row = int(np.setdiff1d(folds[0], folds[2])[0])  # left out by the first member alone
    predictor = Predictor(model.members[0], recipe.member(0))
    alone = predictor.logits(predictor.exact, torch.float32, table.select(np.array([row])))
    assert kept.logits[row] == pytest.approx(alone[0] / trained.card.temperature, abs=1e-4)


def test_its_validation_is_what_was_said_out_of_fold(trained: Run, practice: Source) -> None:
    rows = validation_rows(trained, practice)
    kept = trained.out_of_fold
    assert kept is not None
    right = (softmax(kept.logits).argmax(axis=1) == rows.known_labels).mean()
    assert evaluate(trained, rows, "validation").accuracy == right == trained.card.scores["validation_accuracy"]
    assert Predictor.load(trained.folder).predict(rows.pixels).score(rows.known_labels).accuracy > right


def test_only_one_model_is_kept_of_the_members(trained: Run) -> None:
    assert not (trained.folder / "members").exists()
    assert len(trained.history) == 2
    assert trained.card.finished


def test_it_goes_on_where_it_was_stopped(
    recipe: Recipe, practice: Source, trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    folder = tmp_path / "again"
    with monkeypatch.context() as patch:
        patch.setattr(ensemble, "finish", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, practice, str(folder), quiet=True)
    shutil.rmtree(folder / "members" / "01")
    resumed = train(recipe, practice, str(folder), resume=True, quiet=True)
    for name, weights in trained.load_model().items():
        assert torch.equal(resumed.load_model()[name], weights), name


def test_a_member_that_is_killed_ends_the_training_and_not_the_work(practice: Source, tmp_path: Path) -> None:
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
    assert "ended with signal 9; the work of the others is kept. To resume:" in errors
    assert Run(tmp_path / "run" / "members" / "00").history


def test_validation_rows_of_its_own_are_refused() -> None:
    with pytest.raises(UserError, match="measured on its folds"):
        Recipe.load("fast", ["members=2"])


def test_more_folds_than_rows_are_refused(digits: DigitTable) -> None:
    with pytest.raises(UserError, match="5 rows cannot be parted into 10 folds"):
        digits.select(np.arange(5)).folds(10, seed=0)
