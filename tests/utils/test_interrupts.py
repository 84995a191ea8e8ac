"""Ctrl-C and SIGTERM: a command ends silently with status 130 or 143, whatever libraries make of the interrupt."""

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.commands import Outcome
from helpers.paths import PROJECT

from pipeline import Run, Source
from pipeline.utils.processes.interrupts import defer_interrupts, exit_on_interrupt


def interrupt_in_library(*_: object, **__: object) -> None:
    """Be interrupted as a library is that turns any exception into one of its own."""
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException as error:
        raise RuntimeError("failed") from error


class Finaliser:
    """An object whose finaliser is interrupted: Python discards the exception."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_block_with_its_status(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as end, exit_on_interrupt():
        os.kill(os.getpid(), number)
    assert end.value.code == 128 + number
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_in_a_finaliser_is_not_lost(number: signal.Signals, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end, exit_on_interrupt():
        Finaliser(number)
        time.sleep(60)
        pytest.fail("the block continues")
    assert end.value.code == 128 + number
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_status_is_the_same_if_the_interrupt_passes_through_code_in_a_string(
    number: signal.Signals, tmp_path: Path
) -> None:
    (tmp_path / "interrupted.py").write_text(f"""
from pipeline.utils.processes.interrupts import exit_on_interrupt
with exit_on_interrupt():
    exec("import os; os.kill(os.getpid(), {number.value})")
""")
    command, environment = [sys.executable, "-m", "interrupted"], {**os.environ, "PYTHONPATH": str(PROJECT)}
    ended = subprocess.run(command, check=False, cwd=tmp_path, env=environment, capture_output=True)
    assert (ended.returncode, ended.stderr) == (128 + number, b"")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_import_is_completed_before_the_interrupt(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"interrupted_by_{number.name.lower()}"
    (tmp_path / f"{name}.py").write_text(f"import os; os.kill(os.getpid(), {number.value}); complete = True")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SystemExit) as end, exit_on_interrupt():
        assert importlib.import_module(name).complete
        time.sleep(60)
        pytest.fail("the block continues")
    assert end.value.code == 128 + number


@pytest.mark.parametrize("exits", [False, True])
def test_an_interrupt_in_the_last_import_is_not_lost(
    exits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "last_import.py").write_text("import os; os.kill(os.getpid(), 2)")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "last_import", raising=False)
    with pytest.raises(SystemExit) as end, exit_on_interrupt():
        importlib.import_module("last_import")
        if exits:
            sys.exit(0)
    assert end.value.code == 130


def test_a_script_that_is_imported_is_interrupted_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.utils.processes.interrupts.MAX_REPEATS", 3)
    (tmp_path / "long_script.py").write_text("import os, time; os.kill(os.getpid(), 2); time.sleep(60)")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SystemExit) as end, exit_on_interrupt():
        importlib.import_module("long_script")
    assert end.value.code == 130


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with exit_on_interrupt():
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["evaluate", "RUN", "--data", "DATA"], "pipeline.reports.evaluate.plot_confusion"),
        (["compare", "RUN", "--data", "DATA"], "pipeline.reports.figures.plot_comparison"),
        (["export", "RUN", "--to", "onnx", "--out", "out"], "torch.onnx.export"),
        (["export", "RUN", "--to", "transformers", "--out", "out"], "pipeline.export.transformers.model_card"),
    ],
)
def test_ctrl_c_in_a_figure_or_an_export_prints_nothing(
    arguments: list[str],
    place: str,
    run: Run,
    practice: Source,
    tmp_path: Path,
    command: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(place, interrupt_in_library)
    words: dict[str, Path] = {"RUN": run.folder, "DATA": practice.data_dir}
    outcome = command(*(words.get(word, word) for word in arguments))
    assert (outcome.status, outcome.err) == (130, "")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_the_program_is_loaded_prints_nothing(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{PROJECT}"}
    command = [sys.executable, "-m", "pipeline", "recipes"]
    ended = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, "")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_deferred_interrupt_takes_effect_at_the_end_of_the_block(sent: signal.Signals) -> None:
    done = []
    with pytest.raises(SystemExit) as caught, exit_on_interrupt():
        with defer_interrupts():
            os.kill(os.getpid(), sent)
            done.append("in the block")
        time.sleep(1)
        done.append("after the block")
    assert (caught.value.code, done) == (128 + sent, ["in the block"])
