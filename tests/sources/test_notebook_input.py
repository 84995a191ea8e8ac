"""In a hosted notebook, the competition's files are found, and nothing else is taken in their place."""

import os
from pathlib import Path

import pytest
from helpers.files import write_competition

from pipeline import DigitTable, UserError, find_source
from pipeline.sources import notebook


@pytest.fixture
def attached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The input folder of a Kaggle notebook, with another data set in it."""
    folder = tmp_path / "input"
    (folder / "titanic").mkdir(parents=True)
    (folder / "titanic" / "train.csv").write_text("PassengerId,Survived\n1,0\n")
    monkeypatch.setattr(notebook, "KAGGLE_INPUT", folder)
    return folder


@pytest.mark.parametrize(
    "place", ["digit-recognizer", "competitions/digit-recognizer", "digit-recognizer/digit-recognizer"]
)
@pytest.mark.parametrize("kind", ["auto", "kaggle"])
def test_the_competitions_files_are_found_in_a_kaggle_notebooks_input(
    kind: str, place: str, attached: Path, tmp_path: Path, digits: DigitTable
) -> None:
    write_competition(attached / place, digits)
    found = find_source(kind, tmp_path / "data")
    assert (found.name, found.reason) == ("competition", "the notebook's input")
    assert (len(found.read_train()), len(found.read_test())) == (30, 20)


@pytest.mark.parametrize("kind", ["auto", "kaggle"])
def test_own_files_in_the_data_folder_take_precedence(
    kind: str, attached: Path, tmp_path: Path, digits: DigitTable
) -> None:
    for folder in (attached / "digit-recognizer", tmp_path / "data"):
        write_competition(folder, digits)
    assert find_source(kind, tmp_path / "data").path == tmp_path / "data"


@pytest.mark.usefixtures("attached")
def test_without_the_competitions_files_a_kaggle_notebook_stops_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Add Input, Competitions, Digit Recognizer.* add --source practice$"):
        find_source("auto", tmp_path / "data")
    assert find_source("practice", tmp_path / "data").name == "practice"


def test_without_files_and_token_colab_stops_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab")
    with pytest.raises(UserError, match=r"upload digit-recognizer.zip to it, or set KAGGLE_API_TOKEN"):
        find_source("auto", tmp_path / "data")


def test_a_read_only_data_folder_is_read_and_extra_data_goes_elsewhere(
    tmp_path: Path, digits: DigitTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_competition(tmp_path / "data", digits)
    monkeypatch.setattr(os, "access", lambda *_: False)  # as on a read-only mount, also for root
    assert find_source("auto", tmp_path / "data").data_dir == Path("data")
    monkeypatch.undo()
    assert find_source("auto", tmp_path / "data").data_dir == tmp_path / "data"
