import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import Outcome
from helpers.files import csv_text
from helpers.paths import PROJECT
from PIL import Image

from pipeline import DigitTable, Predictor, Run, Source, UserError, evaluate, score, train
from pipeline.reports.compare import compare, format_comparison
from pipeline.reports.evaluate import labelled_rows, validation_rows

FIGURES = {
    "history.png",
    "overall.png",
    "confusion.png",
    "digits.png",
    "reliability.png",
    "samples.png",
    "mistakes.png",
}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory, run: Run) -> Run:
    """Return a copy of the finished run; the tests write reports to it."""
    copy = tmp_path_factory.mktemp("evaluated") / "copy"
    copy.mkdir()
    for file in run.folder.iterdir():
        if file.is_file():
            (copy / file.name).write_bytes(file.read_bytes())
    return Run(copy)


def test_evaluation_writes_the_report_and_all_figures(evaluated: Run, practice: Source) -> None:
    test = practice.read_test()
    result = evaluate(evaluated, test, "practice")
    assert result.rows == 500
    assert (evaluated.folder / "report.txt").read_text() == f"{evaluated} on practice: 500 rows\n{result.report()}\n"
    assert {path.name for path in (evaluated.folder / "figures").iterdir()} == FIGURES
    for name in FIGURES:
        with Image.open(evaluated.folder / "figures" / name) as image:
            assert min(image.size) > 100


def test_the_score_is_that_of_the_predictor(evaluated: Run, practice: Source) -> None:
    test = practice.read_test()
    predictions = Predictor.load(evaluated.folder).predict(test.pixels)
    assert str(evaluate(evaluated, test, "practice")) == str(score(predictions.digits, test.known_labels))


def test_the_card_records_scores_on_mnist_and_on_validation_rows(evaluated: Run, practice: Source) -> None:
    result = evaluate(evaluated, practice.read_test(), "mnist")
    scores = evaluated.card.scores
    assert (scores["mnist_accuracy"], scores["mnist_parity_accuracy"]) == (result.accuracy, result.parity.accuracy)
    before = scores["validation_accuracy"]
    result = evaluate(evaluated, validation_rows(evaluated, practice), "validation")
    scores = evaluated.card.scores
    assert (scores["validation_accuracy"], scores["validation_parity_accuracy"]) == (before, result.parity.accuracy)


def test_an_overlap_with_the_training_set_is_reported_and_its_score_is_not_recorded(
    evaluated: Run, digits: DigitTable, caplog: pytest.LogCaptureFixture
) -> None:
    card = evaluated.card
    evaluate(evaluated, digits.select(np.arange(30)), "mnist")
    assert "was trained on 30 of these images: its score is too optimistic" in caplog.text
    assert evaluated.card == card


def test_digits_without_labels_are_rejected(evaluated: Run, practice: Source) -> None:
    with pytest.raises(UserError, match="no labels"):
        evaluate(evaluated, DigitTable(practice.read_test().pixels), "practice")


def test_validation_rows_are_those_that_the_run_was_not_trained_on(run: Run, practice: Source) -> None:
    rows = validation_rows(run, practice)
    assert len(rows) == run.card.validation_rows
    digits, accuracy = Predictor.load(run.folder).predict(rows.pixels).digits, run.card.scores["validation_accuracy"]
    assert (digits == rows.known_labels).mean() == pytest.approx(accuracy)


def test_other_data_than_the_training_set_are_rejected(run: Run, practice: Source) -> None:
    fewer = Source("practice", practice.path, "", lambda: practice.read_train().select(np.arange(900)), lambda: None)
    with pytest.raises(UserError, match="does not contain the data that"):
        validation_rows(run, fewer)


def test_a_csv_with_labels_can_be_scored(run: Run, digits: DigitTable, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(csv_text(digits.select(np.arange(20))))
    assert len(labelled_rows(run, str(tmp_path / "mine.csv"), tmp_path)) == 20


def test_the_train_command_writes_a_report_figures_a_log_and_events(command: Callable[..., Outcome]) -> None:
    settings = ["--set", "epochs=2", "--set", "minimum_updates=0", "--source", "practice"]
    assert command("train", "fast", "--run", "mine", *settings).status == 0
    folder = Path("checkpoints/mine")
    assert (folder / "report.txt").read_text().startswith("checkpoints/mine on validation: 130 rows")
    assert {path.name for path in (folder / "figures").iterdir()} == FIGURES
    assert "2/2" in (folder / "training.log").read_text()
    assert list((folder / "tensorboard").glob("events.out.tfevents.*"))


def test_evaluate_prints_the_report_and_its_path(
    command: Callable[..., Outcome], evaluated: Run, digits: DigitTable
) -> None:
    Path("mine.csv").write_text(csv_text(digits.select(np.arange(30))))
    ended = command("evaluate", evaluated.folder, "--on", "mine.csv")
    assert ended.status == 0
    report = (evaluated.folder / "report.txt").read_text()
    assert report.startswith(f"{evaluated} on mine.csv: 30 rows")
    assert report.split("\n", 1)[1].strip() in ended.out
    assert f"{evaluated}/report.txt" in ended.out


def test_runs_are_compared_on_the_same_rows(run: Run, evaluated: Run, digits: DigitTable, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(csv_text(digits.select(np.arange(40))))
    compared = compare([run.folder, evaluated.folder], str(tmp_path / "mine.csv"), tmp_path)
    assert [each.score.rows for each in compared] == [40, 40]
    assert np.array_equal(compared[0].score.confusion, compared[1].score.confusion)
    assert all(each.images_per_second > 0 for each in compared)
    header, *lines = format_comparison(compared).splitlines()
    assert header.split()[:2] == ["run", "accuracy"]
    assert len({len(line) for line in [header, *lines]}) == 1
    assert all(f"{run.card.parameters:,}" in line for line in lines)


def test_compare_writes_a_figure_and_prints_its_path(
    command: Callable[..., Outcome], run: Run, digits: DigitTable
) -> None:
    Path("mine.csv").write_text(csv_text(digits.select(np.arange(40))))
    ended = command("compare", run.folder, "--on", "mine.csv")
    assert "checkpoints/comparison.png" in ended.out
    with Image.open("checkpoints/comparison.png") as image:
        assert image.width > image.height


def test_a_missing_run_to_compare_is_reported(command: Callable[..., Outcome]) -> None:
    ended = command("compare", "nothing")
    assert (ended.status, ended.out) == (2, "")
    assert "checkpoints/nothing: no run found" in ended.err


def test_a_run_without_validation_rows_cannot_be_scored_on_them(
    tmp_path: Path, practice: Source, recipe: object
) -> None:
    no_validation = recipe.model_copy(update={"validation_fraction": 0.0, "epochs": 1})  # type: ignore[attr-defined]
    trained = train(no_validation, practice, str(tmp_path / "run"), quiet=True)
    with pytest.raises(UserError, match="has no validation rows; score it on other digits with --on mnist"):
        labelled_rows(trained, "validation", tmp_path)


def test_an_evaluation_of_the_shipped_run_changes_no_tracked_file(
    practice: Source, tmp_path: Path, command: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = tmp_path / "clone"
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "checkpoints", ".gitignore"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    if tracked.returncode:
        pytest.skip("needs a git checkout")
    for name in filter(None, tracked.stdout.split("\0")):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, clone / name)

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        return subprocess.run(
            ["git", *identity, *arguments], cwd=clone, capture_output=True, text=True, check=True
        ).stdout

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "all")
    (tmp_path / "few.csv").write_text(csv_text(practice.read_train().select(np.arange(100))))
    monkeypatch.chdir(clone)
    outcome = command("evaluate", "sketchpad", "--on", tmp_path / "few.csv")
    assert outcome.status == 0, outcome.err
    assert "Wrote checkpoints/sketchpad/evaluation/report.txt, " in outcome.out
    assert git("status", "--porcelain") == ""
    assert len(list((clone / "checkpoints" / "sketchpad" / "evaluation" / "figures").iterdir())) >= 6


def test_a_comparison_is_printed_even_if_its_figure_cannot_be_written(
    run: Run, tmp_path: Path, command: Callable[..., Outcome], practice: Source
) -> None:
    (tmp_path / "checkpoints").touch()
    outcome = command("compare", run.folder, "--data", practice.data_dir)
    assert outcome.status == 2
    assert f"\n{run.folder.name} " in outcome.out
    assert outcome.err.startswith("error: checkpoints/comparison.png: cannot be written: ")
