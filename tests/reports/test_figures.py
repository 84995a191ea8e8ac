import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import matplotlib
import matplotlib.style
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from pipeline import DigitTable, Epoch, Score, UserError, score
from pipeline.kaggle.ledger import Entry
from pipeline.reports import style
from pipeline.reports.corruptions import CORRUPTIONS, Corruption
from pipeline.reports.figures import (
    plot_comparison,
    plot_confusion,
    plot_per_digit,
    plot_progress,
    plot_training_history,
)
from pipeline.reports.images import plot_mistakes, plot_samples
from pipeline.reports.reliability import MAX_PROBABILITY, MIN_PROBABILITY, plot_corruptions, plot_reliability
from pipeline.reports.style import render_png, save_figure
from pipeline.search.figures import plot_importances, plot_search_history

# Matplotlib and NumPy only warn of missing glyphs, failed layouts and divisions by zero.
pytestmark = pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning")


def history_of(
    losses: list[float], *, validated: bool = True, saved: tuple[int, ...] = (1,), rates: tuple[float, ...] = (0.1,)
) -> list[Epoch]:
    """Return epochs 1, 2, ... with these losses; the learning rates are cycled."""
    return [
        Epoch(
            epoch=number,
            train_loss=loss,
            train_accuracy=1 - loss / 10,
            validation_loss=loss + 0.05 if validated else None,
            validation_accuracy=0.99 - loss / 10 if validated else None,
            learning_rate=rates[number % len(rates)],
            seconds=1.0,
            saved=number in saved,
        )
        for number, loss in enumerate(losses, start=1)
    ]


def probabilities_of(labels: np.ndarray, wrong: dict[int, float]) -> np.ndarray:
    """Return probabilities, float32 (N, 10): 0.9 for the label; in the rows `wrong`, their value for the next digit."""
    digits, confidence = labels.copy(), np.full(len(labels), 0.9)
    for row, wrong_confidence in wrong.items():
        digits[row], confidence[row] = (labels[row] + 1) % 10, wrong_confidence
    probabilities = np.repeat((1 - confidence)[:, None] / 9, 10, axis=1)
    probabilities[np.arange(len(labels)), digits] = confidence
    return probabilities.astype(np.float32)


SUBMISSIONS = [
    Entry(
        time=datetime(2026, 11, day, 12, tzinfo=UTC),
        token=str(day),
        file_hash="",
        status="COMPLETE",
        recipe=recipe,
        public_score=score,
        validation_accuracy=accuracy,
        validation_rows=4200,
        leaked=leaked,
    )
    for day, recipe, score, accuracy, leaked in [
        (1, "fast", 0.994, 0.9945, 0),
        (2, "", 0.98, None, 0),
        (3, "resnet18-imagenet", 1.0, 0.9969, 28_000),
        *((day, "resnet18-imagenet", 0.995, 0.9955, 0) for day in range(4, 21)),
    ]
]


def draw_figure(draw: Callable[..., None], *arguments: object) -> Figure:
    figure = Figure()
    draw(figure, *arguments)
    figure.draw_without_rendering()
    return figure


def texts(parent: Figure | Axes) -> list[str]:
    return [text.get_text() for text in parent.findobj(Text) if text.get_visible() and text.get_text()]


def captions(figure: Figure) -> list[str]:
    """Return the captions of the images of a sheet, in order."""
    lines = [text.get_text() for text in figure.axes[0].texts]
    return [f"{prediction} {confidence}" for prediction, confidence in zip(lines[::2], lines[1::2], strict=True)]


@pytest.fixture(scope="module")
def few_errors() -> Score:
    """Return a score of 50 rows per digit: 4 is predicted as 9 three times, 9 as 4 twice, 7 as 1 once."""
    labels = np.repeat(np.arange(10), 50)
    digits = labels.copy()
    digits[200:203], digits[450:452], digits[350] = 9, 4, 1
    return score(digits, labels)


@pytest.fixture(scope="module")
def no_threes(few_errors: Score) -> Score:
    confusion = few_errors.confusion.copy()
    confusion[3] = 0
    return Score(confusion)


def curves_of(uncorrupted: Score, corrupted: Score) -> dict[Corruption, list[Score]]:
    """Return scores at each severity of each corruption."""
    return {
        corruption: [corrupted if severity else uncorrupted for severity in corruption.severities]
        for corruption in CORRUPTIONS
    }


PERFECT = Score(np.diag(np.full(10, 50)))


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


def test_the_lines_of_a_history_are_its_losses_accuracies_and_rates() -> None:
    history = history_of([0.9, 0.6, 0.5], rates=(0.01, 0.02, 0.03))
    loss, accuracy, rate = draw_figure(plot_training_history, history).axes
    lines = {line.get_label(): line.get_xydata() for line in loss.lines}
    assert np.allclose(lines["training"], [(1, 0.9), (2, 0.6), (3, 0.5)])
    assert np.allclose(lines["validation"], [(1, 0.95), (2, 0.65), (3, 0.55)])
    lines = {line.get_label(): line.get_ydata() for line in accuracy.lines}
    assert np.allclose(lines["training"], [0.91, 0.94, 0.95])
    assert np.allclose(lines["validation"], [0.9, 0.93, 0.94])
    assert np.allclose(rate.lines[0].get_ydata(), [0.02, 0.03, 0.01])


def test_the_last_epoch_that_was_saved_is_marked_as_kept() -> None:
    figure = draw_figure(plot_training_history, history_of([0.9, 0.6, 0.5, 0.7], saved=(1, 3)))
    for axes in figure.axes:
        (kept,) = [line for line in axes.lines if line.get_label() == "kept"]
        assert list(kept.get_xdata()) == [3, 3]
    assert figure.get_suptitle() == "Epoch 3 of 4 kept, validation accuracy 94.00%"


def test_a_history_without_a_kept_epoch() -> None:
    figure = draw_figure(plot_training_history, history_of([0.9], saved=()))
    assert figure.get_suptitle() == "No epoch kept"
    assert "kept" not in texts(figure)


def test_without_validation_there_is_no_validation_curve() -> None:
    assert "validation" in texts(draw_figure(plot_training_history, history_of([0.9, 0.6])))
    figure = draw_figure(plot_training_history, history_of([0.9, 0.6], validated=False))
    assert "validation" not in texts(figure)
    assert [line.get_label() for line in figure.axes[0].lines] == ["training", "kept"]


@pytest.mark.parametrize(
    ("rates", "scale"), [((0.1, 0.005), "log"), ((0.1, 0.01), "linear"), ((0.1, 0.0), "linear"), ((0.1,), "linear")]
)
def test_a_learning_rate_that_varies_more_than_tenfold_has_a_log_axis(rates: tuple[float, ...], scale: str) -> None:
    rate = draw_figure(plot_training_history, history_of([0.9, 0.6, 0.5], rates=rates)).axes[2]
    assert rate.get_yscale() == scale


def test_the_axis_of_accuracies_ends_at_1() -> None:
    accuracy = draw_figure(plot_training_history, history_of([0.9, 0.0])).axes[1]
    assert accuracy.get_ylim()[1] == 1


def test_lines_and_bars_differ_without_colour(few_errors: Score) -> None:
    loss = draw_figure(plot_training_history, history_of([0.9, 0.6])).axes[0]
    assert len({(line.get_linestyle(), line.get_marker()) for line in loss.lines}) == 3
    (axes,) = draw_figure(plot_per_digit, few_errors).axes
    styles = {
        (round(np.dot(bars[0].get_facecolor()[:3], (0.3, 0.6, 0.1)), 1), bars[0].get_hatch())
        for bars in axes.containers
    }
    assert len(styles) == 3


def test_one_epoch_has_one_tick() -> None:
    loss = draw_figure(plot_training_history, history_of([0.5])).axes[0]
    low, high = loss.get_xlim()
    assert [tick for tick in loss.get_xticks() if low <= tick <= high] == [1]


def test_every_nonzero_cell_of_a_confusion_matrix_is_labelled(few_errors: Score) -> None:
    counts, fractions = draw_figure(plot_confusion, few_errors).axes
    cells = {(text.get_position()[1], text.get_position()[0]): text.get_text() for text in counts.texts}
    assert cells == {cell: str(count) for cell, count in np.ndenumerate(few_errors.confusion) if count}
    cells = {(text.get_position()[1], text.get_position()[0]): text.get_text() for text in fractions.texts}
    assert (cells[4, 4], cells[4, 9], cells[9, 4], cells[7, 1], cells[0, 0]) == ("94.0", "6.00", "4.00", "2.00", "100")
    assert len(cells) == 13


def test_a_confusion_matrix_starts_at_the_top(few_errors: Score) -> None:
    for axes in draw_figure(plot_confusion, few_errors).axes:
        assert (axes.get_ylabel(), axes.get_xlabel()) == ("label", "predicted")
        assert axes.yaxis_inverted()


def test_errors_are_coloured_and_correct_predictions_are_grey(few_errors: Score) -> None:
    for axes in draw_figure(plot_confusion, few_errors).axes:
        (mesh,) = axes.collections
        colours = mesh.to_rgba(mesh.get_array())
        none, some, most = colours[0, 1], colours[9, 4], colours[4, 9]
        assert none.sum() > some.sum() > most.sum(), "the more errors, the darker"
        diagonal = colours[np.arange(10), np.arange(10), :3]
        assert np.ptp(diagonal, axis=0).max() == 0
        assert np.ptp(diagonal, axis=1).max() < 0.05
        assert np.ptp(most[:3]) > 0.3


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(1, "100"), (0.99996, "99.9"), (0.5, "50.0"), (0.0999, "9.99"), (0.0004, "0.04"), (1e-6, "0.01"), (0, "0.00")],
)
def test_no_percentage_is_rounded_to_0_or_100(fraction: float, text: str) -> None:
    assert style.percent(fraction) == text


def test_the_bars_of_a_digit_are_its_precision_recall_and_f1(few_errors: Score) -> None:
    (axes,) = draw_figure(plot_per_digit, few_errors).axes
    for bars, expected in zip(axes.containers, (few_errors.precision, few_errors.recall, few_errors.f1), strict=True):
        assert np.allclose([bar.get_y() + bar.get_height() for bar in bars], expected)
        assert np.allclose([bar.get_x() + bar.get_width() / 2 for bar in bars], np.arange(10), atol=0.3)
    assert [line for line in texts(axes) if line == "50"] == ["50"] * 10


@pytest.mark.parametrize(("wrong", "floor"), [(0, 0.99), (1, 0.95), (5, 0.8), (12, 0.5), (30, 0)])
def test_the_axis_starts_below_the_lowest_bar_and_shows_its_start(wrong: int, floor: float) -> None:
    confusion = PERFECT.confusion.copy()
    confusion[4, 4] -= wrong
    confusion[4, 9] += wrong
    (axes,) = draw_figure(plot_per_digit, Score(confusion)).axes
    assert axes.get_ylim() == (floor, 1)
    assert (f"The axis starts at {floor}, not at 0" in texts(axes)) == (floor > 0)
    assert min(bar.get_height() for bars in axes.containers for bar in bars) > 0


def test_a_digit_without_rows_has_no_bars(no_threes: Score) -> None:
    (axes,) = draw_figure(plot_per_digit, no_threes).axes
    assert [len(bars) for bars in axes.containers] == [9, 9, 9]
    assert axes.get_ylim()[0] > 0
    assert texts(axes).count("no rows") == 1


def test_a_sample_shows_prediction_confidence_and_correctness() -> None:
    labels = np.array([3, 9, 5])
    figure = draw_figure(plot_samples, np.zeros((3, 28, 28), np.uint8), labels, probabilities_of(labels, {1: 0.625}))
    assert captions(figure) == ["✓ 3 90.0%", "✗ 9 → 0 62.5%", "✓ 5 90.0%"]
    assert figure.get_suptitle() == "2 of 3 correct"


@pytest.mark.parametrize("count", [1, 7, 8, 9, 40, 41])
def test_any_number_of_samples_is_drawn_up_to_40(digits: DigitTable, count: int) -> None:
    table = digits.select(np.arange(count))
    figure = draw_figure(plot_samples, table.pixels, table.known_labels, probabilities_of(table.known_labels, {}))
    images = [image.get_array() for image in figure.axes[0].images]
    assert np.array_equal(images, table.pixels[:40])
    assert figure.get_suptitle() == f"{min(count, 40)} of {min(count, 40)} correct"


def test_digits_are_dark_on_light_and_upright() -> None:
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 0] = 255
    (axes,) = draw_figure(plot_samples, image, np.array([1]), probabilities_of(np.array([1]), {})).axes
    (shown,) = axes.images
    paper, ink = shown.to_rgba(np.array([0, 255]))[:, :3]
    assert paper.min() == 1
    assert ink.max() < 0.2
    _, _, bottom, top = shown.get_extent()
    assert axes.transData.transform((0, top))[1] > axes.transData.transform((0, bottom))[1]


def test_mistakes_are_drawn_most_confident_first(digits: DigitTable) -> None:
    wrong = {2: 0.5, 300: 0.75, 800: 0.625}
    figure = draw_figure(
        plot_mistakes, digits.pixels, digits.known_labels, probabilities_of(digits.known_labels, wrong)
    )
    rows = [300, 800, 2]
    assert np.array_equal([image.get_array() for image in figure.axes[0].images], digits.pixels[rows])
    labels = digits.known_labels[rows]
    expected = zip(labels, (labels + 1) % 10, ("75.0", "62.5", "50.0"), strict=True)
    assert captions(figure) == [f"✗ {label} → {digit} {confidence}%" for label, digit, confidence in expected]
    assert figure.get_suptitle() == "3 of 1,297 digits misclassified"


def test_of_many_mistakes_the_40_most_confident_are_drawn(digits: DigitTable) -> None:
    wrong = {row: 0.9 - row / 100 for row in range(50)}
    figure = draw_figure(
        plot_mistakes, digits.pixels, digits.known_labels, probabilities_of(digits.known_labels, wrong)
    )
    assert np.array_equal([image.get_array() for image in figure.axes[0].images], digits.pixels[:40])
    assert figure.get_suptitle() == "50 of 1,297 digits misclassified, the 40 most confident are shown"


def test_the_figure_of_mistakes_without_mistakes(digits: DigitTable) -> None:
    figure = draw_figure(plot_mistakes, digits.pixels, digits.known_labels, probabilities_of(digits.known_labels, {}))
    assert texts(figure) == ["No mistakes: 1,297 of 1,297 digits correct"]


def test_a_reliability_diagram_shows_each_bin_with_its_interval_and_its_size() -> None:
    labels = np.zeros(100, dtype=np.int64)
    probabilities = np.array([[0.8, 0.2]] * 60 + [[0.4, 0.6]] * 40)
    (axes,) = draw_figure(plot_reliability, labels, probabilities).axes
    _, low_bin, none_correct, high_bin, all_correct = axes.lines
    assert (list(high_bin.get_xdata()), list(low_bin.get_xdata())) == (
        pytest.approx([0.8, 0.8]),
        pytest.approx([0.6, 0.6]),
    )
    low, high = high_bin.get_ydata()
    assert (low, high) == (pytest.approx(0.93983, abs=1e-4), MAX_PROBABILITY), (
        "the interval of 60 of 60, clipped to the axis"
    )
    assert (list(all_correct.get_ydata()), list(none_correct.get_ydata())) == ([MAX_PROBABILITY], [MIN_PROBABILITY])
    assert {"60", "40"} <= {text.strip() for text in texts(axes)}


def test_corruptions_show_accuracy_and_parity_over_their_severities(few_errors: Score) -> None:
    figure = draw_figure(plot_corruptions, curves_of(PERFECT, few_errors))
    assert len(figure.axes) == len(CORRUPTIONS)
    assert figure.get_suptitle() == "Accuracy under corruptions, 500 rows"
    for axes, corruption in zip(figure.axes, CORRUPTIONS, strict=True):
        digit, parity = axes.lines
        assert tuple(digit.get_xdata()) == corruption.severities
        assert [y for x, y in digit.get_xydata() if x] == [few_errors.accuracy] * 6
        assert [y for x, y in parity.get_xydata() if x] == [few_errors.parity.accuracy] * 6
        assert [y for x, y in digit.get_xydata() if not x] == [1]
        assert axes.get_xlabel() == corruption.unit
        assert axes.get_ylim()[0] == 0


def test_one_corruption_has_its_own_headline(few_errors: Score) -> None:
    figure = draw_figure(plot_corruptions, dict(list(curves_of(PERFECT, few_errors).items())[1:2]))
    assert (figure.get_suptitle(), len(figure.axes)) == ("Rotation", 1)


def test_runs_are_compared_in_the_order_given_each_with_its_interval(few_errors: Score) -> None:
    (axes,) = draw_figure(plot_comparison, {"second": few_errors, "first": PERFECT}).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["second", "first"]
    assert axes.yaxis_inverted()
    *intervals, accuracies, parities = axes.lines
    assert {tuple(line.get_xdata()) for line in intervals} == {
        few_errors.interval,
        few_errors.parity.interval,
        PERFECT.interval,
        PERFECT.parity.interval,
    }
    assert list(accuracies.get_xdata()) == [0.988, 1]
    assert list(parities.get_xdata()) == [0.99, 1]
    assert [text.get_text() for text in axes.texts] == ["98.80%, parity 99.00%", "100.00%, parity 100.00%"]


def test_progress_shows_scores_with_validation_intervals_and_leaks_hollow() -> None:
    figure = draw_figure(plot_progress, SUBMISSIONS[:3])
    (axes,) = figure.axes
    valid, leaked = (line for line in axes.lines if line.get_marker() == "D")
    assert list(valid.get_ydata()) == [0.994, 0.98]
    assert (list(leaked.get_ydata()), leaked.get_markerfacecolor()) == ([1.0], "none")
    (bars,) = axes.containers
    (spans,) = bars.lines[2]
    assert [tuple(span[:, 1]) for span in spans.get_segments()] == [
        pytest.approx(SUBMISSIONS[0].interval),
        pytest.approx(SUBMISSIONS[2].interval),
    ]
    assert "Best public score 0.99400" in texts(figure)
    assert "2026-11-02\nunknown" in texts(axes)
    assert "No valid public score" in texts(draw_figure(plot_progress, SUBMISSIONS[2:3]))


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


def test_a_search_shows_its_trials_and_the_lowest_loss_so_far() -> None:
    figure = draw_figure(plot_search_history, {0: 0.9, 2: 0.6, 3: 0.7, 5: 0.5, 6: 9.0}, {1: 0.8, 4: 90.0})
    (axes,) = figure.axes
    lines = {line.get_label(): np.asarray(line.get_xydata()).tolist() for line in axes.lines}
    assert lines["complete"] == [[0, 0.9], [2, 0.6], [3, 0.7], [5, 0.5]]
    assert lines["pruned"] == [[1, 0.8]]
    assert lines["lowest so far"] == [[0, 0.9], [2, 0.6], [3, 0.6], [5, 0.5], [6, 0.5], [6.5, 0.5]]
    assert figure.get_suptitle() == "Best of 7 trials: trial 5, validation loss 0.5000"
    assert "Losses above the axis: 2" in texts(axes)


def test_importances_are_ordered_most_important_on_top() -> None:
    (axes,) = draw_figure(plot_importances, {"momentum": 0.25, "learning_rate": 0.75}, 12).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["momentum", "learning_rate"]
    assert [bar.get_width() for bar in axes.patches] == [0.25, 0.75]
    assert {"25%", "75%"} <= set(texts(axes))
