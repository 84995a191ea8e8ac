"""Folders and files that the system does not let the program read are named; nothing is passed over in silence."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import Outcome
from helpers.formats import write_pictures
from helpers.permissions import permissions_of_a_user

from pipeline import DigitTable, Run


@pytest.fixture
def pictures(digits: DigitTable, tmp_path: Path) -> Iterator[Path]:
    """Return a folder of 60 pictures in folders 0 to 9, of which 7 may not be read."""
    folder = tmp_path / "pictures"
    write_pictures(folder, digits.select(np.arange(60)))
    (folder / "7").chmod(0)
    yield folder
    (folder / "7").chmod(0o700)


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "RUN", "pictures", "--out", "answers"],
        ["train", "fast", "--source", "pictures", "--run", "new"],
        ["evaluate", "RUN", "--on", "pictures"],
        ["read", "RUN", "pictures"],
    ],
)
def test_a_folder_that_may_not_be_read_is_named(
    arguments: list[str], pictures: Path, run: Run, command: Callable[..., Outcome]
) -> None:
    with permissions_of_a_user():
        outcome = command(*(str(run) if word == "RUN" else word for word in arguments))
    assert outcome.status == 2
    assert outcome.err == (
        "error: pictures/7: cannot be read (Permission denied); change its permissions, or leave it out\n"
    )
    assert [path.name for path in pictures.parent.iterdir()] == ["pictures"], "something was written"


@pytest.mark.parametrize("name", ["b.csv", "b.npy", "b.png"])
def test_a_file_that_may_not_be_read_is_named(
    name: str, run: Run, digits: DigitTable, tmp_path: Path, command: Callable[..., Outcome]
) -> None:
    write_pictures(tmp_path / "in", digits.select(np.arange(3)))
    (tmp_path / "in" / name).touch(mode=0)
    with permissions_of_a_user():
        outcome = command("predict", run.folder, "in", "--out", "answers")
    assert outcome.status == 2
    (line,) = outcome.err.splitlines()
    assert line.startswith(f"error: in/{name}: cannot be read")
    assert not (tmp_path / "answers").exists()
