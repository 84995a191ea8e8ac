import socket
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from helpers.files import csv_text, encode_idx
from torchvision.datasets import MNIST

from pipeline import DigitTable, Source, UserError, find_source
from pipeline.sources.mnist import MIRROR_TIMEOUT_SECONDS, MNIST_FILES, answering_mirrors


@pytest.fixture
def no_mirrors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MNIST, "mirrors", [])


def write_competition(folder: Path, digits: DigitTable) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "train.csv").write_text(csv_text(digits.select(np.arange(30))))
    (folder / "test.csv").write_text(csv_text(DigitTable(digits.pixels[30:50])))


def write_mnist(folder: Path, digits: DigitTable) -> None:
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in MNIST_FILES:
        array = digits.pixels[:70] if "images" in name else digits.known_labels[:70].astype(np.uint8)
        (raw / name).write_bytes(encode_idx(array))


@pytest.mark.usefixtures("no_mirrors")
def test_auto_prefers_the_competition_then_mnist_then_practice(tmp_path: Path, digits: DigitTable) -> None:
    assert find_source("auto", tmp_path).name == "practice"
    write_mnist(tmp_path, digits)
    found = find_source("auto", tmp_path)
    assert found.name == "mnist"
    assert (len(found.read_train()), found.read_test().known_labels.dtype) == (70, np.int64)
    write_competition(tmp_path, digits)
    found = find_source("auto", tmp_path)
    assert found.name == "competition"
    assert (len(found.read_train()), len(found.read_test())) == (30, 20)
    assert found.read_test().labels is None


@pytest.mark.usefixtures("no_mirrors")
def test_a_source_states_its_reason_and_how_to_get_the_competitions_data(tmp_path: Path, digits: DigitTable) -> None:
    line = str(find_source("auto", tmp_path))
    assert "no competition files, and no mirror of MNIST answers" in line
    assert "digit-recognizer.zip from https://www.kaggle.com/competitions/digit-recognizer/data" in line
    assert "\n" not in line
    write_competition(tmp_path, digits)
    assert str(find_source("auto", tmp_path)) == f"competition, in {tmp_path} (found there)"


@pytest.mark.usefixtures("no_mirrors")
@pytest.mark.parametrize("present", ["train.csv", "test.csv"])
def test_a_single_file_of_the_competition_takes_precedence_over_other_sources(
    present: str, tmp_path: Path, digits: DigitTable
) -> None:
    write_competition(tmp_path, digits)
    (missing,) = {"train.csv", "test.csv"} - {present}
    (tmp_path / missing).unlink()
    found = find_source("auto", tmp_path)
    assert found.name == "competition"
    with pytest.raises(UserError, match=f"{missing}: there is no such file"):
        (found.read_train if missing == "train.csv" else found.read_test)()


def test_a_path_names_a_folder_or_an_archive(tmp_path: Path, digits: DigitTable) -> None:
    write_competition(tmp_path / "mine", digits)
    write_mnist(tmp_path / "theirs", digits)
    assert find_source(str(tmp_path / "mine"), tmp_path).name == "competition"
    assert find_source(str(tmp_path / "theirs"), tmp_path).name == "mnist"
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds neither train\.csv and test\.csv"):
        find_source(str(tmp_path / "empty"), tmp_path)


def test_practice_has_1297_training_rows_and_500_test_rows(practice: Source) -> None:
    train, test = practice.read_train(), practice.read_test()
    assert (len(train), len(test)) == (1297, 500)
    assert train.fingerprint.count_duplicates(test.fingerprint) == 0
    share = np.bincount(test.known_labels) / np.bincount(np.concatenate([train.known_labels, test.known_labels]))
    assert share == pytest.approx(np.full(10, 500 / 1797), abs=0.01)


def test_practice_keeps_the_test_labels_in_a_separate_file(practice: Source) -> None:
    assert (practice.path / "test.csv").read_text().startswith("pixel0,")
    assert (practice.path / "answers.csv").read_text().startswith("ImageId,Label\n1,")


def test_practice_digits_are_framed_like_mnist(practice: Source) -> None:
    pixels = practice.read_train().pixels.astype(float)
    positions = np.arange(28) + 0.5
    ink = pixels.sum(axis=(1, 2))
    for centres in (pixels.sum(axis=1) @ positions / ink, pixels.sum(axis=2) @ positions / ink):
        assert np.abs(centres - 14).max() < 1.01
    for axis in (1, 2):
        with_ink = pixels.any(axis=axis)
        first, last = with_ink.argmax(axis=1), 27 - with_ink[:, ::-1].argmax(axis=1)
        assert (last - first).max() < 20
    assert pixels.max() == 255


@pytest.mark.parametrize(
    "answers", ["", "ImageId,Nope\n1,1\n", "ImageId,Label\n1,x\n", "ImageId,Label\n1\n", 'ImageId,Label\n"1,2\n']
)
def test_damaged_practice_answers_are_named(answers: str, tmp_path: Path) -> None:
    found = find_source("practice", tmp_path)
    (found.path / "answers.csv").write_text(answers)
    with pytest.raises(
        UserError, match=r"practice/answers\.csv: missing or damaged .*; delete .*practice, and it is created again"
    ):
        found.read_test()


def test_practice_is_created_once(practice: Source) -> None:
    before = (practice.path / "train.csv").stat().st_mtime_ns
    find_source("practice", practice.path.parent)
    assert (practice.path / "train.csv").stat().st_mtime_ns == before


@pytest.fixture
def silent_mirror() -> Iterator[str]:
    """Start a server that accepts connections and never answers; yield its URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


def test_a_mirror_that_never_answers_times_out(silent_mirror: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MNIST, "mirrors", [silent_mirror, silent_mirror, silent_mirror])
    started = time.monotonic()
    assert answering_mirrors() == []
    assert time.monotonic() - started < MIRROR_TIMEOUT_SECONDS + 2


@pytest.mark.usefixtures("no_mirrors")
def test_unreachable_mnist_is_reported_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none of its mirrors answers: copy its four files to"):
        find_source("mnist", tmp_path)


def test_a_failed_download_of_mnist_is_reported(
    tmp_path: Path, silent_mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.sources.mnist.answering_mirrors", lambda: [silent_mirror])
    monkeypatch.setattr("pipeline.sources.mnist.MIRROR_TIMEOUT_SECONDS", 0.1)
    before = MNIST.mirrors
    with pytest.raises(UserError, match="the download of MNIST failed"):
        find_source("mnist", tmp_path)
    assert MNIST.mirrors is before
