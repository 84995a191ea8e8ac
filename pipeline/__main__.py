"""The command line, `python -m pipeline`: one short function a verb. What a verb needs is imported when it runs."""

import logging
import sys
from pathlib import Path
from typing import Annotated

from typer import Argument, Option, Typer

from pipeline.errors import UserError

log = logging.getLogger("pipeline")

app = Typer(
    help="From train.csv to solution.csv: train a recipe, predict digits, know how good they are.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Data = Annotated[Path, Option("--data", metavar="DIR", help="The folder for data.")]
Kind = Annotated[str, Option("--source", help="auto, mnist, practice, or the path of an archive or a folder.")]
RunName = Annotated[str, Argument(metavar="RUN", help="The folder of a run, or its name in checkpoints/.")]
Quiet = Annotated[bool, Option("--quiet", help="Print neither progress nor results.")]


@app.command()
def data(source: Kind = "auto", data: Data = Path("data"), quiet: Quiet = False) -> None:
    """Find the data, or fetch or make them, and check every row."""
    speak(quiet)
    from pipeline.sources import find_source

    found = find_source(source, data)
    log.info("Data: %s", found)
    log.info("%s rows to learn from, %s to predict", f"{len(found.read_train()):,}", f"{len(found.read_test()):,}")


@app.command()
def train(
    recipe: Annotated[str, Argument(metavar="RECIPE", help="A recipe's name, or the path of a YAML file.")],
    data: Data = Path("data"),
    source: Kind = "auto",
    run: Annotated[
        str | None, Option(metavar="RUN", help="The new run's name or folder.", show_default="dated")
    ] = None,
    set_: Annotated[
        list[str] | None, Option("--set", metavar="KEY=VALUE", help="Change a setting; repeatable.")
    ] = None,
    resume: Annotated[bool, Option("--resume", help="Go on with RUN, or with the newest that was stopped.")] = False,
    quiet: Quiet = False,
) -> None:
    """Train a recipe and keep the run in checkpoints/."""
    speak(quiet)
    from pipeline.recipe import Recipe
    from pipeline.sources import find_source

    settings = Recipe.load(recipe, set_ or [])
    found = find_source(source, data)
    log.info("Data: %s", found)
    from pipeline import training

    trained = training.train(settings, found, run, resume=resume, quiet=quiet)
    log.info("Validation accuracy: %s", trained.card.validation_in_words)


@app.command()
def evaluate(
    run: RunName,
    on: Annotated[
        str, Option(metavar="mnist|validation|CSV", help="The labelled digits to score it on.")
    ] = "validation",
    data: Data = Path("data"),
    quiet: Quiet = False,
) -> None:
    """Score a run: accuracy with its interval, parity, each digit's precision and recall, the confusion matrix."""
    speak(quiet)
    from pipeline.predictor import Predictor, labelled_rows
    from pipeline.scoring import score

    table = labelled_rows(run, on, data)
    predictions = Predictor.load(run).predict(table.pixels)
    log.info("%s on %s", run, on)
    log.info("%s", score(predictions.digits, table.known_labels, predictions.probabilities).report())


@app.command()
def predict(
    run: RunName,
    file: Annotated[Path, Argument(metavar="INPUT", help="A CSV of images in Kaggle's format: plain, .gz or zip.")],
    out: Annotated[Path, Option(metavar="OUT", help="The CSV to write: ImageId,Label.")],
    quiet: Quiet = False,
) -> None:
    """Read every image of a CSV, of any length: rows are streamed and memory stays flat."""
    speak(quiet)
    from pipeline import submission
    from pipeline.files import require_writable
    from pipeline.overlap import ahead
    from pipeline.predictor import Predictor
    from pipeline.table_files import CsvFile

    require_writable(out)
    predictor = Predictor.load(run)
    chunks = ahead(CsvFile(file).chunks(labels_required=False))
    rows = submission.write(out, ahead(predictor.predict(chunk.pixels).digits for chunk in chunks))
    log.info("%s: %s rows", out, f"{rows:,}")


@app.command()
def submit(
    recipe: Annotated[str, Option(metavar="RECIPE", help="Train this one ...")] = "fast",
    run: Annotated[str | None, Option(metavar="RUN", help="... or take this run and train nothing.")] = None,
    data: Data = Path("data"),
    source: Kind = "auto",
    out: Annotated[Path, Option(metavar="CSV", help="The submission to write.")] = Path("submissions/solution.csv"),
    allow_leak: Annotated[bool, Option("--allow-leak", help="Predict images that the run was trained on.")] = False,
    quiet: Quiet = False,
) -> None:
    """From data to solution.csv: train, predict the test rows, write and check the submission."""
    speak(quiet)
    from pipeline.files import require_writable
    from pipeline.recipe import Recipe
    from pipeline.sources import find_source

    settings = Recipe.load(recipe)
    require_writable(out)
    found = find_source(source, data)
    log.info("Data: %s", found)
    test = found.read_test()
    from pipeline import submission
    from pipeline.checkpoint import Run

    if run:
        trained = Run.open(run)
    else:
        from pipeline import training

        trained = training.train(settings, found, quiet=quiet)
    card = trained.card
    score = submission.make(trained, found, test, out, allow_leak=allow_leak)
    log.info("\n%s: %s rows, by %s", out, f"{len(test):,}", trained)
    log.info("Validation accuracy: %s", card.validation_in_words)
    if score:
        log.info("Test accuracy: %s", score)
    if found.name == "competition":
        log.info("Upload it at https://www.kaggle.com/competitions/digit-recognizer/submit")


@app.command()
def recipes() -> None:
    """List the recipes."""
    speak(quiet=False)
    from pipeline.recipe import Recipe, names

    for name in names():
        log.info("%-12s %s", name, Recipe.load(name).summary)


def speak(quiet: bool) -> None:
    """Print what the library logs as plain lines on stdout, unless `quiet`."""
    if not quiet:
        log.setLevel(logging.INFO)
        log.addHandler(logging.StreamHandler(sys.stdout))


def main() -> None:
    """Run the command line; a UserError is one line on stderr and status 2."""
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
