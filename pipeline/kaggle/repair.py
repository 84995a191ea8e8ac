"""Repair of submissions that a spreadsheet or a notebook has changed, where no digit is in doubt."""

import csv
import io

DELIMITERS = ",;\t|"
INDEX_NAMES = {"", "index", "unnamed: 0"}
"""Names of a column of row numbers, as pandas and spreadsheets write it."""


def repair(content: bytes) -> bytes | None:
    """Return a submission in Kaggle's format, or None if a value is missing or could mean two things.

    Repaired are: UTF-16, byte order marks and line ends; other delimiters; quotes and spaces; the case of the header; a
    column of row numbers; blank lines; whole numbers such as 7.0; ids from 0; and the order of the rows. The ids must
    be complete.
    """
    try:
        encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        lines = io.StringIO(content.decode(encoding)).read().splitlines()
        delimiter = max(DELIMITERS, key=lines[0].count)
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter, strict=True)]
        header, *rows = [row for row in rows if any(row)]
        names = [name.strip("\"' ").lower() for name in header]
        columns = [names.index("imageid"), names.index("label")]
        if {name for place, name in enumerate(names) if place not in columns} - INDEX_NAMES:
            return None
        if any(len(row) != len(header) for row in rows):
            return None
        values = sorted((_whole(row[columns[0]]), _whole(row[columns[1]])) for row in rows)
    except (ValueError, IndexError, csv.Error):
        return None
    first = values[0][0] if values else -1
    if first not in (0, 1) or [number for number, _ in values] != list(range(first, first + len(values))):
        return None
    return "\n".join(["ImageId,Label", *(f"{number + 1 - first},{digit}" for number, digit in values), ""]).encode()


def _whole(cell: str) -> int:
    """Return a whole number, also if it is written as 7.0; raise a ValueError for any other text."""
    number = float(cell.strip("\"'"))
    if not number.is_integer():
        raise ValueError(f"{cell} is not a whole number")
    return int(number)
