"""The ledger of Kaggle submissions: an append-only CSV file, safe for concurrent processes."""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from filelock import FileLock, Timeout
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import UserError, quote
from pipeline.metrics.interval import wilson_interval
from pipeline.utils.files import open_atomic, refuse_pipe, require_writable

LOCK_SECONDS = 30.0
"""Time-out of waiting for another process that appends a row."""


class Entry(BaseModel):
    """A row of the ledger: a submission and its status when the row was added."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    time: AwareDatetime
    """When it was sent, UTC; ISO 8601 in the file."""
    token: str
    """Identifies the submission: part of its message on Kaggle; all rows of one submission have the same token."""
    file_hash: str
    """The SHA-256 of its CSV."""
    run: str = ""
    recipe: str = ""
    fingerprint: str = ""
    """The digest of the training images; this, run and recipe are empty if the provenance is unknown."""
    validation_accuracy: Annotated[float, Field(ge=0, le=1)] | None = None
    validation_rows: Annotated[int, Field(ge=0)] = 0
    leaked: Annotated[int, Field(ge=0)] = 0
    """How many of the predicted images the run was trained on; above 0, the score is not valid."""
    ref: str = ""
    """Kaggle's number of the submission; empty until it is found in Kaggle's list."""
    status: Literal["SENDING", "NOT SENT", "PENDING", "COMPLETE", "ERROR"]
    """SENDING until it is known whether Kaggle received it; the last three are Kaggle's own values."""
    public_score: float | None = None
    message: str = ""

    @property
    def settled(self) -> bool:
        """Whether the status is final."""
        return self.status not in ("SENDING", "PENDING")

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the validation accuracy, or None if the accuracy is unknown."""
        if self.validation_accuracy is None or not self.validation_rows:
            return None
        return wilson_interval(round(self.validation_accuracy * self.validation_rows), self.validation_rows)


class Ledger:
    """A CSV file with the columns of `Entry` and one row for each change of status."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> list[Entry]:
        """Return the latest entry of each submission, oldest submission first.

        Raises:
            UserError: the file cannot be read, its columns are not the ledger's, or a row is not valid.
        """
        latest: dict[str, Entry] = {}
        reader = csv.DictReader(io.StringIO(self._read_text(), newline=""), strict=True)
        try:
            if reader.fieldnames not in (None, list(Entry.model_fields)):
                raise UserError(f"{self.path}: its columns are not those of a ledger; move it away to start a new one")
            for row in reader:
                entry = Entry.model_validate({column: cell for column, cell in row.items() if cell != ""})
                latest[entry.token] = entry
        except csv.Error as error:
            raise UserError(f"{self.path}, line {reader.line_num + 1} or after: {error}; correct it") from None
        except ValidationError as error:
            fault = error.errors()[0]
            raise UserError(
                f"{self.path}, line {reader.line_num}: {quote(fault['loc'][0])}: {fault['msg']}; correct it"
            ) from None
        return list(latest.values())

    def add(self, entry: Entry) -> None:
        """Append a row. The file is replaced in one step: readers see the old or the new version."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(Entry.model_fields), lineterminator="\n")
        with self._lock("", LOCK_SECONDS):
            old = self._read_text()
            if not old:
                writer.writeheader()
            elif not old.endswith("\n"):
                old += "\n"
            writer.writerow(entry.model_dump(mode="json"))
            with open_atomic(self.path) as temporary:
                temporary.write_bytes((old + text.getvalue()).encode())

    @contextmanager
    def sending_lock(self, seconds: float) -> Iterator[None]:
        """Hold the lock for sending; wait for it at most `seconds`. The lock is released when its process ends.

        Raises:
            UserError: another process held the lock for too long, or the folder cannot be written to.
        """
        with self._lock("sending.", seconds):
            yield

    @contextmanager
    def _lock(self, purpose: str, seconds: float) -> Iterator[None]:
        """Hold a lock file in the ledger's folder; the system releases it when the process ends."""
        require_writable(self.path)
        try:
            with FileLock(self.path.with_name(f".{self.path.name}.{purpose}lock"), timeout=seconds):
                yield
        except Timeout:
            raise UserError(
                f"{self.path}: locked by another process for {seconds:g} seconds; wait for that process, or end it"
            ) from None

    def _read_text(self) -> str:
        """Return the file's text, or an empty string if there is no file."""
        refuse_pipe(self.path)
        try:
            return self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{self.path}: cannot read the ledger: {error}") from error
