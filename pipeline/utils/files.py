"""Files appear whole or not at all."""

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import UserError

WRITE_REMEDIES = {
    errno.ENOSPC: "the disk is full: free some space and try again",
    errno.EDQUOT: "the disk quota is used up: free some space and try again",
    errno.EACCES: "permission denied: choose another folder, or change its permissions",
    errno.EPERM: "permission denied: choose another folder, or change its permissions",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.ENOTDIR: "a part of that path is a file, not a folder: choose another folder",
    errno.EEXIST: "a file stands where a folder is needed: choose another folder",
    errno.EISDIR: "a folder has that name: choose another name",
}


@contextmanager
def open_atomic(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; when the block ends without an error, move that file into place.

    Whatever happens inside the block, or to the process, `path` holds its old content or the new one in full.

    Raises:
        UserError: the folder cannot be made or written to, or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise explain_write_error(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; for errors see `open_atomic`."""
    with open_atomic(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def folder_atomic(folder: Path) -> Iterator[Path]:
    """Yield a new folder beside `folder` to fill; when the block ends without an error, move it into its place.

    For errors see `open_atomic`.
    """
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
    old = temporary.with_suffix(".old")
    try:
        temporary.mkdir(parents=True)
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
        for left in (temporary, old):
            shutil.rmtree(left, ignore_errors=True)


def require_empty(folder: Path) -> None:
    """Raise now, before the work is done, what `folder_atomic` would raise after it.

    Raises:
        UserError: `folder` holds something already, or is a file, or its parent cannot be made or written to.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists() and any(folder.iterdir()):
            raise UserError(f"{folder}: holds files already: choose another folder, or empty it")
        with tempfile.TemporaryFile(dir=folder.parent):
            pass
    except OSError as error:
        raise explain_write_error(folder, error) from error


def require_writable(path: Path) -> None:
    """Raise now, before the work is done, what writing `path` would raise after it.

    Raises:
        UserError: the folder of `path` cannot be made or written to, or `path` is itself a folder.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder")
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise explain_write_error(path, error) from error


def explain_write_error(path: Path, error: OSError) -> UserError:
    """Return the UserError for an OSError met while writing `path`."""
    remedy = WRITE_REMEDIES.get(error.errno or 0, error.strerror or str(error))
    return UserError(f"{path}: cannot be written: {remedy}")


def is_zip(path: Path) -> bool:
    """Tell whether a file begins as a zip archive does."""
    return starts_with(path, b"PK\x03\x04")


def is_gzip(path: Path) -> bool:
    """Tell whether a file begins as gzip does."""
    return starts_with(path, b"\x1f\x8b")


def starts_with(path: Path, magic: bytes) -> bool:
    """Tell whether a file can be read and begins with these bytes."""
    try:
        with path.open("rb") as file:
            return file.read(len(magic)) == magic
    except OSError:
        return False
