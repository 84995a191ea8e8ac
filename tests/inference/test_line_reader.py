import numpy as np
import pytest
import torch

from pipeline import UserError
from pipeline.inference.reading.line import LineReader, read_views
from pipeline.models.line import NON_DIGIT, LineNetwork


@pytest.fixture(scope="module")
def reader() -> LineReader:
    torch.manual_seed(0)
    return LineReader(LineNetwork())


def frames_of(*classes: int) -> np.ndarray:
    """Return probabilities of frames that are nearly certain to be of these classes."""
    probabilities = np.full((len(classes), 12), 1e-4)
    probabilities[np.arange(len(classes)), classes] = 1 - 11e-4
    return probabilities


def test_a_reading_has_the_symbols_with_their_columns_and_probabilities() -> None:
    reading = read_views([frames_of(0, 0, 4, 4, 0, 0, 11, 0, 1, 0)], width=20)
    assert reading.symbols == (3, NON_DIGIT, 0)
    assert reading.columns == ((0, 10), (10, 15), (15, 20))
    assert reading.probability > 0.9
    assert reading.probabilities.shape == (3, 10)
    assert reading.probabilities.sum(axis=1) == pytest.approx(1)
    assert reading.probabilities.argmax(axis=1)[[0, 2]].tolist() == [3, 0]


def test_the_probabilities_of_a_doubtful_symbol_are_those_of_its_alternatives() -> None:
    frames = frames_of(0, 2, 0, 5, 0)
    frames[3, [5, 8]] = 0.6, 0.3989
    reading = read_views([frames], width=10)
    assert reading.symbols == (1, 4)
    assert reading.probabilities[1, [4, 7]] == pytest.approx([0.6, 0.4], abs=0.01)
    assert reading.probability == pytest.approx(0.6, abs=0.01)


def test_paper_is_read_as_an_empty_string() -> None:
    reading = read_views([frames_of(0, 0, 0, 0)], width=8)
    assert reading.symbols == () and reading.columns == ()
    assert reading.probabilities.shape == (0, 10)
    assert reading.probability > 0.9


def test_the_string_with_the_highest_mean_probability_over_two_views_is_read() -> None:
    sure, doubtful = frames_of(0, 2, 0, 5, 0), frames_of(0, 2, 0, 5, 0)
    doubtful[3, [5, 8]] = 0.3, 0.6989
    assert read_views([doubtful], width=10).symbols == (1, 7)
    for views in ([sure, doubtful], [doubtful, sure]):
        reading = read_views(views, width=10)
        assert reading.symbols == (1, 4)
        assert reading.probability == pytest.approx((1 + 0.3) / 2, abs=0.01)
        assert reading.probabilities[1, [4, 7]] == pytest.approx([0.65, 0.35], abs=0.01)


def test_the_columns_are_those_of_the_first_view() -> None:
    wide, narrow = frames_of(0, 0, 0, 2, 0, 0, 0, 0, 0, 5, 0, 0), frames_of(0, 2, 0, 5, 0)
    assert read_views([wide, narrow], width=24).columns == ((0, 13), (13, 24))
    assert read_views([narrow, wide], width=10).columns == ((0, 5), (5, 10))


def test_blanks_and_non_digits_count_for_less_than_digits() -> None:
    frames = frames_of(0, 2, 0, 0)
    frames[2, [0, 5]] = 0.6, 0.3989
    assert read_views([frames], width=8).symbols == (1, 4)
    frames = frames_of(0, 2, 0, 0)
    frames[1, [2, NON_DIGIT + 1]] = 0.2, 0.7989
    assert read_views([frames], width=8).symbols == (1,)


def test_a_number_may_have_views_of_several_widths(reader: LineReader) -> None:
    random = np.random.default_rng(1)
    views = [random.integers(0, 256, (28, width), dtype=np.uint8) for width in (60, 75)]
    [alone] = reader.read([views])
    _, together = reader.read([views[1:], views])
    assert alone.symbols == together.symbols and alone.columns == together.columns
    assert alone.probability == pytest.approx(together.probability, rel=1e-3)
    assert alone.columns[-1][1] == 60


def test_the_reading_of_a_line_does_not_depend_on_the_others(reader: LineReader) -> None:
    random = np.random.default_rng(0)
    lines = [random.integers(0, 256, (28, width), dtype=np.uint8) for width in (1, 20, 60, 61, 20, 130)]
    together, alone = reader.read([[line] for line in lines]), [reader.read([[line]])[0] for line in lines]
    for one, two in zip(together, alone, strict=True):
        assert one.symbols == two.symbols and one.columns == two.columns
        assert one.probability == pytest.approx(two.probability, rel=1e-3)
    assert reader.read([]) == []


@pytest.mark.parametrize("line", [np.zeros((28, 20)), np.zeros((20, 20), np.uint8), np.zeros((28, 0), np.uint8)])
def test_a_line_of_another_type_or_shape_is_an_error(reader: LineReader, line: np.ndarray) -> None:
    with pytest.raises(UserError, match="a line must be uint8"):
        reader.read([[line]])
