"""Figures of how far a run can be trusted: what its confidence is worth, and what its images may suffer.

As those in `plots`, each function clears the figure that it is given and fills it.
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

LEAST, MOST = 0.05, 0.99997
"""Where the axes of a reliability end: the logit, their scale, has no place for 0 and 1."""
TICKS = (0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)
COLUMNS = 3


def plot_reliability(figure: Figure, labels: Labels, probabilities: NDArray[np.float32]) -> None:
    """Draw how many of the answers of a confidence are right, each with its 95 % interval, beside how many should be.

    Args:
        labels: int64 (N,).
        probabilities: float32 (N, C).
    """
    found = reliability_bins(probabilities, labels)
    error = calibration_error(probabilities, labels)
    prepare_figure(figure, 6, 5.8, f"Expected calibration error {error:.2%}")
    axes = figure.subplots()
    frame_axes(axes, "Of answers so sure, so many are right")
    axes.plot([LEAST, MOST], [LEAST, MOST], ":", color=MUTED, linewidth=1.4)
    places = np.clip([each.confidence for each in found], LEAST, MOST)
    for place, each in zip(places, found, strict=True):
        low, right, high = np.clip([each.interval[0], each.accuracy, each.interval[1]], LEAST, MOST)
        axes.plot([place, place], [low, high], "_-", color=BLUE, linewidth=2, markersize=8, clip_on=False)
        axes.plot(place, right, "o", color=BLUE, markersize=7, clip_on=False)
    for axis, scale, limit, name in (
        (axes.xaxis, axes.set_xscale, axes.set_xlim, "confidence, and how many answers have it"),
        (axes.yaxis, axes.set_yscale, axes.set_ylim, "right"),
    ):
        scale("logit")
        limit(LEAST, MOST)
        axis.set_ticks(TICKS)
        axis.set_major_formatter(percent_tick)
        axis.set_minor_locator(NullLocator())
        axis.set_label_text(name, color=INK, fontsize=TEXT)
    axes.xaxis.remove_overlapping_locs = False
    # On two lines by turns, for the surest lie close together.
    counts = [f"{place % 2 * chr(10)}{each.rows:,}" for place, each in enumerate(found)]
    axes.set_xticks(places, counts, minor=True)
    axes.tick_params(axis="x", which="minor", length=0, labelcolor=MUTED, pad=22)


def plot_corruptions(figure: Figure, scores: "Mapping[Corruption, Sequence[Score]]") -> None:
    """Draw a panel for each of one or more corruptions: accuracy and parity accuracy, with their 95 % intervals.

    Args:
        scores: at each of a corruption's severities.
    """
    columns = min(len(scores), COLUMNS)
    lines = -(-len(scores) // columns)
    names = [corruption.name.capitalize() for corruption in scores]
    rows = next(iter(scores.values()))[0].rows
    alone = len(scores) == 1
    headline = names[0] if alone else f"Accuracy under corruptions, of {rows:,} rows"
    prepare_figure(figure, 3.9 * columns, 0.6 + 3 * lines, headline)
    panels = figure.subplots(lines, columns, squeeze=False).flat
    for axes, name, (corruption, worth) in zip(panels, names, scores.items(), strict=False):
        frame_axes(axes, "" if alone else name)
        _curves(axes, corruption, worth)
    add_legend(figure, panels[0])


def _curves(axes: Axes, corruption: "Corruption", scores: "Sequence[Score]") -> None:
    """Draw accuracy and parity accuracy over the severities of a corruption."""
    for name, colour, line, accuracies, intervals in (
        ("digit", BLUE, "-o", [each.accuracy for each in scores], [each.interval for each in scores]),
        ("parity", ORANGE, "--s", [each.parity.accuracy for each in scores], [each.parity.interval for each in scores]),
    ):
        axes.fill_between(corruption.severities, *np.transpose(intervals), color=colour, alpha=0.15, linewidth=0)
        axes.plot(corruption.severities, accuracies, line, color=colour, linewidth=2, markersize=4.5, label=name)
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(percent_tick)
    axes.set_xlabel(corruption.unit, color=INK, fontsize=TEXT)
