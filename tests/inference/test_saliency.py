import numpy as np
import pytest
import torch

from pipeline import DigitTable, Predictor, Run


@pytest.fixture(scope="module")
def predictor(run: Run) -> Predictor:
    return Predictor.load(run.folder)


def logits(predictor: Predictor, pixels: np.ndarray) -> np.ndarray:
    return predictor.logits(predictor.exact, torch.float32, DigitTable(pixels))


def test_what_the_ink_adds_sums_to_the_logit_above_blank_paper(predictor: Predictor, digits: DigitTable) -> None:
    pixels, labels = digits.pixels[:20], digits.known_labels[:20]
    added = predictor.saliency(pixels, labels).sum(axis=(1, 2))
    difference = logits(predictor, pixels) - logits(predictor, np.zeros_like(pixels))
    expected = difference[np.arange(20), labels]
    assert np.corrcoef(added, expected)[0, 1] > 0.9
    assert np.abs(added - expected).mean() < 0.15 * np.abs(expected).mean()


def test_paper_says_nothing(predictor: Predictor, digits: DigitTable) -> None:
    pixels = digits.pixels[:20]
    assert not predictor.saliency(pixels, digits.known_labels[:20])[pixels == 0].any()


def test_a_digit_without_the_ink_that_speaks_for_it_is_less_likely(predictor: Predictor, digits: DigitTable) -> None:
    pixels, labels = digits.pixels[:50], digits.known_labels[:50]
    found = predictor.saliency(pixels, labels)
    order = np.argsort(found.reshape(50, -1), axis=1)
    rows = np.arange(50)[:, np.newaxis]
    without_for, without_against = pixels.reshape(50, -1).copy(), pixels.reshape(50, -1).copy()
    without_for[rows, order[:, -20:]] = 0
    without_against[rows, order[:, :20]] = 0
    of_labels = np.arange(50), labels
    left = logits(predictor, without_for.reshape(-1, 28, 28))[of_labels]
    assert left.mean() < logits(predictor, without_against.reshape(-1, 28, 28))[of_labels].mean() - 1
