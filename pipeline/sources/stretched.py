"""Stretched digits: training rows with another ratio of width to height, as scans that fill a square show them."""

import numpy as np

from pipeline.data.table import DigitTable
from pipeline.digits import SIDE, Pixels
from pipeline.sources.drawings.handwriting import scan_coarsely
from pipeline.sources.outliers import INK_THRESHOLD, crop_to_ink, is_bar
from pipeline.vision.frame import frame_digit
from pipeline.vision.image import resize

HEIGHT_PX = 80
"""Height to which a digit is enlarged."""
MIN_ASPECT, MAX_ASPECT = 0.5, 1.2
"""Ratio of width to height of a stretched digit."""
COARSE_FRACTION = 0.5
"""Fraction of the digits that are scanned with few pixels."""


def stretch_digits(table: DigitTable, count: int, seed: int) -> DigitTable:
    """Return `count` random rows of a table, stretched; fewer if it has not as many rows that can be stretched.

    Upright bars and images without ink are left out: the width of a bar has no meaning.

    Args:
        table: labelled digits.
        count: number of rows.
        seed: seed of the choice of rows and of all random parameters.
    """
    random = np.random.default_rng(seed)
    rows: list[int] = []
    for row in random.permutation(len(table)):
        if len(rows) == count:
            break
        if table.pixels[row].max() > INK_THRESHOLD and not is_bar(table.pixels[row]):
            rows.append(row)
    chosen = np.array(rows, dtype=np.int64)
    frames = [stretch(image, random) for image in table.pixels[chosen]]
    return DigitTable(np.array(frames, dtype=np.uint8).reshape(-1, SIDE, SIDE), table.known_labels[chosen])


def stretch(image: Pixels, random: np.random.Generator) -> Pixels:
    """Return an image with ink, uint8 (28, 28), with a random ratio of width to height; half are coarse scans."""
    aspect = np.exp(random.uniform(np.log(MIN_ASPECT), np.log(MAX_ASPECT)))
    ink = resize(crop_to_ink(image), [HEIGHT_PX, round(HEIGHT_PX * aspect)])
    return frame_digit(scan_coarsely(ink, random) if random.random() < COARSE_FRACTION else ink)
