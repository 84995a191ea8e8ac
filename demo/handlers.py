"""Event handlers of the page. They take and return plain values and do not depend on the layout."""

import base64
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from demo import run_views, views
from demo.document import INVITATION
from demo.predictors import PredictorPool
from demo.schema import PNG_URL, Drawing, Text, Upload
from pipeline import UserError, keep_correction

MAX_PAD_PX = 1000
"""Maximum side of a picture from the pad, in pixels."""
TO_UPLOAD = "Upload a photo, scan or screenshot of a number."

CORRECTION_NOTE = "Is the number wrong? Type what you meant. The picture and your number are then kept on this server."

Picture = Image.Image | Path
Shown = tuple[str, str, str, str]
"""HTML of the number, its cards, the picture with bounding boxes, and the note on corrections."""


class Handlers:
    """Handlers of the page's events.

    Args:
        pool: the predictors.
        corrections: the folder for corrections, or None to save none.
    """

    def __init__(self, pool: PredictorPool, corrections: Path | None) -> None:
        self.pool = pool
        self.corrections = corrections
        self.correction_note = views.note(CORRECTION_NOTE)

    def draw(self, drawing: Drawing | None, run: Text, show_saliency: bool) -> Shown:
        """Read the drawing on the pad."""
        return self.show(lambda: decode_drawing(drawing), run, show_saliency, INVITATION)

    def upload(self, upload: Upload | None, run: Text, show_saliency: bool) -> Shown:
        """Read an uploaded picture."""
        return self.show(lambda: _upload_path(upload), run, show_saliency, TO_UPLOAD)

    def show(self, picture: Callable[[], Picture | None], run: str, show_saliency: bool, invitation: str) -> Shown:
        """Read a picture; return an error message instead of the number if it cannot be read."""
        try:
            image = picture()
            reading = None if image is None else self.pool.read(image, run)
            if image is None or reading is None or not reading.glyphs:
                return views.empty(invitation if image is None else "No number found."), "", "", ""
            saliency = self.pool.saliency(reading, run) if show_saliency else None
            with self.pool.slots:
                boxes = views.boxed(image, reading) if isinstance(image, Path) else views.split(image.size, reading)
            return views.number(reading), views.cards(reading, run, saliency), boxes, self.correction_note
        except UserError as error:
            return views.problem(str(error)), "", "", ""

    def correct_drawing(self, drawing: Drawing | None, number: Text, run: Text) -> str:
        """Save the correct number of a drawing."""
        return self.correct(lambda: decode_drawing(drawing), number, run)

    def correct_upload(self, upload: Upload | None, number: Text, run: Text) -> str:
        """Save the correct number of an uploaded picture."""
        return self.correct(lambda: _upload_path(upload), number, run)

    def correct(self, picture: Callable[[], Picture | None], number: str, run: str) -> str:
        """Save the correct number of a picture; return a note that confirms it or gives the error."""
        try:
            image = picture()
            if self.corrections is None or image is None:
                raise UserError("There is nothing to save.")
            reading = self.pool.read(image, run)
            framed = keep_correction(self.corrections, image, reading, number, run)
        except UserError as error:
            return views.note(str(error), "problem")
        whole = "" if framed else " Its digits could not be told apart, so the drawing is kept as a whole."
        return views.note(f"Saved as {number.strip()}.{whole} Thank you.")

    def read(self, picture: Upload, request: gr.Request) -> dict[str, Any]:
        """Read the number in a picture.

        Returns text ("2025", "3.14", "1572 43890" for two rows, or "" if no number is found), marked (the text as the
        page shows it, with ? for what is probably no digit: "20?5"), parity ("odd" or "even" for each row), confidence
        (the probability that all digits are right), glyphs, marks and left_out, the boxes of ink in none of them. Each
        glyph has box (left, top, right, bottom in pixels), row (0 is the top row), digit, confidence, is_digit and ten
        probabilities. Each mark has box, symbol and row. A run that predicts only parity returns null for text and
        digit, and two probabilities.
        """
        try:
            return views.as_json(self.pool.read(Path(picture["path"]), self.pool.first.folder.name))
        except UserError as error:
            request.state.status = 422  # a client error, not a server error
            raise gr.Error(str(error), print_exception=False) from None

    def runs(self) -> tuple[Any, str]:
        """Return the available runs, as choices and as a table."""
        found = self.pool.runs
        return gr.Dropdown(list(found)), run_views.table(run_views.RUNS_HEADER, map(run_views.run_row, found.values()))

    def figures(self, run: Text) -> str:
        """Return a run's figures."""
        found = self.pool.runs.get(run)
        return run_views.figures(found) if found else ""


def decode_drawing(drawing: str | None) -> Image.Image | None:
    """Return the pad's drawing, a PNG as a data URL, as a greyscale image, or None if the pad is empty.

    Raises:
        UserError: the data URL is not a PNG, or it is too large.
    """
    if not drawing:
        return None
    try:
        image = Image.open(BytesIO(base64.b64decode(drawing.removeprefix(PNG_URL), validate=True)), formats=["PNG"])
        if max(image.size) <= MAX_PAD_PX:
            return image.convert("L")  # the pad draws in black on white
    except (ValueError, OSError, SyntaxError, Image.DecompressionBombError):
        pass
    raise UserError("The pad sent an invalid picture. Reload the page.")


def _upload_path(upload: Upload | None) -> Path | None:
    """Return the path of an uploaded file, or None without one."""
    return Path(upload["path"]) if upload else None
