"""Every figure: its layout, its colours, and its file."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib
import matplotlib.style
import numpy as np
import pytest
from helpers.figures import PERFECT, SUBMISSIONS, curves_of, draw_figure, history_of, probabilities_of
from PIL import Image

from pipeline import DigitTable, Score, UserError
from pipeline.reports import style
from pipeline.reports.figures import (
    plot_comparison,
    plot_confusion,
    plot_per_digit,
    plot_progress,
    plot_training_history,
)
from pipeline.reports.images import plot_mistakes, plot_samples
from pipeline.reports.reliability import plot_corruptions, plot_reliability
from pipeline.reports.style import render_png, save_figure
from pipeline.search.figures import plot_importances, plot_search_history

# Matplotlib and NumPy only warn of missing glyphs, failed layouts and divisions by zero.
pytestmark = pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning")


@pytest.fixture(scope="module")
def every_figure(few_errors: Score, no_threes: Score, digits: DigitTable) -> list[tuple[Callable[..., None], ...]]:
    """Return every plot function with typical and extreme arguments."""
    images = digits.pixels, digits.known_labels
    probabilities = probabilities_of(images[1], dict.fromkeys(range(5, 100), 0.5))
    long_name = "a-folder/of-a-run-with-a-name-of-very-many-words-20261121-122818"
    losses = np.geomspace(1, 0.5, 100).tolist()
    random_guess = Score(np.full((10, 10), 12_345))
    return [
        (plot_training_history, history_of([0.5])),
        (plot_training_history, history_of(losses, validated=False, saved=(100,), rates=(0.1, 0.001))),
        *((plot_confusion, each) for each in (few_errors, no_threes, PERFECT, random_guess)),
        *((plot_per_digit, each) for each in (few_errors, no_threes, PERFECT, random_guess)),
        *((plot_samples, *(part[:count] for part in (*images, probabilities))) for count in (1, 9, 40)),
        (plot_mistakes, *images, probabilities),
        (plot_mistakes, *(part[:5] for part in (*images, probabilities))),
        (plot_progress, SUBMISSIONS[:1]),
        (plot_progress, SUBMISSIONS),
        (plot_reliability, images[1][:1], probabilities[:1]),
        (plot_reliability, images[1], np.random.default_rng(0).dirichlet(np.full(10, 0.05), len(images[1]))),
        (plot_corruptions, curves_of(few_errors, PERFECT)),
        (plot_corruptions, dict(list(curves_of(few_errors, random_guess).items())[:1])),
        (plot_comparison, {"fast": few_errors}),
        (plot_search_history, {0: 0.5}, {}),
        (plot_search_history, {number: 1 / (1 + number) for number in range(0, 999, 2)}, {1: 0.3, 3: 1e9}),
        (plot_importances, {"learning_rate": 1.0}, 10),
        (plot_importances, {f"setting_{number}": 1 / 15 for number in range(15)}, 10_000),
        (plot_comparison, {long_name: few_errors, **{f"run {number}": PERFECT for number in range(12)}}),
    ]


def test_everything_drawn_is_within_the_figure(every_figure: list[tuple[Callable[..., None], ...]]) -> None:
    for draw, *arguments in every_figure:
        figure = draw_figure(draw, *arguments)
        box = figure.get_tightbbox()
        width, height = figure.get_size_inches()
        assert box.x0 >= 0, draw
        assert box.y0 >= 0, draw
        assert box.x1 <= width, draw
        assert box.y1 <= height, draw


def test_a_headline_overlaps_neither_axes_nor_legends(every_figure: list[tuple[Callable[..., None], ...]]) -> None:
    for draw, *arguments in every_figure:
        figure = draw_figure(draw, *arguments)
        (headline,) = [text for text in figure.texts if text.get_text() == figure.get_suptitle()]
        assert all(headline.get_window_extent().y0 > axes.get_tightbbox().y1 for axes in figure.axes), draw
        for legend in figure.legends:
            assert not headline.get_window_extent().overlaps(legend.get_window_extent()), draw


def test_a_notebooks_style_changes_no_colour(
    every_figure: list[tuple[Callable[..., None], ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.reports.style.DOTS_PER_INCH", 50)  # a ninth of the pixels takes half the time
    for draw, *arguments in every_figure:
        light = render_png(draw, *arguments)
        with matplotlib.style.context("dark_background"):
            assert render_png(draw, *arguments) == light, draw


def test_a_figure_can_be_drawn_on_again(few_errors: Score) -> None:
    figure = draw_figure(plot_confusion, few_errors)
    plot_per_digit(figure, few_errors)
    assert len(figure.axes) == 1


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(1, "100"), (0.99996, "99.9"), (0.5, "50.0"), (0.0999, "9.99"), (0.0004, "0.04"), (1e-6, "0.01"), (0, "0.00")],
)
def test_no_percentage_is_rounded_to_0_or_100(fraction: float, text: str) -> None:
    assert style.percent(fraction) == text


def test_a_figure_is_saved_as_an_opaque_png(tmp_path: Path, few_errors: Score) -> None:
    path = tmp_path / "figures" / "confusion.png"
    save_figure(path, plot_confusion, few_errors)
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.size == (1800, 1035)
        assert np.asarray(image.convert("RGBA"))[..., 3].min() == 255
        assert np.asarray(image.convert("L"))[0, 0] > 245
    assert list(path.parent.iterdir()) == [path]


def test_a_figure_that_cannot_be_drawn_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "confusion.png"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError):
        save_figure(path, lambda figure: 1 / 0)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_figure_that_cannot_be_written_is_reported(tmp_path: Path, few_errors: Score) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="a file exists where a folder is needed"):
        save_figure(tmp_path / "file" / "confusion.png", plot_confusion, few_errors)


def test_drawing_needs_no_pyplot_and_changes_no_setting() -> None:
    program = (
        "import sys, matplotlib, numpy as np\n"
        "matplotlib.use('agg')  # otherwise reading rcParams imports pyplot to find a backend\n"
        "before = dict(matplotlib.rcParams)\n"
        "from matplotlib.figure import Figure\n"
        "from pipeline import Score\n"
        "from pipeline.reports.figures import plot_confusion\n"
        "plot_confusion(Figure(), Score(np.eye(10, dtype=np.int64)))\n"
        "assert dict(matplotlib.rcParams) == before\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_command_line_starts_without_matplotlib() -> None:
    program = "import sys, pipeline.cli.app; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
