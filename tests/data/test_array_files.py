"""Files of arrays and folders of pictures, as people have them."""

import gzip
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.files import csv_text
from helpers.formats import (
    write_emnist,
    write_idx,
    write_keras,
    write_libsvm,
    write_matlab_7,
    write_mnist_original,
    write_npy,
    write_pictures,
    write_positional,
    write_usps,
    zip_folder,
)
from PIL import Image
from sklearn.datasets import load_digits

from pipeline import DigitTable, UserError
from pipeline.data.formats import open_digits, open_labelled


@pytest.fixture(scope="module")
def table(digits: DigitTable) -> DigitTable:
    return digits.select(np.arange(60))


FILES: dict[str, Callable[[Path, DigitTable], None]] = {
    "Keras' mnist.npz": write_keras,
    "npz without names": write_positional,
    "npy with the label first": write_npy,
    "EMNIST's .mat": write_emnist,
    "mnist-original.mat": write_mnist_original,
    "usps.h5": write_usps,
    "MATLAB 7.3": write_matlab_7,
    "LIBSVM": write_libsvm,
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_of_arrays_is_read_whatever_its_name(kind: str, digits: DigitTable, tmp_path: Path) -> None:
    table = digits.select(np.arange(200))
    path = tmp_path / "download"
    FILES[kind](path, table)
    found = open_digits(path).read(labels_required=True)
    assert np.array_equal(found.pixels, table.pixels)
    assert np.array_equal(found.known_labels, table.known_labels)


@pytest.mark.parametrize("kind", ["Keras' mnist.npz", "EMNIST's .mat", "usps.h5"])
def test_the_test_rows_of_a_file_are_separate_and_used_for_evaluation(
    kind: str, table: DigitTable, tmp_path: Path
) -> None:
    FILES[kind](tmp_path / "download", table)
    assert len(open_digits(tmp_path / "download", "test").read(labels_required=False)) == 9
    assert len(open_labelled(tmp_path / "download").read(labels_required=True)) == 9


def test_hdf5_needs_h5py_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "usps.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"usps\.h5: to read HDF5, run: pip install h5py"):
        open_digits(path).read(labels_required=True)


def test_hdf5_whose_shape_asks_for_all_memory_is_damaged(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "usps.h5", "w") as file:
        file.create_dataset("train/data", (10**10, 784), np.uint8, chunks=(1000, 784))
    with pytest.raises(UserError, match=r"usps\.h5: is damaged, .*train/data of shape .* is stored in 0 bytes"):
        open_digits(tmp_path / "usps.h5").read(labels_required=True)


def test_an_array_of_hdf5_that_was_never_written_does_no_harm(table: DigitTable, tmp_path: Path) -> None:
    write_usps(tmp_path / "usps.h5", table)
    with h5py.File(tmp_path / "usps.h5", "a") as file:
        file.create_dataset("train/weights", (len(table), 10), np.float32)
    assert np.array_equal(open_digits(tmp_path / "usps.h5").read(labels_required=True).pixels, table.pixels)


@pytest.mark.parametrize("shape", [(-1, 28, 28, 1), (-1, 1, 28, 28), (-1, 784)])
def test_images_of_any_usual_shape_are_read_with_the_labels_next_to_them(
    shape: tuple[int, ...], table: DigitTable, tmp_path: Path
) -> None:
    np.save(tmp_path / "X_train.npy", table.pixels.reshape(shape).astype(np.float32) / 127.5 - 1)
    np.save(tmp_path / "y_train.npy", table.known_labels)
    for path in (tmp_path / "X_train.npy", tmp_path):
        found = open_digits(path)
        assert np.array_equal(found.read(labels_required=True).pixels, table.pixels)
        assert np.array_equal(found.read(labels_required=True).known_labels, table.known_labels)
        assert found.notes() == ["values -1 to 1, scaled to 0 to 255"]


@pytest.mark.parametrize("rows", [784, 1024, 1000])
def test_a_table_of_labels_and_pixels_is_read_by_rows_whatever_their_number(
    rows: int, table: DigitTable, tmp_path: Path
) -> None:
    chosen = np.arange(rows) % len(table)
    values = np.column_stack([table.known_labels[chosen], table.pixels[chosen].reshape(rows, -1)])
    np.save(tmp_path / "train.npy", values)
    found = open_digits(tmp_path / "train.npy").read(labels_required=True)
    assert np.array_equal(found.pixels, table.pixels[chosen])
    assert np.array_equal(found.known_labels, table.known_labels[chosen])


def test_images_of_another_size_are_framed(tmp_path: Path) -> None:
    small = load_digits()
    np.savez(tmp_path / "digits.npz", data=small.data, target=small.target)
    found = open_digits(tmp_path / "digits.npz")
    pixels = found.read(labels_required=True).pixels
    assert found.notes() == ["8x8 pixels, framed to 28x28", "values 0 to 16, scaled to 0 to 255"]
    rows, columns = (np.flatnonzero((pixels > 60).any(axis=axis).any(axis=0)) for axis in (2, 1))
    assert (np.ptp(rows) < 27, np.ptp(columns) < 27, pixels.shape) == (True, True, (1797, 28, 28))


@pytest.mark.parametrize(
    ("arrays", "fault"),
    [
        (
            {"x": np.zeros((5, 28, 28)), "y": np.array([0, 1, 2, 3, 23])},
            "label 23 of image 5 is outside 0 to 9; sets with",
        ),
        (
            {"x": np.zeros((10, 28, 28)), "y": np.arange(1, 11)},
            "the labels are 1 to 10; in some sets 10 is the digit 0",
        ),
        ({"x": np.zeros((5, 28, 28)), "y": np.arange(4)}, "4 labels for 5 images"),
        ({"x": np.zeros((2, 28, 28)), "y": np.array(["seven", "1"])}, "the labels are not digits .*'seven'"),
        ({"x": np.full((5, 28, 28), 300)}, "image 1: pixel 0: 300 is outside 0 to 255"),
        ({"x": np.full((5, 28, 28), np.nan)}, "image 1: pixel 0: nan is outside 0 to 255"),
        ({"x": np.zeros((5, 27, 28))}, r"images of shape \(5, 27, 28\) are not square images"),
        ({"a": np.zeros((5, 28, 28)), "b": np.zeros((5, 28, 28))}, "a and b may all be the images"),
        ({"w": np.zeros(3)}, r"holds no training images \(it holds w\)"),
        ({"x": np.array([{}] * 300, dtype=object).reshape(3, 100)}, "Object arrays cannot be loaded"),
    ],
)
def test_arrays_that_are_no_digits_are_refused_in_one_line(
    arrays: dict[str, np.ndarray], fault: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "digits.npz", **arrays)
    with pytest.raises(UserError, match=rf"digits\.npz.*{fault}") as error:
        open_digits(tmp_path / "digits.npz").read(labels_required=False)
    assert "kaggle" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    for name, content in (("mnist.pkl", pickle.dumps(1)), ("mnist.pkl.gz", gzip.compress(pickle.dumps(1)))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match="is a pickle, which may run any code and is not loaded"):
            open_digits(tmp_path / name)


def test_an_idx_file_is_read_with_the_labels_next_to_it(table: DigitTable, tmp_path: Path) -> None:
    write_idx(tmp_path / "emnist-digits", table, ".", zipped=True)
    for path in (tmp_path / "emnist-digits" / "train-images.idx3-ubyte.gz", tmp_path / "emnist-digits", tmp_path):
        found = open_digits(path).read(labels_required=True)
        assert np.array_equal(found.pixels, table.pixels)
        assert np.array_equal(found.known_labels, table.known_labels)


@pytest.mark.parametrize("inverted", [False, True])
def test_pictures_in_folders_named_after_digits_are_read(inverted: bool, table: DigitTable, tmp_path: Path) -> None:
    write_pictures(tmp_path / "training", table, inverted=inverted)
    write_pictures(tmp_path / "testing", table.select(np.arange(9)), inverted=inverted)
    order = np.argsort(table.known_labels, kind="stable")
    found = open_digits(tmp_path)
    assert np.array_equal(found.read(labels_required=True).pixels, table.pixels[order])
    assert np.array_equal(found.read(labels_required=True).known_labels, table.known_labels[order])
    assert found.notes() == ["black on white, inverted"] * inverted
    assert len(open_labelled(tmp_path).read(labels_required=True)) == 9


def test_pictures_of_other_sizes_are_framed(table: DigitTable, tmp_path: Path) -> None:
    for row in range(12):
        folder = tmp_path / str(table.known_labels[row])
        folder.mkdir(exist_ok=True)
        page = Image.new("L", (120 + row, 100), "white")
        page.paste(Image.fromarray(255 - table.pixels[row]).resize((84, 84)), (5, 3 + row % 5))
        page.save(folder / f"{row}.jpg")
    found = open_digits(tmp_path).read(labels_required=True)
    order = np.argsort(table.known_labels[:12], kind="stable")
    same, other = (np.abs(found.pixels[::step] - table.pixels[:12][order].astype(float)).mean() for step in (1, -1))
    assert same < 22 < 30 < other


def test_a_picture_in_no_folder_of_a_digit_is_named(table: DigitTable, tmp_path: Path) -> None:
    write_pictures(tmp_path, table)
    Image.new("L", (28, 28)).save(tmp_path / "odd.png")
    with pytest.raises(UserError, match=r"odd\.png: is in no folder named after a digit, unlike 60 other pictures"):
        open_digits(tmp_path).read(labels_required=True)


def test_archives_of_pictures_of_idx_files_and_of_one_csv_are_read(table: DigitTable, tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures", table)
    write_idx(tmp_path / "idx", table)
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "mnist_train.csv").write_text(csv_text(table))
    (tmp_path / "csv" / "mnist_test.csv").write_text(csv_text(table.select(np.arange(9))))
    for kind in ("pictures", "idx", "csv"):
        zip_folder(tmp_path / kind, tmp_path / f"{kind}.zip")
        found = open_digits(tmp_path / f"{kind}.zip").read(labels_required=True)
        assert found.fingerprint.digest == table.fingerprint.digest
        assert np.bincount(found.known_labels).tolist() == np.bincount(table.known_labels).tolist()


def test_several_files_of_a_part_are_named(table: DigitTable, tmp_path: Path) -> None:
    for name in ("emnist-digits-train.csv", "emnist-mnist-train.csv"):
        (tmp_path / name).write_text(csv_text(table))
    with pytest.raises(UserError, match=r"several files of train digits \(emnist-digits-train.csv, emnist-mnist"):
        open_digits(tmp_path)
