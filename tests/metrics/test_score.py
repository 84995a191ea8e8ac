import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, precision_recall_fscore_support

from pipeline import score
from pipeline.metrics.calibration import calibration_error, fit_temperature, reliability_bins
from pipeline.metrics.interval import wilson_interval
from pipeline.metrics.score import most_confident_mistakes


@pytest.fixture
def predictions() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 10, 500)
    probabilities = generator.dirichlet(np.ones(10), 500)
    probabilities[np.arange(500), labels] += 0.3
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return probabilities.argmax(axis=1), labels, probabilities


def test_a_score_agrees_with_scikit_learn(predictions: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    digits, labels, probabilities = predictions
    ours = score(digits, labels, probabilities)
    assert np.array_equal(ours.confusion, confusion_matrix(labels, digits))
    assert ours.accuracy == accuracy_score(labels, digits)
    assert ours.loss == pytest.approx(log_loss(labels, probabilities))
    assert ours.parity.accuracy == accuracy_score(labels % 2, digits % 2)


def test_the_report_has_the_parity_with_its_interval_and_the_calibration_error() -> None:
    labels = np.array([0, 1, 2, 3])
    probabilities = np.full((4, 10), 0.02)
    probabilities[np.arange(4), [0, 1, 4, 4]] = 0.82
    ours = score(probabilities.argmax(axis=1), labels, probabilities)
    assert (ours.parity.correct, ours.parity.interval) == (3, wilson_interval(3, 4))
    assert "parity      75.00% (95% interval 30.06% to 95.44%; 3 of 4 right)\n" in ours.report()
    assert f"calibration {ours.calibration_error:.2%} expected calibration error\n" in ours.report()
    assert "calibration" not in score(labels, labels).report(), "without probabilities"


def test_the_report_has_the_metrics_of_each_digit(predictions: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    digits, labels, _ = predictions
    report = score(digits, labels).report()
    for digit, metrics in enumerate(zip(*precision_recall_fscore_support(labels, digits), strict=True)):
        precision, recall, f1, support = metrics
        assert f"{digit:5}  {precision:9.4f}  {recall:6.4f}  {f1:6.4f}  {support:7,}" in report


def test_overall_metrics_are_macro_averages(predictions: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    digits, labels, _ = predictions
    ours = score(digits, labels)
    metrics = precision_recall_fscore_support(labels, digits, average="macro")[:3]
    assert (ours.precision.mean(), ours.recall.mean(), ours.f1.mean()) == pytest.approx(metrics)
    for name, value in zip(("precision", "recall", "F1"), metrics, strict=True):
        assert f"{name:10}  {value:.4f}" in ours.report()
    assert f"error rate  {1 - accuracy_score(labels, digits):.2%}" in ours.report()


def test_the_most_confused_pairs_are_counted_both_ways() -> None:
    labels = np.array([4, 4, 4, 9, 3, 7])
    digits = np.array([9, 9, 4, 4, 5, 7])
    ours = score(digits, labels)
    assert [str(pair) for pair in ours.confused_pairs] == [
        "4-9: 3 (4 predicted as 9: 2, 9 predicted as 4: 1)",
        "3-5: 1 (3 predicted as 5: 1, 5 predicted as 3: 0)",
    ]
    assert "most confused\n  4-9: 3" in ours.report()
    assert "most confused\n  none" in score(labels, labels).report()


def test_a_digit_without_rows_has_metrics_of_0() -> None:
    assert "    9     0.0000  0.0000  0.0000        0" in score(np.zeros(3, int), np.zeros(3, int)).report()


@pytest.mark.parametrize(("right", "low", "high"), [(10, 0.7225, 1.0), (9, 0.5958, 0.9821), (0, 0.0, 0.2775)])
def test_the_interval_is_wilsons(right: int, low: float, high: float) -> None:
    labels = np.zeros(10, dtype=np.int64)
    digits = np.array([0] * right + [1] * (10 - right))
    assert score(digits, labels).interval == pytest.approx((low, high), abs=5e-5)


def test_a_wrong_prediction_with_confidence_1_has_a_finite_loss() -> None:
    probabilities = np.eye(10)[[3]]
    assert score(np.array([3]), np.array([4]), probabilities).loss == pytest.approx(-np.log(1e-12))


def test_the_temperature_reverts_a_scaling_of_calibrated_logits() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (20_000, 10)).astype(np.float32)
    labels = (logits + generator.gumbel(size=logits.shape)).argmax(axis=1)  # Gumbel-max: samples from the softmax
    assert fit_temperature(logits, labels) == pytest.approx(1, abs=0.03)
    assert fit_temperature(logits * 3, labels) == pytest.approx(3, abs=0.09)
    assert fit_temperature(logits / 4, labels) == pytest.approx(0.25, abs=0.01)


def test_the_temperature_of_n_correct_rows_gives_confidence_n_plus_1_of_n_plus_2() -> None:
    labels = np.arange(200) % 10
    logits = np.eye(10, dtype=np.float32)[labels] * 5
    odds = np.exp(5 / fit_temperature(logits, labels))
    assert odds / (odds + 9) == pytest.approx(201 / 202)


def two_classes(confidence: list[float], right: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities with the given confidence in class 0, and labels that make the given predictions right."""
    probabilities = np.stack([np.array(confidence), 1 - np.array(confidence)], axis=1)
    return probabilities, 1 - np.array(right)


def test_predictions_with_confidence_equal_to_accuracy_have_no_calibration_error() -> None:
    assert calibration_error(*two_classes([0.8] * 150, [1, 1, 1, 1, 0] * 30)) == pytest.approx(0)
    assert calibration_error(*two_classes([1.0] * 20, [1] * 20)) == 0


def test_the_calibration_error_is_the_mean_gap_of_bins_of_equal_mass() -> None:
    # 15 bins of two: one has confidence 0.6 and accuracy 0, the others have confidence 0.9 and accuracy 1.
    confidence, right = [0.6, 0.6] + [0.9] * 28, [0, 0] + [1] * 28
    expected = (0.6 + 14 * 0.1) / 15
    assert calibration_error(*two_classes(confidence, right)) == pytest.approx(expected)
    shuffled = np.random.default_rng(0).permutation(30)
    assert calibration_error(*two_classes(np.array(confidence)[shuffled], np.array(right)[shuffled])) == pytest.approx(
        expected
    )


def test_overconfidence_in_one_bin_does_not_cancel_underconfidence_in_another() -> None:
    confidence = [0.7] * 15 + [0.9] * 15
    right = [1] * 15 + [1, 0] * 7 + [0]
    assert calibration_error(*two_classes(confidence, right)) > 0.3


def test_the_calibration_error_is_defined_for_fewer_predictions_than_bins() -> None:
    assert calibration_error(*two_classes([0.6, 0.9], [1, 1])) == pytest.approx((0.4 + 0.1) / 2)


def test_the_probabilities_from_which_labels_were_sampled_are_calibrated() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.full(10, 0.1), 20_000)
    labels = (probabilities.cumsum(axis=1) > generator.random((20_000, 1))).argmax(axis=1)
    assert calibration_error(probabilities, labels) < 0.015
    sharper = probabilities**3 / (probabilities**3).sum(axis=1, keepdims=True)
    assert calibration_error(sharper, labels) > 0.05


def test_the_reliability_bins_count_every_prediction_once_by_its_confidence() -> None:
    bins = reliability_bins(*two_classes([0.6, 0.7, 0.75, 0.9, 0.9995, 1.0], [1, 0, 1, 0, 1, 1]))
    assert [(each.low, each.high, each.rows, each.correct) for each in bins] == [
        (0.5, 0.75, 2, 1),
        (0.75, 0.9, 1, 1),
        (0.9, 0.97, 1, 0),
        (0.999, 1, 2, 2),
    ]
    assert [each.confidence for each in bins] == pytest.approx([0.65, 0.75, 0.9, 0.99975])
    assert (bins[0].accuracy, bins[0].interval) == (0.5, wilson_interval(1, 2))


def test_the_most_confident_mistake_is_first() -> None:
    assert most_confident_mistakes(*two_classes([0.6, 0.9, 0.8, 0.99, 0.7], [0, 0, 1, 0, 0])).tolist() == [3, 1, 4, 0]
