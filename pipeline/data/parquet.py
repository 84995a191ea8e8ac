"""Digits in Parquet files, validated like CSV."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.data.arrays.pictures import frame_grey
from pipeline.data.columns import INDEX_NAMES, LABEL_NAMES, PIXEL_COLUMNS, expected_pixels
from pipeline.data.csv_file import CHUNK_ROWS
from pipeline.data.csv_text import parse_number
from pipeline.data.pixel_format import PixelFormat, detect_format, needs_more_rows
from pipeline.data.table import DigitTable, concatenate
from pipeline.digits import CLASSES, SIDE, Labels
from pipeline.errors import UserError, quote
from pipeline.utils.imports import import_optional
from pipeline.vision.image import FILE_FORMATS, to_grey_levels

ReadPixels = Callable[[Any, list[str], int], NDArray[Any]]
"""Returns the pixels, (N, 784), of a batch, given the names of their columns and the number of the first row."""
IMAGE_PIXELS = SIDE * SIDE
PART_ROWS = 1 << 16
"""Minimum rows of a part, the unit of work of one worker; row groups are combined up to it. The last part may be
smaller."""
COLUMN_BUFFER_BYTES = 1 << 16
"""Read buffer of a column: 49 MiB for 784 columns, independent of the size of a row group."""


@dataclass(frozen=True)
class ParquetFile:
    """A Parquet file with a column of images or with a column per pixel, and optionally with labels.

    A column of images is `image`, a structure with the bytes of a picture file as the Hugging Face hub stores it, or
    `pixels`, the 784 values of an image in row-major order as bytes (binary) or as a list of numbers. Columns of pixels
    are named as in `find_columns`, in any order. The values are described in `PixelFormat`. The label column has one
    of LABEL_NAMES and contains digits as numbers or text. Other columns of the first kind of file are ignored.

    Attributes:
        path: the file.
        groups: the selected row groups; None selects all.
        known_format: the format of the pixels of the whole file, if it is known; otherwise it is detected.
    """

    path: Path
    groups: range | None = None
    known_format: PixelFormat | None = None

    def __str__(self) -> str:
        return str(self.path)

    def read(self, *, labels_required: bool) -> DigitTable:
        """Return all rows as one table; raises the errors of `chunks`."""
        return concatenate(list(self.chunks(labels_required=labels_required)))

    def parts(self) -> list[Self]:
        """Return the file split at row groups into parts of at least PART_ROWS rows, in order; the last may be smaller.

        Raises:
            UserError: the file is missing or damaged.
        """
        parts, start, rows = [], 0, 0
        with self._open() as file:
            groups = file.metadata.num_row_groups
            for group in range(groups):
                rows += file.metadata.row_group(group).num_rows
                if rows >= PART_ROWS or group == groups - 1:
                    parts.append(replace(self, groups=range(start, group + 1)))
                    start, rows = group + 1, 0
        if len(parts) < 2:
            return parts or [self]
        known = self.pixel_format()
        return [replace(part, known_format=known) for part in parts]

    def notes(self) -> list[str]:
        """Return what differs from MNIST's format, in words; raises the errors of `chunks` about the first rows."""
        return self.pixel_format().notes(IMAGE_PIXELS)

    def chunks(self, *, labels_required: bool = False) -> Iterator[DigitTable]:
        """Yield the rows in order, at most CHUNK_ROWS at a time; the tables have labels if the file has a label column.

        Raises:
            UserError: the file is missing, damaged or empty; its columns have other names or types; a value is
                missing or out of range; a row does not have 784 values.
        """
        form = self.known_format
        for first, values, labels in self._batches(labels_required=labels_required):
            form = form or self._detect_format(values, labels)
            yield DigitTable(form.decode(self._require_range(values, form, first)), labels)

    def pixel_format(self) -> PixelFormat:
        """Return the format of the pixels of the file; raises the errors of `chunks` about the first rows."""
        if self.known_format:
            return self.known_format
        first = next(self._batches(labels_required=False), None)
        return PixelFormat() if first is None else self._detect_format(*first[1:])

    def _detect_format(self, values: NDArray[Any], labels: Labels | None) -> PixelFormat:
        """Return the format of the pixels of the file; reads on only while the first rows leave the scale open."""
        lowest, highest = values.min(), values.max()
        rest = self._batches(labels_required=False) if needs_more_rows(lowest, highest) else iter(())
        for _, further, _ in rest:
            lowest, highest = min(lowest, further.min()), max(highest, further.max())
            if not needs_more_rows(lowest, highest):
                break
        return detect_format(values, labels, lowest, highest)

    def _batches(self, *, labels_required: bool) -> Iterator[tuple[int, NDArray[Any], Labels | None]]:
        """Yield the number of the first row, from 1, the pixels, (N, 784), and the labels of each batch of rows."""
        with self._open() as file:
            metadata = file.metadata
            pixel_columns, read_pixels = self._pixel_columns(file.schema_arrow)
            label_columns = self._label_columns(file.schema_arrow, labels_required)
            groups = range(metadata.num_row_groups) if self.groups is None else self.groups
            start = row = 1 + sum(metadata.row_group(group).num_rows for group in range(groups.start))
            columns = pixel_columns + label_columns
            for batch in file.iter_batches(CHUNK_ROWS, row_groups=list(groups), columns=columns):
                labels = self._read_labels(batch, label_columns[0], row) if label_columns else None
                yield row, read_pixels(batch, pixel_columns, row), labels
                row += len(batch)
            if row == start:
                raise UserError(f"{self}: the file has no rows; write it again")

    @contextmanager
    def _open(self) -> Iterator[Any]:
        """Open the file with pyarrow; convert errors of opening and reading to UserError."""
        arrow, parquet = import_optional("pyarrow"), import_optional("pyarrow.parquet")
        try:
            with parquet.ParquetFile(self.path, buffer_size=COLUMN_BUFFER_BYTES) as file:
                yield file
        except FileNotFoundError:
            raise UserError(f"{self}: there is no such file; check its name") from None
        except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
            reason = quote(str(error).partition("\n")[0])
            raise UserError(f"{self}: cannot be read as Parquet ({reason}); write it again") from None

    def _pixel_columns(self, schema: Any) -> tuple[list[str], ReadPixels]:
        """Return the names of the pixel columns and the method that reads them; raise a UserError if there are none."""
        types = import_optional("pyarrow").types
        for field in schema:
            if types.is_struct(field.type) and "bytes" in [inner.name for inner in field.type]:
                return [field.name], self._read_pictures
        if "pixels" in schema.names:
            kind = schema.field("pixels").type
            if not _is_bytes(kind) and not (_is_list(kind) and _is_number(kind.value_type)):
                raise UserError(
                    f'{self}: column "pixels" is {kind}; make it {IMAGE_PIXELS} bytes, or a list of {IMAGE_PIXELS} '
                    "numbers"
                )
            return ["pixels"], self._read_vectors
        others = [name for name in schema.names if name.lower() not in LABEL_NAMES and not INDEX_NAMES.fullmatch(name)]
        columns = expected_pixels(others)
        missing = [name for name in columns if name not in others]
        if len(missing) > 1 and len(others) < IMAGE_PIXELS / 2:
            raise UserError(
                f'{self}: has neither a column "pixels" nor {PIXEL_COLUMNS[0]} to {PIXEL_COLUMNS[-1]} '
                f"(it has {', '.join(schema.names[:5])}); rename them"
            )
        if missing:
            raise UserError(f'{self}: column "{missing[0]}" is missing; add it')
        for name in columns:
            if not _is_number(schema.field(name).type):
                raise UserError(f'{self}: column "{name}" is {schema.field(name).type}; make it uint8')
        return columns, self._read_scalars

    def _label_columns(self, schema: Any, required: bool) -> list[str]:
        """Return the name of the label column, in a list that is empty if there is none and it is not required."""
        found = [name for name in schema.names if name.lower() in LABEL_NAMES]
        if len(found) > 1:
            raise UserError(f'{self}: columns "{found[0]}" and "{found[1]}" may both be the label; remove one')
        if required and not found:
            raise UserError(f'{self}: column "label" is missing; add it')
        return found

    def _read_labels(self, batch: Any, name: str, first: int) -> Labels:
        """Return the labels, int64 (N,) in 0..9; `first` is the number of the batch's first row, from 1."""
        column = batch.column(name)
        if column.null_count:
            self._raise_fault(first + _first_null(column), f"column {name}: no value")
        values = column.to_pylist() if not _is_number(column.type) else column.to_numpy(zero_copy_only=False).tolist()
        numbers = [parse_number(value) if isinstance(value, str) else value for value in values]
        for row, (value, number) in enumerate(zip(values, numbers, strict=True)):
            if not isinstance(number, int | float) or number % 1:
                self._raise_fault(first + row, f'column {name}: "{value}" is not a digit')
            if not 0 <= number < CLASSES:
                self._raise_fault(
                    first + row,
                    f"column {name}: {value} is outside 0 to {CLASSES - 1}; sets with letters, such as EMNIST's, have "
                    "other labels",
                )
        return np.array(numbers).astype(np.int64)

    def _read_pictures(self, batch: Any, columns: list[str], first: int) -> NDArray[Any]:
        """Return the picture files of a column as grey levels, (N, 784); `first` as in `_read_labels`."""
        pictures = []
        for row, value in enumerate(batch.column(columns[0]).to_pylist()):
            content = (value or {}).get("bytes")
            if not content:
                self._raise_fault(first + row, f"column {columns[0]}: no picture")
            try:
                pictures.append(to_grey_levels(Image.open(BytesIO(content), formats=FILE_FORMATS)))
            except OSError:
                self._raise_fault(first + row, f"column {columns[0]}: is not a picture")
        if any(grey.shape != (SIDE, SIDE) for grey in pictures):
            pictures = [frame_grey(grey) for grey in pictures]
        return np.array(pictures).reshape(-1, IMAGE_PIXELS)

    def _read_vectors(self, batch: Any, columns: list[str], first: int) -> NDArray[Any]:
        """Return the column `pixels` as numbers (N, 784); `first` as in `_read_labels`."""
        compute = import_optional("pyarrow.compute")
        column = batch.column("pixels")
        if column.null_count:
            self._raise_fault(first + _first_null(column), "column pixels: no value")
        is_list = _is_list(column.type)
        lengths = (compute.list_value_length if is_list else compute.binary_length)(column).to_numpy()
        ragged = np.flatnonzero(lengths != IMAGE_PIXELS)
        if len(ragged):
            self._raise_fault(first + ragged[0], f"column pixels: {lengths[ragged[0]]} values, expected {IMAGE_PIXELS}")
        if not is_list:
            return np.frombuffer(b"".join(column.to_pylist()), np.uint8).reshape(-1, IMAGE_PIXELS)
        flat = column.flatten()
        if flat.null_count:
            row, index = divmod(_first_null(flat), IMAGE_PIXELS)
            self._raise_fault(first + row, f"column pixels: no value {index + 1}")
        values: NDArray[Any] = flat.to_numpy(zero_copy_only=False).reshape(-1, IMAGE_PIXELS)
        return values

    def _read_scalars(self, batch: Any, columns: list[str], first: int) -> NDArray[Any]:
        """Return columns of pixels as numbers (N, 784); `first` as in `_read_labels`."""
        for name in columns:
            column = batch.column(name)
            if column.null_count:
                self._raise_fault(first + _first_null(column), f"column {name}: no value")
        return np.column_stack([batch.column(name).to_numpy(zero_copy_only=False) for name in columns])

    def _require_range(self, values: NDArray[Any], form: PixelFormat, first: int) -> NDArray[Any]:
        """Return the values, (N, 784); raise a UserError for the first one outside the range of the format."""
        if not form.within_bounds(values):
            lowest, highest = form.bounds
            row, index = np.argwhere(~((values >= lowest) & (values <= highest)))[0]
            self._raise_fault(
                first + row, f"pixel {index}: {values[row, index]:.4g} is outside {lowest:.4g} to {highest:.4g}"
            )
        return values

    def _raise_fault(self, row: int, fault: str) -> NoReturn:
        """Raise a UserError about a row, counted from 1."""
        raise UserError(f"{self}, row {row}: {fault}; correct it, or write the file again")


def _is_bytes(kind: Any) -> bool:
    """Return whether an Arrow type is a sequence of bytes."""
    types = import_optional("pyarrow").types
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind))


def _is_number(kind: Any) -> bool:
    """Return whether an Arrow type is an integer, a floating-point number or a Boolean."""
    types = import_optional("pyarrow").types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _is_list(kind: Any) -> bool:
    """Return whether an Arrow type is a list."""
    types = import_optional("pyarrow").types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _first_null(column: Any) -> int:
    """Return the index of the first missing value."""
    return int(column.is_null().to_numpy(zero_copy_only=False).argmax())
