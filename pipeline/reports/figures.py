"""Figures of training histories, confusion matrices, scores per digit, comparisons and submissions.

Each function clears the given figure and draws on it; the figure can belong to a file, a notebook or a page.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter
from numpy.typing import NDArray

from pipeline.card import Epoch
from pipeline.kaggle.ledger import Entry
from pipeline.metrics.score import Score
from pipeline.reports.style import (
    BLUE,
    ERRORS,
    GRID,
    GROUND,
    INK,
    MUTED,
    ORANGE,
    SAND,
    SMALL,
    TEXT,
    TITLE,
    add_legend,
    frame_axes,
    percent,
    percent_tick,
    prepare_figure,
    write_centred,
)

MAX_SUBMISSION_LABELS = 8
"""Limit for the labels on the axis of submissions."""
AXIS_FLOORS = (0.99, 0.98, 0.95, 0.9, 0.8, 0.5)
"""Possible lower limits, other than 0, of the axis of scores per digit."""


def plot_training_history(figure: Figure, history: Sequence[Epoch]) -> None:
    """Draw loss, accuracy and learning rate over one or more epochs, and mark the epoch whose model was kept."""
    kept = next((epoch for epoch in reversed(history) if epoch.saved), None)
    headline = f"Epoch {kept.epoch:.3g} of {history[-1].epoch:.3g} kept" if kept else "No epoch kept"
    if kept and kept.validation_accuracy is not None:
        headline += f", validation accuracy {kept.validation_accuracy:.2%}"
    prepare_figure(figure, 11.5, 4.1, headline)

    training = [epoch.train_accuracy for epoch in history]
    rates = [epoch.learning_rate for epoch in history]
    loss, accuracy, rate = figure.subplots(1, 3)
    _plot_curves(
        loss, "Loss", history, [epoch.train_loss for epoch in history], [epoch.validation_loss for epoch in history]
    )
    _plot_curves(accuracy, "Accuracy", history, training, [epoch.validation_accuracy for epoch in history])
    _plot_curves(rate, "Learning rate", history, rates)
    accuracy.yaxis.set_major_formatter(percent_tick)
    accuracy.set_ylim(top=min(1, accuracy.get_ylim()[1]))
    if 0 < 10 * min(rates) < max(rates):
        rate.set_yscale("log")
        rate.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        rate.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        rate.yaxis.set_minor_formatter(NullFormatter())
    if kept:
        for axes in (loss, accuracy, rate):
            axes.axvline(kept.epoch, color=INK, linestyle=":", linewidth=1.4, label="kept")
    add_legend(figure, loss)


def _plot_curves(
    axes: Axes,
    title: str,
    history: Sequence[Epoch],
    training: Sequence[float | None],
    validation: Sequence[float | None] = (),
) -> None:
    """Draw a panel of one metric over the epochs; skip epochs without a value."""
    frame_axes(axes, title)
    axes.set_xlabel("epoch", color=INK, fontsize=TEXT)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    axes.set_xlim(history[0].epoch - 0.5, history[-1].epoch + 0.5)
    for name, values, colour, line, marker in (
        ("training", training, BLUE, "-", "o"),
        ("validation", validation, ORANGE, "--", "s"),
    ):
        known = [(epoch.epoch, value) for epoch, value in zip(history, values, strict=False) if value is not None]
        if known:
            axes.plot(
                *zip(*known, strict=True),
                color=colour,
                linestyle=line,
                linewidth=2,
                marker=marker,
                markersize=5,
                markevery=max(1, len(history) // 20),
                clip_on=False,
                label=name,
            )


def plot_confusion(figure: Figure, score: Score) -> None:
    """Draw the confusion matrix as counts and as percent of each label's rows; colours mark errors."""
    prepare_figure(figure, 12, 6.9, f"{score.rows - score.correct:,} of {score.rows:,} digits misclassified")
    counts, fractions = figure.subplots(1, 2)
    recall_matrix = score.confusion / np.maximum(score.support, 1)[:, None]
    _draw_matrix(counts, "Rows", score.classes, score.confusion, str)
    _draw_matrix(fractions, "Percent of each label's rows", score.classes, recall_matrix, percent)


def _draw_matrix(
    axes: Axes, title: str, classes: Sequence[str], values: NDArray[Any], format_value: Callable[[Any], str]
) -> None:
    """Draw a panel of (C, C) cells; write every value except 0 with `format_value`."""
    frame_axes(axes, title)
    errors = np.ma.masked_array(values, mask=np.eye(len(classes), dtype=bool))
    largest = float(errors.max()) or 1.0
    edges = np.arange(len(classes) + 1) - 0.5
    axes.pcolormesh(edges, edges, errors, cmap=ERRORS, vmin=0, vmax=largest, edgecolors=GRID, linewidth=0.8)
    for (label, digit), value in np.ndenumerate(values):
        if value:
            colour = GROUND if label != digit and value > largest * 0.75 else INK
            write_centred(axes, digit, label, format_value(value), colour, SMALL)
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("predicted", color=INK, fontsize=TEXT)
    axes.set_ylabel("label", color=INK, fontsize=TEXT)
    axes.tick_params(length=0, labelsize=TEXT)
    axes.spines[:].set_visible(False)


def plot_per_digit(figure: Figure, score: Score) -> None:
    """Draw precision, recall and F1 of each class that has rows, and the number of rows."""
    kind = "digit" if score.of_digits else "parity"
    prepare_figure(figure, 11.5, 4.6, f"Precision, recall and F1 per {kind}")
    axes = figure.subplots()
    present = np.flatnonzero(score.support)
    metrics = {"precision": score.precision[present], "recall": score.recall[present], "F1": score.f1[present]}
    floor = _axis_floor(min(values.min() for values in metrics.values()))
    frame_axes(axes, f"The axis starts at {floor:g}, not at 0" if floor else "")
    styles = ((BLUE, ""), (ORANGE, "////"), (SAND, ""))
    for index, ((name, values), (colour, hatch)) in enumerate(zip(metrics.items(), styles, strict=True)):
        axes.bar(
            present + (index - 1) * 0.27,
            values - floor,
            bottom=floor,
            width=0.27,
            color=colour,
            edgecolor=GROUND,
            hatch=hatch,
            label=name,
        )
    axes.set_xlim(-0.6, len(score.classes) - 0.4)
    axes.set_ylim(floor, 1)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.grid(visible=False, axis="x")
    axes.set_xticks(range(len(score.classes)), score.classes)
    axes.xaxis.remove_overlapping_locs = False
    counts = [f"{rows:,}" if rows else "no rows" for rows in score.support]
    axes.set_xticks(range(len(score.classes)), counts, minor=True)
    axes.tick_params(axis="x", length=0, labelsize=TITLE)
    axes.tick_params(axis="x", which="minor", length=0, labelsize=SMALL, labelcolor=MUTED, pad=22)
    axes.set_xlabel(f"{kind}, with the number of rows", color=INK, fontsize=TEXT)
    add_legend(figure, axes)


def plot_overall(figure: Figure, score: Score) -> None:
    """Draw accuracy, precision, recall and F1; all but the accuracy are means over the classes that have rows."""
    present = np.flatnonzero(score.support)
    means = [float(values[present].mean()) for values in (score.precision, score.recall, score.f1)]
    metrics = dict(zip(("accuracy", "precision", "recall", "F1"), (score.accuracy, *means), strict=True))
    kind = "digits" if score.of_digits else "parities"
    prepare_figure(figure, 7, 4.2, f"Overall metrics, means over the {kind}")
    axes = figure.subplots()
    floor = _axis_floor(min(metrics.values()))
    frame_axes(axes, f"The axis starts at {100 * floor:g}%, not at 0" if floor else "")
    values = np.array(list(metrics.values()))
    axes.bar(list(metrics), values - floor, bottom=floor, width=0.6, color=BLUE, edgecolor=GROUND)
    for place, value in enumerate(values):
        axes.annotate(
            f"{value:.2%}", (place, value), (0, -5), textcoords="offset points",
            color=GROUND, fontsize=TEXT, ha="center", va="top",
        )  # fmt: skip
    axes.set_ylim(floor, 1)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(percent_tick)
    axes.grid(visible=False, axis="x")
    axes.tick_params(axis="x", length=0, labelsize=TITLE)


def _axis_floor(smallest: float) -> float:
    """Return the lower end of an axis of scores. The lowest bar must cover at least a tenth of it, to be visible."""
    return next((floor for floor in AXIS_FLOORS if smallest >= floor + (1 - floor) / 10), 0.0)


def plot_comparison(figure: Figure, scores: Mapping[str, Score]) -> None:
    """Draw the accuracy and the parity accuracy of one or more runs, by name, with 95 % intervals."""
    prepare_figure(figure, 11.5, 1.5 + 0.45 * len(scores), "Accuracy with 95% intervals")
    axes = figure.subplots()
    frame_axes(axes)
    for line, score in enumerate(scores.values()):
        intervals = [(score.parity.interval, ORANGE, line + 0.14)]
        text = f"parity {score.parity.accuracy:.2%}"
        if score.of_digits:
            intervals.append((score.interval, BLUE, line - 0.14))
            text = f"{score.accuracy:.2%}, {text}"
        for interval, colour, height in intervals:
            axes.plot(interval, [height, height], "|-", color=colour, linewidth=2, markersize=11, markeredgewidth=1.6)
        axes.text(1.02, line, text, transform=axes.get_yaxis_transform(), color=INK, fontsize=SMALL, va="center")
    lines = np.arange(len(scores))
    accuracies = [score.accuracy if score.of_digits else np.nan for score in scores.values()]
    parities = [score.parity.accuracy for score in scores.values()]
    axes.plot(accuracies, lines - 0.14, "o", color=BLUE, markersize=8, label="accuracy")
    axes.plot(parities, lines + 0.14, "D", color=ORANGE, markersize=8, label="parity")
    axes.set_yticks(lines, list(scores))
    axes.set_ylim(len(scores) - 0.4, -0.6)
    axes.xaxis.set_major_formatter(percent_tick)
    add_legend(figure, axes)


def plot_progress(figure: Figure, entries: Sequence[Entry]) -> None:
    """Draw the public scores of one or more Kaggle submissions, oldest first, next to their validation accuracies.

    Validation accuracies have 95 % intervals; unknown ones are omitted. Scores of leaked submissions are drawn hollow.
    """
    valid = [entry.public_score for entry in entries if entry.public_score is not None and not entry.leaked]
    prepare_figure(figure, 11.5, 4.6, f"Best public score {max(valid):.5f}" if valid else "No valid public score")
    axes = figure.subplots()
    frame_axes(axes)
    known = [
        (index, entry.validation_accuracy, *entry.interval) for index, entry in enumerate(entries) if entry.interval
    ]
    if known:
        positions, accuracies, low, high = np.array(known, dtype=float).T
        axes.errorbar(
            positions - 0.1,
            accuracies,
            [accuracies - low, high - accuracies],
            fmt="o",
            color=BLUE,
            markersize=8,
            linewidth=2,
            capsize=5,
            label="validation accuracy, 95% interval",
        )
    for name, leaked, fill in (("public score", False, ORANGE), ("public score, leaked", True, "none")):
        scored = [
            (index + 0.1, entry.public_score) for index, entry in enumerate(entries) if bool(entry.leaked) == leaked
        ]
        if scored:
            positions, scores = np.array(scored, dtype=float).T
            axes.plot(
                positions,
                scores,
                "D",
                color=ORANGE,
                markersize=9,
                markerfacecolor=fill,
                markeredgewidth=1.8,
                label=name,
            )
    labelled = slice(None, None, -(-len(entries) // MAX_SUBMISSION_LABELS))
    names = [f"{entry.time:%Y-%m-%d}\n{entry.recipe or 'unknown'}" for entry in entries]
    axes.set_xticks(range(len(entries))[labelled], names[labelled])
    axes.set_xlim(-0.6, len(entries) - 0.4)
    axes.yaxis.set_major_formatter(percent_tick)
    add_legend(figure, axes)
