"""Answers to any number of files, in a folder of shards; each row says which image of which file it answers."""

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
"""The name of a file and the digits of its next rows, int64 (N,), in the order of the files and of their rows."""
Shard = list[tuple[str, int, Labels]]
"""The name of a file, the number of the first row in it, counted from 1, and the digits from there on, int64 (N,)."""

HEADER = ["File", "ImageId", "Label"]
SHARD_ROWS = 1_000_000


def write_shards(folder: Path, answers: Answers, form: Format) -> int:
    """Write part-00000.csv (or .parquet) and so on into a new folder; return how many rows there were.

    Each holds SHARD_ROWS rows, the last one fewer: File, ImageId (its row in that file, from 1) and Label. Equal
    answers give equal bytes, however they were cut. The folder appears when it is whole.

    Raises:
        UserError: the folder holds something already or cannot be written to, or the disk is full.
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
    """Yield the answers SHARD_ROWS at a time, numbered within their files."""
    shard: Shard = []
    name, row, room = None, 1, SHARD_ROWS
    for file, digits in answers:
        name, row = file, row if file == name else 1
        left = digits
        while len(left):
            taken, left = left[:room], left[room:]
            shard.append((file, row, taken))
            row, room = row + len(taken), room - len(taken)
            if not room:
                yield shard
                shard, room = [], SHARD_ROWS
    if shard:
        yield shard


def _save_csv(path: Path, shard: Shard) -> None:
    """Write a shard as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for name, row, digits in shard:
            writer.writerows(zip(repeat(name), range(row, row + len(digits)), digits.tolist(), strict=False))


def _save_parquet(path: Path, shard: Shard) -> None:
    """Write a shard as Parquet: dictionary of string, int64, int8."""
    arrow, parquet = import_optional("pyarrow"), import_optional("pyarrow.parquet")
    names = list(dict.fromkeys(name for name, _, _ in shard))
    files = np.concatenate([np.full(len(digits), names.index(name), np.int32) for name, _, digits in shard])
    rows = np.concatenate([np.arange(row, row + len(digits)) for _, row, digits in shard])
    labels = np.concatenate([digits for _, _, digits in shard]).astype(np.int8)
    columns = [arrow.DictionaryArray.from_arrays(files, names), rows, labels]
    parquet.write_table(arrow.table(dict(zip(HEADER, columns, strict=True))), path)
