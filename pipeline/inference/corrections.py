"""Corrections: misread drawings, saved with the correct number as additional training rows.

A folder contains each drawing as a PNG, each framed digit as a 28x28 PNG, and corrections.csv with one line per digit.
A drawing whose digits could not be told apart has one line with its whole number and no frame.
"""

import csv
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
from filelock import FileLock
from PIL import Image, ImageOps

from pipeline.data.formats import holds_digits, open_digits
from pipeline.data.table import DigitTable
from pipeline.digits import CLASSES, SIDE
from pipeline.errors import UserError, quote
from pipeline.inference.predictions import Reading
from pipeline.utils.files import explain_write_error, open_atomic, refuse_pipe, require_writable
from pipeline.vision.image import WORKING_SIDE, Picture, open_picture, to_eight_bit

TABLE_NAME = "corrections.csv"
COLUMNS = ("time", "drawing", "frame", "label", "read", "confidence", "run")
SEPARATORS = " .,:-=/÷?"
"""Characters of a number besides its digits."""
LOCK_NAME = ".corrections.lock"


def keep_correction(folder: Path, picture: Picture, reading: Reading, number: str, run: str) -> int:
    """Save a drawing with the correct label of each of its digits; it replaces an earlier correction of the drawing.

    Args:
        folder: folder of the corrections; created if it does not exist.
        picture: the drawing.
        reading: its reading.
        number: the correct number, row by row, with or without its marks.
        run: name of the run that made the reading.

    Returns:
        The number of digits that were saved with a frame: all of them if there is one for each glyph of the reading,
        else 0. Touching digits, for example, are one glyph; such a drawing is saved as a whole.

    Raises:
        UserError: the number has other characters, or the folder is not writable.
    """
    number = number.strip()
    digits = number.translate(dict.fromkeys(map(ord, SEPARATORS)))
    if not (digits.isascii() and digits.isdigit()):
        raise UserError(f'"{number}" is not a number; enter digits and marks only, for example 2025 or 3.14')
    image = ImageOps.exif_transpose(to_eight_bit(open_picture(picture)))
    image.thumbnail((WORKING_SIDE, WORKING_SIDE))
    name = sha256(f"{image.mode}{image.size}".encode() + image.tobytes()).hexdigest()[:20]
    common = (f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", f"{name}.png")
    predictions, lines = reading.predictions, []
    predicted = predictions.parity if predictions.digits is None else predictions.digits
    if len(digits) == len(reading.glyphs):
        for index, (glyph, label) in enumerate(zip(reading.glyphs, digits, strict=True)):
            frame = f"{name}-{index + 1}.png"
            _save(folder / frame, Image.fromarray(glyph.frame))
            confidence = f"{predictions.confidence[index]:.4f}"
            lines.append((*common, frame, label, str(predicted[index]), confidence, run))
    else:
        lines.append((*common, "", number, reading.text or "", f"{reading.confidence or 0:.4f}", run))
    _save(folder / f"{name}.png", image)
    _replace_lines(folder / TABLE_NAME, f"{name}.png", lines)
    return len(lines) if lines[0][2] else 0


def _replace_lines(table: Path, drawing: str, lines: Sequence[tuple[str, ...]]) -> None:
    """Write the lines of a drawing; they replace earlier lines of the same drawing."""
    require_writable(table)
    try:
        with FileLock(table.with_name(LOCK_NAME)):
            kept = []
            if table.exists():
                with table.open(newline="", encoding="utf-8") as file:
                    kept = [line for line in list(csv.reader(file))[1:] if line[1:2] != [drawing]]
            with open_atomic(table) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([COLUMNS, *kept, *lines])
    except OSError as error:
        raise explain_write_error(table, error) from error


def _save(path: Path, image: Image.Image) -> None:
    """Write a PNG atomically."""
    with open_atomic(path) as temporary:
        image.save(temporary, "PNG")


def read_corrections(folder: Path) -> DigitTable:
    """Return the corrected digits of a folder with their labels, or any other labelled digits in a file or folder.

    Drawings that were saved as a whole are left out.

    Raises:
        UserError: there are no corrections, or a line or an image is damaged.
    """
    table = folder / TABLE_NAME
    refuse_pipe(folder)
    refuse_pipe(table)
    if not table.exists() and folder.exists() and (folder.is_file() or holds_digits(folder)):
        return open_digits(folder).read(labels_required=True)
    try:
        with table.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file, strict=True))
    except csv.Error as error:
        raise UserError(f"{table}: cannot be read: {error}; correct it") from None
    except (OSError, UnicodeDecodeError):
        raise UserError(f"{table}: missing or damaged; python -m demo --keep-corrections saves corrections") from None
    if not lines:
        raise UserError(f"{table}: contains no corrections yet")
    framed = [(place, line) for place, line in enumerate(lines, start=2) if line.get("frame") != ""]
    if not framed:
        raise UserError(f"{table}: contains no corrections of single digits yet")
    pixels = np.empty((len(framed), SIDE, SIDE), dtype=np.uint8)
    labels = np.empty(len(framed), dtype=np.int64)
    for index, (place, line) in enumerate(framed):
        label, frame = line.get("label") or "", folder / Path(line.get("frame") or "-").name
        if label not in map(str, range(CLASSES)):
            raise UserError(f'{table}: line {place}: label "{quote(label)}" is not a digit from 0 to 9; correct it')
        try:
            with Image.open(frame, formats=["PNG"]) as image:
                pixels[index] = np.asarray(image.convert("L"))
        except (OSError, SyntaxError, ValueError) as error:  # Pillow raises a SyntaxError for some damaged files
            raise UserError(
                f"{table}: line {place}: {quote(frame.name)} is missing or not a {SIDE}x{SIDE} image ({error}); "
                "remove the line"
            ) from None
        labels[index] = int(label)
    return DigitTable(pixels, labels)
