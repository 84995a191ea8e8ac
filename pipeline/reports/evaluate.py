"""Score a run on labelled digits, and write a report and figures to its folder."""

import logging
from pathlib import Path

from pipeline.config.fine_tuning import FineTuning
from pipeline.data.formats import open_labelled
from pipeline.data.table import DigitTable
from pipeline.errors import UserError, did_you_mean
from pipeline.inference.predictions import Predictions, make_predictions
from pipeline.inference.predictor import Predictor
from pipeline.metrics.score import Score
from pipeline.reports.figures import plot_confusion, plot_overall, plot_per_digit, plot_training_history
from pipeline.reports.images import plot_mistakes, plot_samples
from pipeline.reports.reliability import plot_reliability
from pipeline.reports.style import save_figure
from pipeline.run import Run
from pipeline.sources.find import find_source
from pipeline.sources.mnist import mnist_source
from pipeline.sources.source import Source
from pipeline.training.setup import split_table
from pipeline.utils.files import open_atomic

log = logging.getLogger(__name__)

RECORDED_SETS = ("mnist", "validation")
"""The digits whose scores the card records."""


def evaluate(run: Run, table: DigitTable, on: str, predictor: Predictor | None = None) -> Score:
    """Score a run on labelled digits; write `report.txt` and the PNG files in `figures/`, replacing earlier ones.

    The files are in the run's `report_folder`. The card records the scores on MNIST's test set and on the validation
    rows only, and none if the run ships with the project.

    Args:
        on: name of the digits, as in `labelled_rows`.
        predictor: the run's predictor, if it is loaded already.

    Raises:
        UserError: the digits have no labels, or the run is damaged or cannot be written to.
    """
    overlap = run.fingerprint.count_duplicates(table.fingerprint) if on != "validation" else 0
    predictions = predictions_on(run, predictor or Predictor.load(run), table, on)
    result = predictions.score(table.known_labels)
    if overlap:
        log.warning("%s was trained on %s of these images: its score is too optimistic.", run, f"{overlap:,}")
    elif on in RECORDED_SETS and not run.card.shipped:
        scores = {f"{on}_parity_accuracy": result.parity.accuracy}
        run.add_scores(scores | {f"{on}_accuracy": result.accuracy} if result.of_digits else scores)
    with open_atomic(run.report_folder / "report.txt") as temporary:
        temporary.write_text(f"{run} on {on}: {len(table):,} rows\n{result.report()}\n", "utf-8", "surrogateescape")
    figures = run.report_folder / "figures"
    if run.card.minutes:  # imported weights have no history
        _save_history_figure(run, figures / "history.png")
    save_figure(figures / "confusion.png", plot_confusion, result)
    save_figure(figures / "overall.png", plot_overall, result)
    save_figure(figures / "digits.png", plot_per_digit, result)
    labels = table.known_labels if result.of_digits else table.known_labels % 2
    save_figure(figures / "reliability.png", plot_reliability, labels, predictions.probabilities)
    save_figure(figures / "samples.png", plot_samples, table.pixels, labels, predictions.probabilities)
    save_figure(figures / "mistakes.png", plot_mistakes, table.pixels, labels, predictions.probabilities)
    return result


def _save_history_figure(run: Run, path: Path) -> None:
    """Draw the history of a run, or log why it cannot be drawn."""
    try:
        history = run.history
    except UserError as error:
        log.warning("The figure of the history is left out: %s", error)
    else:
        save_figure(path, plot_training_history, history)


def report(run: Run, source: Source, predictor: Predictor | None = None) -> None:
    """Write the report and the figures of a trained run, scored on its validation rows, if it has any.

    A fine-tuned run is scored on the source's test set instead, if its labels are known.
    """
    if isinstance(run.recipe, FineTuning) and (test := source.read_test()).labels is not None:
        log.info("\nOn the test set: %s", evaluate(run, test, source.name, predictor))
    elif run.card.validation_rows:
        evaluate(run, validation_rows(run, source), "validation", predictor)


def predictions_on(run: Run, predictor: Predictor, table: DigitTable, on: str) -> Predictions:
    """Return a run's predictions; for an ensemble's validation rows, its out-of-fold predictions.

    Args:
        predictor: the run's predictor.
        on: name of the digits, as in `labelled_rows`.
    """
    out_of_fold = run.out_of_fold if on == "validation" else None
    if out_of_fold is None:
        return predictor.predict(table.pixels)
    return make_predictions(out_of_fold.logits, run.card.digit_threshold)


def labelled_rows(run: Run, on: str, data: Path) -> DigitTable:
    """Return digits to score a run on: MNIST's test set, the run's validation rows, or the rows of a file.

    Args:
        on: "mnist", "validation" or the path of a file or folder.

    Raises:
        UserError: they are missing, or `data` does not contain the data that the run was trained on.
    """
    if on == "mnist":
        return mnist_source(data, "requested").read_test()
    if on != "validation":
        if not Path(on).exists():
            raise UserError(
                f"--on {on}: no such file or folder{did_you_mean(on, RECORDED_SETS)} (give {', '.join(RECORDED_SETS)}, "
                "or a file or folder of labelled digits)"
            )
        file = open_labelled(Path(on))
        table = file.read(labels_required=True)
        if notes := file.notes():
            log.info("Data: %s: %s", file, ", ".join(notes))
        return table
    return validation_rows(run, _find_trained_source(run, data))


def _find_trained_source(run: Run, data: Path) -> Source:
    """Return the source in `data` that may be the one that a run was trained on.

    Raises:
        UserError: there is none.
    """
    name = run.card.source
    if name == "mnist":
        return mnist_source(data, "requested")
    if name == "files" and not data.exists():
        raise UserError(f"{data}: no such file or folder; give the one that {run} was trained on with --data")
    return find_source({"competition": "auto", "files": str(data)}.get(name, name), data)


def validation_rows(run: Run, source: Source) -> DigitTable:
    """Return the rows of a source that were the run's validation rows.

    Raises:
        UserError: the run has no validation rows, or the source does not contain the data that the run was trained on.
    """
    card, recipe = run.card, run.recipe
    if not card.validation_rows:
        raise UserError(f"{run}: has no validation rows; score it on other digits with --on mnist or --on FILE")
    table = source.read_train()
    if table.fingerprint.digest != card.fingerprint:
        raise UserError(
            f"{source.path}: does not contain the data that {run} was trained on ({card.source}); "
            "give their folder with --data"
        )
    training, validation = split_table(table, recipe, card.train_rows - card.corrections, card.validation_rows)
    out_of_fold = run.out_of_fold
    return training.select(out_of_fold.rows) if out_of_fold else validation
