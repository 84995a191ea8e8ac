"""The competition's files: in a folder, in Kaggle's archive, or downloaded."""

import re
from pathlib import Path

from pipeline.data.arrays.contents import Part
from pipeline.data.formats import SUFFIXES, DigitFile, open_digits
from pipeline.errors import UserError
from pipeline.kaggle.competition import ARCHIVE, download_files
from pipeline.sources.source import Source, describe
from pipeline.utils.files import unreadable

PARTS: tuple[Part, Part] = ("train", "test")
COPY = r"(?:[ _-]?\(\d+\)|[ _-]copy)?"
"""What a browser or a file manager adds to the name of a second copy."""
ARCHIVE_NAME = re.compile(rf"digit-recognizer{COPY}(?:\.zip)+", re.IGNORECASE)
FILE_NAMES = {
    stem: re.compile(rf"{stem}{COPY}\.(?:csv|parquet)(?:\.(?:gz|zip|txt))?", re.IGNORECASE)
    for stem in ("train", "test")
}
OWN_FOLDERS = {"practice", "mnist", "corrections"}
"""Folders in the data folder that hold other digits."""


def from_kaggle(data: Path) -> Source:
    """Return the competition's files in `data`; download them with Kaggle's client if one of them is missing."""
    if all(find_competition_file(data, stem) for stem in PARTS):
        return competition_source(data, "found there")
    download_files(data)
    return competition_source(data, "downloaded from Kaggle")


def holds_competition(path: Path) -> bool:
    """Return whether a path is a file, or a folder with at least one of the competition's files."""
    return path.is_file() or any(find_competition_file(path, stem) for stem in PARTS)


def competition_source(path: Path, reason: str) -> Source:
    """Return the competition's files in a folder (CSV, .gz, Parquet, or in the archive), or those in one file."""
    train, test = (_open_competition_file(path, stem) for stem in PARTS)
    place = path
    if train.path == test.path:
        place = train.path
    elif train.path.parent == test.path.parent:
        place = train.path.parent
    return Source(
        "competition",
        place,
        reason,
        lambda: train.read(labels_required=True),
        lambda: test.read(labels_required=False),
        files=(train.path, test.path),
        describe=lambda: describe(train, test),
    )


def find_competition_file(folder: Path, stem: Part) -> Path | None:
    """Return the file in a folder, or one folder deeper, that contains the competition's digits of a part, or None.

    Kaggle's own names take precedence, and a separate file over the archive; then names such as "Train.csv",
    "train (1).csv", "train.csv.zip" and "digit-recognizer (1).zip".

    Raises:
        UserError: several files have such a name, or one of the folders cannot be read.
    """
    if not folder.is_dir():
        return None
    inner = [path for path in sorted(folder.glob("*/")) if path.name.lower() not in OWN_FOLDERS and path.name[0] != "."]
    try:
        paths = [path for place in (folder, *inner) for path in sorted(place.iterdir())]
    except PermissionError as error:
        raise unreadable(Path(error.filename), error) from None
    for place in (folder, *inner):
        for name in (*(f"{stem}{suffix}" for suffix in SUFFIXES), ARCHIVE):
            if (place / name).is_file():
                return place / name
    for pattern in (FILE_NAMES[stem], ARCHIVE_NAME):
        found = [path for path in paths if pattern.fullmatch(path.name)]
        if len(found) > 1:
            names = ", ".join(str(path) for path in found[:4])
            raise UserError(f"{folder}: contains several files of the competition's {stem} digits ({names}); keep one")
        if found:
            return found[0]
    return None


def _open_competition_file(path: Path, stem: Part) -> DigitFile:
    """Return the competition's digits of a part in a folder or a file; a missing file is reported when it is read."""
    found = find_competition_file(path, stem)
    return open_digits(found or (path if path.is_file() else path / f"{stem}.csv"), stem)
