"""The main flow: from a source of digits to a submission file."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.config.recipe import Recipe
from pipeline.inference.predictor import Predictor
from pipeline.kaggle.solution import count_leaks, save_provenance, write_solution
from pipeline.metrics.score import Score, score
from pipeline.reports.evaluate import report
from pipeline.run import Run
from pipeline.sources.source import Source
from pipeline.training.train import train


@dataclass(frozen=True)
class Submission:
    """A submission file.

    Attributes:
        run: what predicted it.
        rows: how many digits it holds.
        score: of these digits; None if their labels are not known.
    """

    run: Run
    rows: int
    score: Score | None


def submit(
    start: Recipe | Run, source: Source, out: Path, *, allow_leak: bool = False, quiet: bool = False
) -> Submission:
    """Train a recipe, predict a source's test rows, and write them to `out` with their provenance beside it.

    Args:
        start: the recipe to train, or a run to use instead.
        allow_leak: predict images that the run was trained on.
        quiet: draw no progress bar.

    Raises:
        UserError: a row is unsound, training failed, the run was trained on test rows of the competition, or `out`
            cannot be written.
    """
    test = source.read_test()  # an unsound row is reported before the training, not after it
    run = start if isinstance(start, Run) else train(start, source, quiet=quiet)
    predictor = Predictor.load(run)
    if run is not start:
        report(run, source, predictor)
    leaked = count_leaks(run, test, allow_leak) if source.name == "competition" else 0
    digits = predictor.predict(test.pixels).known_digits
    write_solution(out, [digits])
    save_provenance(out, run, source.name, len(test), leaked)
    return Submission(run, len(test), None if test.labels is None else score(digits, test.labels))
