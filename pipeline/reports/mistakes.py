"""Write an HTML page of a run's mistakes, probable label errors, calibration and robustness to corruptions.

The page is one file with embedded images; it loads nothing else. Its template is `mistakes.html.j2`.
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
from tqdm import tqdm

from pipeline.data.table import DigitTable
from pipeline.inference.predictions import Predictions
from pipeline.inference.predictor import Predictor
from pipeline.metrics.calibration import reliability_bins
from pipeline.metrics.label_errors import label_errors
from pipeline.metrics.score import ConfusedPair, Score, most_confident_mistakes, score
from pipeline.reports.corruptions import CORRUPTIONS, SEED, Corruption
from pipeline.reports.evaluate import predictions_on
from pipeline.reports.reliability import plot_corruptions, plot_reliability
from pipeline.reports.style import percent, render_png, save_figure
from pipeline.run import Run
from pipeline.utils.files import write_atomic
from pipeline.utils.progress import hide_bar

MAX_MISTAKES = 400
MAX_LABEL_ERRORS = 60
MAX_PAIRS = 9
MAX_EXAMPLES = 5
"""Limit for the examples of each confusion."""
CORRUPTED_ROWS = 2000
"""Largest size of the sample that is scored under corruptions."""
MIN_CORRUPTED_ROWS = 200
CORRUPTION_FLOPS = 2.5e12
"""Floating-point operations of a network for all corruptions. Networks that would need more are scored on a smaller
sample."""
SET_NAMES = {"mnist": "MNIST's test set", "validation": "its validation rows"}

Curves = dict[Corruption, list[Score]]


@dataclass(frozen=True)
class ImageCard:
    """An image with its label and its prediction.

    Attributes:
        image: a data URL with a PNG.
        row: row number in the source table, from 1.
        predicted: the predicted digit, or the suggested label.
        confidence: the probability of that digit, in percent.
        rejected: whether the image is rejected as a non-digit.
    """

    image: str
    row: int
    label: int
    predicted: int
    confidence: str
    rejected: bool


@dataclass(frozen=True)
class Panel:
    """A corruption's figure, with one digit at each severity.

    Attributes:
        figure: a data URL with a PNG.
        description: the figure's data as text.
        steps: (image, severity, accuracy) of each severity; the image is a data URL.
    """

    figure: str
    description: str
    steps: list[tuple[str, str, str]]


def write_page(
    run: Run, table: DigitTable, on: str, predictor: Predictor | None = None, *, quiet: bool = False
) -> Path:
    """Write `mistakes.html` and `figures/corruptions.png` to a run's `report_folder`; return the path of the page.

    Args:
        table: digits with labels.
        on: name of the digits, as in `evaluate`.
        predictor: the run's predictor, if it is loaded already.
        quiet: show no progress bar.

    Raises:
        UserError: the digits have no labels, or the run is damaged or cannot be written to.
    """
    labels = table.known_labels
    predictor = predictor or Predictor.load(run)
    predictions = predictions_on(run, predictor, table, on)
    probabilities = predictions.probabilities
    result = score(predictions.known_digits, labels, probabilities)
    wrong = most_confident_mistakes(probabilities, labels)
    suspects = label_errors(probabilities, labels)
    sample = table.sample(_affordable_rows(predictor), SEED)
    curves = _score_corruptions(predictor, sample, quiet=quiet)
    save_figure(run.report_folder / "figures" / "corruptions.png", plot_corruptions, curves)

    page = _environment().get_template("mistakes.html.j2").render(
        run=run,
        recipe=run.card.recipe,
        on=on,
        set_name=SET_NAMES.get(on, on),
        overlap=run.fingerprint.count_duplicates(table.fingerprint) if on != "validation" else 0,
        score=result,
        rejected=int((~predictions.is_digit).sum()),
        rejected_mistakes=int((~predictions.is_digit[wrong]).sum()),
        mistakes=[_make_card(table, predictions, row) for row in wrong[:MAX_MISTAKES]],
        suspect_count=len(suspects),
        suspects=[_make_card(table, predictions, each.row, each.suggested) for each in suspects[:MAX_LABEL_ERRORS]],
        pairs=[(pair, _confusions(pair, table, predictions, wrong)) for pair in result.confused_pairs[:MAX_PAIRS]],
        reliability=_png_url(render_png(plot_reliability, labels, probabilities)),
        bins=reliability_bins(probabilities, labels),
        corrupted_rows=len(sample),
        panels=[_make_panel(corruption, scores, sample) for corruption, scores in curves.items()],
    )  # fmt: skip
    path = run.report_folder / "mistakes.html"
    write_atomic(path, page.encode("utf-8", "surrogateescape"))
    return path


def _environment() -> Environment:
    """Return a Jinja environment that escapes all values and rejects undefined names."""
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _affordable_rows(predictor: Predictor) -> int:
    """Return the size of the sample for which a network needs CORRUPTION_FLOPS."""
    predictions = sum(len(corruption.severities) for corruption in CORRUPTIONS)
    rows = int(CORRUPTION_FLOPS / predictions / predictor.count_flops())
    return min(max(rows, MIN_CORRUPTED_ROWS), CORRUPTED_ROWS)


def _score_corruptions(predictor: Predictor, table: DigitTable, *, quiet: bool) -> Curves:
    """Return the scores on a table's digits at each severity of each corruption."""
    total = sum(len(corruption.severities) for corruption in CORRUPTIONS)
    with tqdm(total=total, desc="corruptions", leave=False, disable=hide_bar(quiet)) as bar:

        def score_at(corruption: Corruption, severity: float) -> Score:
            predictions = predictor.predict(corruption.apply(table.pixels, severity))
            bar.update()
            return predictions.score(table.known_labels)

        return {each: [score_at(each, severity) for severity in each.severities] for each in CORRUPTIONS}


def _make_card(table: DigitTable, predictions: Predictions, row: int, digit: int | None = None) -> ImageCard:
    """Return the card of an image, with the predicted digit or another given digit."""
    digit = int(predictions.known_digits[row]) if digit is None else digit
    return ImageCard(
        image=_image_url(table.pixels[row]),
        row=int(table.row_numbers[row]),
        label=int(table.known_labels[row]),
        predicted=digit,
        confidence=percent(float(predictions.probabilities[row, digit])),
        rejected=not predictions.is_digit[row],
    )


def _confusions(
    pair: ConfusedPair, table: DigitTable, predictions: Predictions, wrong: NDArray[np.int64]
) -> list[tuple[int, int, int, list[ImageCard]]]:
    """Return (label, prediction, count, most confident examples) of each confusion of a pair of digits."""
    found = []
    for label, predicted, count in (
        (pair.low, pair.high, pair.low_as_high),
        (pair.high, pair.low, pair.high_as_low),
    ):
        rows = wrong[(table.known_labels[wrong] == label) & (predictions.known_digits[wrong] == predicted)]
        if count:
            examples = [_make_card(table, predictions, row) for row in rows[:MAX_EXAMPLES]]
            found.append((label, predicted, count, examples))
    return found


def _make_panel(corruption: Corruption, scores: Sequence[Score], table: DigitTable) -> Panel:
    """Return the panel of a corruption; its example is the table's first 2, because its rotation is visible."""
    first_two = int((table.known_labels == 2).argmax())
    example = table.pixels[first_two : first_two + 1]
    steps = [
        (_image_url(corruption.apply(example, severity)[0]), f"{severity:g}", percent(each.accuracy) + "%")
        for severity, each in zip(corruption.severities, scores, strict=True)
    ]
    accuracies = ", ".join(f"{accuracy} at {severity}" for _, severity, accuracy in steps)
    return Panel(
        figure=_png_url(render_png(plot_corruptions, {corruption: scores})),
        description=f"Accuracy by {corruption.name} ({corruption.unit}): {accuracies}",
        steps=steps,
    )


def _image_url(pixels: NDArray[np.uint8]) -> str:
    """Return an image, uint8 (28, 28), as a data URL with a PNG."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return _png_url(file.getvalue())


def _png_url(png: bytes) -> str:
    """Return a PNG as a data URL."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
