"""Complete searches in separate processes; test_trial.py covers single trials."""

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
from helpers.waiting import free_port, wait_until
from optuna.storages import fail_stale_trials
from optuna.trial import TrialState

from pipeline import DigitTable, Recipe, Run, Source, UserError
from pipeline.search.space import SearchSpace
from pipeline.search.study import Search
from pipeline.search.sweep import sweep

SPACE = "learning_rate: {low: 0.02, high: 0.2, log: true}\nmomentum: {low: 0.8, high: 0.95}\nepochs: [1, 2]\n"
SHORT = ["minimum_updates=0", "batch_size=64", "epochs=1"]
ENDLESS = ["minimum_updates=0", "batch_size=256", "epochs=100000"]


def arguments(folder: Path, settings: list[str], *others: object) -> list[str]:
    """Return a command that searches learning rate and momentum of `fast`, with these settings fixed."""
    (folder / "space.yaml").write_text(SPACE)
    fixed = [word for setting in settings for word in ("--set", setting)]
    return ["sweep", "fast", "--source", "practice", "--space", "space.yaml", *fixed, *map(str, others)]


def make_search(folder: Path, practice: Source, settings: list[str], url: str | None = None) -> Search:
    """Return the Search of that command."""
    space = SearchSpace.load("fast", folder / "space.yaml", ["epochs"])
    sweeps = folder / "sweeps" / "fast"
    url = url or f"sqlite:///{sweeps}/study.db"
    recipe = Recipe.load("fast", settings)
    return Search(recipe, space, practice.read_train(), "practice", sweeps, url, practice.data_dir)


def start_endless_search(folder: Path, jobs: int) -> subprocess.Popen[str]:
    """Start a search with endless trials as a process group leader; return it when all workers are training."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", *arguments(folder, ENDLESS, "--trials", 5, "--jobs", jobs)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    wait_until(lambda: process.poll() is not None or len(histories(folder)) == jobs, "no trial starts", 300)
    return process


def histories(folder: Path) -> list[Path]:
    """Return the history files of the running trials."""
    return sorted((folder / "sweeps" / "fast").glob("trial-*/history.csv"))


def is_running(worker: int) -> bool:
    """Return whether a process is running; a zombie has an empty command line."""
    try:
        return Path(f"/proc/{worker}/cmdline").read_bytes() != b""
    except FileNotFoundError:
        return False


def workers(process: subprocess.Popen[str]) -> list[int]:
    """Return the process ids of a search's workers."""
    if sys.platform != "linux":
        pytest.skip("child processes are listed in Linux's /proc")
    children = map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
    return [child for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def test_two_workers_share_a_study_and_a_later_search_continues_it(
    command: Callable[..., Outcome], practice: Source, tmp_path: Path
) -> None:
    # The search validates on a tenth of the rows; its workers start data-loading workers.
    settings = [*SHORT, "validation_fraction=0", "workers=1"]
    first = command(*arguments(tmp_path, settings, "--trials", 2, "--jobs", 2))
    assert (first.status, first.err) == (0, "")
    assert "fast has no validation rows; the search uses 10 % of the rows for validation" in first.out
    assert "Study: sqlite:///sweeps/fast/study.db, 0 earlier trials" in first.out
    assert "2 trials: 2 complete" in first.out

    def read_test() -> DigitTable:
        raise AssertionError("the test rows were read")

    search = make_search(tmp_path, practice, [*SHORT, "workers=1"])
    found = sweep(Recipe.load("fast", settings), replace(practice, read_test=read_test), search.space, 1, quiet=True)
    assert found == Path("sweeps/fast/best.yaml")
    trials = search.open().trials
    assert [trial.number for trial in trials] == [0, 1, 2]
    assert len({tuple(trial.params.values()) for trial in trials}) == 3
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


def test_a_dead_worker_fails_its_trial_and_ctrl_c_stops_the_others(
    tmp_path: Path, practice: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start_endless_search(tmp_path, jobs=2)
    killed, remaining = workers(process)
    os.kill(killed, signal.SIGKILL)
    assert process.stdout
    wait_until(lambda: "A worker died (signal 9); the others continue." in process.stdout.readline(), "no message")
    lengths = [path.stat().st_size for path in histories(tmp_path)]
    wait_until(lambda: lengths != [path.stat().st_size for path in histories(tmp_path)], "the other worker stopped")
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "Stopped. Run the same command again to continue the study." in out
    assert not is_running(remaining)

    monkeypatch.setattr("pipeline.search.study.GRACE_SECONDS", 1)
    study = make_search(tmp_path, practice, ENDLESS).open()
    assert sorted(trial.state.name for trial in study.trials) == ["FAIL", "RUNNING"]
    assert len(histories(tmp_path)) == 1  # of the running trial
    time.sleep(2.1)  # the database has a resolution of one second
    with pytest.warns(match="experimental"):
        fail_stale_trials(study)  # as each worker does before a trial
    assert [trial.state for trial in study.trials] == [TrialState.FAIL, TrialState.FAIL]


def test_a_worker_ends_with_its_parent_process(tmp_path: Path, practice: Source) -> None:
    process = start_endless_search(tmp_path, jobs=1)
    (worker,) = workers(process)
    process.kill()
    process.communicate()
    wait_until(lambda: not is_running(worker), "the worker is still running")
    (trial,) = make_search(tmp_path, practice, ENDLESS).open().trials
    assert (trial.state, trial.user_attrs["reason"]) == (TrialState.FAIL, "stopped")


@pytest.fixture
def postgresql() -> Iterator[str]:
    """Yield the URL of an empty database of a temporary PostgreSQL server on the loopback address."""
    binaries = [shutil.which("postgres"), *map(str, Path("/usr/lib/postgresql").glob("*/bin/postgres"))]
    server = next((Path(binary).resolve().parent for binary in binaries if binary), None)
    if not server:
        pytest.skip("postgres is not installed; the Debian package is postgresql")
    # PostgreSQL refuses to run as root, and other users cannot enter root's temporary folders.
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        if user:
            shutil.chown(folder, user)
        quiet = {"user": user, "cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        init = [server / "initdb", "--pgdata", f"{folder}/data", "--username=tester", "--auth=trust", "--no-sync"]
        subprocess.run(init, check=True, **quiet)
        port = free_port()
        options = ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        process = subprocess.Popen(
            [server / "postgres", "-D", f"{folder}/data", "-p", str(port), "-k", folder, *options], **quiet
        )
        ready = [server / "pg_isready", "--host=127.0.0.1", f"--port={port}"]
        wait_until(
            lambda: subprocess.run(ready, check=False, **quiet).returncode == 0, "PostgreSQL does not start", 180
        )
        yield f"postgresql://tester:secret@127.0.0.1:{port}/postgres"
        process.send_signal(signal.SIGINT)
        process.wait(60)


def test_searches_that_start_together_share_a_study_in_postgresql(
    postgresql: str, tmp_path: Path, practice: Source
) -> None:
    folders = [tmp_path / "one", tmp_path / "other"]  # as on two machines
    processes = []
    for folder in folders:
        folder.mkdir()
        command = arguments(folder, SHORT, "--trials", 2, "--storage", postgresql)
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
    search = make_search(folders[0], practice, SHORT, postgresql)
    trials = search.open().trials
    assert [trial.number for trial in trials] == [0, 1, 2, 3]
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert len({trial.params["learning_rate"] for trial in trials}) == 4
    recipes = [Recipe.load(folder / "sweeps" / "fast" / "best.yaml") for folder in folders]
    assert search.open().best_trial.params["learning_rate"] in {recipe.learning_rate for recipe in recipes}
    assert "secret" not in (folders[0] / "sweeps" / "fast" / "best.yaml").read_text()


def test_a_search_of_an_ensemble_is_refused(practice: Source) -> None:
    recipe = Recipe.load("fast", ["members=2", "validation_fraction=0"])
    with pytest.raises(UserError, match="a search trains single networks, not ensembles; add --set members=1"):
        sweep(recipe, practice, SearchSpace.load("fast"), 1)


@pytest.mark.parametrize("package", ["optuna", "sqlalchemy"])
def test_a_missing_optional_package_is_named_in_one_line(package: str, tmp_path: Path) -> None:
    program = (
        f"import sys; sys.modules['{package}'] = None; sys.argv = ['pipeline', 'sweep', 'fast', '--trials', '1']\n"
        "from pipeline.__main__ import main; main()"
    )
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, text=True, capture_output=True, check=False
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: {package}")
    assert result.stderr.endswith(" is not installed; run: pip install --requirement requirements-cluster.txt\n")
    assert result.stderr.count("\n") == 1
