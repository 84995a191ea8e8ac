"""The pictures of docs/lesson.md."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from handwriting import draw_digit
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, StrMethodFormatter
from members import member_logits
from numpy.typing import NDArray
from PIL import Image

from pipeline import DigitTable, Predictor, Run
from pipeline.data.augment import augment
from pipeline.digits import SIDE
from pipeline.metrics.interval import wilson_interval
from pipeline.reports.style import (
    BLUE,
    GROUND,
    INK,
    MUTED,
    ORANGE,
    PAPER_AND_INK,
    SMALL,
    TEXT,
    add_legend,
    frame_axes,
    prepare_figure,
    save_figure,
)
from pipeline.sources.drawings.pendigits import load_drawings
from pipeline.training.optim.factory import make_optimizer, make_scheduler
from pipeline.vision.frame import frame_single

WEIGHTS = LinearSegmentedColormap.from_list("weights", [ORANGE, GROUND, BLUE])
COLUMNS = 8
UPDATES_PER_EPOCH = 211
"""54,000 rows in batches of 256."""


def draw_lesson(
    folder: Path,
    titles: Sequence[str],
    runs: Sequence[Run],
    correct: Sequence[Sequence[int]],
    test: DigitTable,
    data: Path,
) -> None:
    """Draw all pictures of the lesson in a folder.

    Args:
        folder: the folder; it is created.
        titles: title of each step.
        runs: the run of each step with the first seed.
        correct: number of test digits that each run of each step predicts correctly.
        test: MNIST's test digits.
        data: the data folder, with UCI's pen drawings.
    """
    linear, plain, normed, warped, scheduled, long, ensemble = runs
    save_figure(folder / "steps.png", plot_steps, titles, correct, len(test))
    save_figure(folder / "linear.png", plot_weights, linear)
    save_figure(folder / "cnn.png", plot_maps, plain, test.pixels[0])
    save_figure(folder / "batch-norm.png", plot_errors, {"without batch norm": plain, "with batch norm": normed})
    save_figure(folder / "warps.png", plot_warps, warped, test.pixels[0])
    save_figure(folder / "schedule.png", plot_schedule, {"constant": warped, "one cycle": scheduled})
    save_figure(folder / "epochs.png", plot_errors, {"3 epochs": scheduled, "12 epochs": long})
    save_figure(folder / "ensemble.png", plot_disagreement, ensemble, test)
    save_figure(folder / "framing.png", plot_framing, long, data)


def plot_steps(figure: Figure, titles: Sequence[str], correct: Sequence[Sequence[int]], rows: int) -> None:
    """Draw the errors of each step, with the 95 % interval, on a logarithmic axis."""
    means = [float(np.mean(counts)) for counts in correct]
    prepare_figure(figure, 9.2, 4.3, f"Errors in {rows:,} test digits, step by step")
    axes = figure.subplots()
    frame_axes(axes)
    for row, mean in enumerate(means):
        low, high = (rows * (1 - bound) for bound in wilson_interval(round(mean), rows))
        errors = rows - mean
        axes.plot([high, low], [row, row], color=BLUE, linewidth=5, alpha=0.25, solid_capstyle="round")
        axes.plot(errors, row, "o", color=BLUE, markersize=9)
        axes.annotate(
            f"{errors:.0f} errors, {mean / rows:.2%}", (low, row), (10, 0), textcoords="offset points",
            va="center", color=INK, fontsize=TEXT,
        )  # fmt: skip
    axes.grid(visible=False, axis="y")
    axes.set_yticks(range(len(titles)), [f"{number}. {title}" for number, title in enumerate(titles, 1)], fontsize=TEXT)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(15, 3600)
    axes.xaxis.set_major_locator(FixedLocator([20, 50, 100, 200, 500, 1000]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def plot_weights(figure: Figure, run: Run) -> None:
    """Draw the weights of each digit of a linear model as an image."""
    weights = run.load_model()["1.weight"].view(-1, SIDE, SIDE).numpy()
    limit = float(np.quantile(np.abs(weights), 0.995))
    prepare_figure(
        figure, 9.2, 4.2, "The linear model's weights: ink on blue speaks for the digit, ink on orange against it"
    )
    for digit, (axes, image) in enumerate(zip(figure.subplots(2, 5).flat, weights, strict=True)):
        axes.imshow(image, WEIGHTS, vmin=-limit, vmax=limit, interpolation="nearest")
        label(axes, str(digit), INK)


def plot_maps(figure: Figure, run: Run, image: NDArray[np.uint8]) -> None:
    """Draw a digit and the maps of the first convolution."""
    first = Predictor.load(run).activations(image).layers[0]
    count = len(first.values)
    prepare_figure(figure, 9.2, 2.9, f"The first layer looks for {count} small shapes, everywhere in the image")
    grid = figure.add_gridspec(2, 2 + COLUMNS)
    axes = figure.add_subplot(grid[:, :2])
    axes.imshow(image, PAPER_AND_INK)
    label(axes, "28x28 pixels", MUTED)
    for index, values in enumerate(first.values):
        axes = figure.add_subplot(grid[index // COLUMNS, 2 + index % COLUMNS])
        axes.imshow(values, PAPER_AND_INK)
        label(axes, "", MUTED)


def plot_errors(figure: Figure, runs: dict[str, Run]) -> None:
    """Draw the errors on the validation digits over the epochs of two runs."""
    prepare_figure(figure, 9.2, 3.4, "Errors on the validation digits, %")
    draw_errors(figure, figure.subplots(), runs)


def draw_errors(figure: Figure, axes: Axes, runs: dict[str, Run], title: str = "") -> None:
    """Draw the errors over the epochs on these axes, with a legend."""
    frame_axes(axes, title)
    for (name, run), colour, marker in zip(runs.items(), (ORANGE, BLUE), "so", strict=True):
        epochs = [epoch.epoch for epoch in run.history]
        errors = [100 * (1 - (epoch.validation_accuracy or 0)) for epoch in run.history]
        axes.plot(epochs, errors, color=colour, linewidth=2, marker=marker, markersize=5, label=name, clip_on=False)
    axes.set_xlabel("epoch", color=INK, fontsize=TEXT)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=0)
    add_legend(figure, axes)


def plot_warps(figure: Figure, run: Run, image: NDArray[np.uint8]) -> None:
    """Draw an image and fifteen warps of it."""
    torch.manual_seed(0)
    images = torch.from_numpy(np.repeat(image[np.newaxis, np.newaxis] / np.float32(255), 15, axis=0))
    warps = augment(images, run.require_digits()).numpy()[:, 0]
    prepare_figure(figure, 9.2, 2.9, "One training digit, as fifteen epochs see it")
    tiles = zip(figure.subplots(2, COLUMNS).flat, [image / 255, *warps], strict=True)
    for index, (axes, tile) in enumerate(tiles):
        axes.imshow(tile, PAPER_AND_INK, vmin=0, vmax=1)
        label(axes, "" if index else "original", MUTED)


def plot_schedule(figure: Figure, runs: dict[str, Run]) -> None:
    """Draw the learning rate of two runs over their updates, and their errors over their epochs."""
    prepare_figure(figure, 9.2, 3.6, "The learning rate, and what it changes")
    rate, errors = figure.subplots(1, 2)
    frame_axes(rate, "Learning rate")
    rate.set_xlabel("update", color=INK, fontsize=TEXT)
    for run, colour in zip(runs.values(), (ORANGE, BLUE), strict=True):
        rate.plot(learning_rates(run), color=colour, linewidth=2)
    rate.set_ylim(bottom=0)
    draw_errors(figure, errors, runs, "Errors on the validation digits, %")


def learning_rates(run: Run) -> list[float]:
    """Return the learning rate of each update of a run."""
    recipe = run.require_digits()
    optimizer = make_optimizer(recipe, torch.nn.Conv2d(1, 1, 1))
    scheduler = make_scheduler(recipe, optimizer, UPDATES_PER_EPOCH)
    rates = []
    for _ in range(recipe.epochs * UPDATES_PER_EPOCH):
        rates.append(float(scheduler.get_last_lr()[0]))
        optimizer.step()
        if recipe.scheduler == "one-cycle":
            scheduler.step()
    return rates


def plot_disagreement(figure: Figure, run: Run, test: DigitTable) -> None:
    """Draw digits that the members of an ensemble do not agree on, with each answer and that of the ensemble."""
    logits = member_logits(str(run.folder), test)
    answers, together = logits.argmax(2), logits.mean(0).argmax(1)
    disputed = np.flatnonzero((answers != answers[0]).any(0))
    shown = disputed[np.linspace(0, len(disputed) - 1, COLUMNS).round().astype(int)]
    right = int((together == test.known_labels)[disputed].sum())
    headline = f"The members disagree on {len(disputed)} test digits; together they are right about {right} of them"
    prepare_figure(figure, 9.2, 2.1, headline)
    for axes, row in zip(figure.subplots(1, COLUMNS), shown, strict=True):
        axes.imshow(test.pixels[row], PAPER_AND_INK)
        votes = " ".join(map(str, answers[:, row]))
        label(axes, f"{votes}  \N{RIGHTWARDS ARROW} {together[row]}", mark(together[row] == test.known_labels[row]))


def plot_framing(figure: Figure, run: Run, data: Path) -> None:
    """Draw the first drawings of unseen writers that fail when they are scaled down, and these framed."""
    drawings = load_drawings(data)[1]
    random = np.random.default_rng(0)
    pads = [np.asarray(draw_digit(drawing, random).getchannel("A")) for drawing in drawings]
    labels = np.array([drawing.label for drawing in drawings])
    shrunk = np.stack([np.asarray(Image.fromarray(pad).resize((SIDE, SIDE), Image.Resampling.BOX)) for pad in pads])
    rows = {"scaled down": shrunk, "framed": np.stack([frame_single(pad) for pad in pads])}
    predict = Predictor.load(run).predict
    found = {name: predict(pixels).known_digits for name, pixels in rows.items()}
    shares = [f"{np.mean(digits == labels):.1%} right {name}" for name, digits in found.items()]
    prepare_figure(figure, 9.2, 4.3, f"{len(pads):,} drawings on a pad: {', '.join(shares)}")
    shown = np.flatnonzero(found["scaled down"] != labels)[:COLUMNS]
    grid = figure.subplots(3, COLUMNS)
    for axes, index in zip(grid[0], shown, strict=True):
        axes.imshow(pads[index], PAPER_AND_INK, vmin=0, vmax=255)
        label(axes, "", MUTED)
    for line, (name, pixels) in zip(grid[1:], rows.items(), strict=True):
        for axes, index in zip(line, shown, strict=True):
            answer = found[name][index]
            axes.imshow(pixels[index], PAPER_AND_INK, vmin=0, vmax=255)
            label(axes, f"\N{RIGHTWARDS ARROW} {answer}", mark(answer == labels[index]))
    for axes, name in zip(grid[:, 0], ("drawn", *rows), strict=True):
        axes.set_ylabel(name, color=MUTED, fontsize=SMALL)


def mark(right: bool) -> str:
    """Return the colour of a right or a wrong answer."""
    return BLUE if right else ORANGE


def label(axes: Axes, text: str, colour: str) -> None:
    """Remove the ticks of an image, frame it, and write a text below it."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.add_patch(Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, edgecolor=colour, linewidth=1.6))
    axes.set_xlabel(text, color=INK if colour != MUTED else MUTED, fontsize=TEXT)
