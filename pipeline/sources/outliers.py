"""Images that are no digits, so that a network learns to say so."""

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
from pipeline.sources.pendigits import SIDE_DRAWN, framed
from pipeline.sources.strokes import Drawing
from pipeline.vision.frame import frame_of
from pipeline.vision.image import Grey, resized

OMNIGLOT = Download(
    "Omniglot",
    "https://github.com/brendenlake/omniglot/raw/master/python/images_background_small1.zip",
    "f38eb80f801274ac2b4dff5b24289016bfaba4a7d5bb50deebf27104ad6cb8a4",
    ("omniglot.zip",),
)
HELD_OUT_ALPHABETS = {"Greek"}
"""Never trained on."""
INK = 127
"""Above this a pixel is ink."""
NARROW, TALL = 8, 14
"""Columns of ink, less than which, and rows, more than which an upright bar has, which is a one to whoever draws it."""
HALVED = (0, 2, 5, 6)
"""Digits of which neither the left nor the right part is one; half of a 4 may be a 1, and of an 8 a 3."""


def characters(data: Path, held_out: bool = False) -> Pixels:
    """Return characters of other scripts, framed as digits are, uint8 (N, 28, 28).

    From Omniglot (Lake et al. 2015, MIT licence), fetched into `data` where it is not there.

    Args:
        data: the folder for data.
        held_out: those of the alphabets that are never trained on, in place of the others, of which upright bars are
            left out.

    Raises:
        UserError: it is not there and cannot be fetched, or is damaged.
    """
    path = OMNIGLOT.fetch(data)
    frames = []
    try:
        with ZipFile(path) as archive:
            for name in sorted(name for name in archive.namelist() if name.endswith(".png")):
                if (name.split("/")[-3] in HELD_OUT_ALPHABETS) == held_out:
                    with Image.open(io.BytesIO(archive.read(name)), formats=["PNG"]) as image:
                        frames.append(frame_of(_cut_out(255 - np.asarray(image.convert("L")))))
    except (OSError, BadZipFile, IndexError) as error:
        raise UserError(f"{path}: damaged ({error}); delete it, and it will be fetched again") from None
    if not frames:
        raise UserError(f"{path}: holds no characters; delete it, and it will be fetched again")
    return np.array([frame for frame in frames if held_out or not is_bar(frame)])


def made(table: DigitTable, rows: int, seed: int) -> Pixels:
    """Return images that are no digits, uint8 (rows, 28, 28), scribbles above all.

    Besides them two digits joined, halves of digits, specks and paper.

    Args:
        table: labelled digits to make them from.
        rows: how many.
        seed: of all that is drawn by chance.
    """
    random = np.random.default_rng(seed)
    halved, any_digit = _forever(table, HALVED, random), _forever(table, range(10), random)
    kinds: list[Callable[[], Pixels]] = [
        *3 * [lambda: _scribble(random)],
        *2 * [lambda: _pair(next(any_digit), next(any_digit), random)],
        lambda: _half(next(halved), random),
        *2 * [lambda: _specks(random)],
    ]
    images: list[Pixels] = []
    while len(images) < rows:
        image = kinds[len(images) % len(kinds)]()
        if not is_bar(image):
            images.append(image)
    return np.array(images)


def is_bar(image: Pixels) -> bool:
    """Tell whether the ink of an image is tall and narrow."""
    columns, rows = ((image.max(axis=axis) > INK).sum() for axis in (0, 1))
    return bool(0 < columns < NARROW and rows > TALL)


def _forever(table: DigitTable, digits: Sequence[int], random: np.random.Generator) -> Iterator[Pixels]:
    """Yield images of these digits, those with ink, drawn by chance, without end."""
    rows = np.flatnonzero(np.isin(table.known_labels, list(digits)) & (table.pixels.max(axis=(1, 2)) > INK))
    if not len(rows):
        named = ", ".join(map(str, digits))
        raise UserError(f"outliers are made of the digits {named}, and the rows have none of them; --set outliers=0")
    while True:
        yield table.pixels[rows[random.integers(len(rows))]]


def _scribble(random: np.random.Generator) -> Pixels:
    """Return a line that goes to and fro between several corners, with a hand that shakes."""
    corners = random.normal(0, 1, (random.integers(4, 9), 2))
    places = np.linspace(0, len(corners) - 1, 8 * len(corners))
    line = np.column_stack([np.interp(places, np.arange(len(corners)), corners[:, axis]) for axis in (0, 1)])
    line += np.cumsum(random.normal(0, random.uniform(0.02, 0.2), line.shape), axis=0)
    strokes, extent = Drawing(0, (line,)).placed(SIDE_DRAWN)
    return framed(strokes, extent, random.uniform(4, 16))


def _half(image: Pixels, random: np.random.Generator) -> Pixels:
    """Return the left or right part of a digit, as if the rest of it were wiped away."""
    columns = np.flatnonzero(image.max(axis=0) > INK)
    width = max(3, round(len(columns) * random.uniform(0.35, 0.5)))
    rest = image[:, columns[:width]] if random.random() < 0.5 else image[:, columns[-width:]]
    return frame_of(_cut_out(rest))


def _pair(left: Pixels, right: Pixels, random: np.random.Generator) -> Pixels:
    """Return two digits so near to one another that they are taken for one."""
    first, second = (image[:, np.flatnonzero(image.max(axis=0) > INK)] for image in (left, right))
    start = max(0, first.shape[1] - random.integers(0, 4))
    joined = np.zeros((SIDE, max(first.shape[1], start + second.shape[1])), dtype=np.uint8)
    joined[:, : first.shape[1]] = first
    place = joined[:, start : start + second.shape[1]]
    np.maximum(place, second, out=place)
    return frame_of(_cut_out(joined))


def _cut_out(image: Pixels) -> Grey:
    """Return what there is of ink in an image, float32 in 0..1, without the paper around it."""
    rows, columns = (np.flatnonzero(image.max(axis=axis) > INK) for axis in (1, 0))
    return (image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] / 255).astype(np.float32)


def _specks(random: np.random.Generator) -> Pixels:
    """Return noise, fine or coarse, strong or faint, or nothing but paper."""
    side = int(random.choice([4, 7, 14, 28]))
    share, strength = random.uniform(0, 0.6), random.uniform(0.1, 1)
    noise = (random.random((side, side)) < share) * strength * random.random((side, side))
    image = resized(noise.astype(np.float32), (SIDE, SIDE))
    return np.rint(255 * image).astype(np.uint8)
