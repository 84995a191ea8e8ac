"""What the page shows of a reading, as HTML; nothing here knows of the page."""

import base64
from collections.abc import Iterable, Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pipeline import Card, Reading, Run, UserError

FOR, AGAINST = (255, 122, 26), (56, 150, 255)
"""Where it looked: ink that spoke for the digit, and against it."""
SHOWN_SIDE = 1200
"""Pixels along the longer side of a picture that is shown with its boxes."""


def empty(invitation: str) -> str:
    """Return an invitation, in the place of a number."""
    return f'<div class="number empty"><p>{escape(invitation)}</p></div>'


def problem(message: str) -> str:
    """Return what went wrong, in the place of a number."""
    return f'<div class="number problem"><p>{escape(message)}</p></div>'


def number(reading: Reading) -> str:
    """Return the number read, large, with its parity and how sure it is.

    A glyph that is hardly a digit is a question mark, and the number then has no parity to tell. By a run that knows no
    digits it is the parity that is large.
    """
    read = reading.marked
    known = "digits unknown" if reading.text is None else str(reading.parity)
    if "?" in read:
        facts = '<span class="chip doubtful">not a digit?</span>'
    else:
        facts = f'<span class="chip">{known}</span><span>{_percent(reading.confidence or 0)} sure</span>'
    return (
        f'<div class="number"><p class="read" style="--digits: {len(read)}">{read}</p>'
        f'<p class="facts">{facts}</p></div>'
    )


def cards(reading: Reading, saliency: NDArray[np.float32] | None = None) -> str:
    """Return a card for each glyph: the frame that the network saw, its digit or parity, and a bar for each class.

    Args:
        saliency: float32 (N, 28, 28), where the network looked, to be laid over the frames.
    """
    predictions = reading.predictions
    found = [
        card(glyph.frame, probabilities, sure, None if saliency is None else saliency[index])
        for index, (glyph, probabilities, sure) in enumerate(
            zip(reading.glyphs, predictions.probabilities, predictions.is_digit, strict=True)
        )
    ]
    return f'<ol class="cards">{"".join(found)}</ol>'


def card(
    frame: NDArray[np.uint8],
    probabilities: NDArray[np.float32],
    sure: bool,
    saliency: NDArray[np.float32] | None,
) -> str:
    """Return one card; `frame` is uint8 (28, 28), `probabilities` float32 (C,), `saliency` float32 (28, 28)."""
    classes, likeliest = _names(probabilities), probabilities.argmax()
    looked = ""
    if saliency is not None:
        looked = f'<img class="looked" src="{_png(heat(saliency))}" alt="Where the network looked">'
    bars = "".join(
        f'<li class="{"top" if each == classes[likeliest] else ""}" style="--p: {p:.3f}" '
        f'title="{each}: {_percent(p)}">{each}</li>'
        for each, p in zip(classes, probabilities, strict=True)
    )
    return (
        f'<li class="card {"" if sure else "doubtful"}">'
        f'<div class="frame"><img src="{_png(frame)}" alt="What the network saw">{looked}</div>'
        f'<p class="said"><b>{classes[likeliest] if sure else "?"}</b> '
        f"<span>{_percent(probabilities[likeliest]) if sure else 'not a digit?'}</span></p>"
        f'<ol class="bars" style="--classes: {len(classes)}" aria-label="Probability of each">{bars}</ol></li>'
    )


def _names(probabilities: NDArray[np.float32]) -> list[str]:
    """Return what the classes of probabilities, float32 (C,), are called: the digits, or their parity."""
    return ["even", "odd"] if len(probabilities) == 2 else list(map(str, range(len(probabilities))))


def boxed(path: Path, reading: Reading) -> str:
    """Return a picture that was read, with a box and its digit or parity around each glyph."""
    file = Image.open(path)
    side = max(file.size)
    file.draft("RGB", (SHOWN_SIDE, SHOWN_SIDE))  # a large JPEG is decoded at a half, a quarter or an eighth
    image: Image.Image = ImageOps.exif_transpose(file)
    width, height = (each * side / max(image.size) for each in image.size)
    image.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        shown = Image.new("RGB", image.size, "white")
        shown.paste(image, mask=image.getchannel("A"))
    else:
        shown = image.convert("L" if image.mode.startswith(("I", "F")) else "RGB")
    boxes = []
    predictions = reading.predictions
    said = list(reading.text or predictions.parity)
    for glyph, name, sure in zip(reading.glyphs, said, predictions.is_digit, strict=True):
        left, top, right, bottom = glyph.box
        place = (
            f"left: {left / width:.2%}; top: {top / height:.2%}; "
            f"width: {(right - left) / width:.2%}; height: {(bottom - top) / height:.2%}"
        )
        boxes.append(
            f'<span class="{"" if sure else "doubtful"}" style="{place}"><b>{name if sure else "?"}</b></span>'
        )
    return (
        f'<figure class="boxed"><div><img src="{_jpeg(shown)}" alt="The picture that was read">{"".join(boxes)}</div>'
        '<button type="button">Another picture</button></figure>'
    )


def note(message: str, kind: str = "") -> str:
    """Return a line on what becomes of a correction; `kind` is "problem" where there is one."""
    return f'<p class="note {kind}">{escape(message)}</p>'


def as_json(reading: Reading) -> dict[str, Any]:
    """Return a reading as the endpoint answers it."""
    predictions = reading.predictions
    glyphs = [
        {
            "box": list(map(int, glyph.box)),
            "digit": digit,
            "confidence": float(confidence),
            "is_digit": bool(sure),
            "probabilities": probabilities.tolist(),
        }
        for glyph, digit, confidence, sure, probabilities in zip(
            reading.glyphs,
            len(predictions) * [None] if predictions.digits is None else predictions.digits.tolist(),
            predictions.confidence,
            predictions.is_digit,
            predictions.probabilities,
            strict=True,
        )
    ]
    return {"text": reading.text, "parity": reading.parity, "confidence": reading.confidence, "glyphs": glyphs}


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    head = "".join(f"<th scope='col'>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="runs"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def heat(saliency: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a signed map, float32 (28, 28), as RGBA, uint8 (28, 28, 4): colour is the sign, opacity the strength."""
    strength = np.abs(saliency) / max(float(np.abs(saliency).max()), 1e-12)
    colour = np.where((saliency > 0)[..., None], FOR, AGAINST)
    return np.dstack([colour, np.sqrt(strength) * 255]).astype(np.uint8)


def _percent(probability: float) -> str:
    """Return a probability in words; never a certainty."""
    return "over 99 %" if probability > 0.99 else f"{probability:.0%}".replace("%", " %")


def _png(pixels: NDArray[np.uint8]) -> str:
    """Return pixels as the address of a PNG."""
    return _address(Image.fromarray(pixels), "png")


def _jpeg(image: Image.Image) -> str:
    """Return an image as the address of a JPEG."""
    return _address(image, "jpeg")


def _address(image: Image.Image, kind: str) -> str:
    """Return an image as an address that holds it."""
    file = BytesIO()
    image.save(file, kind)
    return _data_url(file.getvalue(), kind)


def _data_url(file: bytes, kind: str) -> str:
    """Return the content of an image file as an address that holds it; `kind` is "png" or "jpeg"."""
    return f"data:image/{kind};base64,{base64.b64encode(file).decode()}"


RUNS_HEADER = ["Run", "Recipe", "Data", "Accuracy", "Odd or even", "Parameters", "Minutes"]


def run_row(run: Run) -> list[str]:
    """Return what the table says of a run, under `RUNS_HEADER`."""
    try:
        card = run.card
    except UserError:
        return [run.folder.name, "damaged: train it again", *[""] * (len(RUNS_HEADER) - 2)]
    accuracy, parity = _scores(card)
    data = f"{card.source}, {card.train_rows:,} digits"
    return [run.folder.name, card.recipe, data, accuracy, parity, f"{card.parameters:,}", f"{card.minutes:.1f}"]


def _scores(card: Card) -> tuple[str, str]:
    """Return accuracy and parity accuracy in words: on MNIST's test digits, else on the rows that were set aside."""
    for on, words in (("mnist", "MNIST's test digits"), ("validation", "validation rows")):
        accuracy, parity = (card.scores.get(f"{on}_{kind}") for kind in ("accuracy", "parity_accuracy"))
        if accuracy is not None:
            return f"{accuracy * 100:.2f} % of {words}", "" if parity is None else f"{parity * 100:.2f} %"
        if parity is not None:
            return "reads no digits", f"{parity * 100:.2f} % of {words}"
    return "not scored", ""


def run_figures(run: Run) -> list[dict[str, Any]]:
    """Return the figures that `evaluate` left in a run, each with its name, as Gradio's Gallery takes them.

    As data URLs they need no route that serves files.
    """
    paths = sorted(run.folder.glob("figures/*.png"))
    return [
        {"image": {"path": path.stem, "url": _data_url(path.read_bytes(), "png")}, "caption": path.stem}
        for path in paths
    ]
