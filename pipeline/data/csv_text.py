"""How the text of a CSV or ARFF file is written: its separator, header and numbers, detected from its first lines."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from pipeline.errors import UserError

MAX_LINE_BYTES = 1 << 20
"""Longest line that is read; a web page or a picture may contain no line end."""
SAMPLE_BYTES = 1 << 17
"""Bytes at the start of a file that show the notation of its numbers: about 70 rows."""
NUMBER_PATTERN = re.compile(r"\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?\s*")
FRACTION_PATTERN = re.compile(rb"\d[.]|[.]\d|\d[eE][+-]?\d")
BOOLEANS = {"true": 1.0, "false": 0.0}
ARFF_HEADER = re.compile(rb"(?:\s*%[^\n]*\n)*\s*@relation\b.*?^\s*@data\s*$", re.IGNORECASE | re.DOTALL | re.MULTILINE)
"""The lines above the rows of an ARFF file, as OpenML has them; those that begin with % are comments."""
ARFF_COLUMN = re.compile(rb"^\s*@attribute\s+['\"]?([^'\"\s]+)", re.IGNORECASE | re.MULTILINE)
SEPARATOR_LINE = re.compile(r'"?sep=(.?)"?[ ,;]*', re.IGNORECASE)
"""A first line that names the separator, for Excel."""


@dataclass(frozen=True)
class CsvText:
    """The notation of a CSV.

    Attributes:
        separator: the character between two cells; a space stands for any number of spaces.
        decimal: the decimal separator.
        quoted: whether cells of the first rows are in quotation marks.
        fractions: whether numbers of the first rows have a decimal separator or an exponent.
        names: the cells of the header; None if the first line is a row.
        first_rows: the cells of the first rows, at most two.
        skipped: number of lines before the first row.
    """

    separator: str
    decimal: str
    quoted: bool
    fractions: bool
    names: tuple[str, ...] | None
    first_rows: tuple[list[str], ...]
    skipped: int


def read_text(stream: IO[bytes], name: str, remedy: str) -> CsvText:
    """Return the notation of the CSV that starts here.

    Args:
        stream: the content as UTF-8, at its start.
        name: the name of the file, for messages.
        remedy: what to do if it is no CSV.

    Raises:
        UserError: the file is empty, a web page or no text.
    """
    sample = stream.read(SAMPLE_BYTES)
    if len(sample) == SAMPLE_BYTES:
        sample += stream.readline(MAX_LINE_BYTES)
    skipped, separator = 0, ""
    if arff := ARFF_HEADER.match(sample):
        skipped = arff[0].count(b"\n")
        sample = b",".join(ARFF_COLUMN.findall(arff[0])) + sample[arff.end() :]
    first, *rows = sample.splitlines() or [b""]
    if not first.strip():
        raise UserError(f"{name}: the file is empty; {remedy}")
    if first.lstrip(b"\xef\xbb\xbf \t").startswith(b"<"):
        sign_in = "sign in to Kaggle and " if "kaggle.com" in remedy else ""
        raise UserError(f"{name}: this is a web page, not a CSV: {sign_in}{remedy}")
    try:
        line = first.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{name}: this is not a text file, so not a CSV; {remedy}") from None
    if (declared := SEPARATOR_LINE.fullmatch(line)) and rows:
        skipped, separator = 1, declared[1] or "\t"
        line, *rows = rows[0].decode("utf-8", "replace"), *rows[1:]
    separator = separator or _find_separator(line)
    names = _split_names(line.lstrip("#"), separator)
    if _is_header(names):
        skipped += 1
    else:
        names, rows = [], [line.encode(), *rows]
    first_rows = [row.decode("utf-8", "replace") for row in rows if row.strip()][:2]
    if not names and not (first_rows and any(split_cells(first_rows[0], separator))):
        raise UserError(f"{name}: the file is empty; {remedy}")
    decimal = "," if separator == ";" and any("," in row for row in first_rows) else "."
    return CsvText(
        separator,
        decimal,
        any('"' in row for row in first_rows),
        decimal == "," or FRACTION_PATTERN.search(b"\n".join(rows)) is not None,
        tuple(names) or None,
        tuple(split_cells(row, separator, decimal) for row in first_rows),
        skipped,
    )


def split_cells(line: str, separator: str, decimal: str = ".") -> list[str]:
    """Return the cells of a row, without quotation marks and with a point as decimal separator."""
    cells = line.split() if separator == " " else line.split(separator)
    cells = [cell.strip().strip('"').strip() for cell in cells]
    return cells if decimal == "." else [cell.replace(decimal, ".") for cell in cells]


def is_numbered(names: list[str]) -> bool:
    """Return whether a header consists of the numbers of the columns, as pandas writes a table without names."""
    if len(names) <= 10 or names[0] not in {"0", "1"}:
        return False
    return names == [str(int(names[0]) + i) for i in range(len(names))]


def has_row_names(rows: Sequence[list[str]], columns: int) -> bool:
    """Return whether rows begin with R's row names, 1, 2, ..., for which its header has no column."""
    return [(cells[0], len(cells)) for cells in rows] == [("1", columns + 1), ("2", columns + 1)] and all(rows[0])


def parse_number(cell: str) -> float | None:
    """Return the number, or the truth value as 1 or 0, in a cell; None if it holds something else."""
    return float(cell) if NUMBER_PATTERN.fullmatch(cell) else BOOLEANS.get(cell.strip().lower())


def _find_separator(line: str) -> str:
    """Return the separator of the most cells of a line."""
    counts = {separator: line.count(separator) for separator in ",;\t|"}
    best = max(counts, key=lambda separator: counts[separator])
    return best if counts[best] or len(line.split()) < 2 else " "


def _split_names(line: str, separator: str) -> list[str]:
    """Return the cells of the first line, in which a quoted cell may contain the separator."""
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator, skipinitialspace=True))]
    except csv.Error:  # a cell of more than 128 kB, for example after a quotation mark that is not closed
        return split_cells(line, separator)


def _is_header(cells: list[str]) -> bool:
    """Return whether cells of the first line are names: not all are numbers, or the numbers count the columns."""
    filled = [cell for cell in cells if cell]
    return is_numbered(filled) or any(parse_number(cell) is None for cell in filled)
