"""File formats of digits, recognised by their contents, and the search for files in paths, folders and patterns."""

import glob
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.data.arrays.array_file import ArrayFile
from pipeline.data.arrays.contents import Arrays, Part, part_of
from pipeline.data.arrays.idx import load_idx
from pipeline.data.arrays.loaders import load_h5, load_libsvm, load_mat, load_npy, load_npz
from pipeline.data.arrays.pictures import has_classes, load_picture, load_pictures
from pipeline.data.arrow import ArrowDataset, is_dataset, open_dataset
from pipeline.data.csv_file import COMPETITION_FILE, CsvFile
from pipeline.data.parquet import ParquetFile
from pipeline.errors import UserError
from pipeline.utils.compressed import DAMAGE_ERRORS, open_decompressed
from pipeline.utils.files import is_zip, list_files, refuse_pipe, unreadable
from pipeline.vision.image import find_pictures, is_picture

DigitFile = CsvFile | ParquetFile | ArrayFile
SUFFIXES = (".csv", ".csv.gz", ".parquet")
"""Suffixes of the competition's files, in the order in which they are taken."""
HEAD_BYTES = 1 << 13
NETWORK_SUFFIXES = (".h5", ".hdf5", ".keras", ".mat")
"""Suffixes of files that often hold something else, and are therefore read only if they are named themselves."""
TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".data")

LOADERS: dict[bytes, Callable[[Path, Part], Arrays]] = {
    b"\x93NUMPY": load_npy,
    b"\x89HDF\r\n\x1a\n": load_h5,
    b"MATLAB 7.3": load_h5,
    b"MATLAB 5": load_mat,
    b"\0\0\x08\x03": load_idx,
}
"""Loader of a file by its first bytes."""
LIBSVM_LINE = re.compile(rb"\s*[+-]?\d+(?:\.\d*)?(?:\s+\d+:[-+.\deE]+){2}")
PICKLES = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))
"""First bytes of a pickle, such as mnist.pkl; none is loaded, because it may run any code."""


def open_digits(path: Path, part: Part = "train") -> DigitFile:
    """Return a file of digits in its format, which its contents decide, not its name.

    Args:
        path: a file, or a folder of files or pictures. Only its first bytes are read.
        part: which rows to read, if there are training and test rows.

    Raises:
        UserError: the file is a pickle, a pipe or a device; a folder contains no such rows, or several files of them.
    """
    if path.is_dir():
        return _open_folder(path, part)
    refuse_pipe(path)
    head = _read_head(path)
    if head.startswith(b"PAR1"):
        return ParquetFile(path)
    if is_zip(path):
        return _open_archive(path, part)
    if head.startswith(PICKLES):
        raise UserError(
            f"{path}: is a pickle, which may run any code and is not loaded; save its arrays with numpy.savez"
        )
    if is_picture(head):
        return ArrayFile(path, load_picture, part)
    loader = next((loader for magic, loader in LOADERS.items() if head.startswith(magic)), None)
    if loader is None and LIBSVM_LINE.match(head):
        loader = load_libsvm
    return ArrayFile(path, loader, part) if loader else CsvFile(path, f"{part}.csv")


def open_labelled(path: Path) -> DigitFile:
    """Return the labelled digits of a file or folder: its test rows, or the training rows if only they have labels.

    Raises:
        UserError: as in `open_digits`.
    """
    try:
        file = open_digits(path, "test")
        if isinstance(file, ArrayFile | ArrowDataset) and file.read(labels_required=False).labels is not None:
            return file
    except UserError:
        pass
    return open_digits(path, "train")


def holds_digits(folder: Path) -> bool:
    """Return whether a folder is a saved data set, or contains pictures in folders named after digits or such files."""
    return is_dataset(folder) or has_classes(folder) or bool(_find_in_folder(folder, "train"))


def _find_in_folder(folder: Path, part: Part) -> list[Path]:
    """Return the files of digits in a folder that are named after a part, such as mnist_train.csv.

    If there are none, those in the folders in it are returned, two levels deep.
    """
    files = [path for path in list_files(folder) if part_of(path.name) == part and _holds_images(path)]
    depths = [len(path.relative_to(folder).parts) for path in files]
    return [path for path, depth in zip(files, depths, strict=True) if depth == min(depths) <= 3]


def _open_folder(folder: Path, part: Part) -> DigitFile:
    """Return the digits in a folder: a saved data set, pictures in folders of digits, else a file of the part."""
    if is_dataset(folder):
        return open_dataset(folder, part)
    if has_classes(folder):
        return ArrayFile(folder, load_pictures, part)
    found = _find_in_folder(folder, part)
    if len(found) > 1:
        names = ", ".join(path.name for path in found[:4])
        raise UserError(f"{folder}: contains several files of {part} digits ({names}); name one of them")
    return open_digits(found[0], part) if found else ArrayFile(folder, load_pictures, part)


def _open_archive(path: Path, part: Part) -> DigitFile:
    """Return the digits in a zip archive: its CSV of the part, arrays of NumPy, or anything else as in a folder."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/") and "__MACOSX" not in name]
    except (zipfile.BadZipFile, NotImplementedError, OSError):
        return CsvFile(path, f"{part}.csv")  # reports the damage when it is read
    if names and all(name.endswith(".npy") for name in names):
        return ArrayFile(path, load_npz, part)
    tables = [name for name in names if name.lower().endswith(TABLE_SUFFIXES)]
    exact = [name for name in tables if Path(name).name.lower() == f"{part}.csv"]
    only = tables if len(names) == 1 and not COMPETITION_FILE.fullmatch(path.name) else []
    tables = exact or [name for name in tables if part_of(name) == part] or only
    if len(tables) > 1:
        shown = ", ".join(tables[:4])
        raise UserError(f"{path}: holds several files of {part} digits ({shown}); unpack it and name one of them")
    if tables:
        return CsvFile(path, tables[0] if Path(tables[0]).name != f"{part}.csv" else f"{part}.csv")
    if any(name.lower().endswith((".png", ".jpg", ".jpeg", ".gz", ".npy", ".parquet", "ubyte")) for name in names):
        return ArrayFile(path, _load_archive, part)
    return CsvFile(path, f"{part}.csv")  # reports what the archive holds


def _load_archive(path: Path, part: Part) -> Arrays:
    """Return the digits in an archive, which is unpacked into a temporary folder."""
    with TemporaryDirectory() as folder, zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
        file = open_digits(Path(folder), part)
        if isinstance(file, ArrayFile):
            arrays = file.load(file.path, part)
            names = arrays.names and [str(path / Path(name).relative_to(folder)) for name in arrays.names]
            return arrays._replace(names=names)
        table = file.read(labels_required=False)
        return Arrays(table.pixels, table.labels)


def _read_head(path: Path) -> bytes:
    """Return the first bytes of a file, decompressed if it is compressed; b"" if it is damaged or missing.

    Raises:
        UserError: the system does not let this process read it.
    """
    try:
        with open_decompressed(path) as stream:
            return stream.read(HEAD_BYTES)
    except PermissionError as error:
        raise unreadable(path, error) from None
    except DAMAGE_ERRORS:
        return b""


def _holds_images(path: Path) -> bool:
    """Return whether the first bytes of a file are those of a format of images, or of a table with many numbers."""
    head = _read_head(path)
    if head.startswith(b"PK\x03\x04"):
        return path.suffix.lower() in {".zip", ".npz"}  # documents and networks are zip archives too
    if head.startswith((b"PAR1", *LOADERS)):
        return not (head.startswith(b"\x93NUMPY") and re.search(rb"'shape': \(\d+,\)", head))
    cells = re.split(rb"[,;\t| ]+", head.replace(b"\0", b"").partition(b"\n")[0])
    return bool(LIBSVM_LINE.match(head)) or sum(any(48 <= byte <= 57 for byte in cell) for cell in cells) >= 64


def find_files(inputs: Iterable[str]) -> list[DigitFile]:
    """Return the files that the inputs match, without duplicates, in the order of the inputs, then by name.

    Args:
        inputs: paths of files; folders, which are searched recursively for files with SUFFIXES, else for pictures;
            glob patterns of either, such as "images/2026-*.csv", where ** matches any number of folders.

    Raises:
        UserError: a path does not exist, a pattern matches nothing, or a folder contains no such file.
    """
    paths = [path for match in find_paths(inputs) for path in _files_in(match)]
    return [open_digits(path, "test") for path in dict.fromkeys(paths)]


def find_paths(inputs: Iterable[str]) -> list[Path]:
    """Return the files and folders that the inputs name or match; for arguments and errors, see `find_files`."""
    return [match for pattern in inputs for match in _matches(pattern)]


def _matches(pattern: str) -> list[Path]:
    """Return the paths that match a pattern, sorted; an existing path matches itself, even with glob characters."""
    if Path(pattern).exists():
        return [Path(pattern)]
    found = sorted(map(Path, glob.glob(pattern, recursive=True)))  # noqa: PTH207, as a pattern may be absolute
    if not found:
        raise UserError(f"{pattern}: there is no such file or folder; check its name")
    return found


def _files_in(path: Path) -> Iterator[Path]:
    """Yield a file, or the files of digits in a folder, sorted; skip names that begin with "." or "_".

    A folder without such files is yielded itself if it contains pictures.
    """
    if not path.is_dir():
        yield path
        return
    found = [
        file
        for file in list_files(path)
        if (file.name.lower().endswith(SUFFIXES) or (_holds_images(file) and file.suffix not in NETWORK_SUFFIXES))
    ]
    if found:
        yield from found
    elif find_pictures(path):
        yield path
    else:
        raise UserError(f"{path}: contains no file of digits and no pictures; choose another folder")
