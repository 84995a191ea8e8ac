"""Corrections: misread drawings, saved with the correct number as additional training rows.

A folder contains each drawing as a PNG, each framed digit as a 28x28 PNG, and corrections.csv with one line per digit.
"""

import csv
import secrets
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

import numpy as np
from PIL import Image, ImageOps

from pipeline.data.formats import holds_digits, open_digits
from pipeline.data.table import DigitTable
from pipeline.digits import CLASSES, SIDE
from pipeline.errors import UserError, quote
from pipeline.inference.predictions import Reading
from pipeline.utils.files import explain_write_error, open_atomic, require_writable
from pipeline.vision.image import WORKING_SIDE, Picture, open_picture, to_eight_bit

TABLE_NAME = "corrections.csv"
COLUMNS = ("time", "drawing", "frame", "label", "read", "confidence", "run")
SEPARATORS = " .,:-=/÷?"
"""Characters of a number besides its digits."""
WRITE_LOCK = Lock()


def keep_correction(folder: Path, picture: Picture, reading: Reading, number: str, run: str) -> None:
    """Save a drawing with the correct label of each of its digits.

    Args:
        folder: folder of the corrections; created if it does not exist.
        picture: the drawing.
        reading: its reading.
        number: the correct number, row by row, with or without its marks. It must have one digit per glyph of the
            reading.
        run: name of the run that made the reading.

    Raises:
        UserError: the number has other characters or another number of digits, or the folder is not writable.
    """
    number = number.strip()
    digits = number.translate(dict.fromkeys(map(ord, SEPARATORS)))
    if not (digits.isascii() and digits.isdigit()):
        raise UserError(f'"{number}" is not a number; enter digits and marks only, for example 2025 or 3.14')
    if len(digits) != len(reading.glyphs):
        raise UserError(
            f"{number}: digits entered: {len(digits)}, digits found in the drawing: {len(reading.glyphs)}; leave a gap "
            "between two digits, close gaps within a digit, and enter the number as drawn"
        )
    now = datetime.now(UTC)
    name = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    image = ImageOps.exif_transpose(to_eight_bit(open_picture(picture)))
    image.thumbnail((WORKING_SIDE, WORKING_SIDE))
    _save(folder / f"{name}.png", image)
    predictions, lines = reading.predictions, []
    predicted = predictions.parity if predictions.digits is None else predictions.digits
    for index, (glyph, label) in enumerate(zip(reading.glyphs, digits, strict=True)):
        frame = f"{name}-{index + 1}.png"
        _save(folder / frame, Image.fromarray(glyph.frame))
        confidence = predictions.confidence[index]
        lines.append(
            (f"{now:%Y-%m-%dT%H:%M:%SZ}", f"{name}.png", frame, label, predicted[index], f"{confidence:.4f}", run)
        )
    table = folder / TABLE_NAME
    require_writable(table)
    try:
        with WRITE_LOCK, table.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if not file.tell():
                writer.writerow(COLUMNS)
            writer.writerows(lines)
    except OSError as error:
        raise explain_write_error(table, error) from error


def _save(path: Path, image: Image.Image) -> None:
    """Write a PNG atomically."""
    with open_atomic(path) as temporary:
        image.save(temporary, "PNG")


def read_corrections(folder: Path) -> DigitTable:
    """Return the corrected digits of a folder with their labels, or any other labelled digits in a file or folder.

    Raises:
        UserError: there are no corrections, or a line or an image is damaged.
    """
    table = folder / TABLE_NAME
    if not table.exists() and (folder.is_file() or holds_digits(folder)):
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
    pixels = np.empty((len(lines), SIDE, SIDE), dtype=np.uint8)
    labels = np.empty(len(lines), dtype=np.int64)
    for index, line in enumerate(lines):
        label, frame = line.get("label") or "", folder / Path(line.get("frame") or "-").name
        if label not in map(str, range(CLASSES)):
            raise UserError(f'{table}: line {index + 2}: label "{quote(label)}" is not a digit from 0 to 9; correct it')
        try:
            with Image.open(frame, formats=["PNG"]) as image:
                pixels[index] = np.asarray(image.convert("L"))
        except (OSError, SyntaxError, ValueError) as error:  # Pillow raises a SyntaxError for some damaged files
            raise UserError(
                f"{table}: line {index + 2}: {quote(frame.name)} is missing or not a {SIDE}x{SIDE} image ({error}); "
                "remove the line"
            ) from None
        labels[index] = int(label)
    return DigitTable(pixels, labels)
