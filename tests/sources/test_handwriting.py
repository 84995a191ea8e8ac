"""Rendering of drawings with the variation of hands, pens and scans."""

import numpy as np
import pytest

from pipeline.sources.drawings import handwriting
from pipeline.sources.drawings.handwriting import render_drawings, render_frames, scan_coarsely
from pipeline.sources.drawings.strokes import Drawing

FRACTIONS = ("STRETCHED_FRACTION", "REMNANT_FRACTION", "WORN_FRACTION", "COARSE_FRACTION")


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Apply only the variation that the test names, to every drawing."""
    for name in FRACTIONS:
        monkeypatch.setattr(handwriting, name, float(name == request.param))


def seven() -> Drawing:
    return Drawing(7, (np.array([[0.0, 0.0], [4.0, 0.0], [2.0, 10.0]]),))


def bar() -> Drawing:
    return Drawing(1, (np.array([[0.0, 0.0], [0.5, 10.0]]),))


def widths(frames: np.ndarray) -> np.ndarray:
    """Return the number of columns from the first to the last ink of each frame."""
    return np.array([np.ptp(np.flatnonzero(frame.max(axis=0) > 127)) + 1 for frame in frames])


def test_frames_of_a_drawing_differ_and_are_reproducible() -> None:
    first, again = (render_drawings([seven()], 3, seed=0) for _ in range(2))
    assert np.array_equal(first.pixels, again.pixels)
    assert first.known_labels.tolist() == [7, 7, 7]
    assert len(np.unique(first.pixels, axis=0)) == 3


@pytest.mark.parametrize("always", ["STRETCHED_FRACTION"], indirect=True)
@pytest.mark.usefixtures("always")
def test_a_digit_is_stretched_up_to_a_square_but_a_bar_keeps_its_width() -> None:
    assert widths(render_frames([seven()], 50, seed=0)).max() >= 19
    assert widths(render_frames([bar()], 50, seed=0)).max() <= 14


@pytest.mark.parametrize("always", ["REMNANT_FRACTION"], indirect=True)
@pytest.mark.usefixtures("always")
def test_a_remnant_of_a_neighbour_is_at_the_left_or_the_right_edge() -> None:
    with_remnant = render_frames([bar()], 40, seed=0)
    assert (widths(with_remnant) > 5).mean() > 0.5
    stems = with_remnant.sum(axis=1, dtype=int).argmax(axis=1)
    extents = [np.flatnonzero(row) for row in (with_remnant > 127).any(axis=1)]
    sides = {
        int(np.sign(row[-1] + row[0] - 2 * stem)) for row, stem in zip(extents, stems, strict=True) if np.ptp(row) > 5
    }
    assert sides >= {-1, 1}


@pytest.mark.parametrize("always", ["WORN_FRACTION"], indirect=True)
@pytest.mark.usefixtures("always")
def test_worn_ink_has_gaps_but_remains_legible(monkeypatch: pytest.MonkeyPatch) -> None:
    worn = render_frames([seven()], 60, seed=0)
    monkeypatch.setattr(handwriting, "WORN_FRACTION", 0.0)
    whole = render_frames([seven()], 60, seed=0)
    assert 0.8 < worn.sum() / whole.sum() < 1.1
    assert not np.array_equal(worn, whole)


def test_a_dot_and_a_level_line_are_rendered() -> None:
    dot, level = np.zeros((1, 2)), np.array([[0.0, 0.0], [9.0, 0.0]])
    for points in (dot, level):
        assert render_frames([Drawing(1, (points,))], 60, seed=0).max(axis=(1, 2)).min() > 127


def test_a_coarse_scan_has_few_pixels_grey_or_black_in_proportion_or_as_a_square() -> None:
    ramp = np.tile(np.linspace(0, 1, 120, dtype=np.float32), (60, 1))
    random = np.random.default_rng(0)
    scans = [scan_coarsely(ramp, random) for _ in range(40)]
    assert all(9 <= scan.shape[1] <= 32 and scan.max() == 1 for scan in scans)
    assert {len(np.unique(scan)) > 2 for scan in scans} == {True, False}
    ratios = np.array([scan.shape[1] / scan.shape[0] for scan in scans])
    assert (np.isclose(ratios, 1) | np.isclose(ratios, 2, atol=0.25)).all()
    assert 0.2 < np.isclose(ratios, 1).mean() < 0.8


def test_a_coarse_scan_of_a_bar_is_not_stretched() -> None:
    bar_ink = np.ones((120, 30), dtype=np.float32)
    scans = [scan_coarsely(bar_ink, np.random.default_rng(seed)) for seed in range(20)]
    assert all(scan.shape[1] < scan.shape[0] / 2 for scan in scans)
