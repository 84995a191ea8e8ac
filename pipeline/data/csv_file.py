"""CSV files of digits, read in chunks and validated as a DigitTable."""

import io
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import IO, NoReturn, Self

import numpy as np

from pipeline.data.columns import INDEX_NAMES, ColumnError, Layout, count_columns, find_columns, find_fault
from pipeline.data.csv_rows import Values, read_rows
from pipeline.data.csv_stream import DOWNLOAD_REMEDY, open_csv
from pipeline.data.csv_text import MAX_LINE_BYTES, CsvText, has_row_names, is_numbered, read_text, split_cells
from pipeline.data.pixel_format import SAMPLE_ROWS, PixelFormat, detect_format, needs_more_rows
from pipeline.data.table import DigitTable, concatenate
from pipeline.digits import CLASSES
from pipeline.errors import UserError
from pipeline.utils.compressed import is_compressed
from pipeline.utils.files import is_zip
from pipeline.utils.prefetch import prefetch

CHUNK_ROWS = 4096
"""Rows per chunk: 26 MB as int64, independent of the file's size."""

PART_BYTES = 64 << 20
"""Approximate size of a part, the unit of work of one worker: about 35,000 rows."""

COMPETITION_FILE = re.compile(r"(?:train|test)\.csv(?:\.gz|\.zip)?|digit-recognizer.*\.zip", re.IGNORECASE)
"""Names of the competition's files; for faults of other files no one is sent to Kaggle."""


@dataclass(frozen=True)
class CsvFile:
    """A CSV of digits: `label,pixel0,...,pixel783` as Kaggle's, the same without the label, or another notation.

    The columns are described in `find_columns` and `count_columns`, the text in `CsvText`, the values in `PixelFormat`.

    Attributes:
        path: the file: plain, compressed, or a zip archive that contains it. Its first bytes decide, not its name.
        member: name of the CSV inside a zip archive.
        start: first byte of the selected rows, at the start of a line; 0 starts below the header.
        end: byte after the selected rows, at the end of a line; None is the end of the file.
        known_format: the format of the pixels of the whole file, if it is known; otherwise it is detected.
    """

    path: Path
    member: str = "test.csv"
    start: int = 0
    end: int | None = None
    known_format: PixelFormat | None = None

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
            if is_zip(self.path) or is_compressed(self.path) or not stream.seekable():
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
        known = self.pixel_format()
        return [replace(self, start=start, end=end, known_format=known) for start, end in pairwise(bounds)]

    def notes(self) -> list[str]:
        """Return what differs from Kaggle's files, in words; raises the errors of `chunks` about the first rows."""
        layout = self._find_layout(labels_required=False)
        notes = ["no header"] if self._text.names is None else []
        if layout.labels and layout.labels.start > layout.pixels.start:
            notes.append("label last")
        return notes + self.pixel_format().notes(len(layout.pixels))

    def pixel_format(self) -> PixelFormat:
        """Return the format of the pixels of the file; raises the errors of `chunks` about the first rows."""
        if self.known_format:
            return self.known_format
        layout = self._find_layout(labels_required=False)
        first = next(self._values(layout, SAMPLE_ROWS), None)
        return PixelFormat() if first is None else self._detect_format(layout, first)

    def chunks(self, *, labels_required: bool = False) -> Iterator[DigitTable]:
        """Yield the rows in order, CHUNK_ROWS at a time; the tables have labels if the file has a label column.

        Raises:
            UserError: the file is missing, damaged, empty or not a CSV; a column is missing, renamed, out of
                place or unexpected; a row has the wrong number of values; a value is no number or out of range.
        """
        layout = self._find_layout(labels_required=labels_required)
        form, rows = self.known_format, 0
        for values in self._values(layout):
            form = form or self._detect_format(layout, values)
            pixels, labels = layout.split(values)
            known_labels = labels is None or 0 <= labels.min() <= labels.max() < CLASSES
            if not (known_labels and form.accepts(pixels)):
                self._raise_first_fault(layout, form, rows)
            yield DigitTable(form.decode(pixels), labels)
            rows += len(values)
        if rows == 0 and self.end is None:
            raise UserError(f"{self}: the file has a header but no rows; {self._remedy}")

    @property
    def _remedy(self) -> str:
        """What to do about a faulty file: only the competition's own can be downloaded again."""
        return DOWNLOAD_REMEDY if COMPETITION_FILE.fullmatch(self.path.name) else "save it again"

    def _open(self) -> AbstractContextManager[IO[bytes]]:
        """Open the content; see `open_csv`."""
        return open_csv(self.path, self.member, self._remedy)

    @cached_property
    def _text(self) -> CsvText:
        """The notation of the file."""
        with self._open() as stream:
            return read_text(stream, str(self), self._remedy)

    def _find_layout(self, *, labels_required: bool) -> Layout:
        """Return the layout of the columns, from their names or, without any, from the values."""
        names, rows = self._text.names, self._text.first_rows
        try:
            if names is None:
                width = len(rows[0]) - (rows[0][-1] == "")
                return count_columns(self._ends(range(width)), labels_required=labels_required)
            kept = [place for place, name in enumerate(names) if not INDEX_NAMES.fullmatch(name)]
            if is_numbered([names[place] for place in kept]):
                ends = self._ends(range(kept[0], kept[-1] + 1))
                return count_columns(ends, labels_required=labels_required).shifted(kept[0])
            layout = find_columns(names, labels_required=labels_required)
        except ColumnError as error:
            remedy = f", or {self._remedy}" if str(error).endswith("add it") else ""
            raise UserError(f"{self}: {error}{remedy}") from None
        return layout.shifted(1) if has_row_names(rows, len(names)) else layout

    def _ends(self, columns: range) -> Values:
        """Return the columns of the first rows, of as many as it takes for the first or the last column to vary."""
        layout = Layout(tuple(str(column + 1) for column in range(columns.stop)), columns, range(0))
        rows = np.empty((0, len(columns)))
        for values in self._values(layout):
            rows = np.concatenate([rows[:1], values])
            if len(np.unique(rows[:, 0])) > 1 or len(np.unique(rows[:, -1])) > 1:
                break
        return rows

    def _detect_format(self, layout: Layout, first: Values) -> PixelFormat:
        """Return the format of the pixels of the file; reads on only while the first rows leave the scale open."""
        pixels, labels = layout.split(first)
        lowest, highest = pixels.min(), pixels.max()
        rest = self._values(layout) if needs_more_rows(lowest, highest) else iter(())
        for values in rest:
            pixels_there, _ = layout.split(values)
            lowest, highest = min(lowest, pixels_there.min()), max(highest, pixels_there.max())
            if not needs_more_rows(lowest, highest):
                break
        sample = slice(SAMPLE_ROWS)
        return detect_format(pixels[sample], None if labels is None else labels[sample], lowest, highest)

    def _values(self, layout: Layout, chunk_rows: int = CHUNK_ROWS) -> Iterator[Values]:
        """Yield the used columns of the selected rows, `chunk_rows` at a time; see `read_rows`."""
        text, rows = self._text, 0
        width = len(text.first_rows[0]) if text.first_rows else 0
        if not text.first_rows:
            return
        if width != len(layout.names) and not (width == len(layout.names) + 1 and text.first_rows[0][-1] == ""):
            self._raise_first_fault(layout, None, 0)
        with self._open() as stream:
            for _ in range(text.skipped):
                stream.readline(MAX_LINE_BYTES)
            try:
                # In the main thread pandas would swallow a KeyboardInterrupt, and report a fault in the file.
                for values in prefetch(read_rows(self._select_rows(stream), text, layout.used, chunk_rows)):
                    yield values
                    rows += len(values)
            except (ValueError, OverflowError):  # a ParserError is a ValueError
                self._raise_first_fault(layout, None, rows)

    def _select_rows(self, stream: IO[bytes]) -> IO[bytes]:
        """Return a stream of the rows between `start` and `end`; `stream` is positioned after the header."""
        if self.end is None:
            return stream
        start = max(self.start, stream.tell())
        stream.seek(start)
        return io.BytesIO(stream.read(self.end - start))

    def _raise_first_fault(self, layout: Layout, form: PixelFormat | None, valid_rows: int) -> NoReturn:
        """Raise the first fault after `valid_rows` selected rows, with its row and line; reads slowly, line by line.

        Without a format, cells need only be numbers; if all of them are, one is too large for the scale 0 to 255.
        """
        row, before = 0, valid_rows
        with self._open() as stream:
            offset = sum(len(stream.readline(MAX_LINE_BYTES)) for _ in range(self._text.skipped))
            lines = iter(lambda: stream.readline(MAX_LINE_BYTES), b"")
            for number, line in enumerate(lines, start=self._text.skipped + 1):
                valid_rows += offset < self.start and bool(line.strip())
                offset += len(line)
                row += bool(line.strip())
                fault = self._row_fault(layout, form, line.decode("utf-8", "replace")) if row > valid_rows else None
                if fault:
                    raise UserError(f"{self}, row {row} (line {number}): {fault}; correct it, or {self._remedy}")
        if form is None:
            self._raise_first_fault(layout, PixelFormat(), before)
        raise UserError(f"{self}: the rows from {valid_rows + 1} on cannot be read as numbers; {self._remedy}")

    def _row_fault(self, layout: Layout, form: PixelFormat | None, line: str) -> str | None:
        """Return a message about the first fault in a line, or None; the range is checked if the format is known."""
        if not line.strip():
            return None
        text = self._text
        if line.count('"') % 2:
            return "a quotation mark is not closed"
        cells = split_cells(line.strip("\r\n"), text.separator, text.decimal)
        if len(cells) == len(layout.names) + 1 == len(text.first_rows[0]) and not cells[-1]:
            cells.pop()
        if len(cells) != len(layout.names):
            return f"{len(cells)} values, expected {len(layout.names)}"
        whole = form.whole_numbers if form else not text.fractions
        return find_fault(layout, cells, form.bounds if form else (-np.inf, np.inf), whole_numbers=whole)
