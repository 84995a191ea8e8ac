import numpy as np
import pytest
from helpers.figures import PERFECT, curves_of, draw_figure, texts

from pipeline import Score
from pipeline.reports.corruptions import CORRUPTIONS
from pipeline.reports.reliability import MAX_PROBABILITY, MIN_PROBABILITY, plot_corruptions, plot_reliability

# Matplotlib and NumPy only warn of missing glyphs, failed layouts and divisions by zero.
pytestmark = pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning")


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
