"""The folder of a run: its name, the paths of its files, and the lock that keeps other processes from training it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.errors import UserError, quote
from pipeline.utils.files import explain_write_error

CHECKPOINTS = Path("checkpoints")
MEMBERS = "members"
"""Folder, in the run of an incomplete ensemble, of its members' runs."""
SHIPPED = (Path(__file__).parent / "shipped", Path(__file__).parents[1] / CHECKPOINTS)
"""Folders of the run that ships with the project, in an installed package and in a checkout."""
LOCK_SECONDS = 5.0
"""Time-out of waiting for another process that trains the run; the workers of a killed process end within it."""
MAX_NAME_BYTES = 255


class RunFolder:
    """The folder of a run, whether it exists or not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __str__(self) -> str:
        return str(self.folder)

    @property
    def recipe_path(self) -> Path:
        return self.folder / "recipe.yaml"

    @property
    def model_path(self) -> Path:
        return self.folder / "model.safetensors"

    @property
    def line_path(self) -> Path:
        return self.folder / "line.safetensors"

    @property
    def card_path(self) -> Path:
        return self.folder / "card.json"

    @property
    def progress_path(self) -> Path:
        return self.folder / "progress.safetensors"

    @property
    def history_path(self) -> Path:
        return self.folder / "history.csv"

    @property
    def fingerprint_path(self) -> Path:
        return self.folder / "fingerprint.safetensors"

    @property
    def out_of_fold_path(self) -> Path:
        return self.folder / "out_of_fold.safetensors"

    @property
    def files(self) -> list[Path]:
        """The paths of the files that make up a run; some of them may not exist."""
        weights = [self.model_path, self.line_path, self.progress_path]
        return [
            *weights, self.recipe_path, self.card_path, self.history_path, self.fingerprint_path, self.out_of_fold_path
        ]  # fmt: skip

    def require_new(self) -> None:
        """Raise a UserError if the folder already contains a run."""
        if self.recipe_path.exists():
            raise UserError(f"{self}: the run already exists; choose another --run, or resume it with --resume")

    def make(self, *, exist_ok: bool) -> bool:
        """Create the folder; return False if it exists and `exist_ok` is False: another process has created it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=exist_ok)
        except OSError as error:
            if isinstance(error, FileExistsError) and not exist_ok:
                return False
            raise explain_write_error(self.folder, error) from error
        return True

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from training this run. The system releases the lock when the process ends.

        If the block writes nothing, the folder is removed.

        Raises:
            UserError: another process trains the run, or the folder cannot be written to.
        """
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=LOCK_SECONDS)
        except Timeout:
            raise UserError(
                f"{self}: another process is training this run; wait for its end, or choose another --run"
            ) from None
        except OSError as error:
            raise explain_write_error(self.folder, error) from error
        try:
            yield
        finally:
            with suppress(OSError):
                Path(lock.lock_file).unlink()
                self.folder.rmdir()  # fails if it contains files
            lock.release()


def locate(name: str | Path) -> Path:
    """Return the folder of a RUN: `name` itself if it is a path or contains a run, else `checkpoints/name`.

    Raises:
        UserError: `name` is empty or names no folder of its own, or a part of it is too long for a file system.
    """
    path = Path(name)
    if not str(name).strip() or not path.name:
        raise UserError(f'run "{name}": this is no name; give a name, or the path of a folder')
    if any(len(os.fsencode(part)) > MAX_NAME_BYTES for part in path.parts):
        raise UserError(f"{quote(name)}: the name of a run has at most {MAX_NAME_BYTES} bytes; choose a shorter one")
    if path.is_absolute() or len(path.parts) > 1 or (path / "recipe.yaml").exists():
        return path
    return CHECKPOINTS / path
