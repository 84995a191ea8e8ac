"""Kaggle's CSV, read into a DigitTable with every check."""

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
from typing import IO, NoReturn, Self

import numpy as np

from pipeline.data.table import DigitTable, concatenate
from pipeline.digits import CLASSES, COMPETITION_URL, SIDE
from pipeline.errors import UserError
from pipeline.utils.files import is_gzip, is_zip

PIXEL_COLUMNS = [f"pixel{index}" for index in range(SIDE * SIDE)]
CHUNK_ROWS = 4096
"""Rows read at a time: 26 MB of int64, whatever the length of the file."""

PART_BYTES = 64 << 20
"""About how much of a CSV is one part, for one worker: some 35,000 rows."""

LINE_LIMIT = 1 << 20
"""Bytes in which a line must end; a web page or a picture may have no line end at all."""

DOWNLOAD_AGAIN = f"download it again from {COMPETITION_URL}/data"
WHOLE_NUMBER = re.compile(r"\s*[+-]?\d+\s*")


@dataclass(frozen=True)
class CsvFile:
    """A CSV in Kaggle's format: `label,pixel0,...,pixel783`, or the same without the label.

    Attributes:
        path: the file: plain, gzipped, or a zip that holds it (told by its first bytes, not by its name).
        member: the name to look for where `path` is a zip.
        start: the byte at which the rows that are meant begin, at the start of a line; 0 is below the header.
        end: the byte at which they end, at the end of a line; None is the end of the file.
    """

    path: Path
    member: str = "test.csv"
    start: int = 0
    end: int | None = None

    def __str__(self) -> str:
        return f"{self.path}/{self.member}" if is_zip(self.path) else str(self.path)

    def read(self, *, labels_required: bool) -> DigitTable:
        """Return the whole file as one table; errors as for `chunks`."""
        return concatenate(list(self.chunks(labels_required=labels_required)))

    def parts(self) -> list[Self]:
        """Return the file in parts of about PART_BYTES, cut at line ends, in order; an archive is one part.

        Raises:
            UserError: the file is missing or cannot be read.
        """
        with self.opened() as stream:
            if is_zip(self.path) or is_gzip(self.path):
                return [self]
            size = stream.seek(0, io.SEEK_END)
            ends = []
            for place in range(PART_BYTES, size, PART_BYTES):
                stream.seek(place)
                stream.readline(LINE_LIMIT)
                ends.append(stream.tell())
        bounds = sorted({0, *ends, size})
        if len(bounds) <= 2:
            return [self]
        return [replace(self, start=start, end=end) for start, end in pairwise(bounds)]

    def chunks(self, *, labels_required: bool = False) -> Iterator[DigitTable]:
        """Yield the file's rows in order, CHUNK_ROWS at a time; each table has labels where the file has.

        Raises:
            UserError: the file is missing, damaged, empty or not a CSV; a column is missing, renamed, out of
                place or one too many; a row is ragged; a value is not a whole number in its range.
        """
        import pandas

        with self.opened() as stream:
            columns = self.header(stream, labels_required)
            labelled = columns[0] == "label"
            rows = 0
            try:
                # int64 and not uint8, which would wrap 300 to 44 in silence.
                frames = pandas.read_csv(
                    self.rows_of(stream),
                    header=None,
                    dtype=np.int64,
                    na_filter=False,
                    chunksize=CHUNK_ROWS,
                    encoding_errors="replace",
                )
                for frame in frames:
                    values = frame.to_numpy()
                    if values.shape[1] != len(columns) or not _in_range(values, labelled):
                        raise ValueError("a row is ragged, or a value is out of its range")
                    pixels = values[:, 1:] if labelled else values
                    yield DigitTable(
                        pixels.astype(np.uint8).reshape(-1, SIDE, SIDE),
                        values[:, 0].copy() if labelled else None,
                    )
                    rows += len(values)
            except pandas.errors.EmptyDataError:
                pass
            except (ValueError, OverflowError):  # a ParserError is a ValueError
                self.refuse(columns, rows)
            if rows == 0 and self.end is None:
                raise UserError(f"{self}: there is a header but no row below it; {DOWNLOAD_AGAIN}")

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Open the CSV's bytes, unpacked; what goes wrong while they are read becomes a UserError."""
        try:
            if is_zip(self.path):
                with zipfile.ZipFile(self.path) as archive, archive.open(self.find_member(archive)) as stream:
                    yield stream
            elif is_gzip(self.path):
                with gzip.open(self.path) as stream:
                    yield io.BufferedReader(stream)
            else:
                with self.path.open("rb") as stream:
                    yield stream
        except FileNotFoundError:
            raise UserError(f"{self.path}: there is no such file; {DOWNLOAD_AGAIN}") from None
        except (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError):
            raise UserError(f"{self.path}: the archive is damaged or incomplete; {DOWNLOAD_AGAIN}") from None
        except OSError as error:
            raise UserError(f"{self.path}: cannot be read: {error.strerror or error}") from error

    def find_member(self, archive: zipfile.ZipFile) -> str:
        """Return the full name of `member` in the archive, in whatever folder it lies there."""
        for name in archive.namelist():
            if Path(name).name == self.member:
                return name
        held = ", ".join(archive.namelist()[:5]) or "nothing"
        raise UserError(f"{self.path}: holds no {self.member} (it holds {held}); {DOWNLOAD_AGAIN}")

    def header(self, stream: IO[bytes], labels_required: bool) -> list[str]:
        """Read the first line and return the column names, checked."""
        line = stream.readline(LINE_LIMIT)
        if not line.strip():
            raise UserError(f"{self}: the file is empty; {DOWNLOAD_AGAIN}")
        if line.lstrip(b"\xef\xbb\xbf \t").startswith(b"<"):
            raise UserError(f"{self}: this is a web page, not a CSV: sign in to Kaggle and {DOWNLOAD_AGAIN}")
        try:
            text = line.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise UserError(f"{self}: this is not a text file, so not a CSV; {DOWNLOAD_AGAIN}") from None
        columns = [name.strip() for name in next(csv.reader([text]))]
        expected = ["label", *PIXEL_COLUMNS] if labels_required or "label" in columns else PIXEL_COLUMNS
        if columns != expected:
            raise UserError(f"{self}: {_column_fault(columns, expected)}")
        return columns

    def rows_of(self, stream: IO[bytes]) -> IO[bytes]:
        """Return the bytes of the rows that are meant, of a file that was read to the end of its header."""
        if self.end is None:
            return stream
        start = max(self.start, stream.tell())
        stream.seek(start)
        return io.BytesIO(stream.read(self.end - start))

    def refuse(self, columns: list[str], sound_rows: int) -> NoReturn:
        """Find the first fault below the first `sound_rows` rows that are meant, slowly and exactly, and raise it."""
        with self.opened() as stream:
            place, lines, rows_before = len(stream.readline()), 1, 0
            while place < self.start and (line := stream.readline()):
                place, lines, rows_before = place + len(line), lines + 1, rows_before + bool(line.strip())
            sound_rows += rows_before
            reader = csv.reader(io.TextIOWrapper(stream, encoding="utf-8", errors="replace", newline=""))
            for row, cells in enumerate(filter(None, reader), start=rows_before + 1):
                fault = _row_fault(columns, cells) if row > sound_rows else None
                if fault:
                    raise UserError(
                        f"{self}, row {row} (line {lines + reader.line_num}): {fault}; correct it, or {DOWNLOAD_AGAIN}"
                    )
        raise UserError(f"{self}: the rows from {sound_rows + 1} on cannot be read as numbers; {DOWNLOAD_AGAIN}")


def _in_range(values: np.ndarray, labelled: bool) -> bool:
    """Tell whether all pixels (and labels, in the first column) are in their range."""
    if labelled and not 0 <= values[:, 0].min() <= values[:, 0].max() < CLASSES:
        return False
    return bool(values.min() >= 0 and values.max() <= 255)


def _column_fault(columns: list[str], expected: list[str]) -> str:
    """Return what is wrong with a header, at its first difference from the expected one."""
    if all(WHOLE_NUMBER.fullmatch(name) for name in columns):
        return f"the first line is numbers; it must be the header {expected[0]},{expected[1]},...,{expected[-1]}"
    for place, (name, wanted) in enumerate(zip_longest(columns, expected), start=1):
        if name == wanted:
            continue
        shown = f'column {place}, "{(name or "")[:30]}",'
        if wanted is not None and wanted not in columns:
            if name is None or name in expected:
                return f'column "{wanted}" is missing (it should be column {place}); add it, or {DOWNLOAD_AGAIN}'
            return f'{shown} must be named "{wanted}"; rename it'
        if name not in expected:
            return f"{shown} is one too many; remove it"
        if name in columns[: place - 1]:
            return f"{shown} stands there twice; remove one"
        return f"{shown} is out of place; put the columns in the order {expected[0]},{expected[1]},...,{expected[-1]}"
    raise AssertionError("the headers are equal")


def _row_fault(columns: list[str], cells: list[str]) -> str | None:
    """Return what is wrong with one row of text, or None."""
    if len(cells) != len(columns):
        return f"{len(cells)} values where {len(columns)} are expected"
    for column, cell in zip(columns, cells, strict=True):
        largest = CLASSES - 1 if column == "label" else 255
        if not WHOLE_NUMBER.fullmatch(cell):
            shown = f'"{cell[:20]}" is not a whole number' if cell.strip() else "no value"
            return f"column {column}: {shown}"
        if not 0 <= int(cell) <= largest:
            return f"column {column}: {int(cell)} is outside 0 to {largest}"
    return None
