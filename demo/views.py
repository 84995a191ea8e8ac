"""HTML views of readings. They do not depend on the page."""

import re
from collections.abc import Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demo.pictures import heat, jpeg_url, open_shown, png_url
from pipeline import Reading

MIN_NEXT_PROBABILITY = 0.01
"""Probability below which the next digit is not named."""
MIN_WORD_GLYPHS = 3
"""Glyphs of a row, none of them a digit, from which it is shown as a word."""
PLAIN = "0123456789?"
"""Characters of a reading that are shown in full colour; marks are shown in a calmer one."""
LEGEND = '<p class="legend"><i></i>evidence for<i class="against"></i>evidence against</p>'


def empty(invitation: str) -> str:
    """Return an invitation, which is shown while there is no number."""
    return f'<div class="number empty"><p>{escape(invitation)}</p></div>'


def problem(message: str) -> str:
    """Return an error message, which is shown instead of a number."""
    return f'<div class="number problem"><p>{escape(message)}</p></div>'


def number(reading: Reading) -> str:
    """Return the recognised number in large type, with its parity and confidence; each of several rows on its own line.

    A glyph that is probably a non-digit is shown as the nearest digit with a question mark, and its row then has no
    parity, but the next digit. For a run that predicts only parity, the parity is shown in large type.
    """
    rows = reading.marked.split()
    parities = len(rows) * ["digits unknown"] if reading.text is None else str(reading.parity).split()
    guesses = _guesses(reading)
    chips, shown = [], []
    for index, (row, parity) in enumerate(zip(rows, parities, strict=True)):
        unsure = [guess for guess, glyph in zip(guesses, reading.glyphs, strict=True) if guess and glyph.row == index]
        chips.append(_chip(row, parity, unsure))
        shown.append(_characters(row, unsure))
    confidence = "" if "?" in reading.marked else f"<span>{percent(reading.confidence or 0)} sure</span>"
    size = f'style="--digits: {max(map(len, rows))}; --rows: {len(rows)}"'
    hint = touch_hint(reading)
    if len(rows) == 1:
        return (
            f'<div class="number"><p class="read" {size}>{shown[0]}</p>'
            f'<p class="facts">{chips[0]}{confidence}</p>{hint}</div>'
        )
    lines = "".join(
        f'<li><p class="read">{row}</p><p class="facts">{chip}</p></li>' for row, chip in zip(shown, chips, strict=True)
    )
    return f'<div class="number"><ol class="rows" {size}>{lines}</ol><p class="facts">{confidence}</p>{hint}</div>'


def _guesses(reading: Reading) -> list[tuple[int, str] | None]:
    """Return for each glyph in doubt the nearest digit and a remark with the next one; None for the others.

    Glyphs of a word, and those of a run that predicts only parity, have no guess.
    """
    is_digit, rows = reading.is_digit, [glyph.row for glyph in reading.glyphs]
    sure_rows = {row for row, known in zip(rows, is_digit, strict=True) if known}
    guesses: list[tuple[int, str] | None] = []
    for row, known, probabilities in zip(rows, is_digit, reading.predictions.probabilities, strict=True):
        is_word = row not in sure_rows and rows.count(row) >= MIN_WORD_GLYPHS
        guesses.append(None if known or is_word or reading.text is None else _guess(probabilities))
    return guesses


def _guess(probabilities: NDArray[np.float32]) -> tuple[int, str]:
    """Return the most probable digit and a remark with the next one, if that is probable at all."""
    following, first = np.argsort(probabilities)[-2:]
    if probabilities[following] < MIN_NEXT_PROBABILITY:
        return int(first), "maybe not a digit"
    return int(first), f"not sure; {following} next"


def _characters(row: str, guesses: Sequence[tuple[int, str]] = ()) -> str:
    """Return the digits and marks of a row; marks and digits in doubt are in a calmer colour.

    A word, such as a parity, stays as it is. `guesses` are those of the row's glyphs in doubt, from left to right.
    """
    if row.isalpha():
        return row
    remaining = list(guesses)

    def doubtful(_: re.Match[str]) -> str:
        return f'<span class="unsure">{remaining.pop(0)[0]}?</span>' if remaining else "?"

    marked = re.sub(f"[^{PLAIN}]+", lambda marks: f'<span class="mark">{escape(marks[0])}</span>', row)
    return re.sub(r"\?", doubtful, marked) if row.count("?") == len(remaining) else marked


def _chip(row: str, parity: str, guesses: Sequence[tuple[int, str]]) -> str:
    """Return the chip with the parity of a row, or with the doubt about it."""
    if "?" not in row:
        return f'<span class="chip">{parity}</span>'
    doubt = "not a digit?" if not guesses else guesses[0][1] if len(guesses) == 1 else "not sure"
    return f'<span class="chip doubtful">{doubt}</span>'


def touch_hint(reading: Reading) -> str:
    """Return a hint for each pair of neighbours that touch, or nothing."""
    digits = reading.predictions.digits
    pairs = [] if digits is None else [f"{digits[i]} and {digits[i + 1]}" for i in _touching(reading)]
    return f'<p class="hint">{", ".join(pairs)} touch. If that went wrong, leave a gap.</p>' if pairs else ""


def _touching(reading: Reading) -> list[int]:
    """Return the indices of the glyphs that were cut from the glyph after them."""
    found = []
    for index, (left, right) in enumerate(pairwise(reading.glyphs)):
        (_, top, edge, bottom), (start, other_top, _, other_bottom) = left.box, right.box
        beside = top < other_bottom and other_top < bottom
        if left.row == right.row and beside and abs(edge - start) <= 1:
            found.append(index)
    return found


def split(size: tuple[int, int], reading: Reading) -> str:
    """Return boxes for a drawing: one with its digit for each glyph, and a grey one for ink that was left out.

    Args:
        size: width and height of the picture in pixels.
        reading: its reading.
    """
    return f'<div class="split" aria-hidden="true">{_boxes(reading, *size)}</div>'


def cards(reading: Reading, run: str, saliency: NDArray[np.float32] | None = None) -> str:
    """Return a card per glyph: the network's input, the predicted digit or parity, and a bar per class.

    The cards of several rows are grouped under the number of their row.

    Args:
        reading: a reading with N glyphs.
        run: name of the run that made it.
        saliency: saliency maps, float32 (N, 28, 28), drawn over the frames; None draws none.
    """
    probabilities, is_digit, guesses = reading.predictions.probabilities, reading.is_digit, _guesses(reading)
    rows: dict[int, str] = {}
    for index, glyph in enumerate(reading.glyphs):
        overlay = None if saliency is None else saliency[index]
        shown = card(glyph.frame, probabilities[index], is_digit[index], guesses[index], overlay)
        rows[glyph.row] = rows.get(glyph.row, "") + shown
    grouped = [f'<ol class="cards">{shown}</ol>' for shown in rows.values()]
    if len(rows) > 1:
        grouped = [
            f'<section class="row"><h3>Row {place}</h3>{shown}</section>'
            for place, shown in enumerate(grouped, start=1)
        ]
    legend = "" if saliency is None else LEGEND
    return f'<div data-run="{escape(run)}">{legend}{"".join(grouped)}</div>'


def card(
    frame: NDArray[np.uint8],
    probabilities: NDArray[np.float32],
    is_digit: bool,
    guess: tuple[int, str] | None,
    saliency: NDArray[np.float32] | None,
) -> str:
    """Return one card.

    Args:
        frame: the network's input, uint8 (28, 28).
        probabilities: float32 (C,).
        is_digit: whether it is a digit.
        guess: as in `_guesses`.
        saliency: float32 (28, 28), or None.
    """
    classes, predicted = _class_names(probabilities), probabilities.argmax()
    said, remark = (f"{guess[0]}?", guess[1]) if guess else ("?", "not a digit?")
    if is_digit:
        said, remark = classes[predicted], percent(probabilities[predicted]).replace("more than ", "&gt;")
    overlay = ""
    if saliency is not None:
        overlay = f'<img class="looked" src="{png_url(heat(saliency))}" alt="Saliency map">'
    bars = "".join(
        f'<li class="{"top" if each == classes[predicted] else ""}" style="--p: {p:.3f}" '
        f'title="{each}: {percent(p)}">{each}</li>'
        for each, p in zip(classes, probabilities, strict=True)
    )
    return (
        f'<li class="card {"" if is_digit else "doubtful"}">'
        '<button type="button" class="frame" data-inside title="Look inside the network">'
        f'<img src="{png_url(frame)}" alt="What the network sees">{overlay}</button>'
        f'<div><p class="said"><b>{said}</b> <span>{remark}</span></p>'
        f'<ol class="bars" style="--classes: {len(classes)}" aria-label="Probability of each class">{bars}</ol>'
        "</div></li>"
    )


def _class_names(probabilities: NDArray[np.float32]) -> list[str]:
    """Return the names of the classes of probabilities, float32 (C,): digits or parities."""
    return ["even", "odd"] if len(probabilities) == 2 else list(map(str, range(len(probabilities))))


def boxed(path: Path, reading: Reading) -> str:
    """Return a picture with a labelled bounding box around each glyph, and a calmer one around each mark."""
    shown, (width, height) = open_shown(path)
    return (
        f'<figure class="boxed"><div><img src="{jpeg_url(shown)}" alt="Uploaded picture">'
        f'{_boxes(reading, width, height)}</div><button type="button">Another picture</button></figure>'
    )


def _boxes(reading: Reading, width: float, height: float) -> str:
    """Return the labelled boxes of a reading of a picture of this size."""
    labels = reading.predictions.parity if reading.text is None else reading.predictions.known_digits
    boxes = []
    for glyph, label, is_digit, guess in zip(reading.glyphs, labels, reading.is_digit, _guesses(reading), strict=True):
        doubt = f"{guess[0]}?" if guess else "?"
        shown_label, css_class = (label, "") if is_digit else (doubt, "doubtful")
        position = _position(glyph.box, width, height)
        boxes.append(f'<span class="{css_class}" style="{position}"><b>{shown_label}</b></span>')
    boxes += [
        f'<i style="{_position(sign.box, width, height)}" title="{escape(sign.symbol)}"></i>' for sign in reading.signs
    ]
    boxes += [
        f'<i class="left-out" style="{_position(box, width, height)}" title="left out"></i>' for box in reading.left_out
    ]
    return "".join(boxes)


def _position(box: tuple[int, int, int, int], width: float, height: float) -> str:
    """Return the CSS of a box of a picture, relative to the picture's size in pixels."""
    left, top, right, bottom = box
    return (
        f"left: {left / width:.2%}; top: {top / height:.2%}; "
        f"width: {(right - left) / width:.2%}; height: {(bottom - top) / height:.2%}"
    )


def note(message: str, kind: str = "") -> str:
    """Return a note on corrections; `kind` is "problem" for an error."""
    return f'<p class="note {kind}">{escape(message)}</p>'


def as_json(reading: Reading) -> dict[str, Any]:
    """Return a reading in the JSON format of the endpoint."""
    predictions = reading.predictions
    glyphs = [
        {
            "box": list(map(int, glyph.box)),
            "row": glyph.row,
            "digit": digit,
            "confidence": float(confidence),
            "is_digit": bool(is_digit),
            "probabilities": probabilities.tolist(),
        }
        for glyph, digit, confidence, is_digit, probabilities in zip(
            reading.glyphs,
            len(predictions) * [None] if predictions.digits is None else predictions.digits.tolist(),
            predictions.confidence,
            reading.is_digit,
            predictions.probabilities,
            strict=True,
        )
    ]
    marks = [{"box": list(map(int, sign.box)), "symbol": sign.symbol, "row": sign.row} for sign in reading.signs]
    known = {"text": reading.text, "marked": reading.marked, "parity": reading.parity, "confidence": reading.confidence}
    left_out = [list(map(int, box)) for box in reading.left_out]
    return known | {"glyphs": glyphs, "marks": marks, "left_out": left_out}


def percent(probability: float) -> str:
    """Return a probability as text, never 100%."""
    return "more than 99%" if probability > 0.99 else f"{probability:.0%}"
