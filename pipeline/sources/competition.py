"""The competition's files: in a folder, in Kaggle's archive, or downloaded."""

from pathlib import Path

from pipeline.data.csv_file import CsvFile
from pipeline.kaggle.competition import ARCHIVE, download_files
from pipeline.sources.source import Source


def from_kaggle(data: Path) -> Source:
    """Return the competition's files in `data`, downloaded by Kaggle's client where one of them is missing."""
    if all(competition_file(data, name).path.exists() for name in ("train.csv", "test.csv")):
        return competition_source(data, "found there")
    download_files(data)
    return competition_source(data, "downloaded from Kaggle")


def holds_competition(place: Path) -> bool:
    """Tell whether a place is an archive, or a folder with at least one of the competition's files."""
    names = ("train.csv", "train.csv.gz", "test.csv", "test.csv.gz", ARCHIVE)
    return place.is_file() or any((place / name).exists() for name in names)


def competition_source(place: Path, reason: str) -> Source:
    """Return Kaggle's files in a folder (plain, .gz or in the archive), or in an archive."""
    train, test = (competition_file(place, name) for name in ("train.csv", "test.csv"))
    return Source(
        "competition",
        train.path if train.path == test.path else place,
        reason,
        lambda: train.read(labels_required=True),
        lambda: test.read(labels_required=False),
    )


def competition_file(place: Path, name: str) -> CsvFile:
    """Return where one of Kaggle's files lies; a plain one wins over a packed one."""
    for path in (place / name, place / f"{name}.gz", place / ARCHIVE):
        if path.exists():
            return CsvFile(path, name)
    return CsvFile(place if place.is_file() else place / name, name)
