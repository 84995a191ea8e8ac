"""Figures of calibration and of robustness to corruptions.

As in `pipeline.reports.figures`, each function clears the given figure and draws on it.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from pipeline.digits import Labels
from pipeline.metrics.calibration import calibration_error, reliability_bins
from pipeline.metrics.score import Score
from pipeline.reports.style import BLUE, INK, MUTED, ORANGE, TEXT, add_legend, frame_axes, percent_tick, prepare_figure

if TYPE_CHECKING:
    from pipeline.reports.corruptions import Corruption

MIN_PROBABILITY, MAX_PROBABILITY = 0.05, 0.99997
"""Limits of the axes of a reliability diagram: a logit scale excludes 0 and 1."""
PROBABILITY_TICKS = (0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)
PANELS_PER_ROW = 3


def plot_reliability(figure: Figure, labels: Labels, probabilities: NDArray[np.float32]) -> None:
    """Draw a reliability diagram: the accuracy of predictions by confidence, with 95 % intervals and the ideal line.

    Args:
        labels: int64 (N,).
        probabilities: float32 (N, C).
    """
    bins = reliability_bins(probabilities, labels)
    error = calibration_error(probabilities, labels)
    prepare_figure(figure, 6, 5.8, f"Expected calibration error {error:.2%}")
    axes = figure.subplots()
    frame_axes(axes, "Accuracy by confidence")
    axes.plot([MIN_PROBABILITY, MAX_PROBABILITY], [MIN_PROBABILITY, MAX_PROBABILITY], ":", color=MUTED, linewidth=1.4)
    positions = np.clip([each.confidence for each in bins], MIN_PROBABILITY, MAX_PROBABILITY)
    for position, each in zip(positions, bins, strict=True):
        low, accuracy, high = np.clip(
            [each.interval[0], each.accuracy, each.interval[1]], MIN_PROBABILITY, MAX_PROBABILITY
        )
        axes.plot([position, position], [low, high], "_-", color=BLUE, linewidth=2, markersize=8, clip_on=False)
        axes.plot(position, accuracy, "o", color=BLUE, markersize=7, clip_on=False)
    for axis, scale, limit, name in (
        (axes.xaxis, axes.set_xscale, axes.set_xlim, "confidence, with the number of predictions"),
        (axes.yaxis, axes.set_yscale, axes.set_ylim, "accuracy"),
    ):
        scale("logit")
        limit(MIN_PROBABILITY, MAX_PROBABILITY)
        axis.set_ticks(PROBABILITY_TICKS)
        axis.set_major_formatter(percent_tick)
        axis.set_minor_locator(NullLocator())
        axis.set_label_text(name, color=INK, fontsize=TEXT)
    axes.xaxis.remove_overlapping_locs = False
    # The counts alternate between two lines because the bins of high confidence are close together.
    counts = [f"{index % 2 * chr(10)}{each.rows:,}" for index, each in enumerate(bins)]
    axes.set_xticks(positions, counts, minor=True)
    axes.tick_params(axis="x", which="minor", length=0, labelcolor=MUTED, pad=22)


def plot_corruptions(figure: Figure, scores: "Mapping[Corruption, Sequence[Score]]") -> None:
    """Draw one panel per corruption: accuracy and parity accuracy with 95 % intervals.

    Args:
        scores: the scores at each severity, for one or more corruptions.
    """
    columns = min(len(scores), PANELS_PER_ROW)
    panel_rows = -(-len(scores) // columns)
    names = [corruption.name.capitalize() for corruption in scores]
    rows = next(iter(scores.values()))[0].rows
    single = len(scores) == 1
    headline = names[0] if single else f"Accuracy under corruptions, {rows:,} rows"
    prepare_figure(figure, 3.9 * columns, 0.6 + 3 * panel_rows, headline)
    panels = figure.subplots(panel_rows, columns, squeeze=False).flat
    for axes, name, (corruption, corruption_scores) in zip(panels, names, scores.items(), strict=False):
        frame_axes(axes, "" if single else name)
        _plot_curves(axes, corruption, corruption_scores)
    add_legend(figure, panels[0])


def _plot_curves(axes: Axes, corruption: "Corruption", scores: "Sequence[Score]") -> None:
    """Draw accuracy and parity accuracy against the severity of a corruption."""
    for name, colour, line, accuracies, intervals in (
        ("digit", BLUE, "-o", [each.accuracy for each in scores], [each.interval for each in scores]),
        ("parity", ORANGE, "--s", [each.parity.accuracy for each in scores], [each.parity.interval for each in scores]),
    ):
        axes.fill_between(corruption.severities, *np.transpose(intervals), color=colour, alpha=0.15, linewidth=0)
        axes.plot(corruption.severities, accuracies, line, color=colour, linewidth=2, markersize=4.5, label=name)
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(percent_tick)
    axes.set_xlabel(corruption.unit, color=INK, fontsize=TEXT)
