"""Digits in files or folders of any format other than the competition's."""

from pathlib import Path

from pipeline.data.formats import open_digits
from pipeline.data.table import DigitTable
from pipeline.errors import UserError
from pipeline.sources.source import Source, describe


def files_source(path: Path, reason: str) -> Source:
    """Return the training and test rows in a file or folder, as `open_digits` finds them.

    Raises:
        UserError: there are no training rows, or several files of them.
    """
    train = open_digits(path, "train")

    def read_test() -> DigitTable:
        test = open_digits(path, "test")
        if test.path == train.path != path:
            raise UserError(f"{path}: contains training digits only; add a file or folder with test in its name")
        return test.read(labels_required=False)

    return Source(
        "files",
        path,
        reason,
        lambda: train.read(labels_required=True),
        read_test,
        files=(path,),
        describe=lambda: describe(train),
    )
