"""What a file of arrays contains: which of them are images and which labels, by their names and shapes."""

import re
from pathlib import Path
from typing import Any, Literal, NamedTuple

from numpy.typing import NDArray

from pipeline.data.pixel_format import SIZES
from pipeline.digits import CLASSES
from pipeline.errors import UserError, quote

Part = Literal["train", "test"]
"""Training rows or test rows, of a file that may contain both."""
PART_WORDS = {"train": "train", "training": "train", "test": "test", "testing": "test", "t10k": "test"}
LABEL_WORDS = {"label", "labels", "y", "target", "targets", "class", "classes"}


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


def damaged_array(path: Path, error: Exception) -> UserError:
    """Return the UserError for a file of arrays that cannot be read because of `error`."""
    reason = quote(str(error).partition("\n")[0] or type(error).__name__)
    return UserError(f"{path}: is damaged, or not what it seems to be ({reason}); save it again")


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
    return next(
        (file for file in sorted(path.parent.iterdir()) if normalise(file.name) in wanted and file.is_file()), None
    )
