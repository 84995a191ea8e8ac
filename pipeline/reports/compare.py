"""Compare the scores and speeds of runs."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from pipeline.data.table import DigitTable
from pipeline.inference.orientation import orient_table
from pipeline.inference.predictor import Predictor
from pipeline.metrics.score import Score
from pipeline.reports.evaluate import labelled_rows, predictions_on
from pipeline.run import Run

TIMED_ROWS = 5_000
TIMED_PASSES = 3


@dataclass(frozen=True)
class RunComparison:
    """The score and the speed of one run."""

    run: Run
    score: Score
    images_per_second: float
    """Prediction speed on this machine, the median of three passes."""


def format_comparison(compared: Sequence[RunComparison]) -> str:
    """Return the comparison as text, one line per run; "-" marks figures that a parity run does not have."""
    width = max(len(each.run.folder.name) for each in compared)
    lines = [
        f"{'run':{width}}  accuracy         95% interval   parity         95% interval    loss    rows  parameters  "
        "minutes  images/s"
    ]
    for each in compared:
        score, card = each.score, each.run.card
        digits = [f"{score.accuracy:.2%}", _format_interval(score.interval), f"{score.loss:.4f}"]
        accuracy, interval, loss = digits if score.of_digits else 3 * ["-"]
        lines.append(
            f"{each.run.folder.name:{width}}  {accuracy:>8}  {interval:>19}  "
            f"{score.parity.accuracy:7.2%}  {_format_interval(score.parity.interval):>19}  {loss:>6}  {score.rows:6,}  "
            f"{card.parameters:10,}  {card.minutes:7.1f}  {each.images_per_second:8,.0f}"
        )
    return "\n".join(lines)


def _format_interval(interval: tuple[float, float]) -> str:
    """Return an interval of fractions as text in percent."""
    return f"{interval[0]:.2%} to {interval[1]:.2%}"


def compare(names: Sequence[str | Path], on: str, data: Path) -> list[RunComparison]:
    """Score runs on the same digits, or, if `on` is "validation", each run on its own validation rows.

    Args:
        names: folders of runs, or names of runs in `checkpoints/`.
        on: as in `labelled_rows`.

    Raises:
        UserError: a run or its digits are missing.
    """
    runs = [Run.open(name) for name in names]
    return [_compare_run(run, labelled_rows(run, on, data), on) for run in runs]


def _compare_run(run: Run, table: DigitTable, on: str) -> RunComparison:
    """Return the score and the speed of one run."""
    predictor = Predictor.load(run)
    if on != "validation":
        table = orient_table(predictor, table, on)
    result = predictions_on(run, predictor, table, on).score(table.known_labels)
    timed = table.pixels[:TIMED_ROWS]
    seconds = []
    for _ in range(TIMED_PASSES):
        started = time.perf_counter()
        predictor.predict(timed)
        seconds.append(time.perf_counter() - started)
    return RunComparison(run, result, len(timed) / median(seconds))
