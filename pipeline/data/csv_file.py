"""CSV files in Kaggle's format, read and validated as a DigitTable."""

import csv
import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn, Self

import numpy as np

from pipeline.data.table import DigitTable, concatenate
from pipeline.digits import CLASSES, COMPETITION_URL, SIDE
from pipeline.errors import UserError
from pipeline.utils.files import is_gzip, is_zip
from pipeline.utils.prefetch import prefetch

if TYPE_CHECKING:
    import pandas

PIXEL_COLUMNS = [f"pixel{index}" for index in range(SIDE * SIDE)]
CHUNK_ROWS = 4096
"""Rows per chunk: 26 MB as int64, independent of the file's size."""

PART_BYTES = 64 << 20
"""Approximate size of a part, the unit of work of one worker: about 35,000 rows."""

MAX_LINE_BYTES = 1 << 20
"""Longest line that is read; a web page or a picture may contain no line end."""

DOWNLOAD_REMEDY = f"download it again from {COMPETITION_URL}/data"
INTEGER_PATTERN = re.compile(r"\s*[+-]?\d+\s*")


@dataclass(frozen=True)
class CsvFile:
    """A CSV in Kaggle's format: `label,pixel0,...,pixel783`, or the same without the label.

    Attributes:
        path: the file: plain, gzipped, or a zip archive that contains it. Its first bytes decide, not its name.
        member: name of the CSV inside a zip archive.
        start: first byte of the selected rows, at the start of a line; 0 starts below the header.
        end: byte after the selected rows, at the end of a line; None is the end of the file.
    """

    path: Path
    member: str = "test.csv"
    start: int = 0
    end: int | None = None

    def __str__(self) -> str:
        return f"{self.path}/{self.member}" if is_zip(self.path) else str(self.path)

    def read(self, *, labels_required: bool) -> DigitTable:
        """Return all rows as one table; raises the errors of `chunks`."""
        return concatenate(list(self.chunks(labels_required=labels_required)))

    def parts(self) -> list[Self]:
        """Return the file split at line ends into parts of about PART_BYTES, in order; an archive is one part.

        Raises:
            UserError: the file is missing or cannot be read.
        """
        with self._open() as stream:
            if is_zip(self.path) or is_gzip(self.path):
                return [self]
            size = stream.seek(0, io.SEEK_END)
            ends = []
            for offset in range(PART_BYTES, size, PART_BYTES):
                stream.seek(offset)
                stream.readline(MAX_LINE_BYTES)
                ends.append(stream.tell())
        bounds = sorted({0, *ends, size})
        if len(bounds) <= 2:
            return [self]
        return [replace(self, start=start, end=end) for start, end in pairwise(bounds)]

    def chunks(self, *, labels_required: bool = False) -> Iterator[DigitTable]:
        """Yield the rows in order, CHUNK_ROWS at a time; the tables have labels if the file has a label column.

        Raises:
            UserError: the file is missing, damaged, empty or not a CSV; a column is missing, renamed, out of
                place or unexpected; a row has the wrong number of values; a value is not an integer or out of range.
        """
        from pandas.errors import EmptyDataError

        with self._open() as stream:
            columns = self._read_header(stream, labels_required)
            labelled = columns[0] == "label"
            rows = 0
            try:
                # In the main thread pandas would swallow a KeyboardInterrupt, and report a fault in the file.
                for frame in prefetch(_parse_rows(self._select_rows(stream))):
                    values = frame.to_numpy()
                    if values.shape[1] != len(columns) or not _in_range(values, labelled):
                        raise ValueError("a row has the wrong number of values, or a value is out of range")
                    pixels = values[:, 1:] if labelled else values
                    yield DigitTable(
                        pixels.astype(np.uint8).reshape(-1, SIDE, SIDE),
                        values[:, 0].copy() if labelled else None,
                    )
                    rows += len(values)
            except EmptyDataError:
                pass
            except (ValueError, OverflowError):  # a ParserError is a ValueError
                self._raise_first_fault(columns, rows)
            if rows == 0 and self.end is None:
                raise UserError(f"{self}: the file has a header but no rows; {DOWNLOAD_REMEDY}")

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        """Open the uncompressed bytes of the CSV; convert errors of opening and reading to UserError."""
        try:
            if is_zip(self.path):
                with zipfile.ZipFile(self.path) as archive, archive.open(self._find_member(archive)) as stream:
                    yield stream
            elif is_gzip(self.path):
                with gzip.open(self.path) as stream:
                    yield io.BufferedReader(stream)
            else:
                with self.path.open("rb") as stream:
                    yield stream
        except FileNotFoundError:
            raise UserError(f"{self.path}: there is no such file; {DOWNLOAD_REMEDY}") from None
        except (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError):
            raise UserError(f"{self.path}: the archive is damaged or incomplete; {DOWNLOAD_REMEDY}") from None
        except OSError as error:
            raise UserError(f"{self.path}: cannot be read: {error.strerror or error}") from error

    def _find_member(self, archive: zipfile.ZipFile) -> str:
        """Return the full name of `member` in the archive, in any of its folders."""
        found = [name for name in archive.namelist() if Path(name).name == self.member]
        if len(found) > 1:
            raise UserError(f"{self.path}: holds {' and '.join(found)}; extract the right one, and give its path")
        if found:
            return found[0]
        names = ", ".join(archive.namelist()[:5]) or "nothing"
        raise UserError(f"{self.path}: holds no {self.member} (it holds {names}); {DOWNLOAD_REMEDY}")

    def _read_header(self, stream: IO[bytes], labels_required: bool) -> list[str]:
        """Read and validate the first line; return the column names."""
        line = stream.readline(MAX_LINE_BYTES)
        if not line.strip():
            raise UserError(f"{self}: the file is empty; {DOWNLOAD_REMEDY}")
        if line.lstrip(b"\xef\xbb\xbf \t").startswith(b"<"):
            raise UserError(f"{self}: this is a web page, not a CSV: sign in to Kaggle and {DOWNLOAD_REMEDY}")
        try:
            text = line.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise UserError(f"{self}: this is not a text file, so not a CSV; {DOWNLOAD_REMEDY}") from None
        columns = [name.strip() for name in next(csv.reader([text]))]
        expected = ["label", *PIXEL_COLUMNS] if labels_required or "label" in columns else PIXEL_COLUMNS
        if columns != expected:
            raise UserError(f"{self}: {_column_fault(columns, expected)}")
        return columns

    def _select_rows(self, stream: IO[bytes]) -> IO[bytes]:
        """Return a stream of the rows between `start` and `end`; `stream` is positioned after the header."""
        if self.end is None:
            return stream
        start = max(self.start, stream.tell())
        stream.seek(start)
        return io.BytesIO(stream.read(self.end - start))

    def _raise_first_fault(self, columns: list[str], valid_rows: int) -> NoReturn:
        """Raise the first fault after `valid_rows` selected rows, with its row and line; reads slowly, line by line."""
        with self._open() as stream:
            offset, lines, rows_before = len(stream.readline()), 1, 0
            while offset < self.start and (line := stream.readline()):
                offset, lines, rows_before = offset + len(line), lines + 1, rows_before + bool(line.strip())
            valid_rows += rows_before
            reader = csv.reader(io.TextIOWrapper(stream, encoding="utf-8", errors="replace", newline=""))
            for row, cells in enumerate(filter(None, reader), start=rows_before + 1):
                fault = _row_fault(columns, cells) if row > valid_rows else None
                if fault:
                    line_number = lines + reader.line_num
                    raise UserError(
                        f"{self}, row {row} (line {line_number}): {fault}; correct it, or {DOWNLOAD_REMEDY}"
                    )
        raise UserError(f"{self}: the rows from {valid_rows + 1} on cannot be read as numbers; {DOWNLOAD_REMEDY}")


def _parse_rows(stream: IO[bytes]) -> "Iterator[pandas.DataFrame]":
    """Yield the rows of a CSV without its header, as int64, CHUNK_ROWS at a time."""
    import pandas

    # uint8 would silently wrap 300 to 44; int64 keeps the value for the range check.
    yield from pandas.read_csv(
        stream, header=None, dtype=np.int64, na_filter=False, chunksize=CHUNK_ROWS, encoding_errors="replace"
    )


def _in_range(values: np.ndarray, labelled: bool) -> bool:
    """Return whether all pixels, and the labels in the first column if `labelled`, are in range."""
    if labelled and not 0 <= values[:, 0].min() <= values[:, 0].max() < CLASSES:
        return False
    return bool(values.min() >= 0 and values.max() <= 255)


def _column_fault(columns: list[str], expected: list[str]) -> str:
    """Return a message about the first difference between a header and the expected one."""
    if all(INTEGER_PATTERN.fullmatch(name) for name in columns):
        return f"the first line is numbers; it must be the header {expected[0]},{expected[1]},...,{expected[-1]}"
    for number, (name, wanted) in enumerate(zip_longest(columns, expected), start=1):
        if name == wanted:
            continue
        shown = f'column {number}, "{(name or "")[:30]}",'
        if wanted is not None and wanted not in columns:
            if name is None or name in expected:
                return f'column "{wanted}" is missing (it should be column {number}); add it, or {DOWNLOAD_REMEDY}'
            return f'{shown} must be named "{wanted}"; rename it'
        if name not in expected:
            return f"{shown} is unexpected; remove it"
        if name in columns[: number - 1]:
            return f"{shown} is a duplicate; remove it"
        return f"{shown} is out of place; put the columns in the order {expected[0]},{expected[1]},...,{expected[-1]}"
    raise AssertionError("the headers are equal")


def _row_fault(columns: list[str], cells: list[str]) -> str | None:
    """Return a message about the first fault in the cells of one row, or None."""
    if len(cells) != len(columns):
        return f"{len(cells)} values, expected {len(columns)}"
    for column, cell in zip(columns, cells, strict=True):
        largest = CLASSES - 1 if column == "label" else 255
        if not INTEGER_PATTERN.fullmatch(cell):
            shown = f'"{cell[:20]}" is not a whole number' if cell.strip() else "no value"
            return f"column {column}: {shown}"
        if not 0 <= int(cell) <= largest:
            return f"column {column}: {int(cell)} is outside 0 to {largest}"
    return None
