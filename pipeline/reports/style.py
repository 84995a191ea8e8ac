"""The style of all figures: font sizes, colours, axes and legends.

All colours are set explicitly, because a notebook's style could otherwise give the text the colour of the background.
"""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from PIL import Image

from pipeline.utils.files import write_atomic

TITLE, TEXT, SMALL = 13.0, 11.0, 9.5
"""Font sizes, in points."""

GROUND, INK, MUTED, GRID = "#fcfbf8", "#23272e", "#5f6670", "#e4e1da"
# These differ under every kind of colour blindness, and by lightness when printed in grey.
BLUE, ORANGE, SAND = "#1b5a92", "#d5601b", "#e3b54d"
ERRORS = LinearSegmentedColormap.from_list("errors", [GROUND, "#f8cfa6", "#e88a4a", "#8f3507"]).with_extremes(bad=GRID)
PAPER_AND_INK = LinearSegmentedColormap.from_list("paper and ink", ["#ffffff", INK])


def prepare_figure(figure: Figure, width: float, height: float, headline: str) -> None:
    """Clear a figure and set its size in inches, background, layout and headline."""
    figure.clear()
    figure.set_size_inches(width, height)
    figure.set_facecolor(GROUND)
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)
    figure.suptitle(headline, x=0.14 / width, ha="left", color=INK, fontsize=TITLE)


def frame_axes(axes: Axes, title: str = "") -> None:
    """Give axes a left-aligned title, a light grid, and spines only at the left and the bottom."""
    axes.set_title(title, loc="left", color=MUTED, fontsize=TEXT, pad=10)
    axes.set_facecolor(GROUND)
    axes.set_axisbelow(True)
    axes.grid(color=GRID, linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color(MUTED)
    axes.tick_params(which="both", color=MUTED, labelcolor=INK, labelsize=SMALL)


def add_legend(figure: Figure, axes: Axes) -> None:
    """Add the legend of these axes to the right of the headline."""
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="outside upper right",
        ncols=3,
        frameon=False,
        labelcolor=INK,
        fontsize=TEXT,
    )


def write_centred(axes: Axes, x: float, y: float, text: str, colour: str, size: float) -> None:
    """Write a text that lies within the axes. The layout ignores it: measuring many texts takes most of the time."""
    axes.text(x, y, text, color=colour, fontsize=size, ha="center", va="center", in_layout=False)


def percent(fraction: float) -> str:
    """Return a fraction in percent; rounding gives 100 only for 1, and 0 only for 0."""
    value = min(max(100 * fraction, 0.01), 99.9) if 0 < fraction < 1 else 100 * fraction
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else "100"


def percent_tick(value: float, _: float) -> str:
    """Format a fraction in percent as a tick label, without trailing zeros."""
    return f"{100 * value:g}%"


DOTS_PER_INCH = 150
PALETTE_COLOURS = 64
"""Colours in a PNG file: enough for these figures, and half of the bytes."""
PALETTE_SAMPLING = 4
"""The palette is chosen from every fourth pixel of every fourth row: all of them take seven times as long."""


def save_figure(path: Path, draw: Callable[..., None], *arguments: object) -> None:
    """Draw a figure with `draw(figure, *arguments)` and write it to `path` as a PNG in one step.

    Raises:
        UserError: the folder cannot be created or written to, or the disk is full.
    """
    write_atomic(path, render_png(draw, *arguments))


def render_png(draw: Callable[..., None], *arguments: object) -> bytes:
    """Draw a figure with `draw(figure, *arguments)` and return it as the bytes of a PNG."""
    figure = Figure(dpi=DOTS_PER_INCH)
    draw(figure, *arguments)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()  # `savefig` draws twice, and encodes a PNG that would have to be decoded again
    rendered = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba())
    file = BytesIO()
    _reduce_colours(rendered.convert("RGB")).save(file, "PNG", dpi=(DOTS_PER_INCH, DOTS_PER_INCH))
    return file.getvalue()


def _reduce_colours(image: Image.Image) -> Image.Image:
    """Return an RGB image with a palette."""
    sides = [-(-side // PALETTE_SAMPLING) for side in image.size]
    palette = image.resize((sides[0], sides[1]), Image.Resampling.NEAREST).quantize(PALETTE_COLOURS)
    return image.quantize(palette=palette, dither=Image.Dither.NONE)
