"""Where tables come from: the competition's files, MNIST, or the practice set, which needs no network."""

import csv
import socket
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic

import numpy as np

from pipeline.data.csv_file import PIXEL_COLUMNS, CsvFile, read_idx
from pipeline.data.table import SIDE, DigitTable, Pixels
from pipeline.errors import UserError, did_you_mean
from pipeline.kaggle import competition as kaggle
from pipeline.kaggle import credentials
from pipeline.kaggle.competition import ARCHIVE
from pipeline.utils.files import require_writable, written_whole

COMPETITION = "https://www.kaggle.com/competitions/digit-recognizer/data"
KINDS = ["auto", "kaggle", "mnist", "pendigits", "practice"]
MIRROR_SECONDS = 4.0
"""How long a mirror may take to answer before MNIST counts as out of reach."""

MNIST_FILES = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
]
PRACTICE_TEST_ROWS = 500


@dataclass(frozen=True)
class Source:
    """A place that tables can be read from; nothing is read until it is asked for.

    Attributes:
        name: "competition", "mnist", "pendigits" or "practice".
        place: the file or folder that holds it.
        reason: why it was taken, for the line that says so.
        read_train: the rows to learn from, with labels; read once, and kept.
        read_test: the rows to predict, in their order; with labels where the answers are known.
        home: the folder for data, where what a recipe trains on beside the source is kept too.
    """

    name: str
    place: Path
    reason: str
    read_train: Callable[[], DigitTable]
    read_test: Callable[[], DigitTable]
    home: Path = Path("data")

    def __post_init__(self) -> None:
        object.__setattr__(self, "read_train", cache(self.read_train))

    def __str__(self) -> str:
        line = f"{self.name}, in {self.place} ({self.reason})"
        if self.name == "competition":
            return line
        return f"{line}; the competition's own: {ARCHIVE} from {COMPETITION} into data/"


def find_source(kind: str, data: Path) -> Source:
    """Return the source that `kind` means, fetching or making its files where they are missing.

    Args:
        kind: "auto" takes the first of these that there is: the competition's files in `data`, or from Kaggle where
            there are credentials; MNIST in `data` or from its mirrors; the practice set. "kaggle", "mnist",
            "pendigits" and "practice" name one. Anything else is a path: an archive or a folder that holds the
            competition's files or MNIST.
        data: the folder for data.

    Raises:
        UserError: the source that was asked for is not there and cannot be fetched.
    """
    return replace(located(kind, data), home=data)


def located(kind: str, data: Path) -> Source:
    """Return the source that `kind` means, as `find_source` takes it."""
    if kind == "pendigits":
        return pen_drawings(data)
    if kind == "practice":
        return practice(data / "practice", "asked for")
    if kind == "mnist":
        return mnist(data, "asked for")
    if kind == "kaggle":
        return from_kaggle(data)
    if kind != "auto":
        return at_path(Path(kind))
    if holds_competition(data):
        return competition(data, "found there")
    missing = f"{data} holds no competition files"
    if credentials.find_credentials():
        try:
            return from_kaggle(data)
        except UserError as error:
            missing += f"; {error}"
    if holds_mnist(data):
        return mnist(data, f"found there; {missing}")
    mirrors = answering_mirrors()
    if mirrors:
        return mnist(data, f"{missing}; a mirror of MNIST answers", mirrors)
    return practice(data / "practice", f"{missing}, and no mirror of MNIST answers")


def from_kaggle(data: Path) -> Source:
    """Return the competition's files in `data`, downloaded by Kaggle's client where one of them is missing."""
    if all(competition_file(data, name).path.exists() for name in ("train.csv", "test.csv")):
        return competition(data, "found there")
    kaggle.download(data)
    return competition(data, "downloaded from Kaggle")


def at_path(path: Path) -> Source:
    """Return the source in a folder or archive that the user names."""
    if holds_competition(path):
        return competition(path, "asked for")
    if holds_mnist(path):
        return mnist(path, "asked for")
    if path.exists():
        raise UserError(f"{path}: holds neither train.csv and test.csv, nor {ARCHIVE}, nor MNIST/raw")
    raise UserError(
        f"--source {path}: no such file or folder{did_you_mean(str(path), KINDS)} (give {', '.join(KINDS)} or a path)"
    )


def holds_competition(place: Path) -> bool:
    """Tell whether a place is an archive, or a folder with at least one of the competition's files."""
    names = ("train.csv", "train.csv.gz", "test.csv", "test.csv.gz", ARCHIVE)
    return place.is_file() or any((place / name).exists() for name in names)


def competition(place: Path, reason: str) -> Source:
    """Return Kaggle's files in a folder (plain, .gz or in the archive), or in an archive."""
    train, test = (competition_file(place, name) for name in ("train.csv", "test.csv"))
    return Source(
        "competition",
        train.path if train.path == test.path else place,
        reason,
        lambda: train.read(labels_required=True),
        lambda: test.read(labels_required=False),
    )


def competition_file(place: Path, name: str) -> CsvFile:
    """Return where one of Kaggle's files lies; a plain one wins over a packed one."""
    for path in (place / name, place / f"{name}.gz", place / ARCHIVE):
        if path.exists():
            return CsvFile(path, name)
    return CsvFile(place if place.is_file() else place / name, name)


def holds_mnist(folder: Path) -> bool:
    """Tell whether a folder holds MNIST's four files as torchvision lays them out."""
    return all((folder / "MNIST" / "raw" / name).exists() for name in MNIST_FILES)


def mnist(folder: Path, reason: str, mirrors: list[str] | None = None) -> Source:
    """Return MNIST's 60,000 and 10,000 digits, downloaded by torchvision into `folder` if they are not there."""
    if not holds_mnist(folder):
        download_mnist(folder, mirrors or answering_mirrors())
    raw = folder / "MNIST" / "raw"
    return Source(
        "mnist",
        raw,
        reason,
        lambda: read_idx(raw / MNIST_FILES[0], raw / MNIST_FILES[1]),
        lambda: read_idx(raw / MNIST_FILES[2], raw / MNIST_FILES[3]),
    )


def download_mnist(folder: Path, mirrors: list[str]) -> None:
    """Fetch MNIST's files from the first mirror that has them."""
    if not mirrors:
        raise UserError(
            f"MNIST is not in {folder} and none of its mirrors answers: put its four files into {folder}/MNIST/raw, "
            "or take --source practice, which needs no network"
        )
    require_writable(folder / "MNIST" / "raw" / MNIST_FILES[0])
    from torchvision.datasets import MNIST

    # torchvision takes the mirrors, and the name of the folder, from the class.
    from_mirrors = type("MNIST", (MNIST,), {"mirrors": mirrors})
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(5 * MIRROR_SECONDS)  # torchvision sets no time limit of its own
    try:
        from_mirrors(str(folder), download=True)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"{folder}: the download of MNIST failed ({error}); try again, or take --source practice"
        ) from None
    finally:
        socket.setdefaulttimeout(patience)


def answering_mirrors() -> list[str]:
    """Return those of torchvision's MNIST mirrors that answer within MIRROR_SECONDS, all asked at once."""
    from torchvision.datasets import MNIST

    answers: SimpleQueue[str | None] = SimpleQueue()

    def ask(mirror: str) -> None:
        try:
            with urllib.request.urlopen(f"{mirror}{MNIST_FILES[3]}.gz", timeout=MIRROR_SECONDS) as response:
                response.read()
            answers.put(mirror)
        except OSError:
            answers.put(None)

    # Threads that are not waited for: looking a name up has no time limit of its own.
    for mirror in MNIST.mirrors:
        threading.Thread(target=ask, args=[mirror], daemon=True).start()
    deadline = monotonic() + MIRROR_SECONDS
    found = []
    for _ in MNIST.mirrors:
        try:
            found.append(answers.get(timeout=max(0.0, deadline - monotonic())))
        except Empty:
            break
    return [mirror for mirror in MNIST.mirrors if mirror in found]


def pen_drawings(data: Path) -> Source:
    """Return the pen drawings of UCI's set 81, framed: those to learn from, and those that are held out."""
    from pipeline.sources import pendigits

    return Source(
        "pendigits",
        pendigits.PENDIGITS.find(data),
        "asked for",
        lambda: pendigits.drawn_anew(pendigits.drawings(data)[0], 1, seed=0),
        lambda: pendigits.drawn_anew(pendigits.drawings(data)[1], 1, seed=0),
    )


def practice(folder: Path, reason: str) -> Source:
    """Return scikit-learn's 1,797 real digits as a competition: 1,297 to learn from, 500 whose answers are kept apart.

    The files are in Kaggle's format, so that a newcomer sees what an entrant sees; `answers.csv` is what the 500 are.
    """
    answers = folder / "answers.csv"
    if not all((folder / name).exists() for name in ("train.csv", "test.csv", "answers.csv")):
        write_practice(folder)

    def read_test() -> DigitTable:
        table = CsvFile(folder / "test.csv").read(labels_required=False)
        try:
            with answers.open(newline="") as file:
                labels = [int(row["Label"]) for row in csv.DictReader(file)]
            return DigitTable(table.pixels, np.array(labels, dtype=np.int64))
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{answers}: damaged ({error}); delete {folder}, which will be made again") from None

    files = competition(folder, reason)
    return Source("practice", folder, reason, files.read_train, read_test)


def write_practice(folder: Path) -> None:
    """Make the practice set's files: the UCI "Optical Recognition of Handwritten Digits" test part (set 80)."""
    from sklearn.datasets import load_digits

    bundle = load_digits()
    frames = np.stack([framed(image) for image in bundle.images])
    table = DigitTable(frames, bundle.target.astype(np.int64))
    train, test = table.split(PRACTICE_TEST_ROWS / len(table), seed=0)
    assert train.labels is not None and test.labels is not None
    rows = np.column_stack([train.labels, train.pixels.reshape(len(train), -1)])
    write_csv(folder / "train.csv", ["label", *PIXEL_COLUMNS], rows)
    write_csv(folder / "test.csv", PIXEL_COLUMNS, test.pixels.reshape(len(test), -1))
    write_csv(folder / "answers.csv", ["ImageId", "Label"], np.column_stack([np.arange(1, len(test) + 1), test.labels]))


def framed(image: np.ndarray) -> Pixels:
    """Return a digit of 8x8 values 0 to 16 as MNIST frames one: 20x20, its centre of mass in the middle of 28x28."""
    from PIL import Image

    small = Image.fromarray((image * (255 / 16)).astype(np.uint8))
    large = np.asarray(small.resize((20, 20), Image.Resampling.BICUBIC), dtype=np.float64)
    places = np.arange(20) + 0.5
    middle = [large.sum(axis=1) @ places / large.sum(), large.sum(axis=0) @ places / large.sum()]
    top, left = (int(np.clip(round(SIDE / 2 - centre), 0, SIDE - 20)) for centre in middle)
    frame = np.zeros((SIDE, SIDE), dtype=np.uint8)
    frame[top : top + 20, left : left + 20] = large
    return frame


def write_csv(path: Path, columns: list[str], rows: np.ndarray) -> None:
    """Write whole numbers under a header."""
    with written_whole(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows.tolist())
