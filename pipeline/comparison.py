"""Runs side by side."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from pipeline.checkpoint import Run
from pipeline.evaluation import labelled_rows
from pipeline.predictor import Predictor
from pipeline.scoring import Score, score
from pipeline.table import DigitTable

TIMED_ROWS = 5_000
PASSES = 3


@dataclass(frozen=True)
class Compared:
    """What a comparison says of one run."""

    run: Run
    score: Score
    images_per_second: float
    """Predicted here and now, the median of three passes."""


def table(compared: Sequence[Compared]) -> str:
    """Return the comparison as text, a line for each run."""
    width = max(len(each.run.folder.name) for each in compared)
    lines = [f"{'run':{width}}  accuracy         95% interval   parity    loss    rows  parameters  minutes  images/s"]
    for each in compared:
        score, card = each.score, each.run.card
        low, high = score.interval
        lines.append(
            f"{each.run.folder.name:{width}}  {score.accuracy:8.2%}  {f'{low:.2%} to {high:.2%}':>19}  "
            f"{score.parity_accuracy:7.2%}  {score.loss:6.4f}  {score.rows:6,}  {card.parameters:10,}  "
            f"{card.minutes:7.1f}  {each.images_per_second:8,.0f}"
        )
    return "\n".join(lines)


def compare(names: Sequence[str | Path], on: str, data: Path) -> list[Compared]:
    """Score runs on the same digits, or on "validation", each on the rows set aside in its training.

    Args:
        names: folders of runs, or names of those in `checkpoints/`.
        on: as in `labelled_rows`.

    Raises:
        UserError: a run or its digits are not there.
    """
    runs = [Run.open(name) for name in names]
    return [compared(run, labelled_rows(run, on, data)) for run in runs]


def compared(run: Run, table: DigitTable) -> Compared:
    """Return the score and the speed of one run."""
    predictor = Predictor.load(run.folder)
    predictions = predictor.predict(table.pixels)
    result = score(predictions.digits, table.known_labels, predictions.probabilities)
    some = table.pixels[:TIMED_ROWS]
    seconds = []
    for _ in range(PASSES):
        started = time.perf_counter()
        predictor.predict(some)
        seconds.append(time.perf_counter() - started)
    return Compared(run, result, len(some) / median(seconds))
