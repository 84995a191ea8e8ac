import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline import DigitTable, Predictions, Predictor, Run, Source, UserError, score
from pipeline.data.loader import ink, normalise
from pipeline.inference.predictor import SURE
from pipeline.models import build
from pipeline.reports.evaluate import labelled_rows


@pytest.fixture(scope="module")
def predictor(run: Run) -> Predictor:
    return Predictor.load(run.folder)


def test_a_run_reads_digits_that_it_never_saw(predictor: Predictor, practice: Source) -> None:
    test = practice.read_test()
    assert score(predictor.predict(test.pixels).digits, test.known_labels).accuracy > 0.9


@pytest.fixture(scope="module")
def plain(run: Run, digits: DigitTable) -> np.ndarray:
    """The probabilities of 700 digits as the network that was trained gives them, one at a time in float32."""
    model = build(run.recipe).eval()
    model.load_state_dict(run.load_model())
    images = normalise(ink(torch.from_numpy(digits.pixels[:700].copy())), run.recipe)
    with torch.inference_mode():
        return torch.cat([model(image.unsqueeze(0)).softmax(1) for image in images]).numpy()


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.03)])
def test_answers_are_the_plain_networks_in_every_precision(
    precision: str, tolerance: float, run: Run, digits: DigitTable, plain: np.ndarray
) -> None:
    model = build(run.recipe)
    model.load_state_dict(run.load_model())
    recipe = run.recipe.model_copy(update={"precision": precision})
    found = Predictor(model, recipe).predict(digits.pixels[:700])
    expected = Predictions(plain)
    assert np.array_equal(found.digits, expected.digits)
    assert found.parity == expected.parity
    assert np.allclose(found.probabilities, plain, atol=tolerance)


def test_a_doubtful_image_is_read_in_float32(run: Run, digits: DigitTable, plain: np.ndarray) -> None:
    model = build(run.recipe)
    model.load_state_dict(run.load_model())
    found = Predictor(model, run.recipe.model_copy(update={"precision": "bfloat16"})).predict(digits.pixels[:700])
    doubtful = plain.max(axis=1) < SURE - 0.05
    assert doubtful.any()
    assert np.allclose(found.probabilities[doubtful], plain[doubtful], atol=1e-5)


def test_confidence_comes_near_accuracy_by_the_cards_temperature(run: Run, practice: Source) -> None:
    table = practice.read_test()  # 500 rows on which nothing was fitted: the 130 validation rows are too few
    predictions = Predictor.load(run.folder).predict(table.pixels)
    accuracy = score(predictions.digits, table.known_labels).accuracy
    model = build(run.recipe)
    model.load_state_dict(run.load_model())
    raw = Predictor(model, run.recipe).predict(table.pixels)
    assert abs(raw.confidence.mean() - accuracy) > 0.05  # smoothed labels make it too modest
    assert predictions.confidence.mean() == pytest.approx(accuracy, abs=0.02)
    assert np.array_equal(predictions.digits, raw.digits)


def test_what_is_not_sure_may_be_no_digit() -> None:
    probabilities = np.full((2, 10), 0.01, dtype=np.float32)
    probabilities[0, 3], probabilities[1, 3:5] = 0.91, 0.46
    assert Predictions(probabilities).is_digit.tolist() == [True, False]


def test_predictions_keep_the_order_of_the_rows(predictor: Predictor, digits: DigitTable) -> None:
    forwards = predictor.predict(digits.pixels).digits
    backwards = predictor.predict(digits.pixels[::-1]).digits
    assert np.array_equal(forwards, backwards[::-1])


def test_predictions_have_the_types_they_promise(predictor: Predictor, digits: DigitTable) -> None:
    found = predictor.predict(digits.pixels[:5])
    assert len(found) == len(found.parity) == 5
    assert (found.digits.dtype, found.probabilities.dtype) == (np.int64, np.float32)
    assert (found.confidence.dtype, found.p_odd.dtype) == (np.float32, np.float32)
    assert found.probabilities.sum(axis=1) == pytest.approx(np.ones(5))


def test_parity_sums_the_odd_digits_whichever_is_likeliest() -> None:
    probabilities = np.zeros((2, 10), dtype=np.float32)
    probabilities[0, [4, 7, 9]] = 0.4, 0.3, 0.3
    probabilities[1, [2, 3]] = 0.7, 0.3
    found = Predictions(probabilities)
    assert found.digits.tolist() == [4, 2]
    assert found.p_odd == pytest.approx([0.6, 0.3])
    assert found.parity == ["odd", "even"]
    assert found.confidence == pytest.approx([0.4, 0.7])


def test_no_images_give_no_predictions(predictor: Predictor) -> None:
    found = predictor.predict(np.empty((0, 28, 28), dtype=np.uint8))
    assert len(found) == len(found.digits) == len(found.confidence) == 0


def test_pixels_of_another_type_or_shape_are_refused(predictor: Predictor) -> None:
    with pytest.raises(UserError, match="images must be uint8"):
        predictor.predict(np.zeros((3, 28, 28)))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="images must be uint8"):
        predictor.predict(np.zeros((3, 784), dtype=np.uint8))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda weights: {"fc.weight": torch.ones(10, 10)}, "of another architecture"),
        (lambda weights: weights | {"0.weight": torch.ones(16, 3, 5, 5)}, "0.weight is 16 x 3 x 5 x 5 where 16 x 1"),
        (
            lambda weights: {name: value[:5] if value.shape[:1] == (10,) else value for name, value in weights.items()},
            "for 5 classes where 10 are expected",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_with_the_reason(
    change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]], fault: str, run: Run, tmp_path: Path
) -> None:
    copy = Run(Path(shutil.copytree(run.folder, tmp_path / "copy")))
    copy.save_model(change(copy.load_model()))
    with pytest.raises(UserError, match=rf"model\.safetensors: not the weights of the fast in .*{fault}"):
        Predictor.load(copy.folder)


def test_the_validation_rows_are_those_of_the_training(run: Run, practice: Source) -> None:
    table = labelled_rows(run, "validation", practice.path.parent)
    predictions = Predictor.load(run.folder).predict(table.pixels)
    found = score(predictions.digits, table.known_labels, predictions.probabilities)
    assert len(table) == run.card.validation_rows
    assert found.accuracy == run.card.scores["validation_accuracy"]
