"""Data sets that Hugging Face `datasets` saved with `save_to_disk`: folders of Arrow files."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from numpy.typing import NDArray

from pipeline.data.csv_file import CHUNK_ROWS
from pipeline.data.parquet import ParquetFile
from pipeline.digits import Labels
from pipeline.errors import UserError
from pipeline.utils.imports import import_optional

STATE = "state.json"
"""File of a saved Dataset that lists its Arrow files."""
SPLITS = "dataset_dict.json"
"""File of a saved DatasetDict that lists its splits. Each split is a folder with a saved Dataset."""


@dataclass(frozen=True)
class ArrowDataset(ParquetFile):
    """A split of a data set, with the columns of a `ParquetFile`: a picture (`image`) and a `label`."""

    def parts(self) -> list[Self]:
        """Return the data set itself: it is one part."""
        return [self]

    def _batches(self, *, labels_required: bool) -> Iterator[tuple[int, NDArray[Any], Labels | None]]:
        row = 1
        for path in self._files():
            with self._stream(path) as reader:
                pixel_columns, read_pixels = self._pixel_columns(reader.schema)
                label_columns = self._label_columns(reader.schema, labels_required)
                for whole in reader:
                    for start in range(0, len(whole), CHUNK_ROWS):
                        batch = whole.slice(start, CHUNK_ROWS)
                        labels = self._read_labels(batch, label_columns[0], row) if label_columns else None
                        yield row, read_pixels(batch, pixel_columns, row), labels
                        row += len(batch)
        if row == 1:
            raise UserError(f"{self}: the data set has no rows; save it again")

    def _files(self) -> list[Path]:
        """Return the Arrow files in their order."""
        path = self.path / STATE
        try:
            return [self.path / each["filename"] for each in json.loads(path.read_bytes())["_data_files"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: is not the state of a data set ({error!r}); save it again") from None

    @contextmanager
    def _stream(self, path: Path) -> Iterator[Any]:
        """Open an Arrow file with pyarrow; convert errors of opening and reading to UserError."""
        arrow, ipc = import_optional("pyarrow"), import_optional("pyarrow.ipc")
        try:
            with arrow.memory_map(str(path)) as source, ipc.open_stream(source) as reader:
                yield reader
        except (arrow.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{path}: cannot be read as Arrow ({reason}); save the data set again") from None


def is_dataset(folder: Path) -> bool:
    """Return whether a folder is a Dataset or a DatasetDict that `save_to_disk` wrote."""
    return (folder / STATE).is_file() or (folder / SPLITS).is_file()


def open_dataset(folder: Path, part: str) -> ArrowDataset:
    """Return the split of a saved DatasetDict that is named after a part, or a saved Dataset as training rows.

    Raises:
        UserError: there is no such split.
    """
    if (folder / SPLITS).is_file():
        if (folder / part / STATE).is_file():
            return ArrowDataset(folder / part)
        found = ", ".join(sorted(path.parent.name for path in folder.glob(f"*/{STATE}")))
        raise UserError(
            f"{folder}: the data set has no split {part} (it has {found or 'none'}); rename one, or name it"
        )
    if part == "test":
        raise UserError(f"{folder}: is one split, taken as training digits; save a DatasetDict with train and test")
    return ArrowDataset(folder)
