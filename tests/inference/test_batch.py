import gzip
import io
import os
import shutil
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import numpy as np
import pyarrow as arrow
import pytest
from helpers.commands import Outcome
from helpers.files import csv_text
from pyarrow import parquet

from pipeline import DigitTable, Predictor, Run

REMEDY = "correct it, or download it again from https://www.kaggle.com/competitions/digit-recognizer/data"


@pytest.fixture
def hundred(digits: DigitTable, tmp_path: Path) -> DigitTable:
    """Return 100 digits. The first 60 are in in/a.csv and the others in in/b.csv.gz."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text(csv_text(DigitTable(digits.pixels[:60])))
    (tmp_path / "in" / "b.csv.gz").write_bytes(gzip.compress(csv_text(digits.select(np.arange(60, 100))).encode()))
    return digits.select(np.arange(100))


@pytest.mark.parametrize("inputs", [["in"], ["in/*.csv*"], ["in/a.csv", "in/b.csv.gz"]])
def test_predictions_for_several_files_go_into_a_folder(
    inputs: list[str], command: Callable[..., Outcome], run: Run, hundred: DigitTable, tmp_path: Path
) -> None:
    outcome = command("predict", run.folder, *inputs, "--out", "answers")
    assert (outcome.status, outcome.out) == (0, "answers: 100 rows\n")
    digits = Predictor.load(run.folder).predict(hundred.pixels).digits
    expected = [f"in/a.csv,{row},{digit}" for row, digit in enumerate(digits[:60], start=1)]
    expected += [f"in/b.csv.gz,{row},{digit}" for row, digit in enumerate(digits[60:], start=1)]
    (shard,) = (tmp_path / "answers").iterdir()
    assert shard.read_text().splitlines() == ["File,ImageId,Label", *expected]


def test_parquet_gives_the_same_predictions_as_csv(
    command: Callable[..., Outcome], run: Run, hundred: DigitTable, tmp_path: Path
) -> None:
    images = [image.tobytes() for image in hundred.pixels[:60]]
    parquet.write_table(arrow.table({"pixels": arrow.array(images, arrow.binary(784))}), tmp_path / "a.parquet")
    command("predict", run.folder, "in/a.csv", "--out", "a.csv")
    assert command("predict", run.folder, "a.parquet", "--out", "b.csv").status == 0
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert command("predict", run.folder, "a.parquet", "in", "--out", "c", "--format", "parquet").status == 0
    rows = parquet.read_table(tmp_path / "c").to_pylist()
    digits = Predictor.load(run.folder).predict(hundred.pixels).digits
    assert [row["Label"] for row in rows] == [*digits[:60], *digits]
    assert [row["ImageId"] for row in rows] == [*range(1, 61), *range(1, 61), *range(1, 41)]
    assert [row["File"] for row in rows] == 60 * ["a.parquet"] + 60 * ["in/a.csv"] + 40 * ["in/b.csv.gz"]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["in/a.csv", "--out", "in/a.csv"], "in/a.csv: is an input, which the output would replace"),
        (["in/a.csv", "--out", "link.csv"], "link.csv: is an input"),
        (["link.csv", "--out", "in/a.csv"], "in/a.csv: is an input"),
        (["in/a.csv", "--out", "hard.csv"], "hard.csv: is an input"),
        (["in/a.csv", "--out", "linked/a.csv"], "linked/a.csv: is an input"),
        (["in", "--out", "in"], "in: is an input"),
        (["in", "--out", "in/answers"], "in/answers: is inside the input folder in"),
        (["i*", "--out", "linked/new/answers"], "linked/new/answers: is inside the input folder in"),
    ],
)
def test_an_output_never_replaces_an_input(
    arguments: list[str], fault: str, command: Callable[..., Outcome], run: Run, hundred: DigitTable, tmp_path: Path
) -> None:
    (tmp_path / "link.csv").symlink_to("in/a.csv")
    (tmp_path / "hard.csv").hardlink_to(tmp_path / "in" / "a.csv")
    (tmp_path / "linked").symlink_to("in")
    before = (tmp_path / "in" / "a.csv").read_bytes()
    outcome = command("predict", run.folder, *arguments)
    assert (outcome.status, fault in outcome.err) == (2, True), outcome.err
    assert (tmp_path / "in" / "a.csv").read_bytes() == before
    assert {path.name for path in (tmp_path / "in").iterdir()} == {"a.csv", "b.csv.gz"}


def test_predictions_never_replace_the_history_of_the_run(
    command: Callable[..., Outcome], run: Run, hundred: DigitTable
) -> None:
    before = run.history_path.read_bytes()
    outcome = command("predict", run.folder, "in/a.csv", "--out", run.history_path)
    assert (outcome.status, "history.csv: is an input" in outcome.err) == (2, True)
    assert run.history_path.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (
            ["in", "--out", "answers.csv"],
            "answers.csv: cannot contain the predictions for 2 files; give a folder as --out",
        ),
        (
            ["in/a.csv", "--out", "a.csv", "--format", "parquet"],
            "a.csv: cannot contain parquet; give a folder as --out",
        ),
        (["in/a.csv", "--out", "in"], "in: already contains files: choose another folder, or empty it"),
        (
            ["in/a.csv", "--out", "in/b.csv.gz/answers"],
            "in/b.csv.gz/answers: cannot be written: a file exists where a folder is needed",
        ),
        (["elsewhere.csv", "--out", "answers"], "elsewhere.csv: there is no such file"),
    ],
)
def test_invalid_arguments_are_reported_before_the_start(
    arguments: list[str],
    fault: str,
    command: Callable[..., Outcome],
    run: Run,
    hundred: DigitTable,
    tmp_path: Path,
) -> None:
    outcome = command("predict", run.folder, *arguments)
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert f"error: {fault}" in outcome.err
    assert {path.name for path in tmp_path.iterdir()} == {"in"}


@pytest.mark.parametrize(("missing", "option"), [("ray", ["--engine", "ray"]), ("pyarrow", ["--format", "parquet"])])
def test_a_missing_package_is_reported_with_the_install_command(
    missing: str,
    option: list[str],
    command: Callable[..., Outcome],
    run: Run,
    hundred: DigitTable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    outcome = command("predict", run.folder, "in", "--out", "answers", *option)
    assert outcome.status == 2
    assert (
        outcome.err == f"error: {missing} is not installed; run: pip install --requirement requirements-cluster.txt\n"
    )


def test_standard_input_and_pipes_are_read(
    run: Run, hundred: DigitTable, tmp_path: Path, command: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("predict", run.folder, "in/a.csv", "--out", "file.csv").status == 0
    for name in ("-", "/dev/stdin"):
        with (tmp_path / "in" / "a.csv").open("rb") as file, monkeypatch.context() as patch:
            patch.setattr("sys.stdin", io.TextIOWrapper(file))
            assert command("predict", run.folder, name, "--out", "stdin.csv").status == 0
        assert (tmp_path / "stdin.csv").read_bytes() == (tmp_path / "file.csv").read_bytes()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_is_read_and_named(
    run: Run, hundred: DigitTable, tmp_path: Path, command: Callable[..., Outcome]
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    content = (tmp_path / "in" / "a.csv").read_text()
    for sent in (content, content + "1,2,3\n"):
        writer = Thread(target=pipe.write_text, args=(sent,))
        writer.start()
        outcome = command("predict", run.folder, "pipe", "in/b.csv.gz", "--out", "answers")
        writer.join()
        if sent is content:
            assert outcome.status == 0
            (shard,) = (tmp_path / "answers").iterdir()
            assert [line.split(",")[0] for line in shard.read_text().splitlines()[1::60]] == [str(pipe), "in/b.csv.gz"]
            shutil.rmtree(tmp_path / "answers")
        else:
            assert outcome.status == 2
            remedy = "correct it, or save it again"
            assert outcome.err == f"error: {pipe}, row 61 (line 62): 3 values, expected 784; {remedy}\n"
    assert command("evaluate", run.folder, "--on", "pipe").err.startswith("error: pipe: is a pipe or a device")


def set_in_headers(content: bytes, flags: int, method: int) -> bytes:
    """Return a zip archive with other flags and another compression method in the headers of its files."""
    changed = bytearray(content)
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        place = changed.find(signature)
        changed[place + offset : place + offset + 4] = struct.pack("<HH", flags, method)
    return bytes(changed)


@pytest.mark.parametrize(
    ("flags", "method", "fault"),
    [
        (1, 8, "test.csv is encrypted with a password"),
        (1, 99, "test.csv is encrypted with a password"),
        (0, 9, "test.csv is compressed by a method that cannot be read (type 9)"),
        (0, 93, "test.csv is compressed by a method that cannot be read (type 93)"),
    ],
)
def test_a_zip_that_cannot_be_unpacked_is_refused(
    flags: int, method: int, fault: str, run: Run, hundred: DigitTable, tmp_path: Path, command: Callable[..., Outcome]
) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "in" / "a.csv", "test.csv")
    (tmp_path / "a.zip").write_bytes(set_in_headers((tmp_path / "a.zip").read_bytes(), flags, method))
    outcome = command("predict", run.folder, "a.zip", "--out", "answers.csv")
    assert (outcome.status, outcome.err) == (
        2,
        f"error: a.zip: {fault}; unpack it, or pack it again as a plain zip\n",
    )


def test_the_case_of_the_outputs_suffix_does_not_matter(
    command: Callable[..., Outcome], run: Run, hundred: DigitTable, tmp_path: Path
) -> None:
    assert command("predict", run.folder, "in/a.csv", "--out", "A.CSV").status == 0
    assert (tmp_path / "A.CSV").read_text().startswith("ImageId,Label\n1,")
