"""The main flow: train on a source, predict its test rows, write a submission file."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.config.recipe import Recipe
from pipeline.data.table import DigitTable
from pipeline.errors import UserError
from pipeline.inference.orientation import orient_table
from pipeline.inference.predictor import Predictor
from pipeline.kaggle.solution import count_leaks, provenance_path, write_submission
from pipeline.metrics.score import Score, score
from pipeline.reports.evaluate import report
from pipeline.run import Run
from pipeline.sources.source import Source
from pipeline.training.train import train
from pipeline.utils.files import require_separate

LEAK_CHECKED = ("competition", "files")
"""Sources whose test images are compared with the training images. Those of the others are known to be different."""


@dataclass(frozen=True)
class Submission:
    """A submission file that was written.

    Attributes:
        run: the run that made the predictions.
        rows: number of predictions.
        score: score of the predictions; None if the test rows have no labels.
    """

    run: Run
    rows: int
    score: Score | None


def submit(
    start: Recipe | Run, source: Source, out: Path, *, allow_leak: bool = False, quiet: bool = False
) -> Submission:
    """Train a recipe, predict the test rows of a source, and write the predictions to `out`.

    The provenance is written next to `out`. Nothing is sent to Kaggle.

    Args:
        start: the recipe to train, or a trained run to use instead.
        allow_leak: also predict images that the run was trained on.
        quiet: show no progress bar.

    Raises:
        UserError: a row is invalid, training failed, the run was trained on test rows, or `out` cannot be written or
            is a file of the source or the run. Test rows that are training rows are refused before the training.
    """
    for written in (out, provenance_path(out)):
        require_separate(written, [*source.files, *(start.files if isinstance(start, Run) else [])])
    test = source.read_test()  # read first: an invalid row must fail before training, not after it
    if source.name in LEAK_CHECKED and not isinstance(start, Run) and not allow_leak:
        _require_unseen(source, test)
    run = start if isinstance(start, Run) else train(start, source, quiet=quiet)
    predictor = Predictor.load(run)
    if run is not start:
        report(run, source, predictor)
    test = orient_table(predictor, test, str(source.path))
    leaked = count_leaks(run, test, allow_leak) if source.name in LEAK_CHECKED else 0
    digits = predictor.predict(test.pixels).known_digits
    write_submission(out, digits, run, source.name, leaked)
    return Submission(run, len(test), None if test.labels is None else score(digits, test.labels))


def _require_unseen(source: Source, test: DigitTable) -> None:
    """Raise a UserError if test images are training images too, as in a file that contains training digits only."""
    same = source.read_train().fingerprint.count_duplicates(test.fingerprint)
    if same:
        raise UserError(
            f"{source.path}: {same:,} of the {len(test):,} test images are training images too, so a score would not "
            "be valid; give a folder or archive that holds both apart, as train.csv and test.csv, or give --allow-leak"
        )
