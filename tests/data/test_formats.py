from pathlib import Path

import numpy as np
import pytest
from helpers.formats import WRITERS

from pipeline import CsvFile, DigitTable, UserError
from pipeline.data.formats import find_files, open_digits
from pipeline.data.parquet import ParquetFile


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create files of digits and other files; all are empty, except for the four magic bytes of Parquet."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.csv", "a.CSV.gz", "deeper/c.parquet", "notes.txt", "_temporary/d.csv", ".hidden.csv"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"PAR1" if name.endswith("parquet") else b"")
    return tmp_path


def test_a_folder_gives_its_files_of_digits_by_name_in_their_format(folder: Path) -> None:
    assert find_files(["in"]) == [
        CsvFile(Path("in/a.CSV.gz")),
        CsvFile(Path("in/b.csv")),
        ParquetFile(Path("in/deeper/c.parquet")),
    ]


def test_a_pattern_gives_the_files_that_it_matches_without_duplicates(folder: Path) -> None:
    assert find_files(["in/b.*", "in/*.csv", "in/**/*.parquet"]) == [
        CsvFile(Path("in/b.csv")),
        ParquetFile(Path("in/deeper/c.parquet")),
    ]


def test_an_existing_file_is_found_even_with_glob_characters_in_its_name(folder: Path) -> None:
    (folder / "odd [1].txt").touch()
    assert find_files(["odd [1].txt"]) == [CsvFile(Path("odd [1].txt"))]


def test_inputs_without_files_are_refused(folder: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(UserError, match=r"^in/\*\.json: there is no such file or folder; check its name$"):
        find_files(["in/*.json"])
    with pytest.raises(UserError, match=r"^elsewhere\.csv: there is no such file or folder; check its name$"):
        find_files(["in", "elsewhere.csv"])
    with pytest.raises(UserError, match=r"^empty: contains no file of digits and no pictures; choose another folder$"):
        find_files(["in", "empty"])


@pytest.mark.parametrize("kind", sorted(WRITERS.keys() - {"idx", "pictures in a zip"}))
def test_each_format_gives_the_same_digits(kind: str, digits: DigitTable, tmp_path: Path) -> None:
    table = digits.select(np.arange(200))
    WRITERS[kind](tmp_path / "download", table)
    found = open_digits(tmp_path / "download").read(labels_required=True)
    assert np.array_equal(found.pixels, table.pixels)
    assert np.array_equal(found.known_labels, table.known_labels)


@pytest.mark.parametrize("kind", ["csv.gz", "csv.bz2", "csv.xz"])
def test_a_compressed_file_that_is_cut_off_is_refused(kind: str, digits: DigitTable, tmp_path: Path) -> None:
    path = tmp_path / "download"
    WRITERS[kind](path, digits.select(np.arange(20)))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="download: the archive is damaged or incomplete; save it again"):
        open_digits(path).read(labels_required=True)
