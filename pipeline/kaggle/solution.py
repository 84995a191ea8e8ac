"""Write solution.csv, check it by Kaggle's rules, and save its provenance in solution.json."""

import csv
import hashlib
import io
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.data.table import DigitTable
from pipeline.digits import CLASSES, Labels
from pipeline.errors import UserError, quote
from pipeline.kaggle.repair import repair
from pipeline.run import Run
from pipeline.utils.files import open_all_atomic, open_atomic, refuse_pipe, write_atomic

HEADER = ["ImageId", "Label"]


class Provenance(BaseModel):
    """How a submission was made; stored in solution.json next to solution.csv."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file_hash: str
    """The SHA-256 of the CSV."""
    run: str
    recipe: str
    source: str
    """Name of the source that was predicted: "competition", "mnist" or "practice"."""
    fingerprint: str
    """The digest of the training images."""
    validation_accuracy: float | None
    validation_rows: int
    leaked: int
    """How many of the predicted images the run was trained on: duplicates and near-duplicates."""


def count_leaks(run: Run, test: DigitTable, allowed: bool) -> int:
    """Return how many of the test images the run was trained on, near-duplicates included.

    Raises:
        UserError: there are some, and `allowed` is False.
    """
    trained, predicted = run.fingerprint, test.fingerprint
    same, near = trained.count_duplicates(predicted), trained.count_near_duplicates(predicted)
    if not allowed and same + near:
        more = f", and on near-duplicates of {near:,} more (they differ by a few grey levels)" if near else ""
        raise UserError(
            f"{run}: was trained on {same:,} of the {len(test):,} test images{more} (from {run.card.source}), so its "
            "score would not be valid; train on other digits, or give --allow-leak"
        )
    return same + near


def provenance_path(path: Path) -> Path:
    """Return the path of a submission's provenance file."""
    return path.with_suffix(".json")


def write_submission(path: Path, digits: Labels, run: Run, source: str, leaked: int) -> None:
    """Write predicted digits, and their provenance next to them. Both files are replaced, or neither.

    Args:
        path: the CSV.
        digits: int64 (N,), in the order of the test rows.
        run: the run that predicted them.
        source: name of the source that was predicted.
        leaked: how many of the predicted images the run was trained on.

    Raises:
        UserError: the folder cannot be written to, or the disk is full.
    """
    card = run.card
    with open_all_atomic(path, provenance_path(path)) as (table, provenance):
        _write_rows(table, [digits])
        known = Provenance(
            file_hash=hash_content(check_solution(table, len(digits))),
            run=os.fsencode(str(run)).decode("utf-8", "replace"),
            recipe=card.recipe,
            source=source,
            fingerprint=card.fingerprint,
            validation_accuracy=card.scores.get("validation_accuracy"),
            validation_rows=card.validation_rows,
            leaked=leaked,
        )
        provenance.write_text(f"{known.model_dump_json(indent=2)}\n", encoding="utf-8")


def load_provenance(path: Path) -> Provenance | None:
    """Return a submission's provenance, or None if its file is missing or belongs to another content."""
    try:
        provenance = Provenance.model_validate_json(provenance_path(path).read_bytes())
        return provenance if provenance.file_hash == hash_content(path.read_bytes()) else None
    except (OSError, ValidationError):
        return None


def hash_content(content: bytes) -> str:
    """Return the SHA-256 of a file's content, 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def write_solution(path: Path, digits: Iterable[Labels]) -> int:
    """Write predicted digits, int64 arrays in the order of the test rows; return how many.

    The file is replaced in one step: `path` always holds a complete file.

    Raises:
        UserError: the folder cannot be written to, or the disk is full.
    """
    with open_atomic(path) as temporary:
        return _write_rows(temporary, digits)


def _write_rows(path: Path, digits: Iterable[Labels]) -> int:
    """Write a submission to a new file; return the number of its rows."""
    rows = 0
    with path.open("w", encoding="ascii", newline="\n") as file:
        file.write(",".join(HEADER) + "\n")
        for chunk in digits:
            file.writelines(f"{number},{digit}\n" for number, digit in enumerate(chunk.tolist(), start=rows + 1))
            rows += len(chunk)
    return rows


def check_solution(path: Path, rows: int) -> bytes:
    """Check a submission and return its content: header ImageId,Label, `rows` rows, ids 1, 2, ..., digits 0 to 9.

    Raises:
        UserError: Kaggle would reject the file; the message names the file, the row, the fault and the remedy.
    """
    remedy = "write it again with python -m pipeline submit"
    refuse_pipe(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {remedy}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot read the submission: {error.strerror or error}; {remedy}") from error
    fault = _find_fault(content, rows)
    if fault:
        repaired = repair(content)
        if repaired and not _find_fault(repaired, rows):
            remedy = "kaggle submit --fix repairs it in a new file"
        raise UserError(f"{path}{fault}; {remedy}")
    return content


def fix_solution(path: Path, rows: int) -> Path:
    """Return the path of a valid submission: `path` itself, or a repaired copy next to it, NAME-fixed.csv.

    Raises:
        UserError: the file cannot be repaired, or the copy cannot be written; otherwise as `check_solution`.
    """
    refuse_pipe(path)
    with suppress(OSError):
        repaired = repair(path.read_bytes())
        if repaired and repaired != path.read_bytes() and not _find_fault(repaired, rows):
            fixed = path.with_name(f"{path.stem}-fixed.csv")
            write_atomic(fixed, repaired)
            return fixed
    check_solution(path, rows)
    return path


def _find_fault(content: bytes, rows: int) -> str | None:
    """Return the first fault of a submission, with its row, as the text after the file's name; None if it is valid."""
    known_digits = {str(digit) for digit in range(CLASSES)}
    count = 0
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8"), newline=""), strict=True)
        header = next(reader, [])
        if header and header[0].startswith("\N{ZERO WIDTH NO-BREAK SPACE}"):
            return ": begins with a byte order mark, which spreadsheets add"
        if header != HEADER:
            return f': header is "{quote(",".join(header))}", expected "{",".join(HEADER)}"'
        for count, cells in enumerate(reader, start=1):
            if len(cells) != 2:
                return f", row {count}: {len(cells)} values, expected 2"
            if cells[0] != str(count):
                return f', row {count}: ImageId is "{quote(cells[0])}", expected {count}'
            if cells[1] not in known_digits:
                return f', row {count}: Label "{quote(cells[1])}" is not a digit from 0 to 9'
    except UnicodeDecodeError:
        return ": is not UTF-8 text"
    except csv.Error as error:
        return f", row {count + 1}: {error}"
    return None if count == rows else f": {count:,} rows, expected {rows:,}"
