import numpy as np
import pytest
import torch

from pipeline import DigitTable, Predictor, Run


@pytest.fixture(scope="module")
def predictor(run: Run) -> Predictor:
    return Predictor.load(run.folder)


def logits(predictor: Predictor, pixels: np.ndarray) -> np.ndarray:
    """Return the predictor's logits in float32."""
    return predictor.logits(predictor.fused_float32, torch.float32, DigitTable(pixels))


def test_contributions_sum_to_the_logit_difference_from_blank_paper(predictor: Predictor, digits: DigitTable) -> None:
    pixels, labels = digits.pixels[:20], digits.known_labels[:20]
    added = predictor.saliency(pixels, labels).sum(axis=(1, 2))
    difference = logits(predictor, pixels) - logits(predictor, np.zeros_like(pixels))
    expected = difference[np.arange(20), labels]
    assert np.corrcoef(added, expected)[0, 1] > 0.9
    assert np.abs(added - expected).mean() < 0.15 * np.abs(expected).mean()


def test_pixels_without_ink_contribute_nothing(predictor: Predictor, digits: DigitTable) -> None:
    pixels = digits.pixels[:20]
    assert not predictor.saliency(pixels, digits.known_labels[:20])[pixels == 0].any()


def test_removing_the_ink_with_the_largest_contributions_lowers_the_logit(
    predictor: Predictor, digits: DigitTable
) -> None:
    pixels, labels = digits.pixels[:50], digits.known_labels[:50]
    found = predictor.saliency(pixels, labels)
    order = np.argsort(found.reshape(50, -1), axis=1)
    rows = np.arange(50)[:, np.newaxis]
    without_for, without_against = pixels.reshape(50, -1).copy(), pixels.reshape(50, -1).copy()
    without_for[rows, order[:, -20:]] = 0
    without_against[rows, order[:, :20]] = 0
    of_labels = np.arange(50), labels
    remaining = logits(predictor, without_for.reshape(-1, 28, 28))[of_labels]
    assert remaining.mean() < logits(predictor, without_against.reshape(-1, 28, 28))[of_labels].mean() - 1
