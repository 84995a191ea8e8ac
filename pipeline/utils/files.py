"""Atomic writes of files and folders, checks before writing, and file signatures."""

import errno
import glob
import hashlib
import os
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NoReturn
from zipfile import ZipFile

from pipeline.errors import UserError

WRITE_REMEDIES = {
    errno.ENOSPC: "the disk is full: free some space and try again",
    errno.EDQUOT: "the disk quota is used up: free some space and try again",
    errno.EACCES: "permission denied: choose another folder, or change its permissions",
    errno.EPERM: "permission denied: choose another folder, or change its permissions",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.ENOTDIR: "part of the path is a file, not a folder: choose another folder",
    errno.EEXIST: "a file exists where a folder is needed: choose another folder",
    errno.EISDIR: "a folder with that name exists: choose another name",
}

MAX_PART_AGE_SECONDS = 86_400
"""Age from which an unchanged temporary file is abandoned, whichever machine wrote it."""


@contextmanager
def open_atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`; if the block succeeds, move the file written there to `path`.

    Even if the block or the process fails, `path` contains either its old content or all of its new content.

    Raises:
        UserError: the folder cannot be created or written to, or the disk is full.
    """
    with open_all_atomic(path) as (temporary,):
        yield temporary


@contextmanager
def open_all_atomic(*paths: Path) -> Iterator[list[Path]]:
    """Write several files as `open_atomic` writes one: all of them are replaced, or none of them."""
    temporaries = [_temporary(path) for path in paths]
    try:
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            _sweep(path)
        yield temporaries
        for temporary in temporaries:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        for path, temporary in zip(paths, temporaries, strict=True):
            temporary.replace(path)
    except OSError as error:
        raise explain_write_error(paths[0], error) from error
    finally:
        for temporary in temporaries:
            with suppress(OSError):
                temporary.unlink()


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file atomically; for errors, see `open_atomic`."""
    with open_atomic(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def folder_atomic(folder: Path) -> Iterator[Path]:
    """Yield a new temporary folder next to `folder`; if the block succeeds, replace `folder` with it.

    For errors, see `open_atomic`.
    """
    temporary = _temporary(folder)
    old = temporary.with_suffix(".old")
    try:
        temporary.mkdir(parents=True)
        _sweep(folder)
        yield temporary
        for path in temporary.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        if folder.exists():
            folder.rename(old)
        temporary.rename(folder)
    except OSError as error:
        raise explain_write_error(folder, error) from error
    finally:
        for leftover in (temporary, old):
            shutil.rmtree(leftover, ignore_errors=True)


def _temporary(path: Path) -> Path:
    """Return a new temporary path next to `path`. Its name has this machine and process, for `_sweep`."""
    return path.with_name(f"{_prefix(path)}{socket.gethostname()[:40]}-{os.getpid()}.{secrets.token_hex(4)}.part")


def _prefix(path: Path) -> str:
    """Return how the names of temporary paths of `path` begin; a long name is shortened, for the file system."""
    return f".{path.name[:40]}."


def _sweep(path: Path) -> None:
    """Delete the temporary files and folders of `path` that killed processes have left."""
    for leftover in path.parent.glob(f"{glob.escape(_prefix(path))}*.part"):
        machine, _, process = leftover.name.removeprefix(_prefix(path)).rsplit(".", 2)[0].rpartition("-")
        with suppress(OSError):  # another process has deleted it
            abandoned = time.time() - leftover.stat().st_mtime > MAX_PART_AGE_SECONDS
            if abandoned or (machine == socket.gethostname()[:40] and process.isdigit() and _has_ended(int(process))):
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()


def _has_ended(process: int) -> bool:
    """Return whether a process of this machine has ended; False if that is unknown."""
    if os.name == "nt":  # there, signal 0 would interrupt it
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass  # it belongs to another user
    return False


def require_empty(folder: Path) -> None:
    """Check before a long task that `folder_atomic` will be able to write the folder.

    Raises:
        UserError: `folder` is not empty or is a file, or its parent cannot be created or written to.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        require_name(folder)
        if folder.exists() and any(folder.iterdir()):
            raise UserError(f"{folder}: already contains files: choose another folder, or empty it")
        with tempfile.TemporaryFile(dir=folder.parent):
            pass
    except OSError as error:
        raise explain_write_error(folder, error) from error


def require_name(folder: Path) -> None:
    """Raise a UserError for the current folder and the root, which cannot be replaced."""
    if not folder.name:
        raise UserError(f"{folder}: cannot be replaced; name a new folder")


def require_writable(path: Path) -> None:
    """Check before a long task that `path` can be written.

    Raises:
        UserError: the folder of `path` cannot be created or written to, or `path` is a folder.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder")
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise explain_write_error(path, error) from error


def require_separate(output: Path, inputs: Iterable[Path]) -> None:
    """Check before a task that its output replaces none of its inputs and is not inside one; links are followed.

    Raises:
        UserError: `output` is one of the inputs, or in one of them that is a folder.
    """
    place = output.resolve()
    for each in inputs:
        origin = each.resolve()
        if place == origin or (origin.exists() and place.exists() and place.samefile(origin)):
            raise UserError(f"{output}: is an input, which the output would replace; choose another --out")
        if origin in place.parents and origin.is_dir():
            raise UserError(f"{output}: is inside the input folder {each}; choose another --out")


def refuse_pipe(path: Path) -> None:
    """Raise a UserError if a path is a pipe or a device: it may block for ever, and cannot be read twice."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UserError(f"{path}: is a pipe or a device, which cannot be read twice; save its content as a file first")


def explain_write_error(path: Path, error: OSError) -> UserError:
    """Return the UserError for an OSError that occurred while writing `path`."""
    remedy = WRITE_REMEDIES.get(error.errno or 0, error.strerror or str(error))
    return UserError(f"{path}: cannot be written: {remedy}")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, 64 hexadecimal digits. Raises OSError if it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_member(archive: ZipFile, name: str) -> IO[bytes]:
    """Open a file in a zip archive.

    Raises:
        UserError: it is encrypted, or compressed by a method that Python does not know, such as Deflate64 or Zstandard.
    """
    try:
        return archive.open(name)
    except NotImplementedError:
        reason = f"{name} is compressed by a method that cannot be read (type {archive.getinfo(name).compress_type})"
    except RuntimeError:
        reason = f"{name} is encrypted with a password"
    raise UserError(f"{archive.filename}: {reason}; unpack it, or pack it again as a plain zip")


def list_files(folder: Path) -> list[Path]:
    """Return the files in a folder and the folders in it, sorted; names that begin with "." or "_" are skipped.

    Raises:
        UserError: a folder cannot be read.
    """
    found = []

    def refuse(error: OSError) -> NoReturn:
        raise unreadable(Path(error.filename), error) from None

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if name[0] not in "._"]
        found += [Path(place, name) for name in names if name[0] not in "._"]
    return sorted(path for path in found if path.is_file())


def unreadable(path: Path, error: OSError) -> UserError:
    """Return the UserError for a file or folder that the system does not let this process read."""
    return UserError(f"{path}: cannot be read ({error.strerror or error}); change its permissions, or leave it out")


def is_zip(path: Path) -> bool:
    """Return whether a file starts with the signature of a zip archive."""
    return starts_with(path, b"PK\x03\x04")


def starts_with(path: Path, magic: bytes) -> bool:
    """Return whether a file is readable and starts with these bytes."""
    try:
        with path.open("rb") as file:
            return file.read(len(magic)) == magic
    except OSError:
        return False
