"""Digits of a visitor as files: Kaggle's CSV, or PNGs with a folder for each digit."""

import base64
import zipfile
from io import BytesIO, StringIO

import gradio as gr
import numpy as np

from demo.handlers import decode_drawing
from demo.pictures import encode_png
from demo.schema import Drawing, Text
from pipeline import DigitTable, UserError

MAX_DIGITS = 1000


def digits(frames: list[Drawing], labels: list[int], kind: Text, request: gr.Request) -> str:
    """Return a visitor's digits as a file, in base64; refuse the request if they are not valid.

    Arguments are as in `digits_file`; `request` takes the status of the response.
    """
    try:
        return base64.b64encode(digits_file(frames, labels, kind)).decode()
    except UserError as error:
        request.state.status = 422  # a client error, not a server error
        raise gr.Error(str(error), print_exception=False) from None


def digits_file(frames: list[str], labels: list[int], kind: str) -> bytes:
    """Return digits as a file.

    Args:
        frames: the digits as the network sees them, PNGs of 28x28 pixels as data URLs.
        labels: their digits, 0 to 9.
        kind: "csv" for a CSV in the format of Kaggle's train.csv, "png" for a zip archive with a folder for each digit.

    Raises:
        UserError: there are too many digits, or one of them or a label is not valid.
    """
    if not 0 < len(frames) == len(labels) <= MAX_DIGITS:
        raise UserError(f"Send from 1 to {MAX_DIGITS} digits, each with its label.")
    images = [decode_drawing(frame) for frame in frames]
    if any(image is None or image.size != (28, 28) for image in images):
        raise UserError("Only digits of 28x28 pixels can be downloaded.")
    table = DigitTable(np.stack([np.asarray(image) for image in images]), np.array(labels, dtype=np.int64))
    return to_csv(table) if kind == "csv" else to_zip(table)


def to_csv(table: DigitTable) -> bytes:
    """Return digits in the format of Kaggle's train.csv."""
    rows = np.column_stack([table.known_labels, table.pixels.reshape(len(table), -1)])
    header = ",".join(["label", *(f"pixel{index}" for index in range(rows.shape[1] - 1))])
    text = StringIO()
    np.savetxt(text, rows, fmt="%d", delimiter=",", header=header, comments="")
    return text.getvalue().encode()


def to_zip(table: DigitTable) -> bytes:
    """Return digits as a zip archive of PNGs, such as 7/0001.png."""
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:  # PNGs are compressed already
        for index, (frame, label) in enumerate(zip(table.pixels, table.known_labels, strict=True), start=1):
            archive.writestr(f"{label}/{index:04d}.png", encode_png(frame))
    return file.getvalue()
