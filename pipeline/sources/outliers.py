"""Non-digits: images that train a network to reject what is not a digit."""

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np
from PIL import Image

from pipeline.data.table import DigitTable
from pipeline.digits import SIDE, Pixels
from pipeline.errors import UserError
from pipeline.sources.download import Download
from pipeline.sources.drawings.handwriting import DRAWING_SIDE_PX, frame_strokes
from pipeline.sources.drawings.strokes import Drawing
from pipeline.vision.frame import frame_digit
from pipeline.vision.image import Grey, resize

OMNIGLOT = Download(
    "Omniglot",
    "https://github.com/brendenlake/omniglot/raw/master/python/images_background_small1.zip",
    "f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4",
    ("omniglot.zip",),
)
HELD_OUT_ALPHABETS = {"Greek"}
"""Alphabets that are never trained on."""
DIGIT_SHAPED = {
    "Early_Aramaic": (2, 3, 4, 6, 10, 12, 16, 17, 20),
    "Korean": (21, 22, 33),
    "Latin": (1, 2, 7, 12, 15, 17, 19, 26),
}
"""Characters that people also write as a digit, by alphabet and number: a network cannot reject them and read these."""
INK_THRESHOLD = 127
"""Pixels above this are ink."""
BAR_WIDTH_PX, BAR_HEIGHT_PX = 8, 14
"""An upright bar has fewer columns of ink than the first and more rows than the second; it may be a handwritten 1."""
HALVABLE_DIGITS = (0, 2, 5, 6)
"""Digits whose left and right halves are non-digits; half of a 4 may be a 1, and half of an 8 a 3."""


def load_characters(data: Path, held_out: bool = False) -> Pixels:
    """Return characters of other scripts, framed like digits, uint8 (N, 28, 28).

    They are from Omniglot (Lake et al. 2015, MIT licence), which is downloaded to `data` if it is missing.

    Args:
        data: the data folder.
        held_out: return the characters of HELD_OUT_ALPHABETS. By default, return those of the other alphabets, without
            upright bars and the characters in DIGIT_SHAPED.

    Raises:
        UserError: Omniglot is missing and cannot be downloaded, or is damaged.
    """
    path = OMNIGLOT.fetch(data)
    frames = []
    try:
        with ZipFile(path) as archive:
            for name in sorted(name for name in archive.namelist() if name.endswith(".png")):
                alphabet, character = name.split("/")[-3:-1]
                if int(character[-2:]) in DIGIT_SHAPED.get(alphabet, ()):
                    continue
                if (alphabet in HELD_OUT_ALPHABETS) == held_out:
                    with Image.open(io.BytesIO(archive.read(name)), formats=["PNG"]) as image:
                        frames.append(frame_digit(crop_to_ink(255 - np.asarray(image.convert("L")))))
    except (OSError, BadZipFile, ValueError) as error:
        raise UserError(f"{path}: damaged ({error}); delete it, and it is downloaded again") from None
    if not frames:
        raise UserError(f"{path}: contains no characters; delete it, and it is downloaded again")
    return np.array([frame for frame in frames if held_out or not is_bar(frame)])


def make_non_digits(table: DigitTable, rows: int, seed: int) -> Pixels:
    """Return generated non-digits, uint8 (rows, 28, 28).

    Of eight images, three are scribbles, two are pairs of joined digits, one is half a digit, and two are noise or
    blank paper.

    Args:
        table: labelled digits, from which pairs and halves are made.
        rows: number of images.
        seed: seed of all random parameters.

    Raises:
        UserError: the table has no digits with ink to make them from.
    """
    random = np.random.default_rng(seed)
    halvable, any_digit = _sample_digits(table, HALVABLE_DIGITS, random), _sample_digits(table, range(10), random)
    kinds: list[Callable[[], Pixels]] = [
        *3 * [lambda: _scribble(random)],
        *2 * [lambda: _pair(next(any_digit), next(any_digit), random)],
        lambda: _half(next(halvable), random),
        *2 * [lambda: _noise(random)],
    ]
    images: list[Pixels] = []
    while len(images) < rows:
        image = kinds[len(images) % len(kinds)]()
        if not is_bar(image):
            images.append(image)
    return np.array(images)


def is_bar(image: Pixels) -> bool:
    """Return whether the ink of an image is an upright bar: tall and narrow."""
    columns, rows = ((image.max(axis=axis) > INK_THRESHOLD).sum() for axis in (0, 1))
    return bool(0 < columns < BAR_WIDTH_PX and rows > BAR_HEIGHT_PX)


def _sample_digits(table: DigitTable, digits: Sequence[int], random: np.random.Generator) -> Iterator[Pixels]:
    """Yield random images of these digits, skipping images without ink, endlessly."""
    rows = np.flatnonzero(np.isin(table.known_labels, list(digits)) & (table.pixels.max(axis=(1, 2)) > INK_THRESHOLD))
    if not len(rows):
        names = ", ".join(map(str, digits))
        raise UserError(
            f"outliers are made from the digits {names}, and the rows contain none of them; use --set outliers=0"
        )
    while True:
        yield table.pixels[rows[random.integers(len(rows))]]


def _scribble(random: np.random.Generator) -> Pixels:
    """Return a scribble: a line between several random corners, with jitter."""
    corners = random.normal(0, 1, (random.integers(4, 9), 2))
    positions = np.linspace(0, len(corners) - 1, 8 * len(corners))
    line = np.column_stack([np.interp(positions, np.arange(len(corners)), corners[:, axis]) for axis in (0, 1)])
    line += np.cumsum(random.normal(0, random.uniform(0.02, 0.2), line.shape), axis=0)
    strokes, extent = Drawing(0, (line,)).placed(DRAWING_SIDE_PX)
    return frame_strokes(strokes, extent, random.uniform(4, 16))


def _half(image: Pixels, random: np.random.Generator) -> Pixels:
    """Return the left or right part of a digit, framed."""
    columns = np.flatnonzero(image.max(axis=0) > INK_THRESHOLD)
    width = max(3, round(len(columns) * random.uniform(0.35, 0.5)))
    part = image[:, columns[:width]] if random.random() < 0.5 else image[:, columns[-width:]]
    return frame_digit(crop_to_ink(part))


def _pair(left: Pixels, right: Pixels, random: np.random.Generator) -> Pixels:
    """Return two digits that touch or overlap, framed as one."""
    first, second = (image[:, np.flatnonzero(image.max(axis=0) > INK_THRESHOLD)] for image in (left, right))
    start = max(0, first.shape[1] - random.integers(0, 4))
    joined = np.zeros((SIDE, max(first.shape[1], start + second.shape[1])), dtype=np.uint8)
    joined[:, : first.shape[1]] = first
    overlap = joined[:, start : start + second.shape[1]]
    np.maximum(overlap, second, out=overlap)
    return frame_digit(crop_to_ink(joined))


def crop_to_ink(image: Pixels) -> Grey:
    """Return an image cropped to the bounding box of its ink, float32 in 0..1."""
    rows, columns = (np.flatnonzero(image.max(axis=axis) > INK_THRESHOLD) for axis in (1, 0))
    return (image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] / 255).astype(np.float32)


def _noise(random: np.random.Generator) -> Pixels:
    """Return random noise, fine or coarse, strong or faint; at the lowest density it is blank paper."""
    side = int(random.choice([4, 7, 14, 28]))
    density, strength = random.uniform(0, 0.6), random.uniform(0.1, 1)
    noise = (random.random((side, side)) < density) * strength * random.random((side, side))
    image = resize(noise.astype(np.float32), (SIDE, SIDE))
    return np.rint(255 * image).astype(np.uint8)
