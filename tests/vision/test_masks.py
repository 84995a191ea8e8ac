"""Measures of a mask of ink, against their plain definitions."""

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from pipeline.vision.binarise import Mask, connected_components, stroke_width
from pipeline.vision.hough import Runs


def masks() -> Iterator[Mask]:
    """Yield masks of 1 to 30 pixels a side: sparse to full ink, anywhere on the page, and none."""
    random = np.random.default_rng(0)
    yield np.zeros((5, 7), dtype=np.bool_)
    for _ in range(300):
        mask = np.zeros(random.integers(1, 31, 2), dtype=np.bool_)
        (top, left), (height, width) = random.integers(0, mask.shape), random.integers(1, 31, 2)
        box = mask[top : top + height, left : left + width]
        box[:] = random.random(box.shape) < random.random()
        yield mask
        yield mask.T


def test_the_components_are_those_of_the_complete_mask() -> None:
    for mask in masks():
        labels, boxes = connected_components(mask)
        plain, _ = ndimage.label(mask, np.ones((3, 3)))
        assert np.array_equal(labels, plain)
        assert boxes == ndimage.find_objects(plain)


def test_the_stroke_width_is_twice_the_area_divided_by_the_outline() -> None:
    for mask in masks():
        outline = mask & ~ndimage.binary_erosion(mask)
        assert stroke_width(mask) == 2 * mask.sum() / max(1, outline.sum())


def test_the_runs_are_the_stretches_of_ink_in_each_column() -> None:
    for mask in masks():
        stretches = []
        for column, pixels in enumerate(mask.T):
            rows = np.flatnonzero(pixels)
            for stretch in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1) if rows.size else []:
                stretches.append((column, stretch[0], stretch[-1] + 1))
        runs = Runs.of(mask)
        assert list(zip(runs.column, runs.start, runs.stop, strict=True)) == stretches
