from pathlib import Path

import numpy as np
import pytest

from pipeline import DigitTable, Run, Source, UserError
from pipeline.kaggle.solution import check_solution, load_provenance, make, write_solution


def test_a_submission_is_what_kaggle_takes(tmp_path: Path) -> None:
    path = tmp_path / "solution.csv"
    assert write_solution(path, [np.array([7, 0]), np.array([9])]) == 3
    assert path.read_bytes() == b"ImageId,Label\n1,7\n2,0\n3,9\n"
    check_solution(path, rows=3)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", 'the header is "" and must be "ImageId,Label"'),
        ("\ufeffImageId,Label\n1,1\n2,2\n3,3\n", "begins with a byte order mark"),
        ("id,label\n1,1\n2,2\n3,3\n", 'the header is "id,label"'),
        ("ImageId,Label\n1,1\n2,2\n", "2 rows where 3 are expected"),
        ("ImageId,Label\n1,1\n2,2\n3,3\n4,4\n", "4 rows where 3 are expected"),
        ("ImageId,Label\n0,1\n1,2\n2,3\n", 'row 1: ImageId is "0" and must be 1'),
        ("ImageId,Label\n1,1\n3,3\n2,2\n", 'row 2: ImageId is "3" and must be 2'),
        ("ImageId,Label\n1,1\n2,10\n3,3\n", 'row 2: Label "10" is not a digit'),
        ("ImageId,Label\n1,1\n2,2.0\n3,3\n", 'row 2: Label "2.0" is not a digit'),
        ("ImageId,Label\n1,1\n2,NaN\n3,3\n", 'row 2: Label "NaN" is not a digit'),
        ("ImageId,Label\n1,1\n2,\n3,3\n", 'row 2: Label "" is not a digit'),
        ("ImageId,Label\n1,1\n1,1\n3,3\n", 'row 2: ImageId is "1" and must be 2'),
        ("ImageId,Label\n1,1\n2\n3,3\n", "row 2: 1 values where 2 are expected"),
        ("ImageId,Label\n1,1\n2,2,2\n3,3\n", "row 2: 3 values where 2 are expected"),
    ],
)
def test_what_kaggle_would_refuse_is_refused_here_with_its_row(text: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "solution.csv").write_text(text)
    with pytest.raises(UserError) as refusal:
        check_solution(tmp_path / "solution.csv", rows=3)
    assert fault in str(refusal.value)


def test_the_practice_answers_give_a_score(tmp_path: Path, run: Run, practice: Source) -> None:
    score = make(run, practice, practice.read_test(), tmp_path / "solution.csv")
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
        make(run, competition, leaked, tmp_path / "solution.csv")
    assert not (tmp_path / "solution.csv").exists()
    make(run, competition, leaked, tmp_path / "solution.csv", allow_leak=True)
    check_solution(tmp_path / "solution.csv", rows=503)


def test_a_run_that_saw_retouched_test_images_cannot_either(
    tmp_path: Path, run: Run, practice: Source, digits: DigitTable
) -> None:
    retouched = DigitTable(np.concatenate([digits.pixels[:2], np.minimum(digits.pixels[2:7], 252) + 3]))
    competition = Source("competition", tmp_path, "", practice.read_train, lambda: retouched)
    with pytest.raises(UserError, match=r"on 2 of the 7 .*, and on copies of 5 more that differ by a few grey levels"):
        make(run, competition, retouched, tmp_path / "solution.csv")
    make(run, competition, retouched, tmp_path / "solution.csv", allow_leak=True)
    origin = load_provenance(tmp_path / "solution.csv")
    assert origin is not None
    assert origin.leaked == 7


def test_a_submission_keeps_where_it_comes_from(tmp_path: Path, run: Run, practice: Source) -> None:
    path = tmp_path / "solution.csv"
    make(run, practice, practice.read_test(), path)
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
    assert make(run, competition, unseen, tmp_path / "solution.csv") is None
    check_solution(tmp_path / "solution.csv", rows=500)
