"""Figures of a search: its history and the importance of its settings.

As in `pipeline.reports.figures`, each function clears the given figure and draws on it.
"""

from collections.abc import Mapping
from itertools import accumulate

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.reports.style import BLUE, INK, ORANGE, SMALL, TEXT, add_legend, frame_axes, percent_tick, prepare_figure

HEADROOM = 4
"""Upper limit of the loss axis, as a multiple of the distance from the best loss to the median."""


def plot_search_history(figure: Figure, complete: Mapping[int, float], pruned: Mapping[int, float]) -> None:
    """Draw the validation loss of each trial, in nats, by its number, and the running minimum.

    Args:
        complete: losses of complete trials; at least one.
        pruned: losses of pruned trials, the lowest of their epochs.
    """
    last = max([*complete, *pruned])
    lowest = min(complete.values())
    winner = next(number for number, loss in complete.items() if loss == lowest)
    tried = len(complete) + len(pruned)
    prepare_figure(figure, 11.5, 4.6, f"Best of {tried} trials: trial {winner}, validation loss {lowest:.4f}")
    axes = figure.subplots()
    spread = float(np.median(list(complete.values()))) - lowest or 0.1 * lowest
    top = lowest + HEADROOM * spread
    above = sum(loss > top for losses in (complete, pruned) for loss in losses.values())
    frame_axes(axes, f"Losses above the axis: {above}" if above else "")
    steps = list(accumulate(complete.values(), min))
    axes.step([*complete, last + 0.5], [*steps, lowest], where="post", color=INK, linewidth=1.4, label="lowest so far")
    for name, losses, marker, colour, fill in (
        ("complete", complete, "o", BLUE, BLUE),
        ("pruned", pruned, "D", ORANGE, "none"),
    ):
        drawn = [(number, loss) for number, loss in losses.items() if loss <= top]
        if drawn:
            axes.plot(
                *zip(*drawn, strict=True),
                marker,
                color=colour,
                markersize=7,
                markerfacecolor=fill,
                markeredgewidth=1.8,
                label=name,
                clip_on=False,
            )
    axes.set_ylim(lowest - 0.15 * HEADROOM * spread, top)
    axes.set_xlim(-0.5, last + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    axes.set_xlabel("trial", color=INK, fontsize=TEXT)
    axes.set_ylabel("validation loss", color=INK, fontsize=TEXT)
    add_legend(figure, axes)


def plot_importances(figure: Figure, shares: Mapping[str, float], trials: int) -> None:
    """Draw the importance of each setting over `trials` complete trials, the highest on top."""
    prepare_figure(figure, 11.5, 1.6 + 0.38 * len(shares), f"Importance of settings over {trials} complete trials")
    axes = figure.subplots()
    frame_axes(axes)
    ordered = sorted(shares.items(), key=lambda item: item[1])
    bars = axes.barh([name for name, _ in ordered], [share for _, share in ordered], height=0.6, color=BLUE)
    axes.bar_label(bars, [f"{share:.0%}" for _, share in ordered], padding=4, color=INK, fontsize=SMALL)
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, 1.1 * max(shares.values()))
    axes.xaxis.set_major_formatter(percent_tick)
    axes.set_xlabel("importance", color=INK, fontsize=TEXT)
