"""MNIST: 60,000 training and 10,000 test digits, downloaded by torchvision."""

import re
import threading
import urllib.request
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic

from pipeline.data.arrays.idx import read_idx
from pipeline.errors import UserError, quote
from pipeline.sources.download import require_sha256
from pipeline.sources.files import files_source
from pipeline.sources.source import Source
from pipeline.utils.files import require_writable
from pipeline.utils.sockets import default_socket_timeout

MIRROR_TIMEOUT_SECONDS = 4.0
"""Time in which a mirror must answer; otherwise MNIST counts as unreachable."""

MNIST_FILES = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""SHA-256 of the four files that torchvision extracts."""

GZIP_MAGIC = b"\x1f\x8b"
"""First bytes of the files on the mirrors."""
KERAS_FILE = "mnist.npz"
"""MNIST as Keras stores it."""
OTHER_SETS = re.compile("fashion|kmnist|kuzushiji|emnist|qmnist", re.IGNORECASE)
"""Names of folders with other images in files that are named like MNIST's."""


class UnreachableError(UserError):
    """Raised if MNIST's files are missing and cannot be downloaded."""


def holds_mnist(folder: Path) -> bool:
    """Return whether a folder contains MNIST: its four files, see `find_mnist`, or Keras' mnist.npz."""
    return find_mnist(folder) is not None or (folder / KERAS_FILE).is_file()


def find_mnist(folder: Path) -> list[Path] | None:
    """Return MNIST's four files in a folder in the order of MNIST_FILES, or None if one is missing.

    torchvision's layout, MNIST/raw, takes precedence. Otherwise the files may be in the folder or up to two folders
    deeper, compressed with gzip, and named with a dot, such as train-images.idx3-ubyte.
    """
    for raw in (folder / "MNIST" / "raw", folder):
        if all((raw / name).is_file() for name in MNIST_FILES):
            return [raw / name for name in MNIST_FILES]
    found: dict[str, Path] = {}
    for pattern in ("*", "*/*", "*/*/*"):
        for path in sorted(folder.glob(pattern)):
            inside = str(path.relative_to(folder))
            if "ubyte" in path.name and not OTHER_SETS.search(inside) and path.is_file():
                found.setdefault(path.name.lower().removesuffix(".gz").replace(".", "-"), path)
    return [found[name] for name in MNIST_FILES] if all(name in found for name in MNIST_FILES) else None


def mnist_source(folder: Path, reason: str, mirrors: list[str] | None = None) -> Source:
    """Return MNIST's 60,000 training and 10,000 test digits; download missing files to `folder` with torchvision.

    Raises:
        UnreachableError: files are missing and cannot be downloaded.
        UserError: `folder` cannot be written to.
    """
    files = find_mnist(folder)
    if files is None and (folder / KERAS_FILE).is_file():
        return replace(files_source(folder / KERAS_FILE, reason), name="mnist")
    if files is None:
        _download_mnist(folder, mirrors or answering_mirrors())
        files = [folder / "MNIST" / "raw" / name for name in MNIST_FILES]
    train_images, train_labels, test_images, test_labels = files
    return Source(
        "mnist",
        train_images.parent,
        reason,
        lambda: read_idx(train_images, train_labels),
        lambda: read_idx(test_images, test_labels),
        files=tuple(files),
    )


def _download_mnist(folder: Path, mirrors: list[str]) -> None:
    """Download MNIST's files from the first mirror that has them, and verify them."""
    if not mirrors:
        raise UnreachableError(
            f"MNIST is not in {folder} and none of its mirrors answers: copy its four files to {folder}/MNIST/raw"
        )
    raw = folder / "MNIST" / "raw"
    require_writable(raw / next(iter(MNIST_FILES)))
    from torchvision.datasets import MNIST

    # torchvision reads the mirrors, and the name of the folder, from the class.
    mirrored_class = type("MNIST", (MNIST,), {"mirrors": mirrors})
    try:
        with default_socket_timeout(5 * MIRROR_TIMEOUT_SECONDS):  # torchvision sets no time-out
            mirrored_class(str(folder), download=True)
    except (OSError, RuntimeError) as error:
        raise UnreachableError(
            f"{folder}: the download of MNIST failed ({quote(error)}); try again, or copy its four files to {raw}"
        ) from None
    for name, sha256 in MNIST_FILES.items():
        try:
            require_sha256(raw / name, sha256, f"MNIST's {name}")
        except UserError as error:
            (raw / name).unlink()
            raise UnreachableError(str(error)) from None


def answering_mirrors() -> list[str]:
    """Return torchvision's MNIST mirrors that answer within MIRROR_TIMEOUT_SECONDS; query all of them in parallel.

    A mirror that returns a web page, such as a network's sign-in page, does not count.
    """
    from torchvision.datasets import MNIST

    answers: SimpleQueue[str | None] = SimpleQueue()

    def query(mirror: str) -> None:
        try:
            with urllib.request.urlopen(
                f"{mirror}t10k-labels-idx1-ubyte.gz", timeout=MIRROR_TIMEOUT_SECONDS
            ) as response:
                is_file = response.read().startswith(GZIP_MAGIC)
            answers.put(mirror if is_file else None)
        except OSError:
            answers.put(None)

    # The threads are not joined: a DNS lookup has no time-out.
    for mirror in MNIST.mirrors:
        threading.Thread(target=query, args=[mirror], daemon=True).start()
    deadline = monotonic() + MIRROR_TIMEOUT_SECONDS
    found = []
    for _ in MNIST.mirrors:
        try:
            found.append(answers.get(timeout=max(0.0, deadline - monotonic())))
        except Empty:
            break
    return [mirror for mirror in MNIST.mirrors if mirror in found]
