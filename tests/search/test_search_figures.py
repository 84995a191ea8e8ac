import numpy as np
import pytest
from helpers.figures import draw_figure, texts

from pipeline.search.figures import plot_importances, plot_search_history

# Matplotlib and NumPy only warn of missing glyphs, failed layouts and divisions by zero.
pytestmark = pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning")


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
