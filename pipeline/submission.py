"""solution.csv: written whole, in the test rows' order, and checked as Kaggle would check it."""

import csv
from collections.abc import Iterable
from pathlib import Path

from pipeline.checkpoint import Run
from pipeline.errors import UserError
from pipeline.files import written_whole
from pipeline.predictor import Predictor
from pipeline.scoring import Score, score
from pipeline.sources import Source
from pipeline.table import CLASSES, DigitTable, Labels

HEADER = ["ImageId", "Label"]


def make(run: Run, source: Source, test: DigitTable, path: Path, *, allow_leak: bool = False) -> Score | None:
    """Predict a source's test rows, write them to `path` and check that file; return the score where it is known.

    Raises:
        UserError: the run saw test rows of the competition in training, or the file cannot be written.
    """
    if source.name == "competition" and not allow_leak:
        refuse_leak(run, test)
    digits = Predictor.load(run.folder).predict(test.pixels).digits
    write(path, [digits])
    check(path, len(test))
    return None if test.labels is None else score(digits, test.labels)


def refuse_leak(run: Run, test: DigitTable) -> None:
    """Raise a UserError where a run was trained on images that it is to predict."""
    seen = run.fingerprint.shared(test.fingerprint())
    if seen:
        raise UserError(
            f"{run}: was trained on {seen:,} of the {len(test):,} images of test.csv (from {run.card.source}), so its "
            "score would mean nothing; train on the competition's train.csv, or say --allow-leak and submit nothing"
        )


def write(path: Path, digits: Iterable[Labels]) -> int:
    """Write predicted digits, as int64 arrays in the test rows' order, and return how many there were.

    `path` holds the old file or the whole new one at every moment.

    Raises:
        UserError: the folder cannot be written to, or the disk is full.
    """
    rows = 0
    with written_whole(path) as temporary, temporary.open("w", encoding="ascii", newline="\n") as file:
        file.write(",".join(HEADER) + "\n")
        for chunk in digits:
            file.writelines(f"{number},{digit}\n" for number, digit in enumerate(chunk.tolist(), start=rows + 1))
            rows += len(chunk)
    return rows


def check(path: Path, rows: int) -> None:
    """Raise what Kaggle would refuse: the header is ImageId,Label, then `rows` rows, ids 1.. in order, digits 0 to 9.

    Raises:
        UserError: names the file, the row and what is wrong with it.
    """
    remedy = "write it again by python -m pipeline submit"
    known_digits = {str(digit) for digit in range(CLASSES)}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            if header != HEADER:
                raise UserError(
                    f'{path}: the header is "{",".join(header)}" and must be "{",".join(HEADER)}"; {remedy}'
                )
            count = 0
            for count, cells in enumerate(reader, start=1):
                if len(cells) != 2:
                    raise UserError(f"{path}, row {count}: {len(cells)} values where 2 are expected; {remedy}")
                if cells[0] != str(count):
                    raise UserError(f'{path}, row {count}: ImageId is "{cells[0]}" and must be {count}; {remedy}')
                if cells[1] not in known_digits:
                    raise UserError(f'{path}, row {count}: Label "{cells[1]}" is not a digit from 0 to 9; {remedy}')
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as a submission: {error}; {remedy}") from error
    if count != rows:
        raise UserError(f"{path}: {count:,} rows where {rows:,} are expected; {remedy}")
