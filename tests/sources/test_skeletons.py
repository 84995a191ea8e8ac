"""Skeletons: drawings of the variants of each digit, and of signs."""

from collections import Counter

import numpy as np
import pytest

from pipeline.digits import CLASSES
from pipeline.sources.drawings.handwriting import render_frames
from pipeline.sources.drawings.skeletons import deform, digit_skeletons, sample_digits, sample_signs, sign_skeletons
from pipeline.sources.drawings.strokes import Drawing


def test_every_digit_has_several_variants() -> None:
    assert list(digit_skeletons()) == list(range(CLASSES))
    assert all(len(variants) >= 7 for variants in digit_skeletons().values())


@pytest.mark.parametrize(
    ("digit", "variant", "strokes", "pieces"),
    [
        (1, "flag and foot", 2, 3),
        (7, "crossed", 2, 3),
        (0, "slashed", 2, 2),
        (4, "open", 2, 3),
        (9, "straight stem", 1, 2),
    ],
)
def test_a_variant_has_its_strokes_and_its_corners(digit: int, variant: str, strokes: int, pieces: int) -> None:
    skeleton = digit_skeletons()[digit][variant]
    assert len(skeleton) == strokes
    assert sum(len(stroke) for stroke in skeleton) == pieces


def test_every_skeleton_is_drawn_within_the_grid() -> None:
    skeletons = [*(each for variants in digit_skeletons().values() for each in variants.values())]
    for skeleton in [*skeletons, *sign_skeletons().values()]:
        points = np.concatenate([piece for stroke in skeleton for piece in stroke])
        assert points.min() >= 0 and points.max() <= 9
        assert all(len(piece) > 1 for stroke in skeleton for piece in stroke)


def test_a_deformed_skeleton_keeps_its_strokes_and_its_size() -> None:
    random = np.random.default_rng(0)
    skeleton = digit_skeletons()[7]["crossed"]
    first, second = deform(skeleton, random), deform(skeleton, random)
    assert len(first) == len(second) == 2
    assert not np.array_equal(first[0], second[0])
    assert np.ptp(np.concatenate(first), axis=0) == pytest.approx([8, 9], abs=2.5)


def test_the_pieces_of_a_stroke_stay_joined() -> None:
    (stroke,) = deform(digit_skeletons()[2]["sharp"], np.random.default_rng(0))
    assert np.hypot(*np.diff(stroke, axis=0).T).max() < 1


def test_sampled_digits_are_balanced_and_reproducible() -> None:
    first, again, other = sample_digits(50, seed=0), sample_digits(50, seed=0), sample_digits(50, seed=1)
    assert Counter(drawing.label for drawing in first) == dict.fromkeys(range(CLASSES), 5)
    assert points_of(first) == points_of(again) != points_of(other)


def test_sampled_signs_are_single_signs_and_words_without_a_digit_s_label() -> None:
    signs = sample_signs(200, seed=0)
    assert {sign.label for sign in signs} == {CLASSES}
    widths = [np.ptp(np.concatenate(sign.strokes)[:, 0]) for sign in signs]
    assert 0.1 < np.mean(np.array(widths) > 11) < 0.35
    assert points_of(signs) == points_of(sample_signs(200, seed=0))


def test_drawings_of_skeletons_are_rendered_as_frames() -> None:
    frames = render_frames(sample_digits(20, seed=0) + sample_signs(20, seed=0), 1, seed=0)
    assert (frames.shape, frames.dtype) == ((40, 28, 28), np.uint8)
    assert (frames.max(axis=(1, 2)) > 200).all()


def points_of(drawings: list[Drawing]) -> list[list[list[float]]]:
    """Return the points of all strokes as lists."""
    return [stroke.tolist() for drawing in drawings for stroke in drawing.strokes]
