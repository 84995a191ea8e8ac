import numpy as np
import pytest
from helpers.figures import PERFECT, SUBMISSIONS, draw_figure, history_of, texts

from pipeline import Score
from pipeline.reports.figures import (
    plot_comparison,
    plot_confusion,
    plot_overall,
    plot_per_digit,
    plot_progress,
    plot_training_history,
)

# Matplotlib and NumPy only warn of missing glyphs, failed layouts and divisions by zero.
pytestmark = pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning")


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


def test_the_overall_figure_has_a_bar_for_each_metric(few_errors: Score) -> None:
    (axes,) = draw_figure(plot_overall, few_errors).axes
    (bars,) = axes.containers
    tops = [bar.get_y() + bar.get_height() for bar in bars]
    expected = [few_errors.accuracy, few_errors.precision.mean(), few_errors.recall.mean(), few_errors.f1.mean()]
    assert tops == pytest.approx(expected)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["accuracy", "precision", "recall", "F1"]
    assert f"{few_errors.accuracy:.2%}" in texts(axes.figure)


def test_the_overall_figure_leaves_out_classes_without_rows() -> None:
    confusion = np.zeros((10, 10), dtype=np.int64)
    confusion[0, 0], confusion[1, 1] = 30, 20
    (axes,) = draw_figure(plot_overall, Score(confusion)).axes
    assert [bar.get_y() + bar.get_height() for bar in axes.containers[0]] == pytest.approx([1, 1, 1, 1])
