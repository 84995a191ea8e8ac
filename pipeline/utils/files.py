"""Atomic writes of files and folders, checks before writing, and file signatures."""

import errno
import hashlib
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
    errno.ENOTDIR: "part of the path is a file, not a folder: choose another folder",
    errno.EEXIST: "a file exists where a folder is needed: choose another folder",
    errno.EISDIR: "a folder with that name exists: choose another name",
}


@contextmanager
def open_atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`; if the block succeeds, move the file written there to `path`.

    Even if the block or the process fails, `path` contains either its old content or all of its new content.

    Raises:
        UserError: the folder cannot be created or written to, or the disk is full.
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
    """Write a file atomically; for errors, see `open_atomic`."""
    with open_atomic(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def folder_atomic(folder: Path) -> Iterator[Path]:
    """Yield a new temporary folder next to `folder`; if the block succeeds, replace `folder` with it.

    For errors, see `open_atomic`.
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
        for leftover in (temporary, old):
            shutil.rmtree(leftover, ignore_errors=True)


def require_empty(folder: Path) -> None:
    """Check before a long task that `folder_atomic` will be able to write the folder.

    Raises:
        UserError: `folder` is not empty or is a file, or its parent cannot be created or written to.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists() and any(folder.iterdir()):
            raise UserError(f"{folder}: already contains files: choose another folder, or empty it")
        with tempfile.TemporaryFile(dir=folder.parent):
            pass
    except OSError as error:
        raise explain_write_error(folder, error) from error


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


def explain_write_error(path: Path, error: OSError) -> UserError:
    """Return the UserError for an OSError that occurred while writing `path`."""
    remedy = WRITE_REMEDIES.get(error.errno or 0, error.strerror or str(error))
    return UserError(f"{path}: cannot be written: {remedy}")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, 64 hexadecimal digits. Raises OSError if it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_zip(path: Path) -> bool:
    """Return whether a file starts with the signature of a zip archive."""
    return starts_with(path, b"PK\x03\x04")


def is_gzip(path: Path) -> bool:
    """Return whether a file starts with the signature of gzip."""
    return starts_with(path, b"\x1f\x8b")


def starts_with(path: Path, magic: bytes) -> bool:
    """Return whether a file is readable and starts with these bytes."""
    try:
        with path.open("rb") as file:
            return file.read(len(magic)) == magic
    except OSError:
        return False
