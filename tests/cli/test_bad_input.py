"""Invalid input of `submit`: exit status 2, one line with the file, the place and the remedy, and no change to an
existing solution.csv.
"""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import Outcome
from helpers.files import csv_text

from pipeline import DigitTable, Run

Lines = list[list[str]]


def drop_column(name: str) -> Callable[[Lines], Lines]:
    return lambda lines: [[cell for cell, head in zip(line, lines[0], strict=True) if head != name] for line in lines]


def rename(old: str, new: str) -> Callable[[Lines], Lines]:
    return lambda lines: [[new if cell == old else cell for cell in lines[0]], *lines[1:]]


def set_cell(row: int, column: int, cell: str) -> Callable[[Lines], Lines]:
    def change(lines: Lines) -> Lines:
        lines[row][column] = cell
        return lines

    return change


def add_column(lines: Lines) -> Lines:
    return [[*line, "comment" if number == 0 else "1"] for number, line in enumerate(lines)]


def shorten_row(lines: Lines) -> Lines:
    lines[3].pop()
    return lines


def lengthen_row(number: int) -> Callable[[Lines], Lines]:
    def change(lines: Lines) -> Lines:
        lines[number].append("0")
        return lines

    return change


FAULTS = {
    "missing pixel column": (drop_column("pixel5"), 'column "pixel5" is missing'),
    "missing label column": (drop_column("label"), 'column "label" is missing'),
    "renamed column": (rename("pixel7", "pixl7"), 'column 9, "pixl7", must be named "pixel7"; rename it'),
    "renamed label": (rename("label", "Answer"), 'column 1, "Answer", must be named "label"; rename it'),
    "extra column": (add_column, 'column 786, "comment", is unexpected; remove it'),
    "column twice": (rename("pixel7", "pixel6"), 'column "pixel7" is missing'),
    "column again at the end": (
        lambda lines: [[*line, "pixel3" if number == 0 else "0"] for number, line in enumerate(lines)],
        'column 786, "pixel3", is a duplicate; remove it',
    ),
    "columns out of order": (
        lambda lines: [[line[0], line[2], line[1], *line[3:]] for line in lines],
        'column 2, "pixel1", is out of place; put the columns in the order',
    ),
    "no header and no label": (
        lambda lines: [line[1:] for line in lines[1:]],
        "784 columns without names, all of them pixels, and no label",
    ),
    "no header and a column too many": (
        lambda lines: [[*line, "1"] for line in lines[1:]],
        "the first line is 786 numbers; without column names it must be 784 pixels, or a label and 784 pixels",
    ),
    "two labels": (
        lambda lines: [[*line, "target" if number == 0 else "1"] for number, line in enumerate(lines)],
        'columns "label" and "target" may both be the label; remove one',
    ),
    "a quotation mark that is not closed": (set_cell(3, 7, '"0'), "row 3 (line 4): a quotation mark is not closed"),
    "a cell of 200,000 characters": (set_cell(3, 7, "0" * 200_000 + "x"), "row 3 (line 4): column pixel6: "),
    "label 23 of EMNIST's letters": (set_cell(2, 0, "23"), "sets with letters, such as EMNIST's, have other labels"),
    "short row": (shorten_row, "row 3 (line 4): 784 values, expected 785"),
    "long row": (lengthen_row(3), "row 3 (line 4): 786 values, expected 785"),
    "long first row": (lengthen_row(1), "row 1 (line 2): 786 values, expected 785"),
    "text in a pixel": (set_cell(2, 11, "abc"), 'row 2 (line 3): column pixel10: "abc" is not a whole number'),
    "fraction in a pixel": (set_cell(2, 11, "1.5"), 'row 2 (line 3): column pixel10: "1.5" is not a whole number'),
    "256": (set_cell(4, 1, "256"), "row 4 (line 5): column pixel0: 256 is outside 0 to 255"),
    "-1": (set_cell(4, 784, "-1"), "row 4 (line 5): column pixel783: -1 is outside 0 to 255"),
    "a number beyond int64": (set_cell(4, 1, "9" * 30), "row 4 (line 5): column pixel0: 9999"),
    "NaN": (set_cell(5, 3, "NaN"), 'row 5 (line 6): column pixel2: "NaN" is not a whole number'),
    "empty cell": (set_cell(5, 3, ""), "row 5 (line 6): column pixel2: no value"),
    "label 10": (set_cell(6, 0, "10"), "row 6 (line 7): column label: 10 is outside 0 to 9"),
    "header only": (lambda lines: lines[:1], "the file has a header but no rows"),
}


@pytest.fixture
def folder(tmp_path: Path, digits: DigitTable) -> Path:
    """A folder with valid files and an existing solution.csv."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "train.csv").write_text(csv_text(digits.select(np.arange(60))))
    (data / "test.csv").write_text(csv_text(DigitTable(digits.pixels[60:80])))
    (tmp_path / "submissions").mkdir()
    (tmp_path / "submissions" / "solution.csv").write_text("old content")
    return tmp_path


def assert_refused(outcome: Outcome, folder: Path, *messages: str) -> None:
    """Assert exit status 2, one error line that contains the messages, and an unchanged submissions folder."""
    assert outcome.status == 2
    (line,) = outcome.err.splitlines()
    assert line.startswith("error: ")
    for message in messages:
        assert message in line
    assert (folder / "submissions" / "solution.csv").read_text() == "old content"
    assert list((folder / "submissions").iterdir()) == [folder / "submissions" / "solution.csv"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_csv_with_a_fault_is_refused(fault: str, folder: Path, command: Callable[..., Outcome]) -> None:
    change, message = FAULTS[fault]
    path = folder / "data" / "train.csv"
    lines = change([line.split(",") for line in path.read_text().splitlines()])
    path.write_text("".join(",".join(line) + "\n" for line in lines))
    assert_refused(command("submit"), folder, "data/train.csv", message)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train.csv", b"", "the file is empty"),
        ("test.csv", b"", "the file is empty"),
        ("train.csv", b"\n<!DOCTYPE html>\n<html>Sign in</html>", "the file is empty"),
        ("train.csv", b"<!DOCTYPE html>\n<html>Sign in</html>", "this is a web page, not a CSV: sign in to Kaggle"),
        ("train.csv", bytes(range(128, 256)) * 50, "this is not a text file"),
        ("train.csv", b"\x1f\x8b damaged", "the archive is damaged or incomplete"),
        ("test.csv", b"PK\x03\x04 damaged", "the archive is damaged or incomplete"),
    ],
)
def test_a_file_that_is_not_a_csv_is_refused(
    name: str, content: bytes, message: str, folder: Path, command: Callable[..., Outcome]
) -> None:
    (folder / "data" / name).write_bytes(content)
    assert_refused(command("submit"), folder, f"data/{name}", message)


def test_a_missing_test_csv_is_named(folder: Path, command: Callable[..., Outcome]) -> None:
    (folder / "data" / "test.csv").unlink()
    assert_refused(command("submit"), folder, "data/test.csv: there is no such file", "download it again")


def pack_archive(data: Path) -> bytes:
    """Move both CSV files into the competition's archive, and return its content."""
    path = data / "digit-recognizer.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("train.csv", "test.csv"):
            archive.write(data / name, name)
            (data / name).unlink()
    return path.read_bytes()


def test_a_truncated_archive_is_refused(folder: Path, command: Callable[..., Outcome]) -> None:
    content = pack_archive(folder / "data")
    (folder / "data" / "digit-recognizer.zip").write_bytes(content[: len(content) // 2])
    assert_refused(command("submit"), folder, "digit-recognizer.zip: the archive is damaged or incomplete")


def test_an_archive_with_a_flipped_byte_is_refused(folder: Path, command: Callable[..., Outcome]) -> None:
    content = bytearray(pack_archive(folder / "data"))
    content[len(content) // 4] ^= 255
    (folder / "data" / "digit-recognizer.zip").write_bytes(content)
    assert_refused(command("submit"), folder, "digit-recognizer.zip")


def test_an_archive_of_another_competition_is_refused(folder: Path, command: Callable[..., Outcome]) -> None:
    for path in (folder / "data").iterdir():
        path.unlink()
    with zipfile.ZipFile(folder / "data" / "digit-recognizer.zip", "w") as archive:
        archive.writestr("titanic.csv", "1")
    assert_refused(command("submit"), folder, "holds no test.csv (it holds titanic.csv)")


@pytest.mark.parametrize("name", ["model.safetensors", "card.json", "recipe.yaml"])
def test_a_truncated_run_is_refused(name: str, folder: Path, run: Run, command: Callable[..., Outcome]) -> None:
    copy = folder / "checkpoints" / "copy"
    copy.mkdir(parents=True)
    for path in run.folder.iterdir():
        if path.is_file():
            content = path.read_bytes()
            (copy / path.name).write_bytes(content[: len(content) // 3] if path.name == name else content)
    assert_refused(command("submit", "--run", "copy", "--allow-leak"), folder, f"checkpoints/copy/{name}")


def test_a_missing_run_is_refused_with_the_closest_name(folder: Path, command: Callable[..., Outcome]) -> None:
    recipe = folder / "checkpoints" / "fast-monday" / "recipe.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.touch()
    assert_refused(command("submit", "--run", "fast-mondai"), folder, 'did you mean "fast-monday"?')


def test_a_recipe_with_a_typo_is_refused(folder: Path, command: Callable[..., Outcome]) -> None:
    (folder / "mine.yaml").write_text("name: mine\nsummary: mine\nmodel: fast\nlearning_rat: 2e-4\n")
    assert_refused(
        command("submit", "--recipe", "mine.yaml"),
        folder,
        'mine.yaml: unknown key "learning_rat"; did you mean "learning_rate"?',
    )


def test_an_unknown_recipe_is_refused(folder: Path, command: Callable[..., Outcome]) -> None:
    assert_refused(command("submit", "--recipe", "resnet81"), folder, 'no recipe "resnet81"; did you mean "resnet18"?')


def test_an_unknown_source_is_refused(folder: Path, command: Callable[..., Outcome]) -> None:
    assert_refused(command("submit", "--source", "mnits"), folder, "--source mnits", 'did you mean "mnist"?')


def test_an_output_folder_that_is_a_file_is_refused_before_training(
    folder: Path, command: Callable[..., Outcome]
) -> None:
    (folder / "file").touch()
    assert_refused(command("submit", "--out", "file/solution.csv"), folder, "file/solution.csv: cannot be written")
    assert not (folder / "checkpoints").exists()


def test_an_output_folder_without_write_permission_is_refused_before_training(
    folder: Path, command: Callable[..., Outcome]
) -> None:
    if not Path("/proc/self").exists():
        pytest.skip("needs a folder that even root cannot write to: /proc")
    assert_refused(command("submit", "--out", "/proc/solution.csv"), folder, "/proc/solution.csv: cannot be written")
    assert not (folder / "checkpoints").exists()
