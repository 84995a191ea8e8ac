"""Inputs that can be read only once: standard input, pipes and `<(...)` are copied to files before they are read."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from pipeline.errors import UserError
from pipeline.utils.files import explain_write_error

STDIN_NAMES = ("-", "/dev/stdin")


@contextmanager
def copy_pipes(inputs: Sequence[str]) -> Iterator[tuple[list[str], str]]:
    """Yield the inputs with each pipe replaced by a temporary copy, and the folder of the copies.

    The path of a copy is that folder followed by the absolute path of the pipe; "-" is "/dev/stdin". A UserError that
    the block raises names the pipe.

    Raises:
        UserError: a pipe cannot be read, or the folder for temporary files cannot be written to.
    """
    with TemporaryDirectory(prefix="digits-", ignore_cleanup_errors=True) as folder:
        try:
            yield [_copy_pipe(name, folder) if _is_pipe(name) else name for name in inputs], folder
        except UserError as error:
            raise UserError(str(error).replace(folder, "")) from None


def _is_pipe(name: str) -> bool:
    """Return whether an input exists and is neither a file nor a folder."""
    path = Path(STDIN_NAMES[1] if name in STDIN_NAMES else name)
    return name == STDIN_NAMES[0] or (path.exists() and not path.is_file() and not path.is_dir())


def _copy_pipe(name: str, folder: str) -> str:
    """Copy a pipe to its place in a folder, and return the path of the copy."""
    path = Path(STDIN_NAMES[1] if name in STDIN_NAMES else name).absolute()
    copy = Path(f"{folder}{path}")
    copy.parent.mkdir(parents=True, exist_ok=True)
    try:
        source = sys.stdin.buffer if name in STDIN_NAMES else path.open("rb")
    except OSError as error:
        raise UserError(f"{name}: cannot be read: {error.strerror or error}") from error
    try:
        with source, copy.open("wb") as file:
            shutil.copyfileobj(source, file)
    except OSError as error:
        raise explain_write_error(Path(gettempdir()), error) from error
    return str(copy)
