"""Answers: what the page's events give back. They take and return plain values, and know nothing of the layout."""

import base64
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from demo import views
from demo.predictors import PredictorPool
from demo.schema import PNG_URL, Drawing, Text, Upload
from pipeline import UserError, keep_correction

MAX_PAD_PX = 1000
"""Pixels along a side of what the pad may send."""
TO_DRAW = "Draw a number, and it is read here as you draw."
TO_UPLOAD = "A photograph, a scan or a screenshot of a number is read here."

Picture = Image.Image | Path
Shown = tuple[str, str, str, str]
"""The number, its cards, the picture with its glyphs in boxes, and what becomes of a correction: all HTML."""


class Handlers:
    """Answers to what people do on the page.

    Args:
        corrections: the folder for what people correct, or None where it is not kept.
    """

    def __init__(self, pool: PredictorPool, corrections: Path | None) -> None:
        self.pool = pool
        self.corrections = corrections
        self.to_correct = views.note(f"What you draw and correct is kept in {corrections}.")

    def draw(self, drawing: Drawing | None, run: Text, show_saliency: bool) -> Shown:
        """Return what is on the pad."""
        return self.show(lambda: decode_drawing(drawing), run, show_saliency, TO_DRAW)

    def upload(self, upload: Upload | None, run: Text, show_saliency: bool) -> Shown:
        """Return what is in a picture."""
        return self.show(lambda: _upload_path(upload), run, show_saliency, TO_UPLOAD)

    def show(self, picture: Callable[[], Picture | None], run: str, show_saliency: bool, invitation: str) -> Shown:
        """Return what is in a picture, or in place of the number what is wrong with it."""
        try:
            found = picture()
            reading = None if found is None else self.pool.read(found, run)
            if found is None or reading is None or not reading.glyphs:
                return views.empty(invitation if found is None else "There is no number here."), "", "", ""
            saliency = self.pool.saliency(reading, run) if show_saliency else None
            with self.pool.slots:
                boxes = views.boxed(found, reading) if isinstance(found, Path) else ""
            return views.number(reading), views.cards(reading, saliency), boxes, self.to_correct
        except UserError as error:
            return views.problem(str(error)), "", "", ""

    def correct_drawing(self, drawing: Drawing | None, number: Text, run: Text) -> str:
        """Keep the right number of what is on the pad, and say so."""
        return self.correct(lambda: decode_drawing(drawing), number, run)

    def correct_upload(self, upload: Upload | None, number: Text, run: Text) -> str:
        """Keep the right number of a picture, and say so."""
        return self.correct(lambda: _upload_path(upload), number, run)

    def correct(self, picture: Callable[[], Picture | None], number: str, run: str) -> str:
        """Keep the right number of a picture, and return in words that it is kept, or why it is not."""
        try:
            found = picture()
            if self.corrections is None or found is None:
                raise UserError("There is nothing to keep.")
            reading = self.pool.read(found, run)
            keep_correction(self.corrections, found, reading, number.strip(), run)
        except UserError as error:
            return views.note(str(error), "problem")
        return views.note(f"Kept as {number.strip()}. Thank you.")

    def read(self, picture: Upload, request: gr.Request) -> dict[str, Any]:
        """Read the number in a picture.

        Returns text ("2025", or "" where there is none), parity ("odd" or "even"), confidence (that the whole number
        is right) and glyphs, each with box (left, top, right, bottom in pixels), digit, confidence, is_digit and ten
        probabilities. By a run that tells odd from even, text and digits are null, and the probabilities two.
        """
        try:
            return views.as_json(self.pool.read(Path(picture["path"]), self.pool.first.folder.name))
        except UserError as error:
            request.state.status = 422  # the picture is at fault, and not the server
            raise gr.Error(str(error), print_exception=False) from None

    def runs(self) -> tuple[Any, str]:
        """Return the runs to choose from, and the table of them."""
        found = self.pool.runs
        return gr.Dropdown(list(found)), views.table(views.RUNS_HEADER, map(views.run_row, found.values()))

    def figures(self, run: Text) -> list[dict[str, Any]]:
        """Return a run's figures, each with its name, as Gradio's Gallery takes them."""
        found = self.pool.runs.get(run)
        return views.run_figures(found) if found else []


def decode_drawing(drawing: str | None) -> Image.Image | None:
    """Return what the pad sends, a PNG as a data URL, as a grey image; None where nothing is drawn."""
    if not drawing:
        return None
    try:
        image = Image.open(BytesIO(base64.b64decode(drawing.removeprefix(PNG_URL), validate=True)), formats=["PNG"])
        if max(image.size) <= MAX_PAD_PX:
            return image.convert("L")  # the pad draws in grey
    except (ValueError, OSError, SyntaxError, Image.DecompressionBombError):
        pass
    raise UserError("The pad sent no picture; load the page again.")


def _upload_path(upload: Upload | None) -> Path | None:
    """Return where an uploaded file is."""
    return Path(upload["path"]) if upload else None
