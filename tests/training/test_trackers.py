"""Experiment trackers, each the real library, offline or with files of its own. Those not installed are skipped."""

import importlib.machinery
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.commands import Outcome
from helpers.interrupts import interrupted_evaluation
from helpers.recipes import SMALL_FINE_TUNING
from helpers.waiting import free_port

from pipeline import Epoch, Recipe, Run, Source, UserError, train
from pipeline.config.recipe import load_recipe
from pipeline.training.network import train_network

Found = tuple[dict[str, Any], dict[str, list[tuple[int, float]]]]
"""The parameters of a run in a tracker, and its metrics as (step, value) by name."""


def read_mlflow() -> list[Found]:
    """Return the runs in MLflow's store, newest first."""
    import mlflow

    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("digit-recognizer")
    runs = client.search_runs([experiment.experiment_id]) if experiment else []
    return [
        (
            dict(run.data.params),
            {
                name: [(each.step, each.value) for each in client.get_metric_history(run.info.run_id, name)]
                for name in run.data.metrics
            },
        )
        for run in runs
    ]


def read_wandb(run: Run) -> list[Found]:
    """Return what Weights & Biases will upload of a run: one part for each time that it was started."""
    from wandb.proto import wandb_internal_pb2 as protocol

    parts = []
    for path in sorted(run.folder.glob("wandb/offline-run-*/*.wandb")):
        data, position = path.read_bytes(), 7
        parameters: dict[str, Any] = {}
        metrics: dict[str, list[tuple[int, float]]] = {}
        while position + 7 <= len(data):
            size = int.from_bytes(data[position + 4 : position + 6], "little")
            assert data[position + 6] == 1, "a record of one piece, in a file of less than 32 KiB"
            record = protocol.Record.FromString(data[position + 7 : position + 7 + size])
            position += 7 + size
            for item in (*record.config.update, *record.run.config.update):
                parameters[item.key] = json.loads(item.value_json)
            for item in record.history.item:
                name = item.key or "/".join(item.nested_key)
                metrics.setdefault(name, []).append((record.history.step.num, json.loads(item.value_json)))
        parts.append((parameters, metrics))
    return parts


def read_trackio(name: str) -> list[Found]:
    """Return the runs of a name in trackio's files, oldest first."""
    from trackio.sqlite_storage import SQLiteStorage

    found = []
    for record in SQLiteStorage.get_run_records("digit-recognizer"):
        if record["name"] == name:
            rows = SQLiteStorage.get_logs("digit-recognizer", name, run_id=record["id"])
            metrics: dict[str, list[tuple[int, float]]] = {}
            for row in rows:
                for metric in set(row) - {"step", "timestamp"}:
                    metrics.setdefault(metric, []).append((row["step"], row[metric]))
            config = SQLiteStorage.get_run_config("digit-recognizer", name, run_id=record["id"])
            found.append((config or {}, metrics))
    return found


@pytest.fixture(scope="module")
def trackio_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder for trackio's files, which it chooses when it is imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRACKIO_DIR", str(tmp_path_factory.mktemp("trackio")))
        yield


@pytest.fixture(params=["mlflow", "wandb", "trackio"])
def tracker(
    request: pytest.FixtureRequest, tmp_path: Path, trackio_folder: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A tracker that writes to folders of the tests and sends nothing."""
    library = pytest.importorskip(request.param, reason=f"needs {request.param}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("WANDB_MODE", "offline")
    yield str(request.param)
    if request.param == "wandb":
        library.teardown()  # it reads its environment once


def read(tracker: str, run: Run) -> list[Found]:
    """Return what a tracker has of a run."""
    if tracker == "mlflow":
        return read_mlflow()
    return read_wandb(run) if tracker == "wandb" else read_trackio(run.folder.name)


def losses(epochs: list[Epoch]) -> list[Any]:
    """Return the validation losses that a tracker should have, by step."""
    return [(epoch.epoch, pytest.approx(epoch.validation_loss)) for epoch in epochs]


def test_a_run_is_logged_with_its_settings_and_the_metrics_of_each_epoch(
    tracker: str, tmp_path: Path, practice: Source, recipe: Recipe, capfd: pytest.CaptureFixture[str]
) -> None:
    run = train(recipe, practice, str(tmp_path / "mine"), tracker=tracker, quiet=True)
    assert capfd.readouterr() == ("", "")
    ((parameters, metrics),) = read(tracker, run)
    assert str(parameters["learning_rate"]) == str(recipe.learning_rate)
    assert {name: str(parameters[name]) for name in ("optimizer", "epochs")} == {"optimizer": "muon", "epochs": "3"}
    assert metrics["loss/validation"] == losses(run.history)
    assert {"accuracy/train", "accuracy/validation", "learning rate", "seconds"} <= set(metrics)
    assert (run.folder / "tensorboard").is_dir()


def test_a_resumed_run_continues_in_its_tracker_without_the_option(
    tracker: str, tmp_path: Path, practice: Source, recipe: Recipe
) -> None:
    with interrupted_evaluation(2), pytest.raises(KeyboardInterrupt):
        train(recipe, practice, str(tmp_path / "resumed"), tracker=tracker, quiet=True)
    identifier = Run(tmp_path / "resumed").card.trackers
    run = train(recipe, practice, str(tmp_path / "resumed"), resume=True, quiet=True)
    assert run.card.trackers == identifier != {}
    parts = read(tracker, run)
    assert len(parts) == (2 if tracker == "wandb" else 1)  # it uploads the two parts as one run
    assert [step for _, metrics in parts for step in metrics["loss/validation"]] == losses(run.history)


def test_an_ensemble_is_logged_when_it_is_complete(tracker: str, tmp_path: Path, practice: Source) -> None:
    small = ["epochs=2", "minimum_updates=0", "members=2", "folds=2", "validation_fraction=0"]
    run = train(Recipe.load("fast", small), practice, str(tmp_path / "two"), tracker=tracker, quiet=True)
    assert run.card.trackers.keys() == Run(run.folder).card.trackers.keys() == {tracker}
    ((_, metrics),) = read(tracker, run)
    assert metrics["loss/train"] == [(epoch.epoch, pytest.approx(epoch.train_loss)) for epoch in run.history]


def test_a_fine_tuning_is_logged_after_each_evaluation(
    tmp_path: Path, practice: Source, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow", reason="needs mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    recipe = load_recipe("even-odd", [*SMALL_FINE_TUNING, f"pretrained={tiny}", "epochs=1"])
    run = train(recipe, practice, str(tmp_path / "parity"), tracker="mlflow", quiet=True)
    ((parameters, metrics),) = read_mlflow()
    assert parameters["labels"] == "['even', 'odd']"
    assert [step for step, _ in metrics["F1/validation"]] == [20, 37]
    assert [value for _, value in metrics["F1/validation"]] == [epoch.validation_f1 for epoch in run.history]


def test_a_tracker_that_cannot_start_costs_one_warning(
    tracker: str, tmp_path: Path, practice: Source, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", nowhere)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_API_KEY", "wrong")
    monkeypatch.setenv("TRACKIO_SERVER_URL", nowhere)  # without a write token
    run = train(recipe, practice, str(tmp_path / "mine"), tracker=tracker, quiet=True)
    assert (run.card.finished, run.card.trackers, len(run.history)) == (True, {}, 3)
    lines = (run.folder / "training.log").read_text().splitlines()
    warnings = [line for line in lines if "the training continues without it" in line]
    assert len(warnings) == 1 and f" {tracker} failed: " in warnings[0]


def test_a_tracker_that_fails_later_costs_one_warning_and_the_next_run_is_logged(
    tmp_path: Path, practice: Source, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs mlflow")
    database = tmp_path / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")

    def damage(epoch: Epoch) -> None:
        if epoch.epoch == 1:
            database.write_bytes(b"damaged" * 10_000)

    run = train_network(recipe, practice, str(tmp_path / "mine"), tracker="mlflow", on_epoch=damage, quiet=True)
    assert run.card.finished and len(run.history) == 3
    assert (run.folder / "training.log").read_text().count("mlflow failed: ") == 1
    assert mlflow.active_run() is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/other.db")
    train(recipe, practice, str(tmp_path / "next"), tracker="mlflow", quiet=True)
    ((_, metrics),) = read_mlflow()
    assert len(metrics["loss/validation"]) == 3


def test_a_run_is_logged_inside_the_active_run_of_a_notebook(
    tmp_path: Path, practice: Source, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.set_experiment("digit-recognizer")
    with mlflow.start_run(run_name="own") as own:
        run = train(recipe, practice, str(tmp_path / "mine"), tracker="mlflow", quiet=True)
        assert mlflow.active_run().info.run_id == own.info.run_id
    logged = mlflow.get_run(run.card.trackers["mlflow"])
    assert logged.data.tags["mlflow.parentRunId"] == own.info.run_id
    assert logged.data.metrics["loss/validation"] == pytest.approx(run.history[-1].validation_loss)


def test_a_tracker_that_is_unknown_or_not_installed_is_refused_before_the_training(
    command: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wandb").mkdir()  # a folder that the tracker leaves is not the package
    monkeypatch.syspath_prepend(tmp_path)
    only_here = importlib.machinery.PathFinder.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: only_here(name, [str(tmp_path)]))
    monkeypatch.setattr("pipeline.training.tracking.trackers.find_spec", lambda name: only_here(name, [str(tmp_path)]))
    for name, message in (
        ("wandb", "wandb is not installed; run: pip install wandb"),
        ("wand", 'no tracker wand; did you mean "wandb"? (known: tensorboard, trackio, wandb, mlflow)'),
    ):
        outcome = command("train", "fast", "--source", "practice", "--tracker", name)
        assert (outcome.status, outcome.err) == (2, f"error: {message}\n")
    assert not (tmp_path / "checkpoints").exists()


def test_tensorboard_may_be_named_too(tmp_path: Path, practice: Source, recipe: Recipe) -> None:
    short = recipe.model_copy(update={"epochs": 1})
    run = train(short, practice, str(tmp_path / "mine"), tracker="tensorboard", quiet=True)
    assert run.card.trackers == {}
    with pytest.raises(UserError, match='did you mean "tensorboard"'):
        train(short, practice, str(tmp_path / "other"), tracker="tensorbord", quiet=True)
