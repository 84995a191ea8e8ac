"""Figures of images: samples of a test set, and the mistakes."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from pipeline.digits import CLASSES, PARITIES, Labels, Pixels
from pipeline.metrics.score import surest_mistakes
from pipeline.reports.style import BLUE, INK, MUTED, ORANGE, PAPER_AND_INK, SMALL, TEXT, percent, prepare_figure

MOST_IMAGES = 40
COLUMNS = 8


def plot_samples(figure: Figure, pixels: Pixels, labels: Labels, probabilities: NDArray[np.float32]) -> None:
    """Draw the first 40 images, at most, with what was read in each, how sure that was, and whether it is right.

    Args:
        pixels: uint8 (N, 28, 28), 0 = paper, 255 = ink; one image or more.
        labels: int64 (N,), of the same classes.
        probabilities: float32 (N, C), of digits or of parity.
    """
    shown = min(len(pixels), MOST_IMAGES)
    right = int((probabilities[:shown].argmax(axis=1) == labels[:shown]).sum())
    _draw_sheet(figure, f"{right} of {shown} read rightly", pixels[:shown], labels[:shown], probabilities[:shown])


def plot_mistakes(figure: Figure, pixels: Pixels, labels: Labels, probabilities: NDArray[np.float32]) -> None:
    """Draw the images that were misread, at most 40, the surest mistake first; or say that there is none.

    Args:
        pixels: uint8 (N, 28, 28), 0 = paper, 255 = ink.
        labels: int64 (N,), of the same classes.
        probabilities: float32 (N, C), of digits or of parity.
    """
    wrong = surest_mistakes(probabilities, labels)
    surest = wrong[:MOST_IMAGES]
    headline = f"{len(wrong):,} of {len(labels):,} digits misread"
    if len(wrong) > MOST_IMAGES:
        headline += f", the {MOST_IMAGES} surest mistakes"
    _draw_sheet(
        figure,
        headline if len(wrong) else f"No mistakes: {len(labels):,} of {len(labels):,} digits read rightly",
        pixels[surest],
        labels[surest],
        probabilities[surest],
    )


def _draw_sheet(
    figure: Figure, headline: str, pixels: Pixels, labels: Labels, probabilities: NDArray[np.float32]
) -> None:
    """Draw images in rows of eight, under each what was read in it, after the label where that is another."""
    columns, rows = min(COLUMNS, max(len(pixels), 4)), -(-len(pixels) // COLUMNS)
    prepare_figure(figure, 1.3 * columns + 0.3, 1.9 * rows + 0.8, headline)
    # One pair of axes, in units of a tile, is drawn many times faster than one pair for each image.
    axes = figure.subplots()
    axes.axis("off")
    for place, (image, label, answer) in enumerate(zip(pixels, labels, probabilities, strict=True)):
        row, left = divmod(place, COLUMNS)
        top, middle = 1.46 * row, left + 0.45
        names = PARITIES if len(answer) == len(PARITIES) else range(CLASSES)
        right = answer.argmax() == label
        digit = names[answer.argmax()]
        axes.imshow(image, PAPER_AND_INK, vmin=0, vmax=255, extent=(left, left + 0.9, top + 0.9, top))
        colour, width = (MUTED, 0.8) if right else (ORANGE, 2.4)
        axes.add_patch(Rectangle((left, top), 0.9, 0.9, fill=False, edgecolor=colour, linewidth=width))
        words = f"\N{CHECK MARK} {digit}" if right else f"\N{BALLOT X} {names[label]} \N{RIGHTWARDS ARROW} {digit}"
        axes.text(middle, top + 1.05, words, color=BLUE if right else INK, fontsize=TEXT, ha="center", va="center")
        sure = percent(answer.max()) + "%"
        axes.text(middle, top + 1.24, sure, color=MUTED, fontsize=SMALL, ha="center", va="center")
    axes.set_aspect("equal", anchor="NW")
    axes.set_xlim(-0.02, columns - 0.08)
    axes.set_ylim(1.46 * rows - 0.1, -0.02)
