"""solution.csv: written whole, in the test rows' order, checked as Kaggle would check it, its origin kept beside it."""

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
    """Where a submission comes from; solution.json, beside solution.csv."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file_hash: str
    """The SHA-256 of the CSV."""
    run: str
    recipe: str
    source: str
    """What was predicted: "competition", "mnist" or "practice"."""
    fingerprint: str
    """The digest of the images that the run learnt from."""
    validation_accuracy: float | None
    validation_rows: int
    leaked: int
    """How many of the predicted images the run was trained on, as they are or with small shifts of value."""


def count_leaks(run: Run, test: DigitTable, allowed: bool) -> int:
    """Return how many of the images to predict a run was trained on; a UserError where that is not allowed."""
    learnt, asked = run.fingerprint, test.fingerprint
    same, alike = learnt.count_duplicates(asked), learnt.count_near_duplicates(asked)
    if not allowed and same + alike:
        more = f", and on copies of {alike:,} more that differ by a few grey levels only" if alike else ""
        raise UserError(
            f"{run}: was trained on {same:,} of the {len(test):,} images of test.csv{more} (from {run.card.source}), "
            "so its score would mean nothing; train on the competition's train.csv, or say --allow-leak"
        )
    return same + alike


def provenance_path(path: Path) -> Path:
    """Return where the origin of a submission is kept."""
    return path.with_suffix(".json")


def save_provenance(path: Path, run: Run, source: str, rows: int, leaked: int) -> None:
    """Check the submission at `path`, which has so many rows, and write where it comes from beside it.

    Args:
        source: name of what was predicted.
        leaked: how many of the predicted images the run was trained on.

    Raises:
        UserError: the submission is not what Kaggle accepts, or the file cannot be written.
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
    """Return where a submission comes from, or None where that is not kept, or is kept of another content."""
    try:
        origin = Provenance.model_validate_json(provenance_path(path).read_bytes())
        return origin if origin.file_hash == hash_content(path.read_bytes()) else None
    except (OSError, ValidationError):
        return None


def hash_content(content: bytes) -> str:
    """Return the SHA-256 of a file's content, 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def write_solution(path: Path, digits: Iterable[Labels]) -> int:
    """Write predicted digits, as int64 arrays in the test rows' order, and return how many there were.

    `path` holds the old file or the whole new one at every moment.

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
    """Return a submission's content: the header ImageId,Label, then `rows` rows, ids 1.. in order, digits 0 to 9.

    Raises:
        UserError: names the file, the row and what is wrong with it, as Kaggle would refuse it.
    """
    remedy = "write it again by python -m pipeline submit"
    known_digits = {str(digit) for digit in range(CLASSES)}
    try:
        content = path.read_bytes()
        reader = csv.reader(io.StringIO(content.decode("utf-8"), newline=""))
        header = next(reader, [])
        if header and header[0].startswith("\N{ZERO WIDTH NO-BREAK SPACE}"):
            raise UserError(f"{path}: begins with a byte order mark, which spreadsheets add; {remedy}")
        if header != HEADER:
            raise UserError(f'{path}: the header is "{",".join(header)}" and must be "{",".join(HEADER)}"; {remedy}')
        count = 0
        for count, cells in enumerate(reader, start=1):
            if len(cells) != 2:
                raise UserError(f"{path}, row {count}: {len(cells)} values where 2 are expected; {remedy}")
            if cells[0] != str(count):
                raise UserError(f'{path}, row {count}: ImageId is "{cells[0]}" and must be {count}; {remedy}')
            if cells[1] not in known_digits:
                raise UserError(f'{path}, row {count}: Label "{cells[1]}" is not a digit from 0 to 9; {remedy}')
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; {remedy}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as a submission: {error}; {remedy}") from error
    if count != rows:
        raise UserError(f"{path}: {count:,} rows where {rows:,} are expected; {remedy}")
    return content
