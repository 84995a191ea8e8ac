import numpy as np
import pytest
from helpers.figures import captions, draw_figure, probabilities_of, texts

from pipeline import DigitTable
from pipeline.reports.images import plot_mistakes, plot_samples

# Matplotlib and NumPy only warn of missing glyphs, failed layouts and divisions by zero.
pytestmark = pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning")


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
