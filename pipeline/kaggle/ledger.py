"""The ledger of submissions to Kaggle: a CSV that is only ever added to, by any number of processes."""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from pipeline.errors import UserError
from pipeline.metrics.interval import interval_of
from pipeline.utils.files import open_atomic, require_writable

LOCK_SECONDS = 30.0
"""How long one line may take another process to add."""


class Entry(BaseModel):
    """One line of the ledger: a submission and what was known of it when the line was added."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    time: AwareDatetime
    """When it was sent, UTC; in the file by ISO 8601."""
    token: str
    """The word in its message by which it is found on Kaggle; the lines of one submission have one token."""
    file_hash: str
    """The SHA-256 of its CSV."""
    run: str = ""
    recipe: str = ""
    fingerprint: str = ""
    """The digest of the images that the run learnt from; this, run and recipe are empty where the origin is unknown."""
    validation_accuracy: float | None = None
    validation_rows: int = 0
    leaked: int = 0
    """How many of the predicted images the run was trained on: with any, the score means nothing."""
    ref: str = ""
    """Kaggle's number for it, once it was found there."""
    status: Literal["SENDING", "NOT SENT", "PENDING", "COMPLETE", "ERROR"]
    """SENDING until it is known whether Kaggle has it; the last three are Kaggle's own words."""
    public_score: float | None = None
    message: str = ""

    @property
    def settled(self) -> bool:
        """Whether nothing more will become known."""
        return self.status not in ("SENDING", "PENDING")

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the validation accuracy, where that is known."""
        if self.validation_accuracy is None or not self.validation_rows:
            return None
        return interval_of(round(self.validation_accuracy * self.validation_rows), self.validation_rows)


class Ledger:
    """A CSV file with the columns of `Entry`, one line for each change that became known."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> list[Entry]:
        """Return what is known of each submission, in the order in which they were begun.

        Raises:
            UserError: the file cannot be read, or a line is not the ledger's.
        """
        latest: dict[str, Entry] = {}
        reader = csv.DictReader(io.StringIO(self.content(), newline=""))
        if reader.fieldnames not in (None, list(Entry.model_fields)):
            raise UserError(f"{self.path}: its columns are not a ledger's; move it away, and a new one is begun")
        for row in reader:
            try:
                entry = Entry.model_validate({column: cell for column, cell in row.items() if cell != ""})
            except ValidationError as error:
                fault = error.errors()[0]
                raise UserError(
                    f"{self.path}, line {reader.line_num}: {fault['loc'][0]}: {fault['msg']}; correct it there"
                ) from None
            latest[entry.token] = entry
        return list(latest.values())

    def add(self, entry: Entry) -> None:
        """Add a line; the lines that are there stay as they are, and a reader sees the old file or the new one."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(Entry.model_fields), lineterminator="\n")
        with self.locked("", LOCK_SECONDS):
            old = self.content()
            if not old:
                writer.writeheader()
            elif not old.endswith("\n"):
                old += "\n"
            writer.writerow(entry.model_dump(mode="json"))
            with open_atomic(self.path) as temporary:
                temporary.write_bytes((old + text.getvalue()).encode())

    @contextmanager
    def sending(self, seconds: float) -> Iterator[None]:
        """Let one process at a time send; another waits its turn for that many seconds, and it ends with its process.

        Raises:
            UserError: its turn did not come, or the folder cannot be written to.
        """
        with self.locked("sending.", seconds):
            yield

    @contextmanager
    def locked(self, purpose: str, seconds: float) -> Iterator[None]:
        """Hold a lock beside the ledger, which the system lets go of however the process ends."""
        require_writable(self.path)
        try:
            with FileLock(self.path.with_name(f".{self.path.name}.{purpose}lock"), timeout=seconds):
                yield
        except Timeout:
            raise UserError(
                f"{self.path}: another process has held it for {seconds:g} seconds; wait for that one, or end it"
            ) from None

    def content(self) -> str:
        """Return the file's text, empty where there is none."""
        try:
            return self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{self.path}: cannot be read as a ledger: {error}") from error
