"""Figures of images: samples and mistakes."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from pipeline.digits import CLASSES, PARITIES, Labels, Pixels
from pipeline.metrics.score import most_confident_mistakes
from pipeline.reports.style import (
    BLUE,
    INK,
    MUTED,
    ORANGE,
    PAPER_AND_INK,
    SMALL,
    TEXT,
    percent,
    prepare_figure,
    write_centred,
)

MAX_IMAGES = 40
IMAGES_PER_ROW = 8


def plot_samples(figure: Figure, pixels: Pixels, labels: Labels, probabilities: NDArray[np.float32]) -> None:
    """Draw the first 40 images, at most, with predictions, confidences and marks for right and wrong.

    Args:
        pixels: uint8 (N, 28, 28), N >= 1, 0 = paper, 255 = ink.
        labels: int64 (N,), digits or parities, like the columns of `probabilities`.
        probabilities: float32 (N, C), of digits or of parity.
    """
    shown = min(len(pixels), MAX_IMAGES)
    right = int((probabilities[:shown].argmax(axis=1) == labels[:shown]).sum())
    _draw_sheet(figure, f"{right} of {shown} correct", pixels[:shown], labels[:shown], probabilities[:shown])


def plot_mistakes(figure: Figure, pixels: Pixels, labels: Labels, probabilities: NDArray[np.float32]) -> None:
    """Draw the misclassified images, at most 40, most confident first, or a headline if there are none.

    Args:
        pixels: uint8 (N, 28, 28), 0 = paper, 255 = ink.
        labels: int64 (N,), digits or parities, like the columns of `probabilities`.
        probabilities: float32 (N, C), of digits or of parity.
    """
    wrong = most_confident_mistakes(probabilities, labels)
    shown = wrong[:MAX_IMAGES]
    headline = f"{len(wrong):,} of {len(labels):,} digits misclassified"
    if len(wrong) > MAX_IMAGES:
        headline += f", the {MAX_IMAGES} most confident are shown"
    _draw_sheet(
        figure,
        headline if len(wrong) else f"No mistakes: {len(labels):,} of {len(labels):,} digits correct",
        pixels[shown],
        labels[shown],
        probabilities[shown],
    )


def _draw_sheet(
    figure: Figure, headline: str, pixels: Pixels, labels: Labels, probabilities: NDArray[np.float32]
) -> None:
    """Draw images in rows of eight, each above its prediction, and its label if they differ."""
    columns, rows = min(IMAGES_PER_ROW, max(len(pixels), 4)), -(-len(pixels) // IMAGES_PER_ROW)
    prepare_figure(figure, 1.3 * columns + 0.3, 1.9 * rows + 0.8, headline)
    # One Axes for all images, in units of a tile, is many times faster than one Axes per image.
    axes = figure.subplots()
    axes.axis("off")
    for index, (image, label, scores) in enumerate(zip(pixels, labels, probabilities, strict=True)):
        row, left = divmod(index, IMAGES_PER_ROW)
        top, middle = 1.46 * row, left + 0.45
        names = PARITIES if len(scores) == len(PARITIES) else range(CLASSES)
        right = scores.argmax() == label
        digit = names[scores.argmax()]
        axes.imshow(image, PAPER_AND_INK, vmin=0, vmax=255, extent=(left, left + 0.9, top + 0.9, top))
        colour, width = (MUTED, 0.8) if right else (ORANGE, 2.4)
        axes.add_patch(Rectangle((left, top), 0.9, 0.9, fill=False, edgecolor=colour, linewidth=width))
        text = f"\N{CHECK MARK} {digit}" if right else f"\N{BALLOT X} {names[label]} \N{RIGHTWARDS ARROW} {digit}"
        write_centred(axes, middle, top + 1.05, text, BLUE if right else INK, TEXT)
        confidence = percent(scores.max()) + "%"
        write_centred(axes, middle, top + 1.24, confidence, MUTED, SMALL)
    axes.set_aspect("equal", anchor="NW")
    axes.set_xlim(-0.02, columns - 0.08)
    axes.set_ylim(1.46 * rows - 0.1, -0.02)
