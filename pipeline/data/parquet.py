"""Digits as they lie in Parquet files, read with the same checks as CSV."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.data.csv_file import CHUNK_ROWS, PIXEL_COLUMNS
from pipeline.data.table import DigitTable, concatenate
from pipeline.digits import CLASSES, SIDE, Labels
from pipeline.errors import UserError
from pipeline.utils.imports import import_optional

IMAGE_SIZE = SIDE * SIDE
PART_ROWS = 1 << 16
"""Fewest rows of a part, for one worker, where a file has more: row groups are put together up to it."""
READ_BYTES = 1 << 16
"""Of a column read at a time: 49 MiB for 784 of them, however many rows a row group has."""


@dataclass(frozen=True)
class ParquetFile:
    """A Parquet file with the column `pixels` or the columns `pixel0` to `pixel783`, and perhaps the column `label`.

    `pixels` holds 784 values of an image from its upper left, row by row: as bytes (binary, of fixed size or not), or
    as a list of whole numbers, of fixed size or not. `pixel0` and so on are whole numbers. All are 0 to 255, 0 = paper.
    `label` holds whole numbers 0 to 9. Other columns are ignored.

    Attributes:
        path: the file.
        groups: the row groups that are meant; None is all of them.
    """

    path: Path
    groups: range | None = None

    def __str__(self) -> str:
        return str(self.path)

    def read(self, *, labels_required: bool) -> DigitTable:
        """Return the whole file as one table; errors as for `chunks`."""
        return concatenate(list(self.chunks(labels_required=labels_required)))

    def parts(self) -> list[Self]:
        """Return the file in parts of whole row groups, in order, of PART_ROWS or more where it has as many.

        Raises:
            UserError: the file is missing or damaged.
        """
        parts, start, rows = [], 0, 0
        with self.opened() as file:
            groups = file.metadata.num_row_groups
            for group in range(groups):
                rows += file.metadata.row_group(group).num_rows
                if rows >= PART_ROWS or group == groups - 1:
                    parts.append(replace(self, groups=range(start, group + 1)))
                    start, rows = group + 1, 0
        return parts or [self]

    def chunks(self, *, labels_required: bool = False) -> Iterator[DigitTable]:
        """Yield the rows in order, at most CHUNK_ROWS at a time; each table has labels if the file has.

        Raises:
            UserError: the file is missing, damaged or empty; its columns have other names or types; a value is
                missing or out of its range, or a row has not 784 of them.
        """
        with self.opened() as file:
            metadata = file.metadata
            if metadata.num_rows == 0:
                raise UserError(f"{self}: there is no row in it; write it again")
            pixel_columns = self.pixel_columns(file.schema_arrow)
            label_columns = self.label_columns(file.schema_arrow, labels_required)
            groups = range(metadata.num_row_groups) if self.groups is None else self.groups
            row = 1 + sum(metadata.row_group(group).num_rows for group in range(groups.start))
            columns = pixel_columns + label_columns
            for batch in file.iter_batches(CHUNK_ROWS, row_groups=list(groups), columns=columns):
                read = self.vectors if pixel_columns == ["pixels"] else self.scalars
                labels = self.labels(batch, row) if label_columns else None
                yield DigitTable(read(batch, row).astype(np.uint8).reshape(-1, SIDE, SIDE), labels)
                row += len(batch)

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """Open the file by pyarrow; what goes wrong while it is read becomes a UserError."""
        arrow, parquet = import_optional("pyarrow"), import_optional("pyarrow.parquet")
        try:
            with parquet.ParquetFile(self.path, buffer_size=READ_BYTES) as file:
                yield file
        except FileNotFoundError:
            raise UserError(f"{self}: there is no such file") from None
        except (arrow.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{self}: cannot be read as Parquet ({reason}); write it again") from None

    def pixel_columns(self, schema: Any) -> list[str]:
        """Return the names of the columns that hold the pixels, their types checked."""
        types = import_optional("pyarrow").types
        if "pixels" in schema.names:
            held = schema.field("pixels").type
            binary = types.is_binary(held) or types.is_large_binary(held) or types.is_fixed_size_binary(held)
            if not binary and not (_is_list(held) and types.is_integer(held.value_type)):
                raise UserError(
                    f'{self}: column "pixels" is {held}; make it {IMAGE_SIZE} bytes, or a list of as many whole numbers'
                )
            return ["pixels"]
        missing = [name for name in PIXEL_COLUMNS if name not in schema.names]
        if len(missing) == IMAGE_SIZE:
            raise UserError(
                f'{self}: neither a column "pixels" nor {PIXEL_COLUMNS[0]} to {PIXEL_COLUMNS[-1]} is there '
                f"(it has {', '.join(schema.names[:5])}); rename them"
            )
        if missing:
            raise UserError(f'{self}: column "{missing[0]}" is missing; add it')
        for name in PIXEL_COLUMNS:
            if not types.is_integer(schema.field(name).type):
                raise UserError(f'{self}: column "{name}" is {schema.field(name).type}; make it uint8')
        return PIXEL_COLUMNS

    def label_columns(self, schema: Any, required: bool) -> list[str]:
        """Return the name of the column that holds the labels, its type checked, or nothing if there is none."""
        if "label" not in schema.names:
            if required:
                raise UserError(f'{self}: column "label" is missing; add it')
            return []
        held = schema.field("label").type
        if not import_optional("pyarrow").types.is_integer(held):
            raise UserError(f'{self}: column "label" is {held}; make it int64')
        return ["label"]

    def labels(self, batch: Any, first: int) -> Labels:
        """Return the column `label`, int64 (N,) in 0..9; `first` is the number of the first row."""
        column = batch.column("label")
        if column.null_count:
            self.refuse(first + _first_null(column), "column label: no value")
        labels: Labels = column.to_numpy().astype(np.int64)
        outside = np.flatnonzero((labels < 0) | (labels >= CLASSES))
        if len(outside):
            self.refuse(first + outside[0], f"column label: {labels[outside[0]]} is outside 0 to {CLASSES - 1}")
        return labels

    def vectors(self, batch: Any, first: int) -> NDArray[Any]:
        """Return the column `pixels` as (N, 784) whole numbers in 0..255; `first` is the number of the first row."""
        compute = import_optional("pyarrow.compute")
        column = batch.column("pixels")
        if column.null_count:
            self.refuse(first + _first_null(column), "column pixels: no value")
        whole = _is_list(column.type)
        lengths = (compute.list_value_length if whole else compute.binary_length)(column).to_numpy()
        ragged = np.flatnonzero(lengths != IMAGE_SIZE)
        if len(ragged):
            self.refuse(
                first + ragged[0], f"column pixels: {lengths[ragged[0]]} values where {IMAGE_SIZE} are expected"
            )
        if not whole:
            return np.frombuffer(b"".join(column.to_pylist()), np.uint8).reshape(-1, IMAGE_SIZE)
        flat = column.flatten()
        if flat.null_count:
            row, place = divmod(_first_null(flat), IMAGE_SIZE)
            self.refuse(first + row, f"column pixels: no value {place + 1}")
        return self.in_range(flat.to_numpy().reshape(-1, IMAGE_SIZE), first)

    def scalars(self, batch: Any, first: int) -> NDArray[Any]:
        """Return the columns `pixel0` to `pixel783` as (N, 784) whole numbers in 0..255."""
        for name in PIXEL_COLUMNS:
            column = batch.column(name)
            if column.null_count:
                self.refuse(first + _first_null(column), f"column {name}: no value")
        return self.in_range(np.column_stack([batch.column(name).to_numpy() for name in PIXEL_COLUMNS]), first)

    def in_range(self, values: NDArray[Any], first: int) -> NDArray[Any]:
        """Return the values, (N, 784), or refuse the first that is outside 0..255."""
        if values.size and (values.min() < 0 or values.max() > 255):
            row, place = np.argwhere((values < 0) | (values > 255))[0]
            self.refuse(first + row, f"pixel {place}: {values[row, place]:.0f} is outside 0 to 255")
        return values

    def refuse(self, row: int, fault: str) -> NoReturn:
        """Raise what is wrong with a row, counted from 1."""
        raise UserError(f"{self}, row {row}: {fault}; correct it, or write the file again")


def _is_list(held: Any) -> bool:
    """Tell whether a column of this type holds lists."""
    types = import_optional("pyarrow").types
    return bool(types.is_list(held) or types.is_large_list(held) or types.is_fixed_size_list(held))


def _first_null(column: Any) -> int:
    """Return the place of the first missing value."""
    return int(column.is_null().to_numpy(zero_copy_only=False).argmax())
