from pathlib import Path

import numpy as np
import pytest

from pipeline import UserError
from pipeline.kaggle.solution import check_solution, fix_solution, write_solution


def test_a_submission_has_kaggles_format(tmp_path: Path) -> None:
    path = tmp_path / "solution.csv"
    assert write_solution(path, [np.array([7, 0]), np.array([9])]) == 3
    assert path.read_bytes() == b"ImageId,Label\n1,7\n2,0\n3,9\n"
    check_solution(path, rows=3)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", 'header is "", expected "ImageId,Label"'),
        ("\ufeffImageId,Label\n1,1\n2,2\n3,3\n", "begins with a byte order mark"),
        ("id,label\n1,1\n2,2\n3,3\n", 'header is "id,label"'),
        ("ImageId,Label\n1,1\n2,2\n", "2 rows, expected 3"),
        ("ImageId,Label\n1,1\n2,2\n3,3\n4,4\n", "4 rows, expected 3"),
        ("ImageId,Label\n0,1\n1,2\n2,3\n", 'row 1: ImageId is "0", expected 1'),
        ("ImageId,Label\n1,1\n3,3\n2,2\n", 'row 2: ImageId is "3", expected 2'),
        ("ImageId,Label\n1,1\n2,10\n3,3\n", 'row 2: Label "10" is not a digit'),
        ("ImageId,Label\n1,1\n2,2.0\n3,3\n", 'row 2: Label "2.0" is not a digit'),
        ("ImageId,Label\n1,1\n2,NaN\n3,3\n", 'row 2: Label "NaN" is not a digit'),
        ("ImageId,Label\n1,1\n2,\n3,3\n", 'row 2: Label "" is not a digit'),
        ("ImageId,Label\n1,1\n1,1\n3,3\n", 'row 2: ImageId is "1", expected 2'),
        ("ImageId,Label\n1,1\n2\n3,3\n", "row 2: 1 values, expected 2"),
        ("ImageId,Label\n1,1\n2,2,2\n3,3\n", "row 2: 3 values, expected 2"),
    ],
)
def test_an_invalid_submission_is_reported_with_its_row(text: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "solution.csv").write_text(text)
    with pytest.raises(UserError) as refusal:
        check_solution(tmp_path / "solution.csv", rows=3)
    assert fault in str(refusal.value)


RIGHT = b"ImageId,Label\n1,1\n2,2\n3,0\n"


@pytest.mark.parametrize(
    "content",
    [
        b"ImageId;Label\r\n1;1\r\n2;2\r\n3;0\r\n",
        b"\xef\xbb\xbf" + RIGHT,
        RIGHT.decode().encode("utf-16"),
        b'"ImageId";"Label"\n"1";"1"\n"2";"2"\n"3";"0"\n',
        b"ImageId, Label\n1, 1\n 2,2 \n3,0\n\n\n",
        b"ImageId\tLabel\n1\t1.0\n2\t2.0\n3\t0.0\n",
        b"imageid,label\n0,1\n1,2\n2,0\n",
        b",ImageId,Label\n0,1,1\n1,2,2\n2,3,0\n",
        b"Label,ImageId\n0,3\n1,1\n2,2\n",
    ],
)
def test_a_submission_from_a_spreadsheet_is_repaired_in_a_new_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "solution.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match="; kaggle submit --fix repairs it in a new file"):
        check_solution(path, rows=3)
    assert fix_solution(path, rows=3) == tmp_path / "solution-fixed.csv"
    assert (tmp_path / "solution-fixed.csv").read_bytes() == RIGHT
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "text",
    [
        "ImageId,Label\n1,1\n2,2\n",
        "ImageId,Label\n1,1\n2,2\n2,0\n",
        "ImageId,Label\n1,1\n2,2\n3,\n",
        "ImageId,Label\n1,1\n2,2\n3,0.5\n",
        "ImageId,Label\n1,1\n2,2\n3,12\n",
        "ImageId,Label,Truth\n1,1,1\n2,2,2\n3,0,0\n",
        "1,1\n2,2\n3,0\n",
        'ImageId,Label\n1,"1\n2,2\n3,0\n',
    ],
)
def test_a_submission_with_a_missing_or_doubtful_value_is_not_repaired(text: str, tmp_path: Path) -> None:
    path = tmp_path / "solution.csv"
    path.write_text(text)
    with pytest.raises(UserError, match="write it again with python -m pipeline submit"):
        fix_solution(path, rows=3)
    assert list(tmp_path.iterdir()) == [path]


def test_a_valid_submission_needs_no_repair(tmp_path: Path) -> None:
    path = tmp_path / "solution.csv"
    path.write_bytes(RIGHT)
    assert fix_solution(path, rows=3) == path
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1,7\n2,1\n3,0\n\n", "row 4: 0 values"),
        ("2,1\n1,7\n3,0\n", 'row 1: ImageId is "2", expected 1'),
        ("1,7.0\n2,1.0\n3,0.0\n", 'row 1: Label "7.0" is not a digit from 0 to 9'),
    ],
)
def test_a_submission_that_is_nearly_right_has_its_own_remedy(rows: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(f"ImageId,Label\n{rows}")
    with pytest.raises(UserError) as refusal:
        check_solution(tmp_path / "mine.csv", 3)
    assert message in str(refusal.value)
    assert "kaggle submit --fix repairs it" in str(refusal.value)
    assert "write it again" not in str(refusal.value)
