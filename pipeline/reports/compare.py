"""Runs side by side."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from pipeline.data.table import DigitTable
from pipeline.inference.predictor import Predictor
from pipeline.metrics.score import Score
from pipeline.reports.evaluate import labelled_rows, predictions_on
from pipeline.run import Run

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
    """Return the comparison as text, a line for each run; "-" is what a run that tells odd from even cannot know."""
    width = max(len(each.run.folder.name) for each in compared)
    lines = [
        f"{'run':{width}}  accuracy         95% interval   parity         95% interval    loss    rows  parameters  "
        "minutes  images/s"
    ]
    for each in compared:
        score, card = each.score, each.run.card
        digits = [f"{score.accuracy:.2%}", _between(score.interval), f"{score.loss:.4f}"]
        accuracy, interval, loss = digits if score.of_digits else 3 * ["-"]
        lines.append(
            f"{each.run.folder.name:{width}}  {accuracy:>8}  {interval:>19}  "
            f"{score.parity.accuracy:7.2%}  {_between(score.parity.interval):>19}  {loss:>6}  {score.rows:6,}  "
            f"{card.parameters:10,}  {card.minutes:7.1f}  {each.images_per_second:8,.0f}"
        )
    return "\n".join(lines)


def _between(interval: tuple[float, float]) -> str:
    """Return an interval in percent, in words."""
    return f"{interval[0]:.2%} to {interval[1]:.2%}"


def compare(names: Sequence[str | Path], on: str, data: Path) -> list[Compared]:
    """Score runs on the same digits, or on "validation", each on the rows set aside in its training.

    Args:
        names: folders of runs, or names of those in `checkpoints/`.
        on: as in `labelled_rows`.

    Raises:
        UserError: a run or its digits are not there.
    """
    runs = [Run.open(name) for name in names]
    return [compared(run, labelled_rows(run, on, data), on) for run in runs]


def compared(run: Run, table: DigitTable, on: str) -> Compared:
    """Return the score and the speed of one run."""
    predictor = Predictor.load(run)
    result = predictions_on(run, predictor, table, on).score(table.known_labels)
    some = table.pixels[:TIMED_ROWS]
    seconds = []
    for _ in range(PASSES):
        started = time.perf_counter()
        predictor.predict(some)
        seconds.append(time.perf_counter() - started)
    return Compared(run, result, len(some) / median(seconds))
