import io
from pathlib import Path

import numpy as np
import pandas
import pytest
from helpers.files import csv_text

from pipeline import CsvFile, DigitTable
from pipeline.data.csv_rows import PIECE_ROWS, parse_grey_levels


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("last_line_ends", [True, False])
def test_numbers_of_one_to_three_digits_are_parsed_as_pandas_does(line_end: str, last_line_ends: bool) -> None:
    expected = np.random.default_rng(0).integers(0, [1, 2, 10, 100, 256, 1000], (50, 6))
    text = line_end.join(",".join(map(str, row)) for row in expected) + line_end * last_line_ends
    parsed = parse_grey_levels(text.encode(), 6)
    assert parsed is not None
    assert np.array_equal(parsed, expected)
    assert np.array_equal(parsed, pandas.read_csv(io.StringIO(text), header=None).to_numpy())


@pytest.mark.parametrize(
    "rows",
    [
        "1,2\n\n3,4\n",
        "1,2\n3\n4,5\n",
        "1\n2,3,4\n",
        "1,\n3,4\n",
        ",2\n",
        "1, 2\n",
        "1,+2\n",
        "1,-2\n",
        "1,2.0\n",
        "1,1e2\n",
        '1,"2"\n',
        "1,0200\n",
        "1;2\n",
        "1,\u0664\n",
        "\n",
    ],
)
def test_everything_else_is_left_to_pandas(rows: str) -> None:
    assert parse_grey_levels(rows.encode(), 2) is None


def test_kaggles_notation_is_read_without_pandas(
    digits: DigitTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("pandas.read_csv")
    table = digits.select(np.arange(2 * PIECE_ROWS) % len(digits))
    (tmp_path / "train.csv").write_text(csv_text(table))
    read = CsvFile(tmp_path / "train.csv").read(labels_required=True)
    assert np.array_equal(read.pixels, table.pixels)
    assert np.array_equal(read.known_labels, table.known_labels)


def test_a_row_in_another_notation_changes_no_value(digits: DigitTable, tmp_path: Path) -> None:
    table = digits.select(np.arange(2 * PIECE_ROWS) % len(digits))
    lines = csv_text(table).splitlines()
    lines[PIECE_ROWS + 9] = lines[PIECE_ROWS + 9].replace(",0", ", +000", 5)
    (tmp_path / "train.csv").write_text("\n".join(lines))
    read = CsvFile(tmp_path / "train.csv").read(labels_required=True)
    assert np.array_equal(read.pixels, table.pixels)
    assert np.array_equal(read.known_labels, table.known_labels)
