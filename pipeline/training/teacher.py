"""Transduction: a source's test images, without their labels, are trained on with the labels of another run."""

import logging

from pipeline.data.table import DigitTable, Fingerprint
from pipeline.errors import UserError
from pipeline.inference.orientation import orient_table
from pipeline.inference.predictor import Predictor
from pipeline.run import Run
from pipeline.sources.source import Source

log = logging.getLogger(__name__)

MIN_TEACHER_CONFIDENCE = 0.9
"""Images of which the teacher is less sure are not trained on."""


def label_test_images(teacher: str, source: Source) -> DigitTable:
    """Return the test images of a source of which a run is sure, with the run's labels; their own are not used.

    Pseudo-labels: Lee 2013, "Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep Neural
    Networks". The labels come from one finished run and stay fixed.

    Args:
        teacher: name or folder of the run.
        source: a source with test images.

    Raises:
        UserError: there is no such run; it predicts parity only; it was trained on test images that are not among the
            source's training images, so it has seen their labels; or the source has no test images.
    """
    run = Run.open(teacher)
    predictor = Predictor.load(run)
    test = orient_table(predictor, source.read_test(), str(source.path))
    known = _count_known(run.fingerprint, test)
    if known and known > _count_known(source.read_train().fingerprint, test):  # two digits may be alike by chance
        raise UserError(
            f"{run}: was trained on {known:,} of the {len(test):,} test images (from {run.card.source}), so it knows "
            "their labels; take a teacher that was trained on this source"
        )
    predictions = predictor.predict(test.pixels)
    sure = predictions.confidence >= MIN_TEACHER_CONFIDENCE
    log.info("Teacher: %s labels %s of the %s test images", run, f"{int(sure.sum()):,}", f"{len(test):,}")
    return DigitTable(test.pixels[sure], predictions.known_digits[sure])


def _count_known(trained: Fingerprint, test: DigitTable) -> int:
    """Return how many test images are training images, near-duplicates included."""
    return trained.count_duplicates(test.fingerprint) + trained.count_near_duplicates(test.fingerprint)
