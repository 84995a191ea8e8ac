import gzip
import shutil
import socket
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from helpers.files import csv_text, encode_idx, write_competition
from torchvision.datasets import MNIST

from pipeline import DigitTable, Source, UserError, find_source
from pipeline.sources.mnist import MIRROR_TIMEOUT_SECONDS, MNIST_FILES, answering_mirrors


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


@pytest.mark.usefixtures("no_mirrors")
@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("digit-recognizer/train.csv", "digit-recognizer/test.csv"),
        ("Train.csv", "TEST.CSV"),
        ("train.csv.txt", "test.csv.txt"),
        ("train (1).csv", "test (2).csv"),
    ],
)
def test_the_competitions_files_are_found_under_other_names(
    train: str, test: str, tmp_path: Path, digits: DigitTable
) -> None:
    write_competition(tmp_path / "kaggle", digits)
    for name, path in (("train.csv", train), ("test.csv", test)):
        (tmp_path / "data" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "kaggle" / name).rename(tmp_path / "data" / path)
    found = find_source("auto", tmp_path / "data")
    assert found.name == "competition"
    assert (len(found.read_train()), len(found.read_test())) == (30, 20)


@pytest.mark.usefixtures("no_mirrors")
@pytest.mark.parametrize("name", ["digit-recognizer (1).zip", "Digit-Recognizer.zip", "train.csv.zip"])
def test_the_competitions_archive_is_found_under_other_names(name: str, tmp_path: Path, digits: DigitTable) -> None:
    write_competition(tmp_path / "kaggle", digits)
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        for member in ("train.csv", "test.csv"):
            archive.write(tmp_path / "kaggle" / member, member)
            (tmp_path / "kaggle" / member).unlink()
    found = find_source("auto", tmp_path)
    assert (found.name, len(found.read_train())) == ("competition", 30)


@pytest.mark.usefixtures("no_mirrors")
def test_two_copies_of_the_competitions_file_are_named(tmp_path: Path, digits: DigitTable) -> None:
    write_competition(tmp_path, digits)
    (tmp_path / "train.csv").rename(tmp_path / "train (1).csv")
    shutil.copy(tmp_path / "train (1).csv", tmp_path / "train (2).csv")
    with pytest.raises(
        UserError, match=r"several files of the competition's train digits \(.*train \(1\)\.csv, .*; keep"
    ):
        find_source("auto", tmp_path)


@pytest.mark.usefixtures("no_mirrors")
@pytest.mark.parametrize("pattern", ["{}", "raw/{}", "archive/{}.gz", "{}-file/{}"])
def test_mnist_is_found_in_other_layouts(pattern: str, tmp_path: Path, digits: DigitTable) -> None:
    write_mnist(tmp_path / "torch", digits)
    for name in MNIST_FILES:
        path = tmp_path / "data" / pattern.format(name.replace("-idx", ".idx"), name)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = (tmp_path / "torch" / "MNIST" / "raw" / name).read_bytes()
        path.write_bytes(gzip.compress(content) if pattern.endswith(".gz") else content)
    for kind in ("auto", "mnist", str(tmp_path / "data")):
        found = find_source(kind, tmp_path / "data")
        assert (found.name, len(found.read_train()), len(found.read_test())) == ("mnist", 70, 70)


@pytest.mark.usefixtures("no_mirrors")
def test_fashion_in_files_named_like_mnists_is_not_mnist(tmp_path: Path, digits: DigitTable) -> None:
    write_mnist(tmp_path / "torch", digits)
    (tmp_path / "torch" / "MNIST").rename(tmp_path / "torch" / "FashionMNIST")
    assert find_source("auto", tmp_path / "torch").name == "practice"


@pytest.mark.usefixtures("no_mirrors")
def test_keras_file_is_mnist(tmp_path: Path, digits: DigitTable) -> None:
    x, y = digits.pixels, digits.known_labels
    np.savez(tmp_path / "mnist.npz", x_train=x, y_train=y, x_test=x[:40], y_test=y[:40])
    found = find_source("auto", tmp_path)
    assert (found.name, len(found.read_train()), len(found.read_test().known_labels)) == ("mnist", 1297, 40)
    assert find_source(str(tmp_path / "mnist.npz"), tmp_path).name == "files"


def test_other_files_are_a_source_by_their_path_and_described(tmp_path: Path, digits: DigitTable) -> None:
    (tmp_path / "emnist-digits-train.csv").write_text(
        csv_text(DigitTable(digits.pixels.transpose(0, 2, 1), digits.labels)).partition("\n")[2]
    )
    found = find_source(str(tmp_path), tmp_path)
    line = f"files, in {tmp_path} (requested); emnist-digits-train.csv: no header, transposed, turned upright"
    assert (str(found), len(found.read_train())) == (line, 1297)
    with pytest.raises(UserError, match="contains no test pictures"):
        found.read_test()


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


@pytest.fixture
def portal(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Start a server that answers every request with a sign-in page, as networks of hotels do; yield its URL."""

    class Portal(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = b"<!DOCTYPE html><html>Sign in to use this network</html>"
            self.send_response(200)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Portal) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setattr(MNIST, "mirrors", [url])
        yield url
        server.shutdown()


def test_a_sign_in_page_in_place_of_mnist_is_no_answer(portal: str, tmp_path: Path) -> None:
    assert answering_mirrors() == []
    assert str(find_source("auto", tmp_path)).startswith("practice, in ")
    with pytest.raises(UserError, match=r"copy its four files to .*, or use --source practice, which needs no network"):
        find_source("mnist", tmp_path)


def test_auto_takes_the_practice_set_if_the_download_of_mnist_fails(
    portal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.sources.find.answering_mirrors", lambda: [portal])  # it was reachable a moment ago
    found = find_source("auto", tmp_path)
    assert found.name == "practice"
    assert "the download of MNIST failed" in str(found)


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
