import numpy as np
import pytest
from cleanlab.filter import find_label_issues
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from pipeline import label_errors

IMAGES, RIGHT = load_digits(return_X_y=True)
RIGHT = RIGHT.astype(np.int64)
FLIPPED = np.random.default_rng(0).choice(len(RIGHT), 60, replace=False)
LABELS = RIGHT.copy()
LABELS[FLIPPED] = (LABELS[FLIPPED] + np.random.default_rng(1).integers(1, 10, 60)) % 10


def out_of_fold(strength: float) -> np.ndarray:
    """Return out-of-fold probabilities of real digits, 60 of them with wrong labels."""
    model = LogisticRegression(C=strength, max_iter=500)
    return cross_val_predict(model, IMAGES / 16, LABELS, cv=3, method="predict_proba")


def test_flipped_labels_are_found_and_corrected() -> None:
    found = label_errors(out_of_fold(1), LABELS)
    assert len({each.row for each in found} & set(FLIPPED)) >= 45
    first = found[:40]
    assert sum(each.row in FLIPPED for each in first) >= 38
    assert sum(each.suggested == RIGHT[each.row] for each in first) >= 38


@pytest.mark.parametrize("strength", [0.01, 1])
def test_rows_and_order_are_those_of_cleanlab(strength: float) -> None:
    probabilities = out_of_fold(strength)
    theirs = find_label_issues(
        LABELS,
        probabilities,
        filter_by="confident_learning",
        return_indices_ranked_by="normalized_margin",
        n_jobs=1,
    )
    assert len(theirs) > 30
    assert [each.row for each in label_errors(probabilities, LABELS)] == theirs.tolist()


def test_a_label_is_suspected_if_another_class_reaches_the_mean_confidence_of_its_rows() -> None:
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.4, 0.6], [0.39, 0.61]])
    labels = np.array([0, 0, 1, 1, 0])
    # Rows labelled 1 have confidence 0.8 and 0.6, 0.7 on average: 0.61 in the last row is below this threshold.
    assert label_errors(probabilities, labels) == []
    probabilities[4] = 0.29, 0.71
    (found,) = label_errors(probabilities, labels)
    assert (found.row, found.suggested, found.margin) == (4, 1, pytest.approx(0.29 - 0.71))


def test_the_most_probable_error_is_first() -> None:
    probabilities = np.array([[0.4, 0.6], [0.05, 0.95], [0.9, 0.1], [0.9, 0.1], [0.5, 0.5]])
    labels = np.array([0, 0, 0, 0, 1])
    assert [each.row for each in label_errors(probabilities, labels)] == [1, 0]


def test_a_class_without_rows_is_never_suggested() -> None:
    probabilities = np.array([[0.1, 0.1, 0.8], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1]], np.float32)
    assert label_errors(probabilities, np.array([0, 0, 1])) == []


def test_correct_labels_are_not_suspected() -> None:
    labels = np.arange(10)
    assert label_errors(np.eye(10, dtype=np.float32)[labels], labels) == []
