"""Non-digits, and the networks that are trained to reject them."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline import DigitTable, Predictor, Recipe, Source, UserError, train
from pipeline.metrics.calibration import REJECTED_FRACTION, digit_score, digit_threshold
from pipeline.sources.outliers import HELD_OUT_ALPHABETS, is_bar, load_characters, make_non_digits


def write_omniglot(folder: Path) -> Path:
    """Write an archive in Omniglot's layout: a horizontal and an upright bar for training, and a held-out ring."""
    bar, ring = np.full((105, 105), 255, np.uint8), np.full((105, 105), 255, np.uint8)
    bar[50:54, 20:80] = 0
    ring[20:80, 20:80] = 0
    ring[24:76, 24:76] = 255
    with zipfile.ZipFile(folder / "omniglot.zip", "w") as archive:
        for alphabet, image in (("Ogham", bar), ("Latin", bar.T), (min(HELD_OUT_ALPHABETS), ring)):
            stream = io.BytesIO()
            Image.fromarray(image).convert("1").save(stream, "PNG")
            archive.writestr(f"images_background_small1/{alphabet}/character01/0001_01.png", stream.getvalue())
    return folder


def test_characters_are_framed_like_digits(tmp_path: Path) -> None:
    (frame,) = load_characters(write_omniglot(tmp_path))
    rows, columns = (np.flatnonzero(frame.max(axis=axis) > 127) for axis in (1, 0))
    assert frame.shape == (28, 28)
    assert np.ptp(columns) + 1 in (19, 20, 21)
    assert np.ptp(rows) + 1 in (2, 3, 4)


def test_held_out_alphabets_are_returned_only_on_request(tmp_path: Path) -> None:
    (trained,), (held_out,) = (
        load_characters(write_omniglot(tmp_path), held_out=held_out) for held_out in (False, True)
    )
    assert held_out.sum() > 2 * trained.sum()


def test_characters_with_the_shape_of_a_digit_are_not_trained_on(tmp_path: Path) -> None:
    folder = write_omniglot(tmp_path)
    with zipfile.ZipFile(folder / "omniglot.zip", "a") as archive:
        square = archive.read(next(name for name in archive.namelist() if "Ogham" in name))
        archive.writestr("images_background_small1/Latin/character15/0001_01.png", square)
        archive.writestr("images_background_small1/Latin/character03/0001_01.png", square)
    assert len(load_characters(folder)) == 2


def test_a_damaged_archive_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "omniglot.zip").write_bytes(b"<html>")
    with pytest.raises(UserError, match=r"omniglot\.zip: damaged .*delete it"):
        load_characters(tmp_path)


def test_no_outlier_is_an_upright_bar_because_it_may_be_a_1(digits: DigitTable, tmp_path: Path) -> None:
    assert len(load_characters(write_omniglot(tmp_path))) == 1, "the upright bar is left out"
    ones = digits.pixels[digits.known_labels == 1]
    assert any(is_bar(one) for one in ones)
    assert not any(is_bar(image) for image in make_non_digits(digits, 400, 0))


def test_made_outliers_are_the_same_for_the_same_seed(digits: DigitTable) -> None:
    first, again, other = make_non_digits(digits, 30, 0), make_non_digits(digits, 30, 0), make_non_digits(digits, 30, 1)
    assert first.shape == (30, 28, 28)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_images_without_ink_are_skipped(digits: DigitTable) -> None:
    blank = DigitTable(np.where(np.arange(len(digits))[:, None, None] % 2, digits.pixels, 0), digits.known_labels)
    assert make_non_digits(blank, 60, 0).shape == (60, 28, 28)


def test_rows_without_the_needed_digits_are_refused(digits: DigitTable) -> None:
    sevens = digits.select(np.flatnonzero(digits.known_labels == 7))
    with pytest.raises(
        UserError, match="made from the digits 0, 2, 5, 6, and the rows contain none of them; use --set outliers=0"
    ):
        make_non_digits(sevens, 60, 0)


def test_the_threshold_rejects_the_given_fraction_of_digits() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (4_000, 11)).astype(np.float32)
    assert (digit_score(logits) < digit_threshold(logits)).mean() == pytest.approx(REJECTED_FRACTION, abs=1 / 4_000)


def test_the_probability_of_the_non_digit_class_lowers_the_digit_score() -> None:
    logits = np.zeros((2, 11), dtype=np.float32)
    logits[0, 3] = logits[1, 10] = 8
    assert digit_score(logits) == pytest.approx([1, 0], abs=0.01)


def test_a_network_is_trained_to_reject_non_digits(
    practice: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = Source(practice.name, practice.path, "", practice.read_train, practice.read_test, write_omniglot(tmp_path))
    recipe = Recipe.load("fast", ["outliers=600", "epochs=4", "minimum_updates=60"])
    run = train(recipe, source, "aware", quiet=True)
    predictor = Predictor.load("aware")
    digits, non_digits = practice.read_test(), make_non_digits(practice.read_test(), 240, 7)
    found = predictor.predict(digits.pixels)
    assert found.p_digit is not None and found.probabilities.shape == (500, 10)
    assert found.is_digit.mean() > 0.9
    assert predictor.predict(non_digits).is_digit.mean() < 0.5
    assert run.card.digit_threshold == predictor.threshold

    # The fast path in bfloat16 rejects the same images as the exact one at every threshold.
    both = np.concatenate([digits.pixels, non_digits])
    logits = predictor.logits(predictor.fused_float32, torch.float32, DigitTable(both)) / np.float32(
        predictor.temperature
    )
    scores = digit_score(logits)
    for predictor.threshold in np.quantile(scores, [0.05, 0.2, 0.3, 0.4, 0.5]) + 1e-9:
        assert np.array_equal(predictor.predict(both).is_digit, scores >= predictor.threshold)
