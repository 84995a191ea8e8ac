"""How every figure looks: its type, its colours, its frame and its legend.

Every colour is said here, so that a notebook's own style cannot turn the text as light as its ground.
"""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from PIL import Image

from pipeline.utils.files import write_atomic

TITLE, TEXT, SMALL = 13.0, 11.0, 9.5
"""Sizes of type, in points."""

GROUND, INK, MUTED, GRID = "#fcfbf8", "#23272e", "#5f6670", "#e4e1da"
# Told apart with every kind of colour blindness, and by their lightness where they are printed in grey.
BLUE, ORANGE, SAND = "#1b5a92", "#d5601b", "#e3b54d"
ERRORS = LinearSegmentedColormap.from_list("errors", [GROUND, "#f8cfa6", "#e88a4a", "#8f3507"]).with_extremes(bad=GRID)
PAPER_AND_INK = LinearSegmentedColormap.from_list("paper and ink", ["#ffffff", INK])


def prepare_figure(figure: Figure, width: float, height: float, headline: str) -> None:
    """Clear a figure for another of this family; width and height are inches."""
    figure.clear()
    figure.set_size_inches(width, height)
    figure.set_facecolor(GROUND)
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)
    figure.suptitle(headline, x=0.14 / width, ha="left", color=INK, fontsize=TITLE)


def frame_axes(axes: Axes, title: str = "") -> None:
    """Give axes a title at their left, a light grid, and lines only where values are read off."""
    axes.set_title(title, loc="left", color=MUTED, fontsize=TEXT, pad=10)
    axes.set_facecolor(GROUND)
    axes.set_axisbelow(True)
    axes.grid(color=GRID, linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(MUTED)
    axes.tick_params(which="both", color=MUTED, labelcolor=INK, labelsize=SMALL)


def add_legend(figure: Figure, axes: Axes) -> None:
    """Name at the right of the headline what these axes draw."""
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="outside upper right",
        ncols=3,
        frameon=False,
        labelcolor=INK,
        fontsize=TEXT,
    )


def percent(share: float) -> str:
    """Return a share in percent; only all is 100, and only nothing is 0, however it rounds."""
    value = min(max(100 * share, 0.01), 99.9) if 0 < share < 1 else 100 * share
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else "100"


def percent_tick(value: float, _: float) -> str:
    """Return a share in percent, with as many decimals as it needs."""
    return f"{100 * value:g}%"


DOTS_PER_INCH = 150
COLOURS = 64
"""In a file: enough for these figures, at a third of the bytes."""


def save_figure(path: Path, draw: Callable[..., None], *arguments: object) -> None:
    """Let `draw` fill a figure from `arguments`, and write it to `path` as a PNG, whole or not at all.

    Raises:
        UserError: the folder cannot be made or written to, or the disk is full.
    """
    write_atomic(path, render_png(draw, *arguments))


def render_png(draw: Callable[..., None], *arguments: object) -> bytes:
    """Let `draw` fill a figure from `arguments`, and return it as the bytes of a PNG."""
    figure = Figure()
    draw(figure, *arguments)
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=DOTS_PER_INCH, pil_kwargs={"compress_level": 1})
    image = Image.open(drawn).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    file = BytesIO()
    image.save(file, "PNG", optimize=True, dpi=(DOTS_PER_INCH, DOTS_PER_INCH))
    return file.getvalue()
