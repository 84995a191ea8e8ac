"""A page of what a run misreads: every mistake, probable errors among the labels, and what its images may suffer.

It is one file that holds its pictures and asks for nothing else; how it looks is in `mistakes.html.j2`.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

from pipeline.data.table import DigitTable
from pipeline.inference.predictions import Predictions
from pipeline.inference.predictor import Predictor
from pipeline.metrics.calibration import reliability_bins
from pipeline.metrics.label_errors import label_errors
from pipeline.metrics.score import ConfusedPair, Score, score, surest_mistakes
from pipeline.reports.corruptions import CORRUPTIONS, SEED, Corruption
from pipeline.reports.evaluate import predictions_on
from pipeline.reports.reliability import plot_corruptions, plot_reliability
from pipeline.reports.style import percent, render_png, save_figure
from pipeline.run import Run
from pipeline.utils.files import write_atomic

MOST_MISTAKES = 400
MOST_LABEL_ERRORS = 60
MOST_PAIRS = 9
EXAMPLES = 5
"""Of each way in which a pair is confused."""
CORRUPTED_ROWS = 2000
PLACES = {"mnist": "MNIST's test digits", "validation": "the rows set aside in its training"}

Curves = dict[Corruption, list[Score]]


@dataclass(frozen=True)
class Card:
    """An image with what is said of it.

    Attributes:
        image: an address that holds it.
        row: in the table as it was read, from 1.
        read: the digit that was read, or that the label should be.
        confidence: its probability, in percent.
        refused: whether it was taken for no digit.
    """

    image: str
    row: int
    label: int
    read: int
    confidence: str
    refused: bool


@dataclass(frozen=True)
class Panel:
    """A corruption's figure, and under it one digit at each severity.

    Attributes:
        steps: image, severity and accuracy.
    """

    figure: str
    words: str
    steps: list[tuple[str, str, str]]


def write_page(run: Run, table: DigitTable, on: str, predictor: Predictor | None = None) -> Path:
    """Write `mistakes.html` into a run, and `corruptions.png` into its figures; return the page's path.

    Args:
        table: digits with labels.
        on: what they are, as in `evaluate`.
        predictor: the run's, if it is loaded already.

    Raises:
        UserError: the digits have no labels, or the run is damaged or cannot be written to.
    """
    labels = table.known_labels
    predictor = predictor or Predictor.load(run)
    predictions = predictions_on(run, predictor, table, on)
    probabilities = predictions.probabilities
    result = score(predictions.known_digits, labels, probabilities)
    wrong = surest_mistakes(probabilities, labels)
    suspects = label_errors(probabilities, labels)
    sample = table.sample(CORRUPTED_ROWS, SEED)
    curves = _under_corruptions(predictor, sample)
    save_figure(run.folder / "figures" / "corruptions.png", plot_corruptions, curves)

    page = _environment().get_template("mistakes.html.j2").render(
        run=run,
        recipe=run.card.recipe,
        on=on,
        place=PLACES.get(on, on),
        seen=run.fingerprint.count_duplicates(table.fingerprint) if on != "validation" else 0,
        score=result,
        refused=int((~predictions.is_digit).sum()),
        refused_mistakes=int((~predictions.is_digit[wrong]).sum()),
        mistakes=[_card(table, predictions, row) for row in wrong[:MOST_MISTAKES]],
        suspected=len(suspects),
        suspects=[_card(table, predictions, each.row, each.suggested) for each in suspects[:MOST_LABEL_ERRORS]],
        pairs=[(pair, _ways(pair, table, predictions, wrong)) for pair in result.confused_pairs[:MOST_PAIRS]],
        reliability=_address(render_png(plot_reliability, labels, probabilities)),
        bins=reliability_bins(probabilities, labels),
        corrupted=len(sample),
        panels=[_panel(corruption, worth, sample) for corruption, worth in curves.items()],
    )  # fmt: skip
    path = run.folder / "mistakes.html"
    write_atomic(path, page.encode())
    return path


def _environment() -> Environment:
    """Return Jinja's, which escapes whatever it is given and refuses names that it is not given."""
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _under_corruptions(predictor: Predictor, table: DigitTable) -> Curves:
    """Return the score of the digits of a table at each severity of each corruption."""

    def worth(corruption: Corruption, severity: float) -> Score:
        predictions = predictor.predict(corruption.apply(table.pixels, severity))
        return predictions.score(table.known_labels)

    return {each: [worth(each, severity) for severity in each.severities] for each in CORRUPTIONS}


def _card(table: DigitTable, predictions: Predictions, row: int, digit: int | None = None) -> Card:
    """Return the card of an image, with the digit that was read or another."""
    digit = int(predictions.known_digits[row]) if digit is None else digit
    return Card(
        image=_picture(table.pixels[row]),
        row=int(table.row_numbers[row]),
        label=int(table.known_labels[row]),
        read=digit,
        confidence=percent(float(predictions.probabilities[row, digit])),
        refused=not predictions.is_digit[row],
    )


def _ways(
    pair: ConfusedPair, table: DigitTable, predictions: Predictions, wrong: NDArray[np.int64]
) -> list[tuple[int, int, int, list[Card]]]:
    """Return for both ways of a pair the label, what was read, how often, and the surest examples."""
    found = []
    for label, read, count in (
        (pair.low, pair.high, pair.low_as_high),
        (pair.high, pair.low, pair.high_as_low),
    ):
        rows = wrong[(table.known_labels[wrong] == label) & (predictions.known_digits[wrong] == read)]
        if count:
            found.append((label, read, count, [_card(table, predictions, row) for row in rows[:EXAMPLES]]))
    return found


def _panel(corruption: Corruption, scores: Sequence[Score], table: DigitTable) -> Panel:
    """Return the panel of a corruption; the digit under it is the table's first 2, which no rotation hides."""
    two = int((table.known_labels == 2).argmax())
    example = table.pixels[two : two + 1]
    steps = [
        (_picture(corruption.apply(example, severity)[0]), f"{severity:g}", percent(each.accuracy) + "%")
        for severity, each in zip(corruption.severities, scores, strict=True)
    ]
    accuracies = ", ".join(f"{accuracy} at {severity}" for _, severity, accuracy in steps)
    return Panel(
        figure=_address(render_png(plot_corruptions, {corruption: scores})),
        words=f"Accuracy by {corruption.name}, in {corruption.unit}: {accuracies}",
        steps=steps,
    )


def _picture(pixels: NDArray[np.uint8]) -> str:
    """Return an image, uint8 (28, 28), as an address that holds it as a PNG."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return _address(file.getvalue())


def _address(png: bytes) -> str:
    """Return a PNG as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
