from pathlib import Path

import pytest

from pipeline import CsvFile, UserError
from pipeline.data.formats import find_files
from pipeline.data.parquet import ParquetFile


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files of digits and others, empty but for the four bytes that Parquet begins with."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.csv", "a.CSV.gz", "deeper/c.parquet", "notes.txt", "_temporary/d.csv", ".hidden.csv"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"PAR1" if name.endswith("parquet") else b"")
    return tmp_path


def test_a_folder_means_its_files_of_digits_by_name_and_what_they_are(folder: Path) -> None:
    assert find_files(["in"]) == [
        CsvFile(Path("in/a.CSV.gz")),
        CsvFile(Path("in/b.csv")),
        ParquetFile(Path("in/deeper/c.parquet")),
    ]


def test_a_pattern_means_what_it_matches_and_no_file_comes_twice(folder: Path) -> None:
    assert find_files(["in/b.*", "in/*.csv", "in/**/*.parquet"]) == [
        CsvFile(Path("in/b.csv")),
        ParquetFile(Path("in/deeper/c.parquet")),
    ]


def test_a_file_is_itself_whatever_its_name(folder: Path) -> None:
    (folder / "odd [1].txt").touch()
    assert find_files(["odd [1].txt"]) == [CsvFile(Path("odd [1].txt"))]


def test_what_means_no_file_is_refused(folder: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(UserError, match=r"^in/\*\.json: there is no such file or folder$"):
        find_files(["in/*.json"])
    with pytest.raises(UserError, match=r"^elsewhere\.csv: there is no such file or folder$"):
        find_files(["in", "elsewhere.csv"])
    with pytest.raises(UserError, match=r"^empty: there is no file in it that ends in \.csv, \.csv\.gz, \.parquet$"):
        find_files(["in", "empty"])
