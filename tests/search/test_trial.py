"""Single trials and the study that stores them; test_sweep.py covers complete searches."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from optuna.trial import FrozenTrial, TrialState

from pipeline import DigitTable, Recipe, Run, UserError
from pipeline.search.space import Range, SearchSpace
from pipeline.search.study import (
    HEADER,
    MIN_TRIALS_FOR_IMPORTANCES,
    Search,
    best_trial,
    format_summary,
    format_trial,
    hide_password,
    setting_importances,
    storage_errors,
    trial_losses,
)
from pipeline.search.trial import run_trial

RATES = Range(low=0.02, high=0.2, log=True)


@pytest.fixture
def search(tmp_path: Path, digits: DigitTable) -> Search:
    """Return a search of `fast` on a few rows, with short trials."""
    recipe = Recipe.load("fast", ["epochs=3", "minimum_updates=0", "batch_size=64"])
    space = SearchSpace({"learning_rate": RATES, "epochs": Range(low=1, high=2)})
    table = digits.select(np.arange(300))
    return Search(recipe, space, table, "practice", tmp_path / "sweep", f"sqlite:///{tmp_path}/study.db", tmp_path)


def run_with(search: Search, **settings: object) -> FrozenTrial:
    """Run one trial with these settings, which must lie in its space."""
    study = search.open()
    study.enqueue_trial(settings)
    number = run_trial(search, study)
    return study.trials[number]


def test_a_trial_trains_with_suggested_settings_and_has_its_runs_validation_loss(search: Search) -> None:
    trial = run_with(search)
    run = Run.open(search.folder / f"trial-{trial.number}")
    assert trial.state == TrialState.COMPLETE
    assert (run.recipe.learning_rate, run.recipe.epochs) == (trial.params["learning_rate"], trial.params["epochs"])
    assert isinstance(trial.params["epochs"], int)
    assert trial.value == run.card.scores["validation_loss"] == min(epoch.validation_loss for epoch in run.history)
    assert list(trial.intermediate_values.values()) == [epoch.validation_loss for epoch in run.history]
    assert trial.user_attrs["validation_accuracy"] == run.card.scores["validation_accuracy"]
    assert trial.user_attrs["validation_rows"] == run.card.validation_rows == 30


def test_a_trial_reads_extra_data_in_the_data_folder_and_trains_no_second_network(
    search: Search, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Path] = []

    monkeypatch.setattr("pipeline.training.network.fetch_extra_data", lambda _recipe, data: asked.append(data))
    recipe = search.recipe.model_copy(update={"line_updates": 5})
    trial = run_with(replace(search, recipe=recipe, data_dir=tmp_path / "elsewhere"), epochs=1)
    assert asked == [tmp_path / "elsewhere"]
    assert not Run.open(search.folder / f"trial-{trial.number}").line_path.exists()


def test_a_continued_search_suggests_the_same_settings_as_an_uninterrupted_one(search: Search, tmp_path: Path) -> None:
    suggested = []
    search = replace(search, space=SearchSpace({"learning_rate": RATES}), recipe=search.with_settings({"epochs": 1}))
    for name, parts in (("whole", [13]), ("halves", [6, 7])):  # the first ten trials are random
        same = replace(search, url=f"sqlite:///{tmp_path}/{name}.db")
        for trials in parts:
            study = same.open()
            for _ in range(trials):
                run_trial(same, study)
        suggested.append([trial.params for trial in study.trials])
    assert suggested[0] == suggested[1]
    assert len({params["learning_rate"] for params in suggested[0]}) == 13


def test_a_trial_worse_than_the_median_is_pruned(search: Search) -> None:
    varied = SearchSpace({"learning_rate": Range(low=1e-6, high=0.2), "epochs": Range(low=1, high=4)})
    lengths = replace(search, space=varied)
    for rate in (0.05, 0.06, 0.07, 0.08, 0.09):
        assert run_with(lengths, learning_rate=rate, epochs=4).state == TrialState.COMPLETE
    pruned = run_with(lengths, learning_rate=1e-6, epochs=4)
    assert pruned.state == TrialState.PRUNED
    assert len(pruned.intermediate_values) == 2  # the first epoch is never pruned, because of the warm-up
    assert len(Run.open(lengths.folder / f"trial-{pruned.number}").history) == 2
    assert "pruned" in format_trial(pruned)
    other_length = run_with(lengths, learning_rate=1e-6, epochs=3)
    assert other_length.state == TrialState.COMPLETE  # no other trial has reported at a third of its schedule
    complete, pruned_losses = trial_losses(lengths.open())
    assert sorted(complete) == [0, 1, 2, 3, 4, 6]
    assert pruned_losses == {5: min(pruned.intermediate_values.values())}


def test_settings_that_diverge_or_are_incompatible_are_pruned_with_the_reason(search: Search) -> None:
    wild = replace(
        search,
        space=SearchSpace({"learning_rate": Range(low=1, high=1e30), "scheduler": ("one-cycle", "step")}),
    )
    diverged = run_with(wild, learning_rate=1e30, scheduler="one-cycle")
    assert (diverged.state, diverged.user_attrs["reason"]) == (TrialState.PRUNED, "diverged")
    impossible = run_with(wild, learning_rate=1.0, scheduler="step")
    assert impossible.state == TrialState.PRUNED
    assert "it needs step_size and gamma" in format_trial(impossible)
    assert best_trial(wild.open()) is None


def test_an_error_of_torch_fails_only_its_trial(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.training.trainer.build", lambda recipe: 1 / 0)
        failed = run_with(search)
    assert failed.state == TrialState.FAIL
    assert "(ZeroDivisionError division by zero)" in format_trial(failed)
    assert run_with(search).state == TrialState.COMPLETE


def test_settings_that_run_out_of_memory_are_pruned(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Recipe) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr("pipeline.training.trainer.build", fail)
    pruned = run_with(search)
    assert pruned.state == TrialState.PRUNED
    assert "(out of memory)" in format_trial(pruned)


def test_an_error_that_every_trial_would_hit_ends_the_search(search: Search) -> None:
    search.folder.write_text("a file where the folder should be")
    with pytest.raises(UserError, match="part of the path is a file"):
        run_trial(search, search.open())


def test_a_study_refuses_other_settings_another_space_and_other_data(search: Search, digits: DigitTable) -> None:
    search.open()
    other_space = SearchSpace({"learning_rate": RATES, "epochs": Range(low=1, high=3)})
    others = {
        r"other settings \(momentum\)": {"recipe": search.recipe.model_copy(update={"momentum": 0.5})},
        r"other search space \(epochs\)": {"space": other_space},
        "other data": {"table": digits},
    }
    for words, change in others.items():
        with pytest.raises(UserError, match=rf'study\.db: the study "fast" started with {words}; use the'):
            replace(search, **change).open()
    same = search.recipe.model_copy(
        update={"summary": "another summary", "learning_rate": 9.0}
    )  # the learning rate is searched
    replace(search, recipe=same).open()


def test_the_summary_lists_the_best_trials_first(search: Search) -> None:
    for rate in (0.02, 0.2, 0.05):
        run_with(search, learning_rate=rate, epochs=1)
    study = search.open()
    header, *lines, counts = format_summary(study).splitlines()
    assert (header, counts) == (HEADER, "3 trials: 3 complete")
    losses = [float(line.split()[1]) for line in lines]
    assert losses == sorted(losses)
    winner = best_trial(study)
    assert winner and lines[0] == format_trial(winner)
    assert setting_importances(study) == {}, f"needs {MIN_TRIALS_FOR_IMPORTANCES} trials"


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("study.db", "Could not parse"),
        ("oracle9://here/x", "Can't load plugin"),
        ("postgres://me@here/x", "write sqlite:///FILE or postgresql://USER@HOST/DATABASE"),
        ("mysql+mysqldb://me@here/x", "pip install --requirement requirements-cluster.txt"),
        ("sqlite://", "workers cannot share an in-memory database"),
        ("postgresql://me:secret@127.0.0.1:1/x", r"me:\*\*\*@127\.0\.0\.1:1/x: .*check that the database is running"),
    ],
)
def test_an_invalid_url_is_refused_in_one_line_without_its_password(url: str, fault: str, search: Search) -> None:
    with pytest.raises(UserError, match=fault) as refusal, storage_errors(url):
        replace(search, url=url).open()
    assert "\n" not in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_a_file_that_is_not_a_database_is_refused_and_left_unchanged(search: Search, tmp_path: Path) -> None:
    (tmp_path / "study.db").write_text("my notes, not a database, and long enough to be read as one" * 40)
    before = (tmp_path / "study.db").read_bytes()
    with pytest.raises(UserError, match=r"study\.db: file is not a database"), storage_errors(search.url):
        search.open()
    assert (tmp_path / "study.db").read_bytes() == before


def test_settings_are_formatted_briefly(search: Search) -> None:
    trial = run_with(search, learning_rate=0.123456, epochs=1)
    assert format_trial(trial).endswith("complete  learning_rate=0.123 epochs=1")
    assert hide_password("postgresql://me:secret@here/x") == "postgresql://me:***@here/x"
