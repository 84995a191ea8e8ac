import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import Outcome, peak_memory
from helpers.files import csv_text
from helpers.paths import PROJECT

from pipeline import DigitTable, Predictor, Run, Source
from pipeline.config.settings import recipe_names


def python(program: str) -> str:
    """Run a program in a new interpreter and return its output."""
    return subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, text=True, stdout=subprocess.PIPE, check=True
    ).stdout


@pytest.mark.parametrize("arguments", [["--help"], ["submit", "--help"], ["recipes"]])
def test_help_and_lists_import_no_heavy_library(arguments: list[str]) -> None:
    loaded = python(
        f"import sys; sys.argv = ['pipeline', *{arguments}]\n"
        "from pipeline.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('LOADED', {'torch', 'pandas', 'numpy', 'sklearn', 'accelerate'} & set(sys.modules))"
    )
    assert loaded.endswith("LOADED set()\n")


def test_importing_the_package_imports_no_heavy_library() -> None:
    assert python("import sys, pipeline; print('torch' in sys.modules, 'numpy' in sys.modules)") == "False False\n"


def test_help_lists_every_command(command: Callable[..., Outcome]) -> None:
    outcome = command("--help")
    assert outcome.status == 0
    for verb in ("data", "train", "sweep", "evaluate", "predict", "submit", "recipes"):
        assert f" {verb} " in outcome.out


def test_recipes_are_listed_with_a_line_each(command: Callable[..., Outcome]) -> None:
    header, *lines, empty, guide = command("recipes").out.splitlines()
    assert header.split() == ["recipe", "minutes", "accuracy", "summary"]
    assert [line.split()[0] for line in lines] == recipe_names()
    assert (empty, "docs/coming-from.md" in guide) == ("", True)


def test_a_closed_pipe_is_not_an_error() -> None:
    command = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "recipes"], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert command.stdout is not None
    command.stdout.close()
    _, errors = command.communicate(timeout=60)
    assert (command.returncode, errors) == (0, b"")


def test_an_unknown_command_or_option_exits_with_2(command: Callable[..., Outcome]) -> None:
    assert command("submitt").status == 2
    assert command("submit", "--recip", "fast").status == 2


@pytest.fixture
def brief(tmp_path: Path) -> Path:
    """A recipe that trains in about a second."""
    from pipeline import Recipe

    recipe = Recipe.load("fast", ["epochs=2", "minimum_updates=20"])
    recipe.save(tmp_path / "brief.yaml")
    return tmp_path / "brief.yaml"


def test_submit_trains_predicts_and_logs_the_file_and_the_accuracy(
    command: Callable[..., Outcome], brief: Path, tmp_path: Path
) -> None:
    outcome = command("submit", "--recipe", brief, "--source", "practice")
    assert outcome.status == 0
    lines = (tmp_path / "submissions" / "solution.csv").read_text().splitlines()
    assert (lines[0], len(lines)) == ("ImageId,Label", 501)
    assert "Data: practice, in data/practice (requested)" in outcome.out
    assert "Wrote submissions/solution.csv: 500 rows, predicted by checkpoints/fast-" in outcome.out
    assert "Validation accuracy: " in outcome.out
    assert "Test accuracy: " in outcome.out
    assert "of 500 right" in outcome.out


def test_the_same_seed_writes_the_same_solution_byte_for_byte(
    command: Callable[..., Outcome], brief: Path, tmp_path: Path
) -> None:
    for name in ("a.csv", "b.csv"):
        assert command("submit", "--recipe", brief, "--source", "practice", "--out", name).status == 0
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


def test_quiet_prints_nothing(command: Callable[..., Outcome], brief: Path) -> None:
    outcome = command("submit", "--recipe", brief, "--source", "practice", "--quiet")
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")


def test_data_logs_the_number_of_rows(command: Callable[..., Outcome]) -> None:
    assert "1,297 training rows, 500 test rows" in command("data", "--source", "practice").out


def test_a_trained_run_can_be_submitted_by_name(command: Callable[..., Outcome], brief: Path, tmp_path: Path) -> None:
    trained = command("train", brief, "--source", "practice", "--run", "mine", "--set", "seed=4")
    assert trained.status == 0
    assert "Run: checkpoints/mine" in trained.out
    assert json.loads((tmp_path / "checkpoints" / "mine" / "card.json").read_text())["seed"] == 4
    assert "train loss" not in command("submit", "--run", "mine", "--source", "practice").out
    again = command("train", brief, "--source", "practice", "--run", "mine")
    assert (again.status, "the run already exists" in again.err) == (2, True)


def test_predictions_keep_the_order_of_the_csv(
    command: Callable[..., Outcome], run: Run, digits: DigitTable, tmp_path: Path
) -> None:
    (tmp_path / "digits.csv").write_text(csv_text(digits.select(np.arange(100))))
    outcome = command("predict", run.folder, "digits.csv", "--out", "new folder/answers.csv")
    assert outcome.out == "new folder/answers.csv: 100 rows\n"
    answers = np.loadtxt(tmp_path / "new folder" / "answers.csv", delimiter=",", skiprows=1, dtype=int)
    assert np.array_equal(answers[:, 0], np.arange(1, 101))
    assert np.array_equal(answers[:, 1], Predictor.load(run.folder).predict(digits.pixels[:100]).digits)


def test_predict_keeps_the_old_file_if_a_later_row_is_invalid(
    command: Callable[..., Outcome], run: Run, digits: DigitTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.data.csv_file.CHUNK_ROWS", 20)
    lines = csv_text(DigitTable(digits.pixels[:100])).splitlines()
    lines[90] = lines[90].replace(",", ",x", 1)
    (tmp_path / "digits.csv").write_text("\n".join(lines))
    (tmp_path / "answers.csv").write_text("old content")
    outcome = command("predict", run.folder, "digits.csv", "--out", "answers.csv")
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert "digits.csv, row 90 (line 91): column pixel1" in outcome.err
    assert (tmp_path / "answers.csv").read_text() == "old content"
    assert {path.name for path in tmp_path.iterdir()} == {"digits.csv", "answers.csv"}


def test_predict_and_submit_write_the_same_predictions(
    command: Callable[..., Outcome], run: Run, practice: Source, tmp_path: Path
) -> None:
    data = practice.path.parent
    command("submit", "--run", run.folder, "--source", "practice", "--data", data, "--out", "submitted.csv")
    command("predict", run.folder, practice.path / "test.csv", "--out", "predicted.csv")
    assert (tmp_path / "submitted.csv").read_bytes() == (tmp_path / "predicted.csv").read_bytes()


def test_evaluate_scores_a_csv_and_the_validation_rows(
    command: Callable[..., Outcome], run: Run, practice: Source, digits: DigitTable, tmp_path: Path
) -> None:
    outcome = command("evaluate", run.folder, "--data", practice.path.parent)
    assert "of 130 right" in outcome.out
    assert "confusion" in outcome.out
    (tmp_path / "mine.csv").write_text(csv_text(digits.select(np.arange(200))))
    outcome = command("evaluate", run.folder, "--on", "mine.csv")
    assert "of 200 right" in outcome.out
    assert command("evaluate", run.folder, "--on", practice.path / "test.csv").status == 2


def test_the_memory_of_predict_does_not_depend_on_the_length_of_the_file(
    run: Run, digits: DigitTable, tmp_path: Path
) -> None:
    header, rows = csv_text(DigitTable(digits.pixels[:1000])).split("\n", 1)
    peaks = []
    for thousands in (6, 60):
        (tmp_path / "long.csv").write_text(header + "\n" + thousands * rows)
        peaks.append(peak_memory(tmp_path, "predict", str(run.folder), "long.csv", "--out", "out.csv"))
        assert (tmp_path / "out.csv").read_text().count("\n") == 1000 * thousands + 1
    assert peaks[1] - peaks[0] < 100 * 1024


def test_sigterm_cleans_up_and_exits_with_143(
    command: Callable[..., Outcome], run: Run, digits: DigitTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows.csv").write_text(csv_text(DigitTable(digits.pixels[:5])))
    seen = []

    def terminate(*_: object) -> None:
        seen.append(len(list(tmp_path.glob(".answers.csv.*.part"))))
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)

    monkeypatch.setattr(Predictor, "predict", terminate)
    outcome = command("predict", run.folder, "rows.csv", "--out", "answers.csv", "--quiet")
    assert (outcome.status, outcome.err) == (143, "")
    assert seen == [1]
    assert list(tmp_path.iterdir()) == [tmp_path / "rows.csv"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
