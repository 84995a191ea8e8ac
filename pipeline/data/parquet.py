"""Digits in Parquet files, validated like CSV."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.data.columns import PIXEL_COLUMNS
from pipeline.data.csv_file import CHUNK_ROWS
from pipeline.data.table import DigitTable, concatenate
from pipeline.digits import CLASSES, SIDE, Labels
from pipeline.errors import UserError
from pipeline.utils.imports import import_optional

IMAGE_PIXELS = SIDE * SIDE
PART_ROWS = 1 << 16
"""Minimum rows of a part, the unit of work of one worker; row groups are combined up to it. The last part may be
smaller."""
COLUMN_BUFFER_BYTES = 1 << 16
"""Read buffer of a column: 49 MiB for 784 columns, independent of the size of a row group."""


@dataclass(frozen=True)
class ParquetFile:
    """A Parquet file with the column `pixels` or the columns `pixel0` to `pixel783`, and optionally `label`.

    `pixels` contains the 784 values of an image in row-major order, as bytes (binary) or as a list of integers, each
    of fixed size or not. `pixel0` to `pixel783` are integers. All values are 0 to 255, 0 = paper. `label` contains
    integers 0 to 9. Other columns are ignored.

    Attributes:
        path: the file.
        groups: the selected row groups; None selects all.
    """

    path: Path
    groups: range | None = None

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
        return parts or [self]

    def chunks(self, *, labels_required: bool = False) -> Iterator[DigitTable]:
        """Yield the rows in order, at most CHUNK_ROWS at a time; the tables have labels if the file has a label column.

        Raises:
            UserError: the file is missing, damaged or empty; its columns have other names or types; a value is
                missing or out of range; a row does not have 784 values.
        """
        with self._open() as file:
            metadata = file.metadata
            if metadata.num_rows == 0:
                raise UserError(f"{self}: the file has no rows; write it again")
            pixel_columns = self._pixel_columns(file.schema_arrow)
            label_columns = self._label_columns(file.schema_arrow, labels_required)
            groups = range(metadata.num_row_groups) if self.groups is None else self.groups
            row = 1 + sum(metadata.row_group(group).num_rows for group in range(groups.start))
            columns = pixel_columns + label_columns
            for batch in file.iter_batches(CHUNK_ROWS, row_groups=list(groups), columns=columns):
                read_pixels = self._read_vectors if pixel_columns == ["pixels"] else self._read_scalars
                labels = self._read_labels(batch, row) if label_columns else None
                yield DigitTable(read_pixels(batch, row).astype(np.uint8).reshape(-1, SIDE, SIDE), labels)
                row += len(batch)

    @contextmanager
    def _open(self) -> Iterator[Any]:
        """Open the file with pyarrow; convert errors of opening and reading to UserError."""
        arrow, parquet = import_optional("pyarrow"), import_optional("pyarrow.parquet")
        try:
            with parquet.ParquetFile(self.path, buffer_size=COLUMN_BUFFER_BYTES) as file:
                yield file
        except FileNotFoundError:
            raise UserError(f"{self}: there is no such file; check its name") from None
        except (arrow.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{self}: cannot be read as Parquet ({reason}); write it again") from None

    def _pixel_columns(self, schema: Any) -> list[str]:
        """Return the names of the pixel columns; raise a UserError if one is missing or has a wrong type."""
        types = import_optional("pyarrow").types
        if "pixels" in schema.names:
            kind = schema.field("pixels").type
            binary = types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)
            if not binary and not (_is_list(kind) and types.is_integer(kind.value_type)):
                raise UserError(
                    f'{self}: column "pixels" is {kind}; make it {IMAGE_PIXELS} bytes, or a list of {IMAGE_PIXELS} '
                    "whole numbers"
                )
            return ["pixels"]
        missing = [name for name in PIXEL_COLUMNS if name not in schema.names]
        if len(missing) == IMAGE_PIXELS:
            raise UserError(
                f'{self}: has neither a column "pixels" nor {PIXEL_COLUMNS[0]} to {PIXEL_COLUMNS[-1]} '
                f"(it has {', '.join(schema.names[:5])}); rename them"
            )
        if missing:
            raise UserError(f'{self}: column "{missing[0]}" is missing; add it')
        for name in PIXEL_COLUMNS:
            if not types.is_integer(schema.field(name).type):
                raise UserError(f'{self}: column "{name}" is {schema.field(name).type}; make it uint8')
        return PIXEL_COLUMNS

    def _label_columns(self, schema: Any, required: bool) -> list[str]:
        """Return ["label"], or [] if the column is missing; raise a UserError if it is required or not integer."""
        if "label" not in schema.names:
            if required:
                raise UserError(f'{self}: column "label" is missing; add it')
            return []
        kind = schema.field("label").type
        if not import_optional("pyarrow").types.is_integer(kind):
            raise UserError(f'{self}: column "label" is {kind}; make it int64')
        return ["label"]

    def _read_labels(self, batch: Any, first: int) -> Labels:
        """Return the column `label`, int64 (N,) in 0..9; `first` is the number of the batch's first row, from 1."""
        column = batch.column("label")
        if column.null_count:
            self._raise_fault(first + _first_null(column), "column label: no value")
        labels: Labels = column.to_numpy().astype(np.int64)
        outside = np.flatnonzero((labels < 0) | (labels >= CLASSES))
        if len(outside):
            self._raise_fault(first + outside[0], f"column label: {labels[outside[0]]} is outside 0 to {CLASSES - 1}")
        return labels

    def _read_vectors(self, batch: Any, first: int) -> NDArray[Any]:
        """Return the column `pixels` as integers (N, 784) in 0..255; `first` as in `_read_labels`."""
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
        return self._require_range(flat.to_numpy().reshape(-1, IMAGE_PIXELS), first)

    def _read_scalars(self, batch: Any, first: int) -> NDArray[Any]:
        """Return the columns `pixel0` to `pixel783` as integers (N, 784) in 0..255; `first` as in `_read_labels`."""
        for name in PIXEL_COLUMNS:
            column = batch.column(name)
            if column.null_count:
                self._raise_fault(first + _first_null(column), f"column {name}: no value")
        return self._require_range(np.column_stack([batch.column(name).to_numpy() for name in PIXEL_COLUMNS]), first)

    def _require_range(self, values: NDArray[Any], first: int) -> NDArray[Any]:
        """Return the values, (N, 784); raise a UserError for the first one outside 0..255."""
        if values.size and (values.min() < 0 or values.max() > 255):
            row, index = np.argwhere((values < 0) | (values > 255))[0]
            self._raise_fault(first + row, f"pixel {index}: {values[row, index]:.0f} is outside 0 to 255")
        return values

    def _raise_fault(self, row: int, fault: str) -> NoReturn:
        """Raise a UserError about a row, counted from 1."""
        raise UserError(f"{self}, row {row}: {fault}; correct it, or write the file again")


def _is_list(kind: Any) -> bool:
    """Return whether an Arrow type is a list."""
    types = import_optional("pyarrow").types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _first_null(column: Any) -> int:
    """Return the index of the first missing value."""
    return int(column.is_null().to_numpy(zero_copy_only=False).argmax())
