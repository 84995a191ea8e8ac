"""Images that are no digits, and the networks that learn to say so."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline import DigitTable, Predictor, Recipe, Source, UserError, train
from pipeline.metrics.calibration import REFUSED, digit_score, digit_threshold
from pipeline.sources.outliers import HELD_OUT_ALPHABETS, characters, is_bar, made


def omniglot(folder: Path) -> Path:
    """Write an archive laid out as Omniglot's: two bars to learn from, lying and upright, a ring that is held out."""
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


def test_characters_are_framed_as_digits_are(tmp_path: Path) -> None:
    (frame,) = characters(omniglot(tmp_path))
    rows, columns = (np.flatnonzero(frame.max(axis=axis) > 127) for axis in (1, 0))
    assert frame.shape == (28, 28)
    assert np.ptp(columns) + 1 in (19, 20, 21)
    assert np.ptp(rows) + 1 in (2, 3, 4)


def test_held_out_alphabets_are_given_only_when_they_are_asked_for(tmp_path: Path) -> None:
    (learnt,), (held_out,) = (characters(omniglot(tmp_path), held_out=asked) for asked in (False, True))
    assert held_out.sum() > 2 * learnt.sum()


def test_a_damaged_archive_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "omniglot.zip").write_bytes(b"<html>")
    with pytest.raises(UserError, match=r"omniglot\.zip: damaged .*delete it"):
        characters(tmp_path)


def test_no_outlier_is_an_upright_bar_which_is_a_one(digits: DigitTable, tmp_path: Path) -> None:
    assert len(characters(omniglot(tmp_path))) == 1, "of a lying and an upright bar"
    ones = digits.pixels[digits.known_labels == 1]
    assert any(is_bar(one) for one in ones)
    assert not any(is_bar(image) for image in made(digits, 400, 0))


def test_made_outliers_are_the_same_for_the_same_seed(digits: DigitTable) -> None:
    first, again, other = made(digits, 30, 0), made(digits, 30, 0), made(digits, 30, 1)
    assert first.shape == (30, 28, 28)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_images_without_ink_do_not_stop_the_making(digits: DigitTable) -> None:
    blank = DigitTable(np.where(np.arange(len(digits))[:, None, None] % 2, digits.pixels, 0), digits.known_labels)
    assert made(blank, 60, 0).shape == (60, 28, 28)


def test_rows_of_which_no_outliers_can_be_made_are_refused(digits: DigitTable) -> None:
    sevens = digits.select(np.flatnonzero(digits.known_labels == 7))
    with pytest.raises(
        UserError, match="made of the digits 0, 2, 5, 6, and the rows have none of them; --set outliers=0"
    ):
        made(sevens, 60, 0)


def test_the_threshold_refuses_as_many_digits_as_it_may() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (4_000, 11)).astype(np.float32)
    assert (digit_score(logits) < digit_threshold(logits)).mean() == pytest.approx(REFUSED, abs=1 / 4_000)


def test_what_is_no_digit_lowers_the_score_of_a_network_that_knows_it() -> None:
    logits = np.zeros((2, 11), dtype=np.float32)
    logits[0, 3] = logits[1, 10] = 8
    assert digit_score(logits) == pytest.approx([1, 0], abs=0.01)


def test_a_network_learns_what_is_no_digit(practice: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = Source(practice.name, practice.path, "", practice.read_train, practice.read_test, omniglot(tmp_path))
    recipe = Recipe.load("fast", ["outliers=600", "epochs=4", "minimum_updates=60"])
    run = train(recipe, source, "aware", quiet=True)
    predictor = Predictor.load("aware")
    digits, others = practice.read_test(), made(practice.read_test(), 240, 7)
    found = predictor.predict(digits.pixels)
    assert found.p_digit is not None and found.probabilities.shape == (500, 10)
    assert found.is_digit.mean() > 0.9
    assert predictor.predict(others).is_digit.mean() < 0.5
    assert run.card.digit_threshold == predictor.threshold

    # The quick path in bfloat16 refuses what the exact one does, wherever the threshold lies.
    both = np.concatenate([digits.pixels, others])
    logits = predictor.logits(predictor.exact, torch.float32, DigitTable(both)) / np.float32(predictor.temperature)
    scores = digit_score(logits)
    for predictor.threshold in np.quantile(scores, [0.05, 0.2, 0.3, 0.4, 0.5]) + 1e-9:
        assert np.array_equal(predictor.predict(both).is_digit, scores >= predictor.threshold)
