import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline import DigitTable, Predictions, Predictor, Recipe, Run, Source, UserError, score
from pipeline.data.loader import normalise, to_ink
from pipeline.inference.predictions import make_predictions
from pipeline.inference.predictor import BFLOAT16_SAFE_CONFIDENCE
from pipeline.models import build
from pipeline.reports.evaluate import labelled_rows


@pytest.fixture(scope="module")
def predictor(run: Run) -> Predictor:
    return Predictor.load(run.folder)


def test_a_run_predicts_the_test_set(predictor: Predictor, practice: Source) -> None:
    test = practice.read_test()
    assert score(predictor.predict(test.pixels).digits, test.known_labels).accuracy > 0.9


@pytest.fixture(scope="module")
def plain(run: Run, digits: DigitTable) -> np.ndarray:
    """Return the probabilities of 700 digits from the unfused network, one image at a time in float32."""
    model = build(run.recipe).eval()
    model.load_state_dict(run.load_model())
    images = normalise(to_ink(torch.from_numpy(digits.pixels[:700].copy())), run.recipe)
    with torch.inference_mode():
        return torch.cat([model(image.unsqueeze(0)).softmax(1) for image in images]).numpy()


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.03)])
def test_predictions_match_the_unfused_network_in_every_precision(
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


def test_an_uncertain_image_is_predicted_in_float32(run: Run, digits: DigitTable, plain: np.ndarray) -> None:
    model = build(run.recipe)
    model.load_state_dict(run.load_model())
    found = Predictor(model, run.recipe.model_copy(update={"precision": "bfloat16"})).predict(digits.pixels[:700])
    uncertain = plain.max(axis=1) < BFLOAT16_SAFE_CONFIDENCE - 0.05
    assert uncertain.any()
    assert np.allclose(found.probabilities[uncertain], plain[uncertain], atol=1e-5)


@pytest.mark.parametrize(
    ("outliers", "threshold", "exact"),
    [
        (10, 0.1, [0, 0, 0, 1.99, 2.0, 0, 0, 0, 0, 0, 9.0]),  # probably no digit: the nearest digit is close
        (0, 0.9, [0, 0, 0, 1.99, 6.0, 0, 0, 0, 0, 0]),  # a sure digit, near the threshold
    ],
)
def test_bfloat16_changes_neither_the_digit_of_a_non_digit_nor_what_is_a_digit(
    outliers: int, threshold: float, exact: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe.load("fast", ["precision=bfloat16", f"outliers={outliers}"])
    predictor = Predictor(build(recipe), recipe, threshold=threshold)
    rounded = np.array(exact, dtype=np.float32)
    rounded[3:5] = 2.0, rounded[4] - 0.5

    def logits(_: object, dtype: torch.dtype, table: DigitTable) -> np.ndarray:
        return np.tile(np.array(exact, dtype=np.float32) if dtype is torch.float32 else rounded, (len(table), 1))

    monkeypatch.setattr(predictor, "logits", logits)
    found = predictor.predict(np.zeros((1, 28, 28), dtype=np.uint8))
    expected = make_predictions(np.array([exact], dtype=np.float32), threshold)
    assert (found.digits, found.is_digit) == (expected.digits, expected.is_digit)
    assert np.array_equal(found.probabilities, expected.probabilities)


def test_the_cards_temperature_calibrates_confidence(run: Run, practice: Source) -> None:
    table = practice.read_test()  # 500 unseen rows: the 130 validation rows are too few
    predictions = Predictor.load(run.folder).predict(table.pixels)
    accuracy = score(predictions.digits, table.known_labels).accuracy
    model = build(run.recipe)
    model.load_state_dict(run.load_model())
    raw = Predictor(model, run.recipe).predict(table.pixels)
    assert abs(raw.confidence.mean() - accuracy) > 0.05  # label smoothing makes it too low
    assert predictions.confidence.mean() == pytest.approx(accuracy, abs=0.02)
    assert np.array_equal(predictions.digits, raw.digits)


def test_low_confidence_means_non_digit() -> None:
    probabilities = np.full((2, 10), 0.01, dtype=np.float32)
    probabilities[0, 3], probabilities[1, 3:5] = 0.91, 0.46
    assert Predictions(probabilities).is_digit.tolist() == [True, False]


def test_predictions_keep_the_order_of_the_rows(predictor: Predictor, digits: DigitTable) -> None:
    forwards = predictor.predict(digits.pixels).digits
    backwards = predictor.predict(digits.pixels[::-1]).digits
    assert np.array_equal(forwards, backwards[::-1])


def test_predictions_have_the_documented_dtypes(predictor: Predictor, digits: DigitTable) -> None:
    found = predictor.predict(digits.pixels[:5])
    assert len(found) == len(found.parity) == 5
    assert (found.digits.dtype, found.probabilities.dtype) == (np.int64, np.float32)
    assert (found.confidence.dtype, found.p_odd.dtype) == (np.float32, np.float32)
    assert found.probabilities.sum(axis=1) == pytest.approx(np.ones(5))


def test_p_odd_sums_the_odd_digits_and_the_parity_is_that_of_the_digit() -> None:
    probabilities = np.zeros((2, 10), dtype=np.float32)
    probabilities[0, [4, 7, 9]] = 0.4, 0.3, 0.3
    probabilities[1, [2, 3]] = 0.7, 0.3
    found = Predictions(probabilities)
    assert found.digits.tolist() == [4, 2]
    assert found.p_odd == pytest.approx([0.6, 0.3])
    assert found.parity == ["even", "even"]
    assert found.confidence == pytest.approx([0.4, 0.7])
    assert Predictions(np.array([[0.4, 0.6], [0.7, 0.3]], dtype=np.float32)).parity == ["odd", "even"]


def test_no_images_give_no_predictions(predictor: Predictor) -> None:
    found = predictor.predict(np.empty((0, 28, 28), dtype=np.uint8))
    assert len(found) == len(found.digits) == len(found.confidence) == 0


def test_pixels_of_another_dtype_or_shape_are_rejected(predictor: Predictor) -> None:
    with pytest.raises(UserError, match="images must be uint8"):
        predictor.predict(np.zeros((3, 28, 28)))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="images must be uint8"):
        predictor.predict(np.zeros((3, 784), dtype=np.uint8))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda weights: {"fc.weight": torch.ones(10, 10)}, "another architecture: "),
        (
            lambda weights: weights | {"0.weight": torch.ones(16, 3, 5, 5)},
            "0.weight has shape 16 x 3 x 5 x 5, expected 16 x 1 x 5 x 5",
        ),
        (
            lambda weights: {name: value[:5] if value.shape[:1] == (10,) else value for name, value in weights.items()},
            "5 classes, expected 10",
        ),
    ],
)
def test_mismatched_weights_are_rejected_with_the_reason(
    change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]], fault: str, run: Run, tmp_path: Path
) -> None:
    copy = Run(Path(shutil.copytree(run.folder, tmp_path / "copy")))
    copy.save_model(change(copy.load_model()))
    copy.save_card(copy.card.model_copy(update={"checksums": {}}))
    with pytest.raises(UserError, match=rf"model\.safetensors: the weights do not match the fast network in .*{fault}"):
        Predictor.load(copy.folder)


def test_the_validation_rows_are_those_of_the_training(run: Run, practice: Source) -> None:
    table = labelled_rows(run, "validation", practice.path.parent)
    predictions = Predictor.load(run.folder).predict(table.pixels)
    found = score(predictions.digits, table.known_labels, predictions.probabilities)
    assert len(table) == run.card.validation_rows
    assert found.accuracy == run.card.scores["validation_accuracy"]
