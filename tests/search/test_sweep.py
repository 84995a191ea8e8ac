"""Whole searches, in processes of their own; what one trial does is in test_trial.py."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.commands import Outcome
from helpers.paths import PROJECT
from helpers.waiting import free_port, until
from optuna.storages import fail_stale_trials
from optuna.trial import TrialState

from pipeline import DigitTable, Recipe, Run, Source, UserError
from pipeline.search.space import SearchSpace
from pipeline.search.study import Search
from pipeline.search.sweep import sweep

SPACE = "learning_rate: {low: 0.02, high: 0.2, log: true}\nmomentum: {low: 0.8, high: 0.95}\nepochs: [1, 2]\n"
BRIEF = ["minimum_updates=0", "batch_size=64", "epochs=1"]
ENDLESS = ["minimum_updates=0", "batch_size=256", "epochs=100000"]


def arguments(folder: Path, settings: list[str], *others: object) -> list[str]:
    """Return a command that searches the learning rate and the momentum of `fast`, with these settings fixed."""
    (folder / "space.yaml").write_text(SPACE)
    fixed = [word for setting in settings for word in ("--set", setting)]
    return ["sweep", "fast", "--source", "practice", "--space", "space.yaml", *fixed, *map(str, others)]


def searched(folder: Path, practice: Source, settings: list[str], url: str | None = None) -> Search:
    """Return what that command searches."""
    space = SearchSpace.load("fast", folder / "space.yaml", ["epochs"])
    sweeps = folder / "sweeps" / "fast"
    url = url or f"sqlite:///{sweeps}/study.db"
    return Search(
        Recipe.load("fast", settings), space, practice.read_train(), "practice", folder / "sweeps" / "fast", url
    )


def begun(folder: Path, jobs: int) -> subprocess.Popen[str]:
    """Start a search by workers whose trials do not end, as the leader of a group; wait until all are at work."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", *arguments(folder, ENDLESS, "--trials", 5, "--jobs", jobs)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    until(lambda: process.poll() is not None or len(histories(folder)) == jobs, "no trial begins", 300)
    return process


def histories(folder: Path) -> list[Path]:
    """Return what there is of the trials that are at work."""
    return sorted((folder / "sweeps" / "fast").glob("trial-*/history.csv"))


def runs(worker: int) -> bool:
    """Tell whether a process has not ended; one that nobody has asked how it ended has no command."""
    try:
        return Path(f"/proc/{worker}/cmdline").read_bytes() != b""
    except FileNotFoundError:
        return False


def workers(process: subprocess.Popen[str]) -> list[int]:
    """Return the processes that do a search's trials."""
    if sys.platform != "linux":
        pytest.skip("children are read from Linux's /proc")
    children = map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
    return [child for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def test_two_workers_share_a_study_and_a_later_search_goes_on_with_it(
    command: Callable[..., Outcome], practice: Source, tmp_path: Path
) -> None:
    # A search sets a tenth aside all the same, and its workers may have workers of their own.
    whole = [*BRIEF, "validation_fraction=0", "workers=1"]
    first = command(*arguments(tmp_path, whole, "--trials", 3, "--jobs", 2))
    assert (first.status, first.err) == (0, "")
    assert "fast sets no rows aside; its trials are compared on 10 % of them" in first.out
    assert "Study: sqlite:///sweeps/fast/study.db, 0 trials before" in first.out
    assert "3 trials: 3 complete" in first.out

    def read_test() -> DigitTable:
        raise AssertionError("the test part was read")

    search = searched(tmp_path, practice, [*BRIEF, "workers=1"])
    found = sweep(Recipe.load("fast", whole), replace(practice, read_test=read_test), search.space, 1, quiet=True)
    assert found == Path("sweeps/fast/best.yaml")
    trials = search.open().trials
    assert [trial.number for trial in trials] == [0, 1, 2, 3]
    assert len({tuple(trial.params.values()) for trial in trials}) == 4
    assert {tuple(trial.params) for trial in trials} == {("learning_rate", "momentum")}  # epochs are fixed

    best = min(trials, key=lambda trial: trial.value)
    recipe = Recipe.load(found)
    assert (recipe.name, recipe.learning_rate) == ("fast-best", best.params["learning_rate"])
    header = found.read_text().partition("name:")[0]
    assert f"# Trial {best.number} of the study fast" in header
    assert f"validation loss {best.value:.4f}" in header
    kept = Run.open(tmp_path / "sweeps" / "fast" / "best")
    assert (kept.card.finished, kept.card.source) == (True, "practice")
    assert (kept.card.train_rows, kept.card.validation_rows) == (1167, 130)
    assert kept.card.scores["validation_loss"] == best.value
    assert {path.name for path in (tmp_path / "sweeps" / "fast").iterdir()} == {
        *("best", "best.yaml", "history.png", "study.db", ".lock")
    }
    trained = command("train", "sweeps/fast/best.yaml", "--source", "practice", "--run", "again")
    assert trained.status == 0
    assert Run.open("again").recipe == recipe


def test_a_worker_that_dies_costs_its_trial_and_ctrl_c_ends_the_others(
    tmp_path: Path, practice: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = begun(tmp_path, jobs=2)
    killed, left = workers(process)
    os.kill(killed, signal.SIGKILL)
    assert process.stdout
    until(lambda: "A worker ended by signal 9; the others go on." in process.stdout.readline(), "nobody is told")
    lengths = [path.stat().st_size for path in histories(tmp_path)]
    until(lambda: lengths != [path.stat().st_size for path in histories(tmp_path)], "the other does not go on")
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "Stopped. The same command goes on with the study." in out
    assert not runs(left)

    monkeypatch.setattr("pipeline.search.study.GRACE", 1)
    study = searched(tmp_path, practice, ENDLESS).open()
    assert sorted(trial.state.name for trial in study.trials) == ["FAIL", "RUNNING"]
    assert len(histories(tmp_path)) == 1  # of the one that counts as running
    time.sleep(2.1)  # the database counts whole seconds
    with pytest.warns(match="experimental"):
        fail_stale_trials(study)  # as each worker does before it begins a trial
    assert [trial.state for trial in study.trials] == [TrialState.FAIL, TrialState.FAIL]


def test_a_worker_does_not_outlive_whom_it_works_for(tmp_path: Path, practice: Source) -> None:
    process = begun(tmp_path, jobs=1)
    (worker,) = workers(process)
    process.kill()
    process.communicate()
    until(lambda: not runs(worker), "it works on")
    (trial,) = searched(tmp_path, practice, ENDLESS).open().trials
    assert (trial.state, trial.user_attrs["reason"]) == (TrialState.FAIL, "stopped")


@pytest.fixture
def postgresql() -> Iterator[str]:
    """The address of an empty database in a PostgreSQL server on loopback, which ends with the test."""
    binaries = [shutil.which("postgres"), *map(str, Path("/usr/lib/postgresql").glob("*/bin/postgres"))]
    server = next((Path(binary).resolve().parent for binary in binaries if binary), None)
    if not server:
        pytest.skip("there is no postgres here: Debian's package is postgresql")
    # It refuses to run as root, and root's temporary folders are closed to others.
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        if user:
            shutil.chown(folder, user)
        quiet = {"user": user, "cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        made = [server / "initdb", "--pgdata", f"{folder}/data", "--username=tester", "--auth=trust", "--no-sync"]
        subprocess.run(made, check=True, **quiet)
        port = free_port()
        options = ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        process = subprocess.Popen(
            [server / "postgres", "-D", f"{folder}/data", "-p", str(port), "-k", folder, *options], **quiet
        )
        asked = [server / "pg_isready", "--host=127.0.0.1", f"--port={port}"]
        until(lambda: subprocess.run(asked, check=False, **quiet).returncode == 0, "PostgreSQL does not start", 180)
        yield f"postgresql://tester:secret@127.0.0.1:{port}/postgres"
        process.send_signal(signal.SIGINT)
        process.wait(60)


def test_a_study_in_postgresql_is_shared_by_searches_that_begin_at_once(
    postgresql: str, tmp_path: Path, practice: Source
) -> None:
    folders = [tmp_path / "one", tmp_path / "other"]  # as on two machines
    processes = []
    for folder in folders:
        folder.mkdir()
        command = arguments(folder, BRIEF, "--trials", 2, "--storage", postgresql)
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "pipeline", *command],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(PROJECT)},
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
    for process in processes:
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
        assert "secret" not in out + err
    search = searched(folders[0], practice, BRIEF, postgresql)
    trials = search.open().trials
    assert [trial.number for trial in trials] == [0, 1, 2, 3]
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert len({trial.params["learning_rate"] for trial in trials}) == 4
    recipes = [Recipe.load(folder / "sweeps" / "fast" / "best.yaml") for folder in folders]
    assert search.open().best_trial.params["learning_rate"] in {recipe.learning_rate for recipe in recipes}
    assert "secret" not in (folders[0] / "sweeps" / "fast" / "best.yaml").read_text()


def test_a_search_of_an_ensemble_is_refused(practice: Source) -> None:
    recipe = Recipe.load("fast", ["members=2", "validation_fraction=0"])
    with pytest.raises(UserError, match="a search compares single networks; --set members=1"):
        sweep(recipe, practice, SearchSpace.load("fast"), 1)


@pytest.mark.parametrize("package", ["optuna", "sqlalchemy"])
def test_without_the_optional_packages_one_line_says_what_to_install(package: str, tmp_path: Path) -> None:
    program = (
        f"import sys; sys.modules['{package}'] = None; sys.argv = ['pipeline', 'sweep', 'fast', '--trials', '1']\n"
        "from pipeline.__main__ import main; main()"
    )
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, text=True, capture_output=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"error: {package}")
    assert ended.stderr.endswith(" is not installed: pip install --requirement requirements-cluster.txt\n")
    assert ended.stderr.count("\n") == 1
