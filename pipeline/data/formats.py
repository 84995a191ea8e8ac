"""File formats of digits, and the search for input files in paths, folders and patterns."""

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.data.csv_file import CsvFile
from pipeline.data.parquet import ParquetFile
from pipeline.errors import UserError
from pipeline.utils.files import starts_with

DigitFile = CsvFile | ParquetFile
SUFFIXES = (".csv", ".csv.gz", ".parquet")
"""Suffixes of the files that a search in a folder returns."""


def open_digits(path: Path, member: str = "train.csv") -> DigitFile:
    """Return a file of digits in its format, which its first bytes decide, not its name.

    Args:
        path: the file; it is not read further.
        member: name of the CSV inside a zip archive.

    Raises:
        UserError: the path is a pipe, which can be read only once.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UserError(f"{path}: is a pipe, not a file: save its content in a file, and give that")
    return ParquetFile(path) if starts_with(path, b"PAR1") else CsvFile(path, member)


def find_files(inputs: Iterable[str]) -> list[DigitFile]:
    """Return the files that the inputs match, without duplicates, in the order of the inputs, then by name.

    Args:
        inputs: paths of files; folders, which are searched recursively for files with SUFFIXES; glob patterns of
            either, such as "images/2026-*.csv", where ** matches any number of folders.

    Raises:
        UserError: a path does not exist, a pattern matches nothing, or a folder contains no such file.
    """
    paths = [path for pattern in inputs for match in _matches(pattern) for path in _files_in(match)]
    return [open_digits(path, "test.csv") for path in dict.fromkeys(paths)]


def _matches(pattern: str) -> list[Path]:
    """Return the paths that match a pattern, sorted; an existing path matches itself, even with glob characters."""
    if Path(pattern).exists():
        return [Path(pattern)]
    found = sorted(map(Path, glob.glob(pattern, recursive=True)))  # noqa: PTH207, as a pattern may be absolute
    if not found:
        raise UserError(f"{pattern}: there is no such file or folder; check its name")
    return found


def _files_in(path: Path) -> Iterator[Path]:
    """Yield a file itself, or the files with SUFFIXES in a folder, sorted; skip names that begin with "." or "_"."""
    if not path.is_dir():
        yield path
        return
    found = [
        file
        for file in sorted(path.rglob("*"))
        if file.name.lower().endswith(SUFFIXES)
        and file.is_file()
        and not any(part.startswith((".", "_")) for part in file.relative_to(path).parts)
    ]
    if not found:
        raise UserError(f"{path}: contains no file that ends in {', '.join(SUFFIXES)}; choose another folder")
    yield from found
