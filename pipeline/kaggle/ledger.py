"""The ledger of submissions and of trainings on Kaggle: an append-only CSV file, safe for concurrent processes."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from filelock import FileLock, Timeout
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from pipeline.errors import UserError, quote
from pipeline.kaggle.ledger_text import LedgerText
from pipeline.metrics.interval import wilson_interval
from pipeline.utils.files import refuse_pipe, require_writable, unreadable, write_atomic

log = logging.getLogger(__name__)

LOCK_SECONDS = 30.0
"""Time-out of waiting for another process that appends a row."""


class Entry(BaseModel):
    """A row of the ledger: a submission, or a kernel that trains, and its status when the row was added."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    time: AwareDatetime
    """When it was sent, UTC; ISO 8601 in the file."""
    token: str
    """Identifies the submission: part of its message on Kaggle; all rows of one submission have the same token. That of
    a kernel begins with "k", and is part of its name on Kaggle."""
    file_hash: str
    """The SHA-256 of its CSV; of a kernel, that of its recipe and accelerator."""
    run: str = ""
    recipe: str = ""
    fingerprint: str = ""
    """The digest of the training images; this, run and recipe are empty if the provenance is unknown."""
    validation_accuracy: Annotated[float, Field(ge=0, le=1)] | None = None
    validation_rows: Annotated[int, Field(ge=0)] = 0
    leaked: Annotated[int, Field(ge=0)] = 0
    """How many of the predicted images the run was trained on; above 0, the score is not valid."""
    ref: str = ""
    """Kaggle's number of the submission; empty until it is found in Kaggle's list. Of a kernel, OWNER/NAME."""
    status: Literal["SENDING", "NOT SENT", "PENDING", "COMPLETE", "ERROR"]
    """SENDING until it is known whether Kaggle received it; the last three are Kaggle's own values. A kernel is
    COMPLETE once its run has been brought back."""
    public_score: float | None = None
    message: str = ""

    @field_validator("validation_accuracy", "public_score", mode="before")
    @classmethod
    def accept_decimal_comma(cls, value: object) -> object:
        """Read 0,993 as 0.993: spreadsheets in many languages write it so."""
        return value.replace(",", ".", 1) if isinstance(value, str) else value

    @property
    def is_kernel(self) -> bool:
        """Whether this is a kernel that trains, not a submission."""
        return self.token.startswith("k")

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


COLUMNS = list(Entry.model_fields)


class Ledger:
    """A CSV file with the columns of `Entry` and one row for each change of status.

    It is also read, and extended, in the form in which a spreadsheet saves it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged_lines: dict[int, str] = {}
        self._warnings: set[str] = set()

    def entries(self) -> list[Entry]:
        """Return the latest entry of each submission, oldest submission first.

        A damaged line is left out, with a warning that names it. `damaged_lines` then has its text by its number.

        Raises:
            UserError: the file cannot be read, or is no ledger.
        """
        content = self._read()
        text = LedgerText.parse(content, COLUMNS)
        latest: dict[str, Entry] = {}
        self.damaged_lines = {}
        for number, line, cells in text.rows:
            try:
                entry = _parse_entry(text, cells)
                latest[entry.token] = entry
            except ValueError as fault:
                self.damaged_lines[number] = line
                self._warn(f"{self.path}, line {number}: is left out: {fault}; correct it")
        if text.rows and not latest and not text.has_header:
            raise UserError(f"{self.path}: its columns are not those of a ledger; give another file with --ledger")
        return list(latest.values())

    def _warn(self, message: str) -> None:
        """Log a warning, but each only once."""
        if message not in self._warnings:
            self._warnings.add(message)
            log.warning("%s", message)

    def add(self, entry: Entry) -> None:
        """Append a row. The file is replaced in one step: readers see the old or the new version."""
        with self._lock("", LOCK_SECONDS):
            old = self._read()
            row = LedgerText.parse(old, COLUMNS).format(entry.model_dump(mode="json"))
            write_atomic(self.path, old + row)

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

    def _read(self) -> bytes:
        """Return the file's content, which is empty if there is no file."""
        refuse_pipe(self.path)
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise unreadable(self.path, error) from None


def _parse_entry(text: LedgerText, cells: list[str] | None) -> Entry:
    """Return the entry of a row. Raise a ValueError with the fault, in words, if it is damaged."""
    if cells is None:
        raise ValueError("its quotes do not match")
    try:
        return Entry.model_validate({name: cell for name, cell in text.named(cells).items() if name in COLUMNS})
    except ValidationError as error:
        fault = error.errors()[0]
        raise ValueError(f"{quote(fault['loc'][0])}: {fault['msg']}") from None
