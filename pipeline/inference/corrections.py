"""Corrections: drawings that were misread, kept with the number that they are, to learn from.

A folder holds each drawing as a PNG, each of its digits framed as a PNG of 28x28, and corrections.csv a line a digit.
"""

import csv
import secrets
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

import numpy as np
from PIL import Image, ImageOps

from pipeline.data.table import DigitTable
from pipeline.digits import CLASSES, SIDE
from pipeline.errors import UserError
from pipeline.inference.predictions import Reading
from pipeline.utils.files import explain_write_error, open_atomic, require_writable
from pipeline.vision.image import WORKING_SIDE, Picture, eight_bit, opened

TABLE = "corrections.csv"
COLUMNS = ("time", "drawing", "frame", "label", "read", "confidence", "run")
ONE_AT_A_TIME = Lock()


def keep_correction(folder: Path, picture: Picture, reading: Reading, number: str, run: str) -> None:
    """Keep a drawing and what each of its digits is.

    Args:
        folder: of the corrections; made where there is none.
        picture: what was read.
        reading: what was read in it.
        number: what it is: as many digits as were found.
        run: by which it was read.

    Raises:
        UserError: the number is not of as many digits, or the folder cannot be written to.
    """
    number = number.strip()
    if not (number.isascii() and number.isdigit()):
        raise UserError(f'"{number}" is not a number: give its digits, as in 2025')
    if len(number) != len(reading.glyphs):
        raise UserError(
            f"{number} is {len(number)} long and the drawing {len(reading.glyphs)}: leave a gap between two digits, "
            "close those within one, and give the number as it is drawn"
        )
    now = datetime.now(UTC)
    name = f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    image = ImageOps.exif_transpose(eight_bit(opened(picture)))
    image.thumbnail((WORKING_SIDE, WORKING_SIDE))
    _save(folder / f"{name}.png", image)
    predictions, lines = reading.predictions, []
    read = predictions.parity if predictions.digits is None else predictions.digits
    for place, (glyph, label) in enumerate(zip(reading.glyphs, number, strict=True)):
        frame = f"{name}-{place + 1}.png"
        _save(folder / frame, Image.fromarray(glyph.frame))
        confidence = predictions.confidence[place]
        lines.append((f"{now:%Y-%m-%dT%H:%M:%SZ}", f"{name}.png", frame, label, read[place], f"{confidence:.4f}", run))
    table = folder / TABLE
    require_writable(table)
    try:
        with ONE_AT_A_TIME, table.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if not file.tell():
                writer.writerow(COLUMNS)
            writer.writerows(lines)
    except OSError as error:
        raise explain_write_error(table, error) from error


def _save(path: Path, image: Image.Image) -> None:
    """Write a PNG whole or not at all."""
    with open_atomic(path) as temporary:
        image.save(temporary, "PNG")


def read_corrections(folder: Path) -> DigitTable:
    """Return the digits that were corrected, labelled.

    Raises:
        UserError: there are none, or a line or a frame is damaged.
    """
    table = folder / TABLE
    try:
        with table.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError):
        raise UserError(
            f"{table}: missing or damaged; corrections are kept there by python -m demo --keep-corrections"
        ) from None
    if not lines:
        raise UserError(f"{table}: holds no corrections yet")
    pixels = np.empty((len(lines), SIDE, SIDE), dtype=np.uint8)
    labels = np.empty(len(lines), dtype=np.int64)
    for place, line in enumerate(lines):
        label, frame = line.get("label") or "", folder / Path(line.get("frame") or "-").name
        if label not in map(str, range(CLASSES)):
            raise UserError(f'{table}: line {place + 2}: label "{label}" is not a digit from 0 to 9: correct it')
        try:
            with Image.open(frame, formats=["PNG"]) as image:
                pixels[place] = np.asarray(image.convert("L"))
        except (OSError, ValueError) as error:
            raise UserError(
                f"{table}: line {place + 2}: {frame.name} is missing or no picture of {SIDE}x{SIDE} ({error}): "
                "remove the line"
            ) from None
        labels[place] = int(label)
    return DigitTable(pixels, labels)
