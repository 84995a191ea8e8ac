"""The main flow: what a submission holds, where it comes from, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from pipeline import DigitTable, Run, Source, UserError
from pipeline.flow import submit
from pipeline.kaggle.solution import check_solution, load_provenance, write_solution


def test_the_practice_answers_give_a_score(tmp_path: Path, run: Run, practice: Source) -> None:
    score = submit(run, practice, tmp_path / "solution.csv").score
    assert score is not None
    assert score.rows == 500
    rows = np.loadtxt(tmp_path / "solution.csv", delimiter=",", skiprows=1, dtype=int)
    assert (rows[:, 1] == practice.read_test().known_labels).mean() == score.accuracy


def test_a_run_that_saw_test_images_cannot_make_a_submission(
    tmp_path: Path, run: Run, practice: Source, digits: DigitTable
) -> None:
    leaked = DigitTable(np.concatenate([practice.read_test().pixels, digits.pixels[:3]]))
    competition = Source("competition", tmp_path, "", practice.read_train, lambda: leaked)
    with pytest.raises(UserError, match="was trained on 3 of the 503 images"):
        submit(run, competition, tmp_path / "solution.csv")
    assert not (tmp_path / "solution.csv").exists()
    submit(run, competition, tmp_path / "solution.csv", allow_leak=True)
    check_solution(tmp_path / "solution.csv", rows=503)


def test_a_run_that_saw_retouched_test_images_cannot_either(
    tmp_path: Path, run: Run, practice: Source, digits: DigitTable
) -> None:
    retouched = DigitTable(np.concatenate([digits.pixels[:2], np.minimum(digits.pixels[2:7], 252) + 3]))
    competition = Source("competition", tmp_path, "", practice.read_train, lambda: retouched)
    with pytest.raises(UserError, match=r"on 2 of the 7 .*, and on copies of 5 more that differ by a few grey levels"):
        submit(run, competition, tmp_path / "solution.csv")
    submit(run, competition, tmp_path / "solution.csv", allow_leak=True)
    origin = load_provenance(tmp_path / "solution.csv")
    assert origin is not None
    assert origin.leaked == 7


def test_a_submission_keeps_where_it_comes_from(tmp_path: Path, run: Run, practice: Source) -> None:
    path = tmp_path / "solution.csv"
    submit(run, practice, path)
    origin = load_provenance(path)
    assert origin is not None
    assert (origin.run, origin.recipe, origin.source, origin.leaked) == (str(run), "fast", "practice", 0)
    assert (origin.validation_accuracy, origin.fingerprint) == (
        run.card.scores["validation_accuracy"],
        run.card.fingerprint,
    )
    write_solution(path, [np.arange(10)])
    assert load_provenance(path) is None
    (tmp_path / "solution.json").unlink()
    assert load_provenance(path) is None


def test_a_run_that_saw_none_of_the_test_images_may(tmp_path: Path, run: Run, practice: Source) -> None:
    unseen = DigitTable(practice.read_test().pixels)
    competition = Source("competition", tmp_path, "", practice.read_train, lambda: unseen)
    assert submit(run, competition, tmp_path / "solution.csv").score is None
    check_solution(tmp_path / "solution.csv", rows=500)
