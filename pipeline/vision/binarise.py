"""Binarisation: separate ink from paper under uneven lighting."""

from dataclasses import dataclass
from math import ceil

import numpy as np
from scipy import ndimage

from pipeline.vision.image import Grey, resize
from pipeline.vision.mask import Mask, connected_components, join_grain, join_hairlines

GREY_TOLERANCE = 1.5 / 255
"""Greys that differ by less than this count as equal."""
COARSE_SIDE_PX = 500
"""Longer side of the copy from which uneven paper is estimated: enough for shadows, with less noise."""
MIN_SIDE_TO_STROKE = 6
"""On uneven paper, strokes are narrower than the picture's shorter side divided by this, or surrounded by paper."""
MIN_INK_CONTRAST = 0.08
"""Ink is darker than its paper by more than this fraction."""
MAX_RELATIVE_LEVEL = {True: 0.5, False: 0.4}
"""The threshold is at most this fraction of the darkness of strong ink, on even and on uneven paper: weaker parts of
strokes are ink, too."""
MIN_RELATIVE_PAPER = 0.5
"""Darker regions, relative to the lightest paper, are not paper: a desk, a hand, or wide strokes."""
EDGE_PX = 11
"""Width of the blurred edge of a desk, a hand or a stroke in the coarse copy."""
MIN_EDGE_CONTRAST = 1.7
"""Ratio of the lightness on both sides of the edge of a desk, a hand or a stroke; shadows fade in more gently."""
MIN_PAPER_AT_BORDER, MIN_SEPARABILITY = 0.75, 0.9
"""Where wide strokes are told by their level: the fraction of the border that is paper, less than all in a tight crop,
and the variance between the levels of paper and ink as a fraction of the whole variance (Otsu, 1979)."""
MIN_SKEWNESS = 0.7
"""Absolute skewness of a picture's local contrast from which it tells light ink from dark."""
MIN_SHEET_SOLIDITY = 0.85
"""Fraction of the smallest rectangle around it that a sheet on a desk fills."""
MAX_STROKE_TO_LENGTH = 0.5
"""Strokes are at most this wide, relative to the longer side of what they form."""


@dataclass(frozen=True, eq=False)
class Ink:
    """The ink of a picture.

    Attributes:
        amount: float32 (h, w) in 0..1, 0 = paper, 0.5 = the threshold.
        mask: bool (h, w), true for ink.
        even: whether the paper has one grey, as in a drawing.
    """

    amount: Grey
    mask: Mask
    even: bool


def binarise(grey: Grey) -> Ink:
    """Return the ink of a picture, float32 (h, w) in 0..1, dark on light or light on dark.

    Even paper has one grey. Uneven paper is estimated by a morphological closing of a coarse copy. The closing removes
    strokes and keeps gradients, shadows and a table next to the paper, which are wider than strokes.
    """
    median = float(np.median(grey))
    even = bool((abs(grey - median) < GREY_TOLERANCE).mean() > 0.5)
    sheet: Mask | None = None
    if even:
        light_ink = bool(grey.mean() > median)
        paper = float(1 - median if light_ink else median)
        lightness: Grey = (1 - grey if light_ink else grey) / np.float32(max(GREY_TOLERANCE, paper))
        even = not _has_blob(lightness < 1 - MIN_INK_CONTRAST)
    amount = None if even else _amount_of_wide_strokes(grey)
    if amount is None:
        if not even:
            lightness, sheet = _flatten(grey)
        amount = _ink_amount(1 - lightness, sheet, MAX_RELATIVE_LEVEL[even])
    mask: Mask = amount > 0.5
    if sheet is not None and not sheet.all():
        mask = _on_sheet(mask, sheet)
        amount = np.where(ndimage.binary_dilation(mask, iterations=2), amount, 0)
    return Ink(amount, join_grain(join_hairlines(amount, mask) if even else mask), even)


def _on_sheet(mask: Mask, sheet: Mask) -> Mask:
    """Return the components of a mask that do not touch anything but the sheet."""
    labels, _ = connected_components(mask)
    outside = ndimage.binary_dilation(~sheet, iterations=max(2, max(mask.shape) // COARSE_SIDE_PX))
    inside: Mask = mask & ~np.isin(labels, np.unique(labels[outside]))
    return inside


def _has_blob(mask: Mask) -> bool:
    """Return whether a mask contains a square of a sixth of the picture's shorter side: a sheet, or wide strokes."""
    side = min(mask.shape) // MIN_SIDE_TO_STROKE
    coarse = mask[:: max(1, side // 8), :: max(1, side // 8)]
    if mask.mean() < 0.02:
        return False
    square = max(2, min(coarse.shape) // MIN_SIDE_TO_STROKE)
    return bool(ndimage.minimum_filter(coarse, square, mode="constant").any())


def _amount_of_wide_strokes(grey: Grey) -> Grey | None:
    """Return the amount of ink of wide strokes, which may cover most of a picture; None if it has no such strokes.

    Paper and ink have one level each, and paper fills most of the border. A sheet on a desk is no stroke.
    """
    step = max(1, max(grey.shape) // COARSE_SIDE_PX)
    coarse = grey[::step, ::step]
    light = coarse > _otsu_threshold(coarse.ravel())
    light_border = float(np.concatenate([light[0], light[-1], light[:, 0], light[:, -1]]).mean())
    ink = ~light if light_border > 0.5 else light
    if max(light_border, 1 - light_border) < MIN_PAPER_AT_BORDER or not _has_blob(ink) or _is_sheet(ink):
        return None
    ink_level, paper_level = float(coarse[ink].mean()), float(coarse[~ink].mean())
    between = ink.mean() * (1 - ink.mean()) * (ink_level - paper_level) ** 2
    if between < MIN_SEPARABILITY * coarse.var():
        return None
    amount: Grey = np.clip((grey - paper_level) / (ink_level - paper_level), 0, 1, dtype=np.float32)
    return amount


def _flatten(grey: Grey) -> tuple[Grey, Mask]:
    """Return (lightness, sheet) on uneven paper: lightness relative to the paper around; where there is paper."""
    shrink = min(1, COARSE_SIDE_PX / max(grey.shape))
    coarse = resize(grey, (ceil(grey.shape[0] * shrink), ceil(grey.shape[1] * shrink)))
    window = min(coarse.shape) // MIN_SIDE_TO_STROKE + 1
    light_ink = _is_light_ink(coarse, window)
    coarse = 1 - coarse if light_ink else coarse
    paper = ndimage.grey_closing(coarse, size=(window, window))
    light = paper > MIN_RELATIVE_PAPER * np.quantile(paper, 0.9)
    light |= _soft_regions(~light, paper)
    if light.all():
        sheet = light
    else:
        sheet = light | _wide_strokes(~light)
        nearest = ndimage.distance_transform_edt(~light, return_distances=False, return_indices=True)
        paper = paper[tuple(nearest)]  # the nearest paper continues behind wide strokes
    paper = resize(paper, grey.shape).clip(GREY_TOLERANCE)
    lightness = (1 - grey if light_ink else grey) / paper
    return lightness, resize(sheet.astype(np.float32), grey.shape) > 0.5


def _is_light_ink(grey: Grey, window: int) -> bool:
    """Return whether the ink is lighter than the paper.

    Ink is rarer than paper: the skewness of the differences from the mean around has the sign of the ink. If it is
    weak, the strokes are wide, and the rarer of light and dark is the ink, unless it is a sheet on a desk.
    """
    difference = grey - ndimage.uniform_filter(grey, window)
    skewness = (difference**3).mean() / max(1e-9, (difference**2).mean()) ** 1.5
    if abs(skewness) >= MIN_SKEWNESS:
        return bool(skewness > 0)
    light = grey > _otsu_threshold(grey.ravel())
    rarer_is_light = bool(light.mean() < 0.5)
    return rarer_is_light != _is_sheet(light if rarer_is_light else ~light)


def _is_sheet(region: Mask) -> bool:
    """Return whether the largest component of a region, with its holes filled, is nearly a rectangle, also turned."""
    labels, boxes = connected_components(region)
    if not boxes:
        return False
    label = int(np.bincount(labels.ravel())[1:].argmax())
    own = labels[boxes[label]] == label + 1
    filled = ndimage.binary_fill_holes(own)
    if own.sum() < filled.sum() / 2:  # a desk around a sheet
        return False
    return bool(min(filled.shape) > 0.4 * min(region.shape) and _rectangularity(filled) > MIN_SHEET_SOLIDITY)


def _rectangularity(mask: Mask) -> float:
    """Return the fraction of the smallest rectangle around a mask, among those turned by steps of 5 degrees, it fills.

    Args:
        mask: bool (h, w), true in each row.
    """
    rows = np.arange(len(mask))
    left, right = mask.argmax(axis=1), mask.shape[1] - mask[:, ::-1].argmax(axis=1)
    corners = np.stack([np.tile([rows, rows + 1], 2).reshape(-1), np.repeat([left, right], 2, axis=0).reshape(-1)])
    angles = np.radians(np.arange(0, 90, 5))
    turned = np.stack([np.cos(angles), np.sin(angles)], axis=1) @ corners
    aside = np.stack([-np.sin(angles), np.cos(angles)], axis=1) @ corners
    return float(mask.sum() / (np.ptp(turned, axis=1) * np.ptp(aside, axis=1)).min())


def _soft_regions(dark: Mask, paper: Grey) -> Mask:
    """Return the parts of dark regions that fade into the light: shadows on the paper."""
    if not dark.any():
        return dark
    sharp = ndimage.maximum_filter(paper, EDGE_PX) > MIN_EDGE_CONTRAST * ndimage.minimum_filter(paper, EDGE_PX)
    labels, boxes = connected_components(dark)
    soft = np.zeros_like(dark)
    for label in range(1, len(boxes) + 1):
        own = labels == label
        edge = ndimage.binary_dilation(own) & ~dark
        if edge.any() and sharp[edge].mean() < 0.5:
            soft |= own
    return soft


def _wide_strokes(dark: Mask) -> Mask:
    """Return the parts of dark regions that are strokes; a desk or a hand is as thick as long, or along the border."""
    labels, boxes = connected_components(dark)
    strokes = np.zeros_like(dark)
    for label, box in enumerate(boxes, start=1):
        own = labels[box] == label
        sides = [labels[0], labels[-1], labels[:, 0], labels[:, -1]]
        contact = max(int((side == label).sum()) for side in sides)
        thickness = 2 * float(ndimage.distance_transform_edt(np.pad(own, 1)).max())
        if not contact or (contact < 1.5 * thickness and thickness < MAX_STROKE_TO_LENGTH * max(own.shape)):
            strokes[box] |= own
    return strokes


def _ink_amount(darkness: Grey, sheet: Mask | None, max_level: float) -> Grey:
    """Return the amount of ink, in 0..1, by the darkness relative to the paper of a sheet, or of the whole picture."""
    on_sheet = darkness if sheet is None or sheet.all() else darkness[sheet]
    if not on_sheet.size:
        return np.zeros_like(darkness)
    noise_median = np.median(on_sheet)
    noise_deviation = 1.5 * np.median(abs(on_sheet - noise_median))
    lowest = noise_median + max(MIN_INK_CONTRAST, 5 * noise_deviation)
    clear = on_sheet[on_sheet > lowest]
    if not clear.size:
        return np.zeros_like(darkness)
    level = _otsu_threshold(clear)
    strong = np.median(clear[clear >= level])
    level = min(level, max(max_level * strong, lowest))
    amount: Grey = np.clip(0.5 + (darkness - level) / strong, 0, 1, dtype=np.float32)
    return amount


def _otsu_threshold(values: Grey) -> float:
    """Return the threshold that maximises the variance between two classes of values (Otsu, 1979)."""
    counts, edges = np.histogram(values, 64)
    centres = (edges[:-1] + edges[1:]) / 2
    below = counts.cumsum()
    above = below[-1] - below
    sums = (counts * centres).cumsum()
    with np.errstate(invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1:][np.nan_to_num(between).argmax()])
