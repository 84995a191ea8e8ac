"""The competition's files: in a folder, in Kaggle's archive, or downloaded."""

from pathlib import Path

from pipeline.data.formats import SUFFIXES, DigitFile, open_digits
from pipeline.kaggle.competition import ARCHIVE, download_files
from pipeline.sources.source import Source


def from_kaggle(data: Path) -> Source:
    """Return the competition's files in `data`; download them with Kaggle's client if one of them is missing."""
    if all(_competition_file(data, stem).path.exists() for stem in ("train", "test")):
        return competition_source(data, "found there")
    download_files(data)
    return competition_source(data, "downloaded from Kaggle")


def holds_competition(path: Path) -> bool:
    """Return whether a path is a file, or a folder with at least one of the competition's files."""
    names = (f"{stem}{suffix}" for stem in ("train", "test") for suffix in SUFFIXES)
    return path.is_file() or any((path / name).exists() for name in (*names, ARCHIVE))


def competition_source(path: Path, reason: str) -> Source:
    """Return the competition's files in a folder (CSV, .gz, Parquet, or in the archive), or those in one file."""
    train, test = _competition_file(path, "train"), _competition_file(path, "test")
    return Source(
        "competition",
        train.path if train.path == test.path else path,
        reason,
        lambda: train.read(labels_required=True),
        lambda: test.read(labels_required=False),
        files=(train.path, test.path),
    )


def _competition_file(path: Path, stem: str) -> DigitFile:
    """Return the competition's file `stem`, "train" or "test"; a separate file takes precedence over the archive."""
    for candidate in (*(path / f"{stem}{suffix}" for suffix in SUFFIXES), path / ARCHIVE):
        if candidate.exists():
            return open_digits(candidate, f"{stem}.csv")
    return open_digits(path if path.is_file() else path / f"{stem}.csv", f"{stem}.csv")
