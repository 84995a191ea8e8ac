"""Output of batch predictions as a folder of shards. Each row names its input file and row."""

import csv
from collections.abc import Iterable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.digits import Labels
from pipeline.utils.files import folder_atomic, require_empty
from pipeline.utils.imports import import_optional

Format = Literal["csv", "parquet"]
Answers = Iterable[tuple[str, Labels]]
"""File names with the digits of the file's next rows, int64 (N,), in the order of the files and their rows."""
Shard = list[tuple[str, int, Labels]]
"""File names with the number of a row in the file, counted from 1, and the digits from this row on, int64 (N,)."""

HEADER = ["File", "ImageId", "Label"]
SHARD_ROWS = 1_000_000


def write_shards(folder: Path, answers: Answers, form: Format) -> int:
    """Write part-00000.csv (or .parquet) and so on into a new folder, and return the number of rows.

    Each shard has SHARD_ROWS rows, the last one may have fewer. The columns are File, ImageId (the row in the file,
    counted from 1) and Label. Equal predictions give equal bytes, regardless of their chunks. The folder is created
    atomically, after all shards are complete.

    Raises:
        UserError: the folder is not empty or not writable, or the disk is full.
    """
    require_empty(folder)
    rows = 0
    save = _save_csv if form == "csv" else _save_parquet
    with folder_atomic(folder) as temporary:
        for number, shard in enumerate(_cut_into_shards(answers)):
            save(temporary / f"part-{number:05}.{form}", shard)
            rows += sum(len(digits) for _, _, digits in shard)
    return rows


def _cut_into_shards(answers: Answers) -> Iterator[Shard]:
    """Yield shards of SHARD_ROWS predictions, numbered within their files."""
    shard: Shard = []
    name, row, free_rows = None, 1, SHARD_ROWS
    for file, digits in answers:
        name, row = file, row if file == name else 1
        remaining = digits
        while len(remaining):
            taken, remaining = remaining[:free_rows], remaining[free_rows:]
            shard.append((file, row, taken))
            row, free_rows = row + len(taken), free_rows - len(taken)
            if not free_rows:
                yield shard
                shard, free_rows = [], SHARD_ROWS
    if shard:
        yield shard


def _save_csv(path: Path, shard: Shard) -> None:
    """Write a shard as CSV."""
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for name, row, digits in shard:
            writer.writerows(zip(repeat(name), range(row, row + len(digits)), digits.tolist(), strict=False))


def _save_parquet(path: Path, shard: Shard) -> None:
    """Write a shard as Parquet with column types dictionary<string>, int64 and int8."""
    arrow, parquet = import_optional("pyarrow"), import_optional("pyarrow.parquet")
    names = list(dict.fromkeys(name for name, _, _ in shard))
    files = np.concatenate([np.full(len(digits), names.index(name), np.int32) for name, _, digits in shard])
    rows = np.concatenate([np.arange(row, row + len(digits)) for _, row, digits in shard])
    labels = np.concatenate([digits for _, _, digits in shard]).astype(np.int8)
    columns = [arrow.DictionaryArray.from_arrays(files, names), rows, labels]
    parquet.write_table(arrow.table(dict(zip(HEADER, columns, strict=True))), path)
