"""The command line, `python -m pipeline`: one short function a verb. What a verb needs is imported when it runs."""

import gc
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option, Typer

from pipeline.credentials import PAGE
from pipeline.errors import UserError

if TYPE_CHECKING:
    from pipeline.checkpoint import Run
    from pipeline.sources import Source

log = logging.getLogger("pipeline")

app = Typer(
    help="From train.csv to solution.csv: train a recipe, predict digits, know how good they are.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

kaggle = Typer(help="Get the competition's data, submit to it, and keep the ledger, by Kaggle's own client.")
app.add_typer(kaggle, name="kaggle", no_args_is_help=True)

Data = Annotated[Path, Option("--data", metavar="DIR", help="The folder for data.")]
Kind = Annotated[str, Option("--source", help="auto, kaggle, mnist, practice, or the path of an archive or a folder.")]
RunName = Annotated[str, Argument(metavar="RUN", help="The folder of a run, or its name in checkpoints/.")]
On = Annotated[str, Option("--on", metavar="mnist|validation|CSV", help="The labelled digits to score on.")]
LedgerFile = Annotated[Path, Option("--ledger", metavar="CSV", help="The ledger of all submissions.")]
LEDGER = Path("submissions/ledger.csv")
Quiet = Annotated[bool, Option("--quiet", help="Print neither progress nor results.")]


@app.command()
def data(source: Kind = "auto", data: Data = Path("data"), quiet: Quiet = False) -> None:
    """Find the data, or fetch or make them, and check every row."""
    speak(quiet)
    from pipeline.sources import find_source

    tell(find_source(source, data))


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
    with_: Annotated[
        Path | None,
        Option("--with", metavar="DIR", help="Train on the demo's corrections in DIR too."),
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
    corrections = None
    if with_:
        from pipeline.corrections import read_corrections

        corrections = read_corrections(with_)
        log.info("and %s corrected digits, in %s", f"{len(corrections):,}", with_)
    from pipeline import training

    trained = training.train(settings, found, run, corrections=corrections, resume=resume, quiet=quiet)
    report(trained, found)
    log.info("Validation accuracy: %s", trained.card.validation_in_words)


@app.command()
def evaluate(
    run: RunName,
    on: On = "validation",
    data: Data = Path("data"),
    quiet: Quiet = False,
) -> None:
    """Score a run; its report goes to RUN/report.txt, with figures and a page of its mistakes beside it."""
    speak(quiet)
    from pipeline.checkpoint import Run
    from pipeline.evaluation import evaluate, labelled_rows
    from pipeline.mistakes import write_page

    found = Run.open(run)
    rows = labelled_rows(found, on, data)
    score = evaluate(found, rows, on)
    log.info("%s on %s\n%s", found, on, score.report())
    log.info("\n%s/report.txt, %s/figures, %s", found, found, write_page(found, rows, on))


@app.command()
def compare(
    runs: Annotated[list[str], Argument(metavar="RUN...", help="Folders of runs, or names of those in checkpoints/.")],
    on: On = "validation",
    data: Data = Path("data"),
    quiet: Quiet = False,
) -> None:
    """Put runs side by side: accuracy, parity, loss, size, time, speed; draw them in checkpoints/comparison.png."""
    speak(quiet)
    from pipeline import plots
    from pipeline.checkpoint import CHECKPOINTS
    from pipeline.comparison import compare, table

    compared = compare(runs, on, data)
    figure = CHECKPOINTS / "comparison.png"
    plots.save(figure, plots.comparison, {each.run.folder.name: each.score for each in compared})
    log.info("%s\n\nOn %s; %s", table(compared), on, figure)


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
def read(
    run: RunName,
    pictures: Annotated[list[Path], Argument(metavar="PICTURE...", help="Photos or drawings: PNG, JPEG and others.")],
) -> None:
    """Read the number in each picture: what it is, odd or even, and the probability that all of it is right."""
    speak(quiet=False)
    from pipeline.predictor import Predictor

    predictor = Predictor.load(run)
    for picture in pictures:
        reading = predictor.read(picture)
        if reading.confidence is None:
            log.info("%s: no digits", picture)
        else:
            log.info("%s: %s, %s, %.1f %% sure", picture, reading.text, reading.parity, 100 * reading.confidence)


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
        report(trained, found)
    card = trained.card
    score = submission.make(trained, found, test, out, allow_leak=allow_leak)
    log.info("\n%s: %s rows, by %s", out, f"{len(test):,}", trained)
    log.info("Validation accuracy: %s", card.validation_in_words)
    if score:
        log.info("Test accuracy: %s", score)
    if found.name == "competition":
        log.info("Submit it by python -m pipeline kaggle submit, or at %s/submit", PAGE)


@app.command()
def recipes() -> None:
    """List the recipes, with the minutes that each takes on 2 cores and what it then reads of MNIST's test digits."""
    speak(quiet=False)
    from pipeline.recipe import Recipe, names

    log.info("%-18s %7s  %8s  what", "recipe", "minutes", "accuracy")
    for name in names():
        recipe = Recipe.load(name)
        minutes = "-" if recipe.minutes is None else f"{recipe.minutes:.1f}"
        accuracy = "-" if recipe.accuracy is None else f"{recipe.accuracy:.2f} %"
        log.info("%-18s %7s  %8s  %s", name, minutes, accuracy, recipe.summary)


@kaggle.command("data")
def kaggle_data(data: Data = Path("data"), quiet: Quiet = False) -> None:
    """Download the competition's files, where they are not there yet, and check every row."""
    speak(quiet)
    from pipeline.sources import find_source

    tell(find_source("kaggle", data))


@kaggle.command("submit")
def kaggle_submit(
    file: Annotated[Path, Option(metavar="CSV", help="The submission to send.")] = Path("submissions/solution.csv"),
    message: Annotated[str, Option(metavar="TEXT", help="What to say of it.", show_default="its recipe")] = "",
    ledger: LedgerFile = LEDGER,
    again: Annotated[bool, Option("--again", help="Send a file that was sent before.")] = False,
    allow_leak: Annotated[bool, Option("--allow-leak", help="Send what a run predicted that saw the answers.")] = False,
    quiet: Quiet = False,
) -> None:
    """Send a submission once, wait for its score, and note both in the ledger."""
    speak(quiet)
    from pipeline import sending
    from pipeline.ledger import Ledger

    scored = sending.submit(file, message, Ledger(ledger), again=again, allow_leak=allow_leak)
    log.info(sending.verdict(scored))


@kaggle.command("status")
def kaggle_status(ledger: LedgerFile = LEDGER, quiet: Quiet = False) -> None:
    """Show the ledger, with what Kaggle knows by now, and draw progress.png beside it."""
    speak(quiet)
    from pipeline import plots, sending
    from pipeline.ledger import Ledger

    try:
        sending.refresh(Ledger(ledger))
    finally:  # what is known is shown, whether Kaggle answers or not
        entries = Ledger(ledger).entries()
        log.info(sending.table(entries))
    scored = [entry for entry in entries if entry.public_score is not None]
    if scored:
        figure = ledger.with_name("progress.png")
        plots.save(figure, plots.progress, scored)
        log.info("\n%s", figure)


@kaggle.command("leaderboard")
def kaggle_leaderboard() -> None:
    """Show the head of the competition's leaderboard."""
    speak(quiet=False)
    from pipeline.kaggle import leaderboard

    for place, team in enumerate(leaderboard(), start=1):
        log.info("%3d  %.5f  %s", place, team.score, team.teamName)


def tell(source: "Source") -> None:
    """Say which data were found, and check and count every row."""
    log.info("Data: %s", source)
    log.info("%s rows to learn from, %s to predict", f"{len(source.read_train()):,}", f"{len(source.read_test()):,}")


def report(run: "Run", source: "Source") -> None:
    """Leave a report and figures in a run, on the rows that were set aside in its training, where there are any."""
    if run.card.validation_rows:
        from pipeline.evaluation import evaluate, validation_rows

        evaluate(run, validation_rows(run, source), "validation")


def speak(quiet: bool) -> None:
    """Print what the library logs as plain lines on stdout, unless `quiet`."""
    if not quiet:
        log.setLevel(logging.INFO)
        log.addHandler(logging.StreamHandler(sys.stdout))


def main() -> None:
    """Run the command line; a UserError is one line on stderr and status 2."""
    gc.set_threshold(50_000)  # imports make many objects and no garbage: looking for it is a quarter of the start
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
