"""Test images without their labels are trained on, with the labels of another run."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import Outcome

from pipeline import Predictor, Recipe, Run, Source, UserError, submit, train
from pipeline.data.table import DigitTable
from pipeline.export.model_card import model_card
from pipeline.kaggle.solution import count_leaks
from pipeline.reports.evaluate import evaluate
from pipeline.training.setup import MIN_TEACHER_CONFIDENCE, label_test_images

SHORT = ["epochs=2", "minimum_updates=0", "batch_size=128"]


@pytest.fixture(scope="module")
def student(run: Run, practice: Source, tmp_path_factory: pytest.TempPathFactory) -> Run:
    recipe = Recipe.load("fast", [*SHORT, f"teacher={run.folder}"])
    return train(recipe, practice, str(tmp_path_factory.mktemp("student") / "run"), quiet=True)


def test_images_of_which_the_teacher_is_sure_get_its_labels(run: Run, practice: Source) -> None:
    predictions = Predictor.load(run).predict(practice.read_test().pixels)
    sure = predictions.confidence >= MIN_TEACHER_CONFIDENCE
    assert 0 < sure.sum() < len(sure)
    taught = label_test_images(str(run.folder), practice)
    assert np.array_equal(taught.pixels, practice.read_test().pixels[sure])
    assert np.array_equal(taught.known_labels, predictions.known_digits[sure])


def test_the_true_labels_of_the_test_images_are_not_used(run: Run, practice: Source) -> None:
    test = practice.read_test()
    unlabelled = replace(practice, read_test=lambda: DigitTable(test.pixels))
    taught = label_test_images(str(run.folder), unlabelled)
    assert np.array_equal(taught.known_labels, label_test_images(str(run.folder), practice).known_labels)


def test_the_card_names_the_images_and_the_run_may_predict_them(run: Run, student: Run, practice: Source) -> None:
    taught = len(label_test_images(str(run.folder), practice))
    assert student.card.pseudo_labels == taught
    assert student.card.train_rows == run.card.train_rows + taught
    assert student.require_digits().teacher == str(run.folder)
    assert student.fingerprint.digest == run.fingerprint.digest
    assert count_leaks(student, practice.read_test(), allowed=False) == 0


def test_the_report_and_the_model_card_say_that_test_images_were_trained_on(
    student: Run, practice: Source, caplog: pytest.LogCaptureFixture
) -> None:
    taught = student.card.pseudo_labels
    with caplog.at_level("INFO", "pipeline"):
        evaluate(student, practice.read_test(), "practice")
    assert f"was also trained on {taught:,} test images of practice, with the labels of another run" in caplog.text
    assert f"{taught:,} of them are test images of this source" in model_card(student, "here", code=False)


def test_the_validation_rows_of_a_taught_run_are_found_again(
    student: Run, practice: Source, command: Callable[..., Outcome]
) -> None:
    outcome = command("evaluate", student.folder, "--on", "validation", "--no-mistakes", "--data", practice.data_dir)
    assert outcome.status == 0, outcome.err
    assert f"of {student.card.validation_rows} right" in outcome.out


def test_each_member_of_an_ensemble_is_trained_on_the_taught_images(run: Run, practice: Source, tmp_path: Path) -> None:
    overrides = [*SHORT, "members=2", "folds=2", "validation_fraction=0"]
    recipe = Recipe.load("fast", [*overrides, f"teacher={run.folder}"])
    ensemble = train(recipe, practice, str(tmp_path / "taught"), quiet=True)
    alone = train(Recipe.load("fast", overrides), practice, str(tmp_path / "alone"), quiet=True)
    taught = len(label_test_images(str(run.folder), practice))
    assert ensemble.card.train_rows == alone.card.train_rows + taught
    assert ensemble.card.validation_rows == alone.card.validation_rows == len(practice.read_train())
    assert ensemble.out_of_fold is not None and ensemble.out_of_fold.rows.max() < len(practice.read_train())


def test_a_taught_run_resumes_to_the_same_weights(run: Run, student: Run, practice: Source, tmp_path: Path) -> None:
    recipe = student.require_digits()

    def stop(epoch: object) -> None:
        raise KeyboardInterrupt

    from pipeline.training.network import train_network

    with pytest.raises(KeyboardInterrupt):
        train_network(recipe, practice, str(tmp_path / "run"), on_epoch=stop, quiet=True)
    resumed = train_network(recipe, practice, str(tmp_path / "run"), resume=True, quiet=True)
    for name, weights in student.load_model().items():
        assert weights.equal(resumed.load_model()[name])


def test_a_teacher_that_saw_the_labels_of_test_images_is_refused(run: Run, practice: Source, tmp_path: Path) -> None:
    rows = practice.read_train()
    others = rows.select(np.arange(300, len(rows)))
    known = replace(practice, read_train=lambda: others, read_test=lambda: rows.select(np.arange(300)))
    recipe = Recipe.load("fast", [*SHORT, f"teacher={run.folder}"])
    with pytest.raises(UserError, match=r"was trained on 300 of the 300 test images \(from practice\)"):
        train(recipe, known, str(tmp_path / "run"), quiet=True)
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_images_that_the_source_has_twice_are_no_reason_to_refuse_a_teacher(run: Run, practice: Source) -> None:
    twice = replace(practice, read_test=lambda: practice.read_train().select(np.arange(50)))
    assert len(label_test_images(str(run.folder), twice)) > 40


def test_a_missing_teacher_is_named(practice: Source, tmp_path: Path) -> None:
    recipe = Recipe.load("fast", [*SHORT, "teacher=nobody"])
    with pytest.raises(UserError, match="nobody"):
        train(recipe, practice, str(tmp_path / "run"), quiet=True)


def test_a_submission_of_a_taught_run_is_written(student: Run, practice: Source, tmp_path: Path) -> None:
    assert submit(student, practice, tmp_path / "solution.csv").rows == len(practice.read_test())


def test_a_search_and_a_kernel_refuse_a_teacher(practice: Source, tmp_path: Path) -> None:
    from pipeline.kaggle.kernel_training import train_on_kaggle
    from pipeline.kaggle.ledger import Ledger
    from pipeline.search.space import SearchSpace
    from pipeline.search.sweep import sweep

    recipe = Recipe.load("fast", ["teacher=first"])
    with pytest.raises(UserError, match="a search reads no test images; leave teacher out"):
        sweep(recipe, practice, SearchSpace.load("fast"), 1)
    with pytest.raises(UserError, match="a kernel does not have the run first; leave teacher out"):
        train_on_kaggle(recipe, tmp_path / "out.csv", Ledger(tmp_path / "ledger.jsonl"), accelerator="CPU")
