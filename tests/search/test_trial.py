"""What one trial of a search does, and what a study keeps of it; whole searches are in test_sweep.py."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from optuna.trial import FrozenTrial, TrialState

from pipeline import DigitTable, Recipe, Run, UserError
from pipeline.search.space import Range, SearchSpace
from pipeline.search.study import ENOUGH, HEADER, Search, best, faults_told, importances, line, losses, shown, standing
from pipeline.search.trial import one_trial

RATES = Range(low=0.02, high=0.2, log=True)


@pytest.fixture
def search(tmp_path: Path, digits: DigitTable) -> Search:
    """Of `fast`, on so few rows that a trial takes a moment."""
    recipe = Recipe.load("fast", ["epochs=3", "minimum_updates=0", "batch_size=64"])
    space = SearchSpace({"learning_rate": RATES, "epochs": Range(low=1, high=2)})
    table = digits.select(np.arange(300))
    return Search(recipe, space, table, "practice", tmp_path / "sweep", f"sqlite:///{tmp_path}/study.db")


def tried(search: Search, **settings: object) -> FrozenTrial:
    """Do one trial with these settings, which lie in its space."""
    study = search.open()
    study.enqueue_trial(settings)
    number = one_trial(search, study)
    return study.trials[number]


def test_a_trial_trains_with_what_it_draws_and_is_worth_its_runs_validation_loss(search: Search) -> None:
    trial = tried(search)
    run = Run.open(search.folder / f"trial-{trial.number}")
    assert trial.state == TrialState.COMPLETE
    assert (run.recipe.learning_rate, run.recipe.epochs) == (trial.params["learning_rate"], trial.params["epochs"])
    assert isinstance(trial.params["epochs"], int)
    assert trial.value == run.card.scores["validation_loss"] == min(epoch.validation_loss for epoch in run.history)
    assert list(trial.intermediate_values.values()) == [epoch.validation_loss for epoch in run.history]
    assert trial.user_attrs["validation_accuracy"] == run.card.scores["validation_accuracy"]
    assert trial.user_attrs["validation_rows"] == run.card.validation_rows == 30


def test_a_search_that_goes_on_draws_as_if_it_had_never_stopped(search: Search, tmp_path: Path) -> None:
    drawn = []
    search = replace(search, space=SearchSpace({"learning_rate": RATES}), recipe=search.with_settings({"epochs": 1}))
    for name, parts in (("whole", [13]), ("halves", [6, 7])):  # past the first ten, which are drawn by chance alone
        same = replace(search, url=f"sqlite:///{tmp_path}/{name}.db")
        for trials in parts:
            study = same.open()
            for _ in range(trials):
                one_trial(same, study)
        drawn.append([trial.params for trial in study.trials])
    assert drawn[0] == drawn[1]
    assert len({params["learning_rate"] for params in drawn[0]}) == 13


def test_a_trial_that_promises_less_than_most_is_pruned_before_its_end(search: Search) -> None:
    varied = SearchSpace({"learning_rate": Range(low=1e-6, high=0.2), "epochs": Range(low=1, high=4)})
    lengths = replace(search, space=varied)
    for rate in (0.05, 0.06, 0.07, 0.08, 0.09):
        assert tried(lengths, learning_rate=rate, epochs=4).state == TrialState.COMPLETE
    pruned = tried(lengths, learning_rate=1e-6, epochs=4)
    assert pruned.state == TrialState.PRUNED
    assert len(pruned.intermediate_values) == 2  # the first epoch is no judge of a learning rate that rises
    assert len(Run.open(lengths.folder / f"trial-{pruned.number}").history) == 2
    assert "pruned" in line(pruned)
    other_length = tried(lengths, learning_rate=1e-6, epochs=3)
    assert other_length.state == TrialState.COMPLETE  # none has been at a third of its schedule
    complete, given_up = losses(lengths.open())
    assert sorted(complete) == [0, 1, 2, 3, 4, 6]
    assert given_up == {5: min(pruned.intermediate_values.values())}


def test_settings_that_diverge_or_exclude_one_another_are_pruned_with_the_reason(search: Search) -> None:
    wild = replace(
        search,
        space=SearchSpace({"learning_rate": Range(low=1, high=1e30), "scheduler": ("one-cycle", "step")}),
    )
    diverged = tried(wild, learning_rate=1e30, scheduler="one-cycle")
    assert (diverged.state, diverged.user_attrs["reason"]) == (TrialState.PRUNED, "diverged")
    impossible = tried(wild, learning_rate=1.0, scheduler="step")
    assert impossible.state == TrialState.PRUNED
    assert "it needs step_size and gamma" in line(impossible)
    assert best(wild.open()) is None


def test_what_torch_cannot_do_fails_one_trial_and_not_the_next(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.training.trainer.build", lambda recipe: 1 / 0)
        failed = tried(search)
    assert failed.state == TrialState.FAIL
    assert "(ZeroDivisionError division by zero)" in line(failed)
    assert tried(search).state == TrialState.COMPLETE


def test_what_every_trial_would_meet_ends_the_search(search: Search) -> None:
    search.folder.write_text("a file where the folder should be")
    with pytest.raises(UserError, match="a part of that path is a file"):
        one_trial(search, search.open())


def test_a_study_keeps_to_its_settings_its_space_and_its_data(search: Search, digits: DigitTable) -> None:
    search.open()
    other_space = SearchSpace({"learning_rate": RATES, "epochs": Range(low=1, high=3)})
    others = {
        r"other settings \(momentum\)": {"recipe": search.recipe.model_copy(update={"momentum": 0.5})},
        r"other search space \(epochs\)": {"space": other_space},
        "other data": {"table": digits},
    }
    for words, change in others.items():
        with pytest.raises(UserError, match=rf'study\.db: the study "fast" began with {words}; use these'):
            replace(search, **change).open()
    same = search.recipe.model_copy(update={"summary": "in other words", "learning_rate": 9.0})  # this one is drawn
    replace(search, recipe=same).open()


def test_the_standing_is_told_best_first(search: Search) -> None:
    for rate in (0.02, 0.2, 0.05):
        tried(search, learning_rate=rate, epochs=1)
    study = search.open()
    header, *lines, counts = standing(study).splitlines()
    assert (header, counts) == (HEADER, "3 trials: 3 complete")
    told = [float(line.split()[1]) for line in lines]
    assert told == sorted(told)
    winner = best(study)
    assert winner and lines[0] == line(winner)
    assert importances(study) == {}, f"fewer than {ENOUGH} trials tell nothing"


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("study.db", "Could not parse"),
        ("oracle9://here/x", "Can't load plugin"),
        ("postgres://me@here/x", "write sqlite:///FILE or postgresql://USER@HOST/DATABASE"),
        ("mysql+mysqldb://me@here/x", "pip install --requirement requirements-cluster.txt"),
        ("sqlite://", "workers cannot share memory"),
        ("postgresql://me:secret@127.0.0.1:1/x", r"me:\*\*\*@127\.0\.0\.1:1/x: .*see that the database is up"),
    ],
)
def test_an_address_that_is_no_database_is_told_in_one_line_without_its_password(
    url: str, fault: str, search: Search
) -> None:
    with pytest.raises(UserError, match=fault) as refusal, faults_told(url):
        replace(search, url=url).open()
    assert "\n" not in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_a_file_that_is_no_database_is_told_and_left_as_it_is(search: Search, tmp_path: Path) -> None:
    (tmp_path / "study.db").write_text("my notes, not a database, and long enough to be read as one" * 40)
    before = (tmp_path / "study.db").read_bytes()
    with pytest.raises(UserError, match=r"study\.db: file is not a database"), faults_told(search.url):
        search.open()
    assert (tmp_path / "study.db").read_bytes() == before


def test_settings_are_told_briefly(search: Search) -> None:
    trial = tried(search, learning_rate=0.123456, epochs=1)
    assert line(trial).endswith("complete  learning_rate=0.123 epochs=1")
    assert shown("postgresql://me:secret@here/x") == "postgresql://me:***@here/x"
