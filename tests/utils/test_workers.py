"""The worker pool: results, dying workers, and shutdown."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from helpers.paths import PROJECT
from helpers.waiting import wait_until

from pipeline import UserError
from pipeline.utils.processes.workers import Outcome, deal


def square(number: int) -> int:
    """Return the square; 3 and 4 kill the process, 5 raises a UserError, 6 takes ten minutes, 9 fails."""
    if number == 3:
        os._exit(7)
    if number == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 5:
        raise UserError("no fives")
    if number == 6:
        time.sleep(600)
    if number == 9:
        raise OSError(28, "No space left on device")
    return number * number


def test_each_task_runs_once() -> None:
    outcomes = list(deal(square, [0, 1, 2, 7, 8], 2))
    assert sorted(outcome.task for outcome in outcomes) == [0, 1, 2, 7, 8]
    assert all(outcome.result == outcome.task**2 for outcome in outcomes)


def test_if_a_worker_dies_its_task_fails_and_the_others_continue() -> None:
    outcomes = {outcome.task: outcome for outcome in deal(square, [3, 0, 1, 2], 2)}
    assert outcomes.keys() == {0, 1, 2, 3}
    assert outcomes[3] == Outcome(3, death="status 7")


def test_a_worker_that_fails_says_why() -> None:
    outcomes = {outcome.task: outcome for outcome in deal(square, [9], 1)}
    assert outcomes[9] == Outcome(9, death="status 1 (OSError: [Errno 28] No space left on device)")


def test_remaining_tasks_are_not_run_if_all_workers_die() -> None:
    assert list(deal(square, [4, 0, 1], 1)) == [Outcome(4, death="signal 9")]


def test_a_user_error_in_a_worker_is_raised_in_the_parent() -> None:
    with pytest.raises(UserError, match="no fives"):
        list(deal(square, [0, 5, 1], 1))


def test_workers_end_with_the_iteration() -> None:
    started = time.monotonic()
    outcomes: Iterator[Outcome[int, int]] = deal(square, [0, 6], 2)
    with closing(outcomes):  # type: ignore[type-var]
        assert next(outcomes).task == 0
    assert time.monotonic() - started < 60


def compute(folder: str) -> None:
    """Create a file in the folder, and compute for ten minutes, in which SIGTERM has no effect."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    (Path(folder) / "started").touch()
    time.sleep(600)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_workers_end_with_a_killed_parent_whatever_they_compute(sent: signal.Signals, tmp_path: Path) -> None:
    program = (
        "from test_workers import *\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also if nohup started the tests\n"
        f"list(deal(compute, ['{tmp_path}'], 1))"
    )
    paths = [PROJECT, PROJECT / "tests", Path(__file__).parent]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    parent = subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE)
    wait_until(lambda: any(tmp_path.iterdir()), "no task has started")
    parent.send_signal(sent)
    parent.communicate(timeout=20)  # the output ends when the worker, which also holds it, has ended


@pytest.mark.parametrize("standard_input", [True, False])
def test_a_script_needs_no_main_guard(standard_input: bool, tmp_path: Path) -> None:
    script = (
        "import math\n"
        "from pipeline.utils.processes.workers import deal\n"
        "print(sorted(outcome.result for outcome in deal(math.sqrt, [1.0, 4.0, 9.0], 2)))\n"
    )
    (tmp_path / "script.py").write_text(script)
    ended = subprocess.run(
        [sys.executable, "-" if standard_input else tmp_path / "script.py"],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        input=script if standard_input else "",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "[1.0, 2.0, 3.0]\n", "")
