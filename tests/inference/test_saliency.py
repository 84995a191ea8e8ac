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


def test_patches_are_few_and_keep_the_sum_of_the_contributions(predictor: Predictor, digits: DigitTable) -> None:
    pixels, labels = digits.pixels[:10], digits.known_labels[:10]
    found = predictor.saliency(pixels, labels)
    patches = predictor.saliency(pixels, labels, patches=5)
    for frame, fine, coarse in zip(pixels, found, patches, strict=True):
        sums, counts = np.unique(coarse[frame > 0], return_counts=True)
        assert 3 <= len(sums) <= 5
        assert counts.min() > 3
        assert sums.sum() == pytest.approx(fine.sum(), rel=1e-4, abs=1e-4)
    assert not patches[pixels == 0].any()


def test_blank_paper_has_no_patches(predictor: Predictor) -> None:
    assert not predictor.saliency(np.zeros((1, 28, 28), np.uint8), np.array([3]), patches=5).any()
