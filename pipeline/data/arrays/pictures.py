"""Folders of pictures with one digit each, in folders named after their digits or without labels."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.data.arrays.contents import Arrays, Part, part_of
from pipeline.data.pixel_format import MIN_BORDER_LEVEL
from pipeline.digits import SIDE, Pixels
from pipeline.errors import UserError
from pipeline.vision.image import find_pictures, to_grey_levels

CLASS_FOLDER = re.compile(r"\d")


def load_pictures(folder: Path, part: Part) -> Arrays:
    """Return the pictures in a folder and the folders in it, by name.

    The label of a picture is the name of its folder, 0 to 9. Folders with the word train or test in their names divide
    the pictures. A picture of 28x28 pixels is taken as it is; another is framed, with its ink dark or light.

    Raises:
        UserError: there are no pictures, only some of them have labels, or one is damaged.
    """
    paths = find_pictures(folder)
    parts = {path: part_of(str(path.parent.relative_to(folder))) for path in paths}
    if any(parts.values()):
        paths = [path for path in paths if parts[path] == part]
    if not paths:
        raise UserError(
            f"{folder}: contains no {'test' if part == 'test' else 'training'} pictures; choose another folder"
        )
    labels = [path.parent.name if CLASS_FOLDER.fullmatch(path.parent.name) else None for path in paths]
    unlabelled = [path for path, label in zip(paths, labels, strict=True) if label is None]
    if unlabelled and len(unlabelled) < len(paths):
        raise UserError(
            f"{unlabelled[0]}: is in no folder named after a digit, unlike {len(paths) - len(unlabelled):,} other "
            "pictures; move it into one of 0 to 9"
        )
    digits = None if unlabelled else np.array(labels).astype(np.int64)
    levels = [to_grey_levels(path) for path in paths]
    if all(grey.shape == (SIDE, SIDE) for grey in levels):
        images = np.array(levels)
    else:
        images = np.array([frame_grey(grey) for grey in levels])
    return Arrays(images, digits, [str(path) for path in paths])


def load_picture(path: Path, part: Part) -> Arrays:
    """Return the picture of one digit, which has no label; raise a UserError if it is damaged."""
    return Arrays(frame_grey(to_grey_levels(path))[None], None, [str(path)])


def frame_grey(grey: NDArray[np.uint8]) -> Pixels:
    """Return the grey levels of a picture of one digit, (h, w), framed like MNIST, uint8 (28, 28), 0 = paper."""
    from pipeline.vision.frame import frame_single

    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    grey = 255 - grey if border.mean() > MIN_BORDER_LEVEL * 255 else grey
    return grey if grey.shape == (SIDE, SIDE) else frame_single(grey)


def has_classes(folder: Path) -> bool:
    """Return whether a folder contains folders named after digits, at any depth up to three."""
    candidates = [path for pattern in ("*", "*/*", "*/*/*") for path in folder.glob(pattern)]
    return len({path.name for path in candidates if CLASS_FOLDER.fullmatch(path.name) and path.is_dir()}) > 1
