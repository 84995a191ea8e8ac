"""Write solution.csv, check it by Kaggle's rules, and save its provenance in solution.json."""

import csv
import hashlib
import io
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.data.table import DigitTable
from pipeline.digits import CLASSES, Labels
from pipeline.errors import UserError
from pipeline.run import Run
from pipeline.utils.files import open_atomic, write_atomic

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
            f"{run}: was trained on {same:,} of the {len(test):,} images of test.csv{more} (from {run.card.source}), "
            "so its score would not be valid; train on the competition's train.csv, or give --allow-leak"
        )
    return same + near


def provenance_path(path: Path) -> Path:
    """Return the path of a submission's provenance file."""
    return path.with_suffix(".json")


def save_provenance(path: Path, run: Run, source: str, rows: int, leaked: int) -> None:
    """Check the submission at `path` and write its provenance next to it.

    Args:
        source: name of the source that was predicted.
        rows: expected number of rows.
        leaked: how many of the predicted images the run was trained on.

    Raises:
        UserError: Kaggle would reject the submission, or the file cannot be written.
    """
    card = run.card
    provenance = Provenance(
        file_hash=hash_content(check_solution(path, rows)),
        run=str(run),
        recipe=card.recipe,
        source=source,
        fingerprint=card.fingerprint,
        validation_accuracy=card.scores.get("validation_accuracy"),
        validation_rows=card.validation_rows,
        leaked=leaked,
    )
    write_atomic(provenance_path(path), f"{provenance.model_dump_json(indent=2)}\n".encode())


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
    rows = 0
    with open_atomic(path) as temporary, temporary.open("w", encoding="ascii", newline="\n") as file:
        file.write(",".join(HEADER) + "\n")
        for chunk in digits:
            file.writelines(f"{number},{digit}\n" for number, digit in enumerate(chunk.tolist(), start=rows + 1))
            rows += len(chunk)
    return rows


def check_solution(path: Path, rows: int) -> bytes:
    """Check a submission and return its content: header ImageId,Label, `rows` rows, ids 1, 2, ..., digits 0 to 9.

    Raises:
        UserError: Kaggle would reject the file; the message names the file, the row and the fault.
    """
    remedy = "write it again with python -m pipeline submit"
    known_digits = {str(digit) for digit in range(CLASSES)}
    known_ids = {str(number) for number in range(1, rows + 1)}
    try:
        content = path.read_bytes()
        reader = csv.reader(io.StringIO(content.decode("utf-8"), newline=""))
        header = next(reader, [])
        if header and header[0].startswith("\N{ZERO WIDTH NO-BREAK SPACE}"):
            raise UserError(f"{path}: begins with a byte order mark, which spreadsheets add; {remedy}")
        if header != HEADER:
            raise UserError(f'{path}: header is "{",".join(header)}", expected "{",".join(HEADER)}"; {remedy}')
        count = 0
        for count, cells in enumerate(reader, start=1):
            if not cells:
                raise UserError(f"{path}, row {count}: the line is blank; delete it")
            if len(cells) != 2:
                raise UserError(f"{path}, row {count}: {len(cells)} values, expected 2; {remedy}")
            if cells[0] != str(count) and cells[0] in known_ids:
                raise UserError(
                    f'{path}, row {count}: ImageId is "{cells[0]}", expected {count}; sort the rows by ImageId, '
                    "each once"
                )
            if cells[0] != str(count):
                raise UserError(f'{path}, row {count}: ImageId is "{cells[0]}", expected {count}; {remedy}')
            if cells[1].removesuffix(".0") in known_digits and cells[1] not in known_digits:
                raise UserError(
                    f'{path}, row {count}: Label "{cells[1]}" is not a digit; write whole numbers, without ".0"'
                )
            if cells[1] not in known_digits:
                raise UserError(f'{path}, row {count}: Label "{cells[1]}" is not a digit from 0 to 9; {remedy}')
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {remedy}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot read the submission: {error}; {remedy}") from error
    if count != rows:
        raise UserError(f"{path}: {count:,} rows, expected {rows:,}; {remedy}")
    return content
