"""The content of a CSV as UTF-8: plain, compressed or in a zip archive, in any encoding."""

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pipeline.digits import COMPETITION_URL
from pipeline.errors import UserError
from pipeline.utils.compressed import DAMAGE_ERRORS, is_compressed, open_decompressed
from pipeline.utils.files import is_zip, open_member

DOWNLOAD_REMEDY = f"download it again from {COMPETITION_URL}/data"
HEAD_BYTES = 1 << 17
"""Bytes at the start of a file that show its encoding."""
ARCHIVE_BUFFER_BYTES = 1 << 16
"""Buffer of a file in an archive: zipfile's own lines are slow."""
BYTE_ORDER_MARKS = {
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}


@contextmanager
def open_csv(path: Path, member: str, remedy: str) -> Iterator[IO[bytes]]:
    """Open the uncompressed content of a CSV as UTF-8.

    Args:
        path: the file.
        member: name of the CSV in a zip archive, in any of its folders.
        remedy: what to do about a faulty file.

    Raises:
        UserError: the file is missing or damaged, or cannot be opened or read while the block runs.
    """
    try:
        if is_zip(path):
            with (
                zipfile.ZipFile(path) as archive,
                open_member(archive, _find_member(archive, member, remedy)) as stream,
            ):
                yield _open_as_utf8(io.BufferedReader(stream, ARCHIVE_BUFFER_BYTES))  # type: ignore[type-var]
        elif is_compressed(path):
            with open_decompressed(path) as stream:
                yield _open_as_utf8(io.BufferedReader(stream))  # type: ignore[type-var]
        else:
            with path.open("rb") as stream:
                yield _open_as_utf8(stream)
    except FileNotFoundError:
        missing = remedy if remedy == DOWNLOAD_REMEDY else "check its name"
        raise UserError(f"{path}: there is no such file; {missing}") from None
    except (zipfile.BadZipFile, NotImplementedError, *DAMAGE_ERRORS) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from error
        raise UserError(f"{path}: the archive is damaged or incomplete; {remedy}") from None


def _find_member(archive: zipfile.ZipFile, member: str, remedy: str) -> str:
    """Return the full name of a member of an archive, in any of its folders."""
    found = [name for name in archive.namelist() if member in {name, Path(name).name}]
    if len(found) > 1:
        raise UserError(f"{archive.filename}: holds {' and '.join(found)}; extract the right one, and give its path")
    if found:
        return found[0]
    names = ", ".join(archive.namelist()[:5]) or "nothing"
    raise UserError(f"{archive.filename}: holds no {member} (it holds {names}); {remedy}")


def _open_as_utf8(stream: IO[bytes]) -> IO[bytes]:
    """Return the content of a stream as UTF-8 with line feeds; the stream itself if it is that already.

    UTF-16 and UTF-32 are recognised by their byte-order marks, UTF-16 also by its zero bytes. A carriage return alone
    ends a line if the file has no line feed.
    """
    head = stream.read(HEAD_BYTES)
    stream.seek(0)
    encoding = next((encoding for mark, encoding in BYTE_ORDER_MARKS.items() if head.startswith(mark)), None)
    if encoding is None and len(head) > 3 and b"\0" in head[:4] and head[:4].count(b"\0") == 2:
        encoding = "utf-16-le" if head[0] else "utf-16-be"
    if encoding is None and (b"\n" in head or b"\r" not in head):
        return stream
    return io.BufferedReader(_Transcoder(stream, encoding or "utf-8-sig"), HEAD_BYTES)


class _Transcoder(io.RawIOBase):
    """The text of a stream as UTF-8 with line feeds."""

    def __init__(self, stream: IO[bytes], encoding: str) -> None:
        self.text = io.TextIOWrapper(stream, encoding, errors="replace")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill the buffer with whole characters, of at most four bytes each, and return the number of bytes."""
        content = self.text.read(len(buffer) // 4).encode()
        buffer[: len(content)] = content
        return len(content)
