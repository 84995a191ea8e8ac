"""The main flow: content and provenance of a submission, and the refusal of leaked test images."""

import errno
from pathlib import Path

import numpy as np
import pytest

from pipeline import DigitTable, Recipe, Run, Source, UserError, find_source
from pipeline.flow import submit
from pipeline.kaggle.solution import check_solution, load_provenance, write_solution


def test_labelled_test_rows_give_a_score(tmp_path: Path, run: Run, practice: Source) -> None:
    score = submit(run, practice, tmp_path / "solution.csv").score
    assert score is not None
    assert score.rows == 500
    rows = np.loadtxt(tmp_path / "solution.csv", delimiter=",", skiprows=1, dtype=int)
    assert (rows[:, 1] == practice.read_test().known_labels).mean() == score.accuracy


def test_a_run_trained_on_test_images_cannot_submit(
    tmp_path: Path, run: Run, practice: Source, digits: DigitTable
) -> None:
    leaked = DigitTable(np.concatenate([practice.read_test().pixels, digits.pixels[:3]]))
    competition = Source("competition", tmp_path, "", practice.read_train, lambda: leaked)
    with pytest.raises(UserError, match="was trained on 3 of the 503 test images"):
        submit(run, competition, tmp_path / "solution.csv")
    assert not (tmp_path / "solution.csv").exists()
    submit(run, competition, tmp_path / "solution.csv", allow_leak=True)
    check_solution(tmp_path / "solution.csv", rows=503)


def test_training_digits_as_test_digits_are_refused_before_training(
    tmp_path: Path, practice: Source, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = find_source(str(practice.path / "train.csv"), tmp_path)
    with pytest.raises(UserError, match=r"train\.csv: 1,297 of the 1,297 test images are training images too"):
        submit(recipe, source, tmp_path / "solution.csv")
    assert list(tmp_path.iterdir()) == []


def test_files_without_test_digits_give_no_score(
    tmp_path: Path, practice: Source, recipe: Recipe, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = practice.read_train()
    np.savez(tmp_path / "digits.npz", images=rows.pixels, labels=rows.known_labels)
    source = find_source("digits.npz", tmp_path)
    with pytest.raises(UserError, match=r"digits\.npz: 1,297 of the 1,297 test images are training images too"):
        submit(recipe, source, tmp_path / "solution.csv")
    with pytest.raises(UserError, match="was trained on 1,297 of the 1,297 test images"):
        submit(run, source, tmp_path / "solution.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["digits.npz"]


def test_a_run_trained_on_near_duplicates_of_test_images_cannot_submit(
    tmp_path: Path, run: Run, practice: Source, digits: DigitTable
) -> None:
    retouched = DigitTable(np.concatenate([digits.pixels[:2], np.minimum(digits.pixels[2:7], 252) + 3]))
    competition = Source("competition", tmp_path, "", practice.read_train, lambda: retouched)
    with pytest.raises(UserError, match=r"on 2 of the 7 .*, and on near-duplicates of 5 more"):
        submit(run, competition, tmp_path / "solution.csv")
    submit(run, competition, tmp_path / "solution.csv", allow_leak=True)
    provenance = load_provenance(tmp_path / "solution.csv")
    assert provenance is not None
    assert provenance.leaked == 7


@pytest.mark.parametrize("name", ["train.csv", "test.csv", "link.csv", "answers.csv"])
def test_a_submission_never_replaces_the_digits(tmp_path: Path, run: Run, name: str) -> None:
    source = find_source("practice", tmp_path)
    folder = tmp_path / "practice"
    (folder / "link.csv").symlink_to("test.csv")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UserError, match=f"{name}: is an input, which the output would replace"):
        submit(run, source, folder / name)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_submission_never_replaces_the_card_of_its_run(tmp_path: Path, run: Run, practice: Source) -> None:
    before = run.card_path.read_bytes()
    with pytest.raises(UserError, match=r"card\.json: is an input"):
        submit(run, practice, run.folder / "card.csv")
    assert run.card_path.read_bytes() == before


def test_a_submission_has_its_provenance(tmp_path: Path, run: Run, practice: Source) -> None:
    path = tmp_path / "solution.csv"
    submit(run, practice, path)
    provenance = load_provenance(path)
    assert provenance is not None
    assert (provenance.run, provenance.recipe, provenance.source) == (str(run), "fast", "practice")
    assert provenance.leaked == 0
    assert provenance.validation_accuracy == run.card.scores["validation_accuracy"]
    assert provenance.fingerprint == run.card.fingerprint
    write_solution(path, [np.arange(10)])
    assert load_provenance(path) is None
    (tmp_path / "solution.json").unlink()
    assert load_provenance(path) is None


def test_a_run_trained_on_no_test_image_can_submit(tmp_path: Path, run: Run, practice: Source) -> None:
    unseen = DigitTable(practice.read_test().pixels)
    competition = Source("competition", tmp_path, "", practice.read_train, lambda: unseen)
    assert submit(run, competition, tmp_path / "solution.csv").score is None
    check_solution(tmp_path / "solution.csv", rows=500)


def test_a_submission_is_written_with_its_provenance_or_not_at_all(
    tmp_path: Path, run: Run, practice: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "solution.csv"
    submit(run, practice, path)
    path.write_text("old")
    before = path.read_bytes(), path.with_suffix(".json").read_bytes()
    monkeypatch.setattr("pipeline.kaggle.solution.Provenance.model_dump_json", fail)
    with pytest.raises(UserError, match=r"solution\.csv: cannot be written: the disk is full"):
        submit(run, practice, path)
    assert (path.read_bytes(), path.with_suffix(".json").read_bytes()) == before
