"""The model of each epoch, kept on request."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.commands import Outcome
from helpers.interrupts import interrupted_evaluation

from pipeline import Predictor, Recipe, Run, Source, UserError, train

SETTINGS = ["epochs=3", "minimum_updates=0", "batch_size=128", "keep_epochs=true"]


def test_each_epoch_is_a_whole_run_and_the_best_equals_the_run_itself(practice: Source, tmp_path: Path) -> None:
    run = train(Recipe.load("fast", SETTINGS), practice, str(tmp_path / "run"), quiet=True)
    kept = [Run.open(tmp_path / "run" / "epochs" / str(number)) for number in (1, 2, 3)]
    test = practice.read_test()
    weights = [each.load_model() for each in kept]
    assert not all(torch.equal(weights[0][name], weights[2][name]) for name in weights[0])
    for number, each in enumerate(kept, start=1):
        assert (each.card.finished, len(each.history)) == (True, number)
        assert each.card.scores["validation_accuracy"] == run.history[number - 1].validation_accuracy
        assert each.fingerprint.digest == run.fingerprint.digest
    best = [epoch.epoch for epoch in run.history if epoch.saved][-1]
    probabilities = [Predictor.load(each.folder).predict(test.pixels).probabilities for each in (run, kept[best - 1])]
    np.testing.assert_array_equal(*probabilities)


@pytest.mark.parametrize("decay", [0, 0.9])
def test_keeping_the_epochs_changes_neither_the_weights_nor_resuming(
    decay: float, practice: Source, tmp_path: Path
) -> None:
    average = f"ema_decay={decay}"
    plain = train(Recipe.load("fast", [*SETTINGS[:-1], average]), practice, str(tmp_path / "plain"), quiet=True)
    recipe = Recipe.load("fast", [*SETTINGS, average])
    with interrupted_evaluation(2), pytest.raises(KeyboardInterrupt):
        train(recipe, practice, str(tmp_path / "run"), quiet=True)
    run = train(recipe, practice, str(tmp_path / "run"), resume=True, quiet=True)
    assert run.model_path.read_bytes() == plain.model_path.read_bytes()
    assert sorted(path.name for path in (tmp_path / "run" / "epochs").iterdir()) == ["1", "2", "3"]


def test_a_kept_epoch_is_evaluated_by_its_path(
    command: Callable[..., Outcome], practice: Source, tmp_path: Path
) -> None:
    train(Recipe.load("fast", [*SETTINGS, "epochs=1"]), practice, str(tmp_path / "run"), quiet=True)
    ended = command("evaluate", "run/epochs/1", "--data", practice.data_dir, "--no-mistakes")
    assert (ended.status, ended.err) == (0, "")
    assert (tmp_path / "run" / "epochs" / "1" / "figures" / "overall.png").exists()


def test_an_ensemble_keeps_no_epochs() -> None:
    with pytest.raises(UserError, match="keep_epochs: True is not valid: an ensemble keeps the last epoch of each"):
        Recipe.load("best", ["keep_epochs=true"])
