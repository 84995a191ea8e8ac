"""Images in another sense than the run was trained on, and pictures as input of the commands."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import Outcome
from helpers.files import csv_text
from PIL import Image

from pipeline import DigitTable, Predictor, Run


def turned(digits: DigitTable, *, transposed: bool = False) -> DigitTable:
    return DigitTable(np.ascontiguousarray(digits.pixels.transpose(0, 2, 1)) if transposed else digits.pixels)


@pytest.fixture
def sketchpad() -> str:
    """The shipped run, whose confidence is calibrated with non-digits."""
    return str(Path(__file__).parents[2] / "checkpoints" / "sketchpad")


def read_answers(path: Path) -> list[int]:
    return [int(line.rpartition(",")[2]) for line in path.read_text().splitlines()[1:]]


def test_transposed_images_without_labels_are_turned_and_named(
    sketchpad: str, digits: DigitTable, tmp_path: Path, command: Callable[..., Outcome]
) -> None:
    table = digits.select(np.arange(100))
    (tmp_path / "upright.csv").write_text(csv_text(turned(table)))
    (tmp_path / "transposed.csv").write_text(csv_text(turned(table, transposed=True)))
    upright = command("predict", sketchpad, "upright.csv", "--out", "upright/answers.csv")
    outcome = command("predict", sketchpad, "transposed.csv", "--out", "transposed/answers.csv")
    assert "transposed" not in upright.out
    assert "transposed.csv: the images are transposed, and are turned: mean confidence" in outcome.out
    assert read_answers(Path("transposed/answers.csv")) == read_answers(Path("upright/answers.csv"))


def test_transposed_images_are_turned_before_runs_are_compared(
    sketchpad: str, digits: DigitTable, tmp_path: Path, command: Callable[..., Outcome]
) -> None:
    table = digits.select(np.flatnonzero(digits.known_labels != 1)[:100])  # without ones, which lie if transposed
    for name, transposed in (("upright", False), ("transposed", True)):
        pixels = turned(table, transposed=transposed).pixels
        (tmp_path / f"{name}.csv").write_text(csv_text(DigitTable(pixels, table.labels)))
    upright = command("compare", sketchpad, "--on", "upright.csv")
    outcome = command("compare", sketchpad, "--on", "transposed.csv")
    assert "transposed.csv: the images are transposed, and are turned: mean confidence" in outcome.out
    scores = [ended.out.partition("images/s\n")[2].split()[:6] for ended in (upright, outcome)]
    assert scores[0] == scores[1]


def write_pictures(folder: Path, digits: DigitTable) -> None:
    for number, (image, label) in enumerate(zip(digits.pixels, digits.known_labels, strict=True)):
        path = folder / str(label) / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(255 - image).save(path)


def test_folders_of_pictures_are_predicted_evaluated_and_trained_on(
    run: Run, digits: DigitTable, tmp_path: Path, command: Callable[..., Outcome]
) -> None:
    table = digits.select(np.arange(80))
    write_pictures(tmp_path / "pictures", table)
    predicted = command("predict", run.folder, "pictures", "--out", "answers")
    assert "Data: pictures: black on white, inverted" in predicted.out
    lines = (tmp_path / "answers" / "part-00000.csv").read_text().splitlines()
    assert lines[1].startswith("pictures/0/000.png,1,")
    expected = Predictor.load(run).predict(table.pixels).digits
    assert expected is not None
    found = {int(Path(line.split(",")[0]).stem): int(line.split(",")[2]) for line in lines[1:]}
    assert [found[row] for row in range(80)] == expected.tolist()
    evaluated = command("evaluate", run.folder, "--on", "pictures")
    assert f"accuracy    {np.mean(expected == table.known_labels):.2%}" in evaluated.out
    trained = command(
        "train",
        "fast",
        "--source",
        "practice",
        "--with",
        "pictures",
        "--limit",
        "60",
        "--set",
        "epochs=1",
        "--run",
        "mine",
    )
    assert "Corrections: 80 digits from pictures" in trained.out
    trained = command("train", "fast", "--source", "pictures", "--set", "epochs=1", "--run", "theirs")
    assert (
        trained.status,
        "Data: files, in pictures (requested); pictures: black on white, inverted" in trained.out,
    ) == (
        0,
        True,
    )
    assert Run(Path("checkpoints/theirs")).card.train_rows == 72
    assert command("evaluate", "theirs", "--data", "pictures").status == 0


def test_a_folder_of_pictures_is_read_picture_by_picture(
    sketchpad: str, digits: DigitTable, tmp_path: Path, command: Callable[..., Outcome]
) -> None:
    for row in range(2):
        page = Image.new("L", (200, 200), "white")
        page.paste(Image.fromarray(255 - digits.pixels[row]).resize((120, 120)), (40, 40))
        (tmp_path / "photos").mkdir(exist_ok=True)
        page.save(tmp_path / "photos" / f"{row}.png")
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    outcome = command("read", sketchpad, "photos")
    lines = outcome.out.splitlines()
    assert [line.split(": ")[:2] for line in lines] == [
        [f"photos/{row}.png", f"{digits.known_labels[row]}, {('even', 'odd')[digits.known_labels[row] % 2]}, {line}"]
        for row, line in enumerate(line.rpartition(", ")[2] for line in lines)
    ]
    (tmp_path / "empty").mkdir()
    assert command("read", sketchpad, "empty").err == "error: empty: contains no picture; choose another folder\n"
