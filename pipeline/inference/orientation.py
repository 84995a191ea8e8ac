"""Images in another sense than a run was trained on, black on white or transposed, noticed by the run's confidence."""

import logging
from dataclasses import replace

import numpy as np

from pipeline.data.formats import DigitFile
from pipeline.data.table import DigitTable
from pipeline.digits import Pixels
from pipeline.inference.predictor import Predictor

log = logging.getLogger(__name__)

SAMPLE_IMAGES = 256
MIN_IMAGES = 20
"""A sample of fewer images decides nothing."""
MIN_CONFIDENCE = 0.9
"""Mean confidence of images in the right sense; MNIST's have 0.99 or more, transposed ones 0.66, inverted ones 0.4."""
MIN_GAIN = 0.1
"""Difference of the mean confidence by which another sense must be better."""


def orient_file(predictor: Predictor, file: DigitFile, first: DigitTable) -> DigitFile:
    """Return a file of digits whose images are white on black and upright, as the predictor's confidence shows.

    Args:
        predictor: the predictor of digits.
        file: the file.
        first: its first rows.
    """
    inverted, transposed = _find_sense(predictor, first.pixels, str(file))
    if not (inverted or transposed):
        return file
    form = file.pixel_format()
    paper, ink = (form.ink, form.paper) if inverted else (form.paper, form.ink)
    return replace(file, known_format=replace(form, paper=paper, ink=ink, transposed=form.transposed != transposed))


def orient_table(predictor: Predictor, table: DigitTable, name: str) -> DigitTable:
    """Return a table whose images are white on black and upright, as the predictor's confidence shows."""
    inverted, transposed = _find_sense(predictor, table.pixels, name)
    return DigitTable(_turn(table.pixels, inverted, transposed), table.labels) if inverted or transposed else table


def _find_sense(predictor: Predictor, pixels: Pixels, name: str) -> tuple[bool, bool]:
    """Return whether images, uint8 (N, 28, 28), are inverted, and whether they are transposed; log it if they are."""
    sample = pixels[:SAMPLE_IMAGES]
    if len(sample) < MIN_IMAGES or (as_is := _confidence(predictor, sample)) >= MIN_CONFIDENCE:
        return False, False
    senses = [(False, True), (True, False), (True, True)]
    confidences = [_confidence(predictor, _turn(sample, *sense)) for sense in senses]
    best = int(np.argmax(confidences))
    if confidences[best] < max(MIN_CONFIDENCE, as_is + MIN_GAIN):
        return False, False
    words = " and ".join(
        word for word, applies in zip(("black on white", "transposed"), senses[best], strict=True) if applies
    )
    log.warning(
        "%s: the images are %s, and are turned: mean confidence %.0f %% rather than %.0f %%",
        name,
        words,
        100 * confidences[best],
        100 * as_is,
    )
    return senses[best]


def _confidence(predictor: Predictor, pixels: Pixels) -> float:
    """Return the mean probability of the most probable class."""
    return float(predictor.predict(pixels).probabilities.max(axis=1).mean())


def _turn(pixels: Pixels, inverted: bool, transposed: bool) -> Pixels:
    """Return images inverted and transposed, uint8 (N, 28, 28)."""
    turned = pixels.transpose(0, 2, 1) if transposed else pixels
    return np.ascontiguousarray(255 - turned if inverted else turned)
