import csv
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import Outcome
from PIL import Image

from pipeline import (
    DigitTable,
    Predictor,
    Reading,
    Recipe,
    Run,
    Source,
    UserError,
    keep_correction,
    read_corrections,
    train,
)
from pipeline.reports.evaluate import validation_rows


@pytest.fixture(scope="module")
def picture(digits: DigitTable) -> np.ndarray:
    """Return a picture of two digits, drawn large in black on white."""
    row = np.hstack([digits.pixels[3], digits.pixels[4]])
    return 255 - np.kron(row, np.ones((6, 6), dtype=np.uint8))


@pytest.fixture(scope="module")
def reading(run: Run, picture: np.ndarray) -> Reading:
    found = Predictor.load(run.folder).read(picture)
    assert len(found.glyphs) == 2
    return found


def test_a_correction_saves_the_drawing_and_one_line_per_digit(
    picture: np.ndarray, reading: Reading, tmp_path: Path
) -> None:
    keep_correction(tmp_path, picture, reading, " 47 ", "a run")
    with (tmp_path / "corrections.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["label"] for line in lines] == ["4", "7"]
    assert [line["read"] for line in lines] == list(reading.text)
    assert {line["run"] for line in lines} == {"a run"}
    assert np.array_equal(np.asarray(Image.open(tmp_path / lines[0]["drawing"])), picture)
    for line, glyph in zip(lines, reading.glyphs, strict=True):
        assert np.array_equal(np.asarray(Image.open(tmp_path / line["frame"])), glyph.frame)


def test_corrections_are_read_as_labelled_digits(picture: np.ndarray, reading: Reading, tmp_path: Path) -> None:
    keep_correction(tmp_path, picture, reading, "47", "a run")
    keep_correction(tmp_path, 255 - picture, reading, "12", "a run")
    table = read_corrections(tmp_path)
    assert table.known_labels.tolist() == [4, 7, 1, 2]
    assert np.array_equal(table.pixels[2], reading.glyphs[0].frame)


def test_a_drawing_is_kept_once_and_the_last_correction_counts(
    picture: np.ndarray, reading: Reading, tmp_path: Path
) -> None:
    for number in ("12", "3", "47"):
        keep_correction(tmp_path, picture, reading, number, "a run")
    assert read_corrections(tmp_path).known_labels.tolist() == [4, 7]
    assert len(list(tmp_path.glob("*.png"))) == 3


@pytest.mark.parametrize("number", ["4", "470"])
def test_a_drawing_whose_digits_touch_is_kept_with_its_number(
    number: str, picture: np.ndarray, reading: Reading, tmp_path: Path
) -> None:
    assert keep_correction(tmp_path, picture, reading, number, "a run") == 0
    (line,) = csv.DictReader((tmp_path / "corrections.csv").open(newline=""))
    assert (line["frame"], line["label"], line["read"]) == ("", number, reading.text)
    assert np.array_equal(np.asarray(Image.open(tmp_path / line["drawing"])), picture)
    with pytest.raises(UserError, match="no corrections of single digits"):
        read_corrections(tmp_path)
    assert keep_correction(tmp_path, 255 - picture, reading, "47", "a run") == 2
    assert read_corrections(tmp_path).known_labels.tolist() == [4, 7]


@pytest.mark.parametrize("number", ["4.7", "-4,7", "4 7", "4/7", "4:7", "4÷7", "4=7"])
def test_a_correction_may_have_several_rows_and_marks(
    number: str, picture: np.ndarray, reading: Reading, tmp_path: Path
) -> None:
    keep_correction(tmp_path, picture, reading, number, "a run")
    assert read_corrections(tmp_path).known_labels.tolist() == [4, 7]


def test_concurrent_corrections_are_all_saved(picture: np.ndarray, reading: Reading, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        pictures = {number: np.roll(picture, number) for number in range(1, 9)}
        list(
            pool.map(
                lambda number: keep_correction(tmp_path, pictures[number], reading, f"{number}0", "a run"), pictures
            )
        )
    assert sorted(read_corrections(tmp_path).known_labels.tolist()) == [0] * 8 + list(range(1, 9))


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        ("4x", '"4x" is not a number; enter digits and marks only'),
        ("", '"" is not a number; enter digits and marks only'),
        ("-", '"-" is not a number; enter digits and marks only'),
    ],
)
def test_an_invalid_number_is_rejected_and_nothing_is_saved(
    number: str, fault: str, picture: np.ndarray, reading: Reading, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=re.escape(fault)):
        keep_correction(tmp_path, picture, reading, number, "a run")
    assert not list(tmp_path.iterdir())


def test_training_uses_corrections_in_addition_to_the_source(
    command: Callable[..., Outcome], picture: np.ndarray, reading: Reading, practice: Source, tmp_path: Path
) -> None:
    keep_correction(tmp_path / "kept", picture, reading, "47", "a run")
    settings = ["--set", "epochs=1", "--set", "minimum_updates=0", "--run", "corrected"]
    outcome = command("train", "fast", "--source", "practice", "--with", "kept", *settings)
    assert outcome.status == 0
    assert "Corrections: 2 digits from kept" in outcome.out
    run = Run.open(tmp_path / "checkpoints" / "corrected")
    assert (run.card.train_rows, run.card.validation_rows, run.card.corrections) == (1169, 130, 2)
    assert run.fingerprint.count_duplicates(read_corrections(tmp_path / "kept").fingerprint) == 2
    assert len(validation_rows(run, practice)) == 130, "no correction is a validation row"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda folder: (folder / "corrections.csv").unlink(), "corrections.csv: missing or damaged"),
        (lambda folder: (folder / "corrections.csv").write_text("time,label\n"), "contains no corrections yet"),
        (lambda folder: (folder / "corrections.csv").write_text("frame,label\na.png,12\n"), 'line 2: label "12"'),
        (
            lambda folder: (folder / "corrections.csv").write_text('frame,label\n"a.png,1\n'),
            "cannot be read: unexpected end",
        ),
        (lambda folder: (folder / "corrections.csv").write_text("frame,label\na.png,1\n"), "line 2: a.png is missing"),
        (
            lambda folder: (folder / "corrections.csv").write_text("frame,label\n../../secret.png,1\n"),
            "line 2: secret.png is missing",
        ),
        (
            lambda folder: [path.write_text("no") for path in folder.glob("*-1.png")],
            "2: .*-1.png is missing or not a 28x28 image",
        ),
    ],
)
def test_damaged_corrections_are_reported_with_their_line(
    change: Callable[[Path], object], fault: str, picture: np.ndarray, reading: Reading, tmp_path: Path
) -> None:
    keep_correction(tmp_path, picture, reading, "47", "a run")
    change(tmp_path)
    with pytest.raises(UserError, match=fault):
        read_corrections(tmp_path)


def test_a_run_is_not_resumed_with_other_corrections(
    practice: Source, digits: DigitTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe.load("fast", ["epochs=2", "minimum_updates=0"])
    first, second = (DigitTable(255 - digits.pixels[:3] // part, digits.known_labels[:3]) for part in (1, 2))
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.training.finish.calibrate", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, practice, str(tmp_path / "run"), corrections=first, quiet=True)
    with pytest.raises(UserError, match="resume it with the same --source, --data, --limit and --with"):
        train(recipe, practice, str(tmp_path / "run"), corrections=second, resume=True, quiet=True)
    assert train(recipe, practice, str(tmp_path / "run"), corrections=first, resume=True, quiet=True).card.finished


def interrupt(*_: object) -> tuple[float, float]:
    """Raise KeyboardInterrupt instead of calibrating."""
    raise KeyboardInterrupt
