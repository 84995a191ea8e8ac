"""Find a data source by its name or path, or the first available one."""

import os
from dataclasses import replace
from pathlib import Path

from pipeline.data.arrays.array_file import ArrayFile
from pipeline.data.formats import holds_digits, open_digits
from pipeline.errors import UserError, did_you_mean
from pipeline.kaggle import credentials
from pipeline.kaggle.competition import ARCHIVE
from pipeline.sources import notebook
from pipeline.sources.competition import competition_source, from_kaggle, holds_competition
from pipeline.sources.drawings.pendigits import pendigits_source
from pipeline.sources.files import files_source
from pipeline.sources.mnist import UnreachableError, answering_mirrors, holds_mnist, mnist_source
from pipeline.sources.practice import practice_source
from pipeline.sources.source import Source
from pipeline.utils.files import refuse_pipe

SOURCE_KINDS = ["auto", "kaggle", "mnist", "pendigits", "practice"]


def find_source(kind: str, data: Path) -> Source:
    """Return the data source `kind`; download or create its files if they are missing.

    Args:
        kind: "auto" selects the first available of: the competition's files in `data`; those that a Kaggle notebook
            has as its input; those files from Kaggle, if there are credentials; MNIST in `data` or from its mirrors;
            the practice set. With credentials, and in a hosted notebook, it selects the competition's files only: a
            run on other digits must not be taken for a submission. "kaggle", "mnist",
            "pendigits" and "practice" select one. Anything else is a path: a file, an archive or a folder that
            contains the competition's files, MNIST, or other digits that `open_digits` reads.
        data: the data folder; extra training data goes to `data` in the current folder if it is read-only.

    Raises:
        UserError: the requested source is missing and cannot be downloaded, or is a pipe.
    """
    refuse_pipe(data)
    found = _find(kind, data)
    is_read_only = data.is_dir() and not os.access(data, os.W_OK)
    return found if is_read_only else replace(found, data_dir=data)


def _find(kind: str, data: Path) -> Source:
    """Return the data source `kind`, with the default `data_dir`; see `find_source`."""
    if kind == "pendigits":
        return pendigits_source(data)
    if kind == "practice":
        return practice_source(data / "practice", "requested")
    if kind == "mnist":
        try:
            return mnist_source(data, "requested")
        except UnreachableError as error:
            raise UserError(f"{error}, or use --source practice, which needs no network") from None
    if kind == "kaggle":
        attached = None if holds_competition(data) else notebook.find_attached()
        return competition_source(attached, "the notebook's input") if attached else from_kaggle(data)
    if kind != "auto":
        return _at_path(Path(kind))
    if holds_competition(data):
        return competition_source(data, "found there")
    attached = notebook.find_attached()
    if attached:
        return competition_source(attached, "the notebook's input")
    missing = f"{data} holds no competition files"
    if credentials.find_credentials():
        try:
            return from_kaggle(data)
        except UserError as error:
            raise UserError(f"{missing}, and: {error}; to practise on other digits, add --source practice") from None
    notebook.require_own_choice(missing)
    if holds_mnist(data):
        return mnist_source(data, f"found there; {missing}")
    mirrors = answering_mirrors()
    if not mirrors:
        return practice_source(data / "practice", f"{missing}, and no mirror of MNIST answers")
    try:
        return mnist_source(data, f"{missing}; a mirror of MNIST answers", mirrors)
    except UnreachableError as error:
        return practice_source(data / "practice", f"{missing}; {error}")


def _at_path(path: Path) -> Source:
    """Return the source in the folder or file `path`."""
    if not path.exists():
        raise UserError(
            f"--source {path}: no such file or folder{did_you_mean(str(path), SOURCE_KINDS)} "
            f"(give {', '.join(SOURCE_KINDS)} or a path)"
        )
    refuse_pipe(path)
    if path.is_file():
        is_table = not isinstance(open_digits(path), ArrayFile)
        return (competition_source if is_table else files_source)(path, "requested")
    if holds_competition(path):
        return competition_source(path, "requested")
    if holds_mnist(path):
        return mnist_source(path, "requested")
    if holds_digits(path):
        return files_source(path, "requested")
    raise UserError(
        f"{path}: holds neither train.csv and test.csv, nor {ARCHIVE}, nor MNIST's files, nor files of digits with "
        "train in their names, nor folders 0 to 9 of pictures; choose another folder"
    )
