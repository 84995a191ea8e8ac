"""Files of digits that are read at once: arrays in NumPy, MATLAB, HDF5 and LIBSVM files, decoded to a DigitTable."""

import gzip
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.lib.format import read_array
from numpy.typing import NDArray

from pipeline.data.columns import ColumnError, count_columns
from pipeline.data.csv_file import CHUNK_ROWS
from pipeline.data.matlab import read_mat
from pipeline.data.pixel_format import SIDES, PixelFormat, detect_format
from pipeline.data.table import DigitTable
from pipeline.digits import CLASSES, SIDE, Labels
from pipeline.errors import UserError
from pipeline.utils.files import open_member
from pipeline.utils.workers import deal

Part = Literal["train", "test"]
"""Training rows or test rows, of a file that may contain both."""
PART_WORDS = {"train": "train", "training": "train", "test": "test", "testing": "test", "t10k": "test"}
LABEL_WORDS = {"label", "labels", "y", "target", "targets", "class", "classes"}
SIZES = [side * side for side in SIDES]


class Arrays(NamedTuple):
    """The content of a file.

    Attributes:
        images: numbers, (N, 28, 28) or another shape that `_to_rows` accepts.
        labels: labels of any shape and type that `_to_labels` accepts, or None.
        names: the name of the file of each image, or None.
    """

    images: NDArray[Any]
    labels: NDArray[Any] | None = None
    names: list[str] | None = None


@dataclass(frozen=True)
class ArrayFile:
    """A file, or a folder of pictures, whose images are read at once.

    Attributes:
        path: the file or folder.
        load: returns its arrays.
        part: which rows to read, if it contains training and test rows.
        known_format: the format of the pixels, if it is known; otherwise it is detected.
    """

    path: Path
    load: Callable[[Path, Part], Arrays]
    part: Part = "train"
    known_format: PixelFormat | None = None

    def __str__(self) -> str:
        return str(self.path)

    def read(self, *, labels_required: bool) -> DigitTable:
        """Return all rows as one table.

        Raises:
            UserError: the file is missing or damaged; its arrays are not images and labels; a value is out of range;
                it has no labels, and they are required.
        """
        table = self._table
        if labels_required and table.labels is None:
            raise UserError(f"{self}: has no labels; choose a file with labels")
        return table

    def chunks(self, *, labels_required: bool = False) -> Iterator[DigitTable]:
        """Yield the rows in order, CHUNK_ROWS at a time; raises the errors of `read`."""
        table = self.read(labels_required=labels_required)
        for start in range(0, len(table), CHUNK_ROWS):
            labels = None if table.labels is None else table.labels[start : start + CHUNK_ROWS]
            yield DigitTable(table.pixels[start : start + CHUNK_ROWS], labels)

    def parts(self) -> list["ArrayFile"]:
        """Return the file itself: it is one part."""
        return [self]

    def notes(self) -> list[str]:
        """Return what differs from MNIST's format, in words; raises the errors of `read`."""
        rows, _ = self._rows
        return self.pixel_format().notes(rows.shape[1])

    def pixel_format(self) -> PixelFormat:
        """Return the format of the pixels; raises the errors of `read`."""
        rows, labels = self._rows
        return self.known_format or detect_format(rows, labels, rows.min(), rows.max())

    @property
    def names(self) -> list[str] | None:
        """The name of the file of each image, if each has its own."""
        return self._arrays.names

    @cached_property
    def _arrays(self) -> Arrays:
        """The arrays, as they are stored."""
        try:
            return self.load(self.path, self.part)
        except FileNotFoundError:
            raise UserError(f"{self}: there is no such file; check its name") from None
        except UserError:
            raise
        except Exception as error:  # readers raise almost any exception on damaged data
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(f"{self}: is damaged, or not what it seems to be ({reason}); save it again") from None

    @cached_property
    def _rows(self) -> tuple[NDArray[Any], Labels | None]:
        """The images as numbers, (N, side * side), and their labels."""
        images, labels, _ = self._arrays
        rows, labels = _to_rows(images, labels, str(self))
        if not len(rows):
            raise UserError(f"{self}: contains no images; choose another file")
        return rows, None if labels is None else _to_labels(labels, len(rows), str(self))

    @cached_property
    def _table(self) -> DigitTable:
        """The table."""
        rows, labels = self._rows
        form = self.pixel_format()
        if not form.within_bounds(rows):
            _raise_out_of_range(rows, form, str(self))
        return DigitTable(form.decode(rows), labels)


def _to_rows(images: NDArray[Any], labels: NDArray[Any] | None, name: str) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return images as numbers, (N, side * side), with their labels, which may be a column of the images."""
    shape = images.shape
    if images.dtype.kind not in "buif":
        raise UserError(f"{name}: the images are of type {images.dtype}; save them as numbers")
    images = images.astype(np.uint8) if images.dtype.kind == "b" else images
    if images.ndim == 4 and 1 in {shape[1], shape[3]}:
        images = images[:, 0] if shape[1] == 1 else images[..., 0]
    elif images.ndim == 4 and shape[3] == 3:
        images = images.mean(axis=3)
    if images.ndim == 3 and images.shape[0] == images.shape[1] != images.shape[2]:
        images = images.transpose(2, 0, 1)  # MATLAB's order
    if images.ndim == 2 and images.shape == (SIDE, SIDE) and labels is None:
        images = images[np.newaxis]
    if images.ndim == 3 and images.shape[1] == images.shape[2]:
        images = images.reshape(len(images), -1)
    count = None if labels is None else max(labels.shape, default=0)
    if images.ndim == 2 and images.shape[0] in SIZES and (images.shape[1] not in SIZES or images.shape[1] == count):
        images = images.T
    if images.ndim == 2 and images.shape[1] in SIZES:
        return images, labels
    if images.ndim == 2 and labels is None:
        try:
            layout = count_columns(images, labels_required=True)
        except ColumnError:
            pass
        else:
            return layout.split(images[:, layout.used])
    raise UserError(f"{name}: images of shape {shape} are not square images; reshape them to (N, {SIDE}, {SIDE})")


def _to_labels(labels: NDArray[Any], count: int, name: str) -> Labels:
    """Return labels as digits, int64 (N,): of any number type or as text, in one row or column, or one-hot."""
    if labels.dtype.kind in "SUO":
        labels = labels.astype(str).astype(np.float64)
    if labels.ndim == 2 and CLASSES in labels.shape and labels.size == CLASSES * count:
        labels = labels if labels.shape == (count, CLASSES) else labels.T
        if not ((labels == labels.max()).sum(axis=1) == 1).all():
            raise UserError(f"{name}: a row of the one-hot labels does not name one digit; correct it")
        labels = labels.argmax(axis=1)
    if labels.size != count:
        raise UserError(f"{name}: {labels.size} labels for {count} images; save both again")
    flat = labels.reshape(count)
    digits: Labels = flat.astype(np.int64)
    faulty = np.flatnonzero((digits != flat) | (digits < 0) | (digits >= CLASSES))
    if not len(faulty):
        return digits
    if digits.min() == 1 and digits.max() == CLASSES:
        raise UserError(
            f"{name}: the labels are 1 to 10; in some sets 10 is the digit 0, in others every label is one too large: "
            "save them as 0 to 9"
        )
    raise UserError(
        f"{name}: label {flat[faulty[0]]:g} of image {faulty[0] + 1} is outside 0 to 9; sets with letters, such as "
        "EMNIST's, have other labels: choose a set of digits"
    )


def _raise_out_of_range(rows: NDArray[Any], form: PixelFormat, name: str) -> None:
    """Raise a UserError about the first value outside the range of a format."""
    lowest, highest = form.bounds
    row, pixel = np.argwhere(~((rows >= lowest) & (rows <= highest)))[0]
    raise UserError(
        f"{name}, image {row + 1}: pixel {pixel}: {rows[row, pixel]:g} is outside {lowest:g} to {highest:g}; correct it"
    )


def words_of(name: str) -> set[str]:
    """Return the words in a name, in lower case: "trainingSet/y_train.npy" has training, set, y, train and npy."""
    return {word.lower() for word in re.findall(r"t10k|[A-Z]?[a-z]+|[A-Z]+", name)}


def part_of(name: str) -> str | None:
    """Return "train" or "test" if a name contains a word for one of them, else None."""
    parts = {PART_WORDS[word] for word in words_of(name) if word in PART_WORDS}
    return parts.pop() if len(parts) == 1 else None


def pick_arrays(named: dict[str, NDArray[Any]], part: Part, name: str) -> Arrays:
    """Return the images and labels among the arrays of a file.

    Names with the word train or test divide the arrays; labels are recognised by their names, or by their shape.

    Raises:
        UserError: there are no images, or several arrays may be the images.
    """
    parts = {key: part_of(key) for key in named}
    if any(parts.values()):
        named = {key: array for key, array in named.items() if parts[key] == part}
    images = {key: array for key, array in named.items() if array.ndim > 1 and not words_of(key) & LABEL_WORDS}
    images = {key: array for key, array in images.items() if _may_be_images(array.shape)}
    if not images:
        held = ", ".join(list(parts)[:5]) or "nothing"
        raise UserError(f"{name}: holds no {'test' if part == 'test' else 'training'} images (it holds {held})")
    if len(images) > 1:
        raise UserError(f"{name}: {' and '.join(list(images)[:3])} may all be the images; save one of them")
    (key, pixels), *_ = images.items()
    others = {other: array for other, array in named.items() if other != key and array.size > 1}
    labels = [array for other, array in others.items() if words_of(other) & LABEL_WORDS]
    if not labels:
        sizes = {factor * count for factor in (1, CLASSES) for count in (pixels.shape[0], pixels.shape[-1])}
        labels = [array for array in others.values() if array.size in sizes]
    if len(labels) > 1:
        raise UserError(f"{name}: {' and '.join(list(others)[:3])} may all be the labels; save one of them")
    return Arrays(pixels, labels[0] if labels else None)


def _may_be_images(shape: tuple[int, ...]) -> bool:
    """Return whether an array of this shape may be images, rather than labels."""
    if len(shape) != 2:
        return len(shape) > 2
    return shape[1] in SIZES or shape[1] - 1 in SIZES or (shape[0] in SIZES and shape[1] > CLASSES)


def load_npz(path: Path, part: Part) -> Arrays:
    """Return the arrays of an .npz file, such as Keras' mnist.npz. Pickled arrays are refused."""
    named: dict[str, NDArray[Any]] = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with open_member(archive, name) as file:
                named[name.removesuffix(".npy")] = read_array(file, allow_pickle=False)
    return pick_arrays(named, part, str(path))


def load_npy(path: Path, part: Part) -> Arrays:
    """Return the images of an .npy file, with the labels of the file that is named alike, such as y_train.npy."""
    arrays = []
    for each in (path, find_labels(path)):
        if each is not None:
            with each.open("rb") as file:
                arrays.append(read_array(file, allow_pickle=False))
    return Arrays(arrays[0], arrays[1] if len(arrays) > 1 else None)


def find_labels(path: Path) -> Path | None:
    """Return the file next to a file of images that is named like it but for the word for labels, or None."""

    def normalise(name: str) -> str:
        return re.sub(r"[^a-z0-9]|\.gz$", "", name.lower())

    name = path.name
    wanted = set()
    for images, labels in (
        ("images", "labels"),
        ("image", "label"),
        ("x", "y"),
        ("data", "labels"),
        ("data", "target"),
    ):
        pattern = rf"(?<![a-z]){images}(?![a-z])"
        changed = re.sub(pattern, labels, name.lower()).replace("idx3", "idx1")
        if changed != name.lower().replace("idx3", "idx1"):
            wanted.add(normalise(changed))
    return next((file for file in sorted(path.parent.iterdir()) if normalise(file.name) in wanted), None)


def load_mat(path: Path, part: Part) -> Arrays:
    """Return the arrays of a MATLAB file, such as EMNIST's.

    SciPy's reader can crash on a damaged file, and therefore runs in a process of its own.
    """
    (outcome,) = deal(read_mat, [path], 1)
    if outcome.result is None:
        raise ValueError(f"reading it ended with {outcome.death}")
    return pick_arrays(outcome.result, part, str(path))


def load_h5(path: Path, part: Part) -> Arrays:
    """Return the arrays of an HDF5 file, such as usps.h5 with the groups train and test; needs h5py."""
    try:
        h5py = import_module("h5py")
    except ModuleNotFoundError:
        raise UserError(f"{path}: to read HDF5, run: pip install h5py") from None
    named: dict[str, NDArray[Any]] = {}

    def collect(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "buif":
            named[name] = item[()]

    with h5py.File(path) as file:
        file.visititems(collect)
    return pick_arrays(named, part, str(path))


def load_libsvm(path: Path, part: Part) -> Arrays:
    """Return the rows of a text file in LIBSVM's format, `label index:value ...`, plain or gzipped."""
    from sklearn.datasets import load_svmlight_file

    content = path.read_bytes()
    opener: Any = gzip.open if content.startswith(b"\x1f\x8b") else Path.open
    with opener(path, "rb") as file:
        values, labels = load_svmlight_file(file)
    size = next((size for size in sorted(SIZES) if size >= values.shape[1] > 0.9 * size or size == SIDE * SIDE), 0)
    if values.shape[1] > size:
        raise UserError(f"{path}: {values.shape[1]} values per row, expected up to {size}; choose a file of images")
    values.resize(values.shape[0], size)
    return Arrays(values.toarray(), labels)
