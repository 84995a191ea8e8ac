from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from pipeline import UserError
from pipeline.inference.outputs import Answers, Format, write_shards

PREDICTIONS: Answers = [
    ("a.csv", np.array([7, 1])),
    ("a.csv", np.array([2])),
    ("b, with a comma.csv", np.array([9, 9, 4])),
]


@pytest.fixture(autouse=True)
def short_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.inference.outputs.SHARD_ROWS", 4)


def test_each_row_names_its_file_and_row(tmp_path: Path) -> None:
    assert write_shards(tmp_path / "out", PREDICTIONS, "csv") == 6
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == {
        "part-00000.csv": 'File,ImageId,Label\na.csv,1,7\na.csv,2,1\na.csv,3,2\n"b, with a comma.csv",1,9\n',
        "part-00001.csv": 'File,ImageId,Label\n"b, with a comma.csv",2,9\n"b, with a comma.csv",3,4\n',
    }
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_parquet_holds_the_same_rows(tmp_path: Path) -> None:
    assert write_shards(tmp_path / "out", PREDICTIONS, "parquet") == 6
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["part-00000.parquet", "part-00001.parquet"]
    rows = [tuple(row.values()) for row in parquet.read_table(tmp_path / "out").to_pylist()]
    b = "b, with a comma.csv"
    assert rows == [("a.csv", 1, 7), ("a.csv", 2, 1), ("a.csv", 3, 2), (b, 1, 9), (b, 2, 9), (b, 3, 4)]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_equal_predictions_give_equal_bytes_regardless_of_chunks(form: Format, tmp_path: Path) -> None:
    one_by_one = [(file, digits[row : row + 1]) for file, digits in PREDICTIONS for row in range(len(digits))]
    write_shards(tmp_path / "a", PREDICTIONS, form)
    write_shards(tmp_path / "b", one_by_one, form)
    names = [path.name for path in (tmp_path / "a").iterdir()]
    assert len(names) == 2
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)


def test_a_folder_that_is_not_empty_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert write_shards(tmp_path / "out", PREDICTIONS, "csv") == 6  # an empty folder is allowed
    (tmp_path / "out" / "part-00000.csv").write_text("yesterday's")
    with pytest.raises(UserError, match="out: already contains files: choose another folder, or empty it"):
        write_shards(tmp_path / "out", PREDICTIONS, "csv")
    assert (tmp_path / "out" / "part-00000.csv").read_text() == "yesterday's"


def test_an_error_while_predicting_leaves_no_files(tmp_path: Path) -> None:
    def failing() -> Answers:
        yield from PREDICTIONS
        raise UserError("a pixel is 256")

    with pytest.raises(UserError, match="a pixel is 256"):
        write_shards(tmp_path / "out", failing(), "csv")
    assert list(tmp_path.iterdir()) == []
