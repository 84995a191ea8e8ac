"""Formats: what a file of digits is, and which files are meant by paths, folders and patterns."""

import glob
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.data.csv_file import CsvFile
from pipeline.data.parquet import ParquetFile
from pipeline.errors import UserError
from pipeline.utils.files import starts_with

DigitFile = CsvFile | ParquetFile
SUFFIXES = (".csv", ".csv.gz", ".parquet")
"""Of the files that are looked for in a folder."""


def open_digits(path: Path, member: str = "train.csv") -> DigitFile:
    """Return a file of digits in its format, which its first bytes tell and not its name.

    Args:
        member: the file to look for if `path` is a zip archive.
    """
    return ParquetFile(path) if starts_with(path, b"PAR1") else CsvFile(path, member)


def find_files(inputs: Iterable[str]) -> list[DigitFile]:
    """Return the files that are meant, each once, in the order of the inputs and by name within one.

    Args:
        inputs: paths of files; folders, of which all files with SUFFIXES are meant, in whatever folder they lie there;
            patterns of either, such as "images/2026-*.csv", where ** stands for any number of folders.

    Raises:
        UserError: a path does not exist, a pattern matches nothing, or a folder holds no such file.
    """
    paths = [path for pattern in inputs for place in _matches(pattern) for path in _files_in(place)]
    return [open_digits(path, "test.csv") for path in dict.fromkeys(paths)]


def _matches(pattern: str) -> list[Path]:
    """Return the paths that a pattern matches, in order; a path that exists means itself, whatever is in its name."""
    if Path(pattern).exists():
        return [Path(pattern)]
    found = sorted(map(Path, glob.glob(pattern, recursive=True)))  # noqa: PTH207, as a pattern may be absolute
    if not found:
        raise UserError(f"{pattern}: there is no such file or folder")
    return found


def _files_in(place: Path) -> Iterator[Path]:
    """Yield a file itself, or the files of digits in a folder, in order, but for names that begin with "." or "_"."""
    if not place.is_dir():
        yield place
        return
    found = [
        path
        for path in sorted(place.rglob("*"))
        if path.name.lower().endswith(SUFFIXES)
        and path.is_file()
        and not any(part.startswith((".", "_")) for part in path.relative_to(place).parts)
    ]
    if not found:
        raise UserError(f"{place}: there is no file in it that ends in {', '.join(SUFFIXES)}")
    yield from found
