"""The text of a ledger, also after a spreadsheet has saved it: its encoding, separator, columns and rows."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ENCODINGS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
"""Encodings by the byte order mark at the start of a file."""
OTHER_ENCODING = "cp1252"
"""Encoding of a file that is not UTF-8: that of Excel's "CSV" in Western languages."""
SEPARATORS = ",;\t|"


@dataclass(frozen=True)
class LedgerText:
    """The content of a ledger file.

    Attributes:
        encoding: its encoding.
        separator: its separator.
        columns: the names in its header; the given ones if it has no header.
        has_header: whether it has a header.
        rows: the number of each line, from 1, its text, and its cells; the cells are None if they cannot be separated.
        complete: whether the last line has an end.
    """

    encoding: str
    separator: str
    columns: list[str]
    has_header: bool
    rows: list[tuple[int, str, list[str] | None]]
    complete: bool

    @classmethod
    def parse(cls, content: bytes, columns: Sequence[str]) -> "LedgerText":
        """Return the content of a file. Each row is one line: a damaged line leaves the others as they are.

        Args:
            content: the file's content.
            columns: the names of the columns of a ledger.
        """
        encoding = next((name for mark, name in ENCODINGS.items() if content.startswith(mark)), "utf-8")
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            encoding = OTHER_ENCODING if encoding == "utf-8" else encoding
            text = content.decode(encoding, "replace")
        lines = text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}").splitlines()
        separator = max(SEPARATORS, key=(lines or [","])[0].count)
        rows = [(number, line, _split(line, separator)) for number, line in enumerate(lines, start=1)]
        header = [name.strip() for name in (rows[0][2] or [])] if rows else []
        has_header = len(set(header) & set(columns)) > len(columns) // 2
        filled = [row for row in rows[has_header:] if row[1].strip(f" {separator}")]
        complete = not lines or text.endswith(("\n", "\r"))
        return cls(encoding, separator, header if has_header else list(columns), has_header, filled, complete)

    def named(self, cells: Sequence[str]) -> dict[str, str]:
        """Return the values of a row by column, without empty ones.

        Raises:
            ValueError: the row has another number of values than the header.
        """
        cells = [*cells]
        while len(cells) > len(self.columns) and not cells[-1]:
            cells.pop()
        if len(cells) != len(self.columns):
            raise ValueError(f"{len(cells)} values, expected {len(self.columns)}")
        return {name: cell.strip() for name, cell in zip(self.columns, cells, strict=True) if cell.strip()}

    def format(self, values: Mapping[str, object]) -> bytes:
        """Return a new row in the form of this text, to be appended to it; before the first row, also a header."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(
            text, self.columns, extrasaction="ignore", delimiter=self.separator, lineterminator="\n"
        )
        if not self.has_header and not self.rows:
            writer.writeheader()
        # A row is one line: in damaged text, the lines after it remain readable.
        writer.writerow(
            {name: " ".join(cell.split()) if isinstance(cell, str) else cell for name, cell in values.items()}
        )
        encoding = self.encoding.removesuffix("-sig")  # the mark is at the start of the file only
        return f"{'' if self.complete else chr(10)}{text.getvalue()}".encode(encoding, "replace")


def _split(line: str, separator: str) -> list[str] | None:
    """Return the cells of a line, or None if its quotes do not match."""
    try:
        cells = next(csv.reader([line], delimiter=separator, strict=True), [])
        if len(cells) == 1 and separator in cells[0]:  # a spreadsheet took the line for one cell
            cells = next(csv.reader([cells[0]], delimiter=separator, strict=True), [])
    except csv.Error:
        return None
    return cells
