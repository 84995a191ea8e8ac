"""The rows of a CSV as numbers: grey levels by NumPy, which takes a fifth of the time, everything else by pandas."""

import csv
import io
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.csv_text import MAX_LINE_BYTES, CsvText

Values = NDArray[Any]
"""Some columns of some rows, (N, columns)."""
PIECE_ROWS = 512
"""Rows that NumPy parses at a time: its intermediate arrays then fit into the processor's cache."""


def read_rows(stream: IO[bytes], text: CsvText, used: list[int], chunk_rows: int) -> Iterator[Values]:
    """Yield the used columns, `chunk_rows` rows at a time, int16, int64 or float64 (N, columns).

    Args:
        stream: the rows, from the first one on.
        text: their notation, with at least one row.
        used: positions of the columns.
        chunk_rows: number of rows in each array but the last.

    Raises:
        ValueError: a row has another number of values, or a value in a used column is not a number.
        OverflowError: a number is too large.
    """
    width = len(text.first_rows[0])
    if text.quoted or text.fractions or text.separator != "," or len(used) < width:
        yield from _parse_with_pandas(stream, text, used, chunk_rows)
        return
    lines = iter(partial(stream.readline, MAX_LINE_BYTES), b"")
    while chunk := list(islice(lines, chunk_rows)):
        blocks = (b"".join(chunk[start : start + PIECE_ROWS]) for start in range(0, len(chunk), PIECE_ROWS))
        pieces = [piece for block in blocks if (piece := parse_grey_levels(block, width)) is not None]
        if len(pieces) == -(-len(chunk) // PIECE_ROWS):
            yield np.concatenate(pieces)
        else:
            yield from _parse_with_pandas(io.BytesIO(b"".join(chunk)), text, used, chunk_rows)


def parse_grey_levels(block: bytes, columns: int) -> NDArray[np.int16] | None:
    """Return lines of whole numbers of one to three digits, with commas between them, int16 (N, columns).

    None if anything else is in them, such as a sign, a space, an empty line or a missing value.
    """
    text = np.frombuffer(block.replace(b"\r\n", b"\n").removesuffix(b"\n") + b"\n", np.uint8)
    ends = np.flatnonzero(text < ord("0")).astype(np.int32)
    if len(ends) % columns or text.max() > ord("9"):
        return None
    separators = text[ends].reshape(-1, columns)
    if (separators[:, :-1] != ord(",")).any() or (separators[:, -1] != ord("\n")).any():
        return None
    lengths = np.diff(ends, prepend=np.int32(-1)) - 1
    if lengths.min() < 1 or lengths.max() > 3:
        return None
    levels = text[ends - 1].astype(np.int16) - ord("0")
    for place, unit in ((2, 10), (3, 100)):  # of the many zeros only the last digit is looked at
        longer = np.flatnonzero(lengths >= place)
        levels[longer] += unit * (text[ends[longer] - place].astype(np.int16) - ord("0"))
    return levels.reshape(-1, columns)


def _parse_with_pandas(stream: IO[bytes], text: CsvText, used: list[int], chunk_rows: int) -> Iterator[Values]:
    """Yield the used columns as `read_rows` does, int64 or float64; the same errors are raised."""
    import pandas

    width = len(text.first_rows[0])
    # uint8 would silently wrap 300 to 44; int64 keeps the value for the range check.
    kind = np.float64 if text.fractions else np.int64
    others = dict.fromkeys(sorted(set(range(width)) - set(used)), str)
    try:
        frames = pandas.read_csv(
            stream,
            header=None,
            na_filter=False,
            encoding_errors="replace",
            sep=r"\s+" if text.separator == " " else text.separator,
            decimal=text.decimal,
            quoting=csv.QUOTE_MINIMAL if text.quoted else csv.QUOTE_NONE,
            dtype=others | dict.fromkeys(used, kind) if others else kind,
            chunksize=chunk_rows,
        )
        for frame in frames:
            if frame.shape[1] != width:
                raise ValueError("the first row has another number of values")
            yield (frame[used] if others else frame).to_numpy()
    except pandas.errors.EmptyDataError:
        return
