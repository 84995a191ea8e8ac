"""Which source is meant: a named one, a path, or the first that there is."""

from dataclasses import replace
from pathlib import Path

from pipeline.errors import UserError, did_you_mean
from pipeline.kaggle import credentials
from pipeline.kaggle.competition import ARCHIVE
from pipeline.sources.competition import competition_source, from_kaggle, holds_competition
from pipeline.sources.mnist import answering_mirrors, holds_mnist, mnist_source
from pipeline.sources.pendigits import pendigits_source
from pipeline.sources.practice import practice_source
from pipeline.sources.source import Source

KINDS = ["auto", "kaggle", "mnist", "pendigits", "practice"]


def find_source(kind: str, data: Path) -> Source:
    """Return the source that `kind` means, fetching or making its files where they are missing.

    Args:
        kind: "auto" takes the first of these that there is: the competition's files in `data`, or from Kaggle where
            there are credentials; MNIST in `data` or from its mirrors; the practice set. "kaggle", "mnist",
            "pendigits" and "practice" name one. Anything else is a path: an archive or a folder that holds the
            competition's files or MNIST.
        data: the folder for data.

    Raises:
        UserError: the source that was asked for is not there and cannot be fetched.
    """
    return replace(_located(kind, data), data_dir=data)


def _located(kind: str, data: Path) -> Source:
    """Return the source that `kind` means, as `find_source` takes it."""
    if kind == "pendigits":
        return pendigits_source(data)
    if kind == "practice":
        return practice_source(data / "practice", "asked for")
    if kind == "mnist":
        return mnist_source(data, "asked for")
    if kind == "kaggle":
        return from_kaggle(data)
    if kind != "auto":
        return _at_path(Path(kind))
    if holds_competition(data):
        return competition_source(data, "found there")
    missing = f"{data} holds no competition files"
    if credentials.find_credentials():
        try:
            return from_kaggle(data)
        except UserError as error:
            missing += f"; {error}"
    if holds_mnist(data):
        return mnist_source(data, f"found there; {missing}")
    mirrors = answering_mirrors()
    if mirrors:
        return mnist_source(data, f"{missing}; a mirror of MNIST answers", mirrors)
    return practice_source(data / "practice", f"{missing}, and no mirror of MNIST answers")


def _at_path(path: Path) -> Source:
    """Return the source in a folder or archive that the user names."""
    if holds_competition(path):
        return competition_source(path, "asked for")
    if holds_mnist(path):
        return mnist_source(path, "asked for")
    if path.exists():
        raise UserError(f"{path}: holds neither train.csv and test.csv, nor {ARCHIVE}, nor MNIST/raw")
    raise UserError(
        f"--source {path}: no such file or folder{did_you_mean(str(path), KINDS)} (give {', '.join(KINDS)} or a path)"
    )
