"""Machines: terminals that cannot print a name, names that are too long, starts as a file, and the line to resume."""

import ast
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import Outcome
from helpers.files import csv_text
from helpers.interrupts import interrupted_evaluation
from helpers.paths import PROJECT
from PIL import Image

from pipeline import DigitTable, Run, Source

LONG = 300 * "n"


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "cp1252"},
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_a_name_that_cannot_be_printed_is_no_error(
    environment: dict[str, str], practice: Source, tmp_path: Path
) -> None:
    name = "na\u00efve \u2192"
    shutil.copytree(practice.data_dir, tmp_path / name)
    ended = subprocess.run(
        [sys.executable, "-m", "pipeline", "data", "--source", "practice", "--data", name],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT), **environment},
        capture_output=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout.startswith(b"Data: practice, in na")
    assert ended.stdout.endswith(b"1,297 training rows, 500 test rows\n")


PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""A machine without UTF-8."""


def run_command(folder: Path, *words: str, options: tuple[str, ...] = (), **environment: str) -> Outcome:
    """Run a command in a process of its own, with options of Python and variables."""
    ended = subprocess.run(
        [sys.executable, *options, "-m", "pipeline", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT), **environment},
        capture_output=True,
        check=False,
    )
    return Outcome(ended.returncode, ended.stdout.decode(errors="replace"), ended.stderr.decode(errors="replace"))


def test_a_run_of_any_name_is_trained_without_a_home_and_with_a_batch_beyond_the_rows(tmp_path: Path) -> None:
    name = "na\u00efve \u2192 run"
    settings = ["--set", "epochs=1", "--set", "minimum_updates=0", "--set", "batch_size=1000"]
    words = ["train", "fast", "--source", "practice", "--limit", "40", "--run", name, *settings]
    outcome = run_command(tmp_path, *words, HOME="/proc/nowhere", XDG_CONFIG_HOME="", XDG_CACHE_HOME="", **PLAIN)
    assert (outcome.status, outcome.err) == (0, "")
    assert "Validation accuracy: " in outcome.out
    assert Run(tmp_path / "checkpoints" / name).card.finished


def test_files_with_any_bytes_in_their_names_are_predicted(run: Run, digits: DigitTable, tmp_path: Path) -> None:
    name = os.fsdecode(b"scan \xff \xe2\x86\x92.csv")
    (tmp_path / name).write_text(csv_text(DigitTable(digits.pixels[:2])))
    outcome = run_command(tmp_path, "predict", str(run.folder), name, "--out", os.fsdecode(b"out \xff"), **PLAIN)
    assert (outcome.status, outcome.err) == (0, "")
    lines = (tmp_path / os.fsdecode(b"out \xff") / "part-00000.csv").read_bytes().splitlines()
    assert lines[1].startswith(os.fsencode(name) + b",1,")


def test_optimised_python_skips_no_check(tmp_path: Path, digits: DigitTable) -> None:
    header, *rows = csv_text(digits.select(np.arange(20))).splitlines()
    (tmp_path / "train.csv").write_text("\n".join([header, *rows[:19], "10" + rows[19][1:]]))
    outcome = run_command(tmp_path, "data", "--source", "train.csv", options=("-O",))
    assert outcome.status == 2
    assert outcome.err.startswith("error: train.csv, row 20 (line 21): column label: 10 is outside 0 to 9")


def test_assertions_only_state_types() -> None:
    """Python removes assertions with -O; a check of data must be an error."""
    for path in [*PROJECT.glob("pipeline/**/*.py"), *PROJECT.glob("demo/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Assert):
                tests = node.test.values if isinstance(node.test, ast.BoolOp) else [node.test]
                for test in tests:
                    words = ast.unparse(test)
                    assert words.endswith(" is not None") or words.startswith("isinstance(") or words.isidentifier(), (
                        f"{path}, line {node.lineno}: {words}"
                    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "fast", "--source", "practice", "--run", LONG],
        ["evaluate", LONG],
        ["predict", "fast", LONG, "--out", "out.csv"],
        ["submit", "--source", "practice", "--out", LONG],
        ["data", "--source", "practice", "--data", LONG],
        ["train", f"{LONG}.yaml"],
        ["read", "fast", LONG],
    ],
)
def test_a_name_that_is_too_long_is_refused_in_one_line(
    arguments: list[str], run: Run, command: Callable[..., Outcome]
) -> None:
    outcome = command(*(str(run.folder) if word == "fast" and "train" not in arguments else word for word in arguments))
    assert outcome.status == 2
    (line,) = outcome.err.splitlines()
    assert line.startswith("error: ")


@pytest.mark.parametrize("path", ["pipeline", "pipeline/__main__.py"])
def test_a_start_as_a_file_says_how_it_is_called(path: str) -> None:
    ended = subprocess.run([sys.executable, PROJECT / path], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "error: start it in the project's folder with python -m pipeline\n"


def test_a_seed_beyond_32_bits_is_refused(command: Callable[..., Outcome]) -> None:
    outcome = command("train", "fast", "--source", "practice", "--set", "seed=4294967296")
    assert outcome.status == 2
    assert "--set seed=4294967296: seed: 4294967296 is not valid" in outcome.err


def test_submit_refuses_a_run_together_with_a_recipe(command: Callable[..., Outcome], run: Run) -> None:
    outcome = command("submit", "--run", run.folder, "--recipe", "fast", "--source", "practice")
    assert (outcome.status, outcome.err) == (
        2,
        "error: --run and --recipe: give a trained run, or a recipe to train, but not both\n",
    )


def test_the_line_to_resume_works_verbatim(command: Callable[..., Outcome], digits: DigitTable, tmp_path: Path) -> None:
    kept = tmp_path / "my corrections"
    kept.mkdir()
    Image.fromarray(np.asarray(255 - digits.pixels[0])).save(kept / "a.png")
    (kept / "corrections.csv").write_text("frame,label\na.png,5\n")
    options = ["--source", "practice", "--data", "my data", "--with", "my corrections", "--limit", "200"]
    settings = ["--set", "epochs=2", "--set", "minimum_updates=0", "--set", "seed=7"]
    with interrupted_evaluation(2):
        stopped = command("train", "fast", "--run", "runs of mine/a", *options, *settings)
    assert stopped.status == 130
    (line,) = (line for line in stopped.out.splitlines() if "To resume: " in line)
    words = shlex.split(line.partition("To resume: ")[2])
    assert words[:3] == ["python", "-m", "pipeline"]
    assert command(*words[3:], "--quiet").status == 0
    card = Run(tmp_path / "runs of mine" / "a").card
    assert (card.finished, card.train_rows, card.corrections, card.seed) == (True, 201, 1, 7)
    other = command("train", "fast", "--run", "runs of mine/a", *settings, "--set", "epochs=3", "--resume")
    assert f"resume it with {shlex.join(words)}" in other.err
