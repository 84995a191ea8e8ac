"""Files compressed by gzip, bzip2 or xz, recognised by their first bytes."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from pipeline.utils.files import starts_with

OPENERS: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
DAMAGE_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError)
"""Errors of reading a file that may be damaged; an OSError of a decompressor has no errno."""


def open_decompressed(path: Path) -> IO[bytes]:
    """Open the content of a file, decompressed if it is compressed. Raises OSError if it cannot be opened."""
    stream: IO[bytes] = (_find_opener(path) or Path.open)(path, "rb")
    return stream


def is_compressed(path: Path) -> bool:
    """Return whether a file is compressed."""
    return _find_opener(path) is not None


def _find_opener(path: Path) -> Callable[..., Any] | None:
    """Return the function that opens a compressed file; None if it is not compressed or cannot be read."""
    return next((opener for magic, opener in OPENERS.items() if starts_with(path, magic)), None)
