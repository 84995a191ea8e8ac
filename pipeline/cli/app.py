"""The command line, `python -m pipeline`: one short function a verb. What a verb needs is imported when it runs."""

import gc
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

from typer import Argument, Context, Option, Typer

from pipeline.errors import UserError
from pipeline.kaggle.credentials import PAGE
from pipeline.utils.distributed import claim_report, is_main_process, main_process_first, world_size

if TYPE_CHECKING:
    from pipeline.sources.source import Source

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
PLACES = "auto, kaggle, mnist, pendigits, practice, or the path of an archive or a folder."
Kind = Annotated[str, Option("--source", help=PLACES)]
RunName = Annotated[str, Argument(metavar="RUN", help="The folder of a run, or its name in checkpoints/.")]
On = Annotated[str, Option("--on", metavar="mnist|validation|CSV", help="The labelled digits to score on.")]
LedgerFile = Annotated[Path, Option("--ledger", metavar="CSV", help="The ledger of all submissions.")]
LEDGER = Path("submissions/ledger.csv")
Engine = Literal["plain", "ray"]
Format = Literal["csv", "parquet"]
Quiet = Annotated[bool, Option("--quiet", help="Print neither progress nor results.")]


@app.callback()
def one_process_but_for_training(context: Context) -> None:
    """Refuse what several processes would do several times."""
    verb = context.invoked_subcommand
    if world_size() > 1 and verb != "train":
        raise UserError(f"{verb} is the work of one process: torchrun and accelerate launch are for train only")


@app.command()
def data(source: Kind = "auto", data: Data = Path("data"), quiet: Quiet = False) -> None:
    """Find the data, or fetch or make them, and check every row."""
    speak(quiet)
    from pipeline.sources.find import find_source

    tell(find_source(source, data))


@app.command()
def train(
    recipe: Annotated[str, Argument(metavar="RECIPE", help="A recipe's name, or the path of a YAML file.")],
    data: Data = Path("data"),
    source: Annotated[str | None, Option(help=PLACES, show_default="what RECIPE says, or auto")] = None,
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
    limit: Annotated[
        int | None, Option(metavar="N", min=10, help="Train on N of the rows, and validate on N/5 at most.")
    ] = None,
    resume: Annotated[bool, Option("--resume", help="Go on with RUN, or with the newest that was stopped.")] = False,
    quiet: Quiet = False,
) -> None:
    """Train a recipe and keep the run in checkpoints/; under torchrun, on several processes."""
    speak(quiet)
    from pipeline.config.recipe import load_recipe
    from pipeline.sources.find import find_source

    settings = load_recipe(recipe, set_ or [])
    with main_process_first():
        found = find_source(source or settings.dataset, data)
    log.info("Data: %s", found)
    corrections = None
    if with_:
        from pipeline.inference.corrections import read_corrections

        corrections = read_corrections(with_)
        log.info("and %s corrected digits, in %s", f"{len(corrections):,}", with_)
    from pipeline.reports.evaluate import report
    from pipeline.training import train as trainers

    trained = trainers.train(settings, found, run, corrections=corrections, limit=limit, resume=resume, quiet=quiet)
    if is_main_process():
        report(trained, found)
        log.info("Validation accuracy: %s", trained.card.validation_in_words)


@app.command()
def sweep(
    recipe: Annotated[str, Argument(metavar="RECIPE", help="A recipe's name, or the path of a YAML file.")],
    trials: Annotated[int, Option(metavar="N", min=1, help="How many trainings to add to the study.")],
    storage: Annotated[
        str | None,
        Option(
            metavar="URL",
            help="The study's database: sqlite:///FILE, or postgresql://USER@HOST/DATABASE for several machines.",
            show_default="a file in sweeps/",
        ),
    ] = None,
    jobs: Annotated[int, Option(metavar="K", min=1, help="Trainings beside one another.")] = 1,
    space: Annotated[
        Path | None, Option(metavar="YAML", help="What to vary, and how far.", show_default="the recipe's")
    ] = None,
    data: Data = Path("data"),
    source: Kind = "auto",
    set_: Annotated[
        list[str] | None, Option("--set", metavar="KEY=VALUE", help="Fix a setting in all trials; repeatable.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Search a recipe's settings for the lowest validation loss; the best becomes a recipe in sweeps/."""
    speak(quiet)
    from pipeline.config.recipe import Recipe
    from pipeline.search.space import SearchSpace
    from pipeline.search.sweep import sweep
    from pipeline.sources.find import find_source

    fixed = set_ or []
    settings = Recipe.load(recipe, fixed)
    varied = SearchSpace.load(settings.name, space, [override.partition("=")[0].strip() for override in fixed])
    found = find_source(source, data)
    log.info("Data: %s", found)
    sweep(settings, found, varied, trials, storage=storage, jobs=jobs, quiet=quiet)


@app.command()
def evaluate(
    run: RunName,
    on: On = "validation",
    data: Data = Path("data"),
    quiet: Quiet = False,
) -> None:
    """Score a run; its report goes to RUN/report.txt, with figures and a page of its mistakes beside it."""
    speak(quiet)
    from pipeline.reports.evaluate import evaluate, labelled_rows
    from pipeline.reports.mistakes import write_page
    from pipeline.run import Run

    found = Run.open(run)
    rows = labelled_rows(found, on, data)
    score = evaluate(found, rows, on)
    log.info("%s on %s\n%s", found, on, score.report())
    written = [f"{found}/report.txt", f"{found}/figures"]
    if score.of_digits:
        written.append(str(write_page(found, rows, on)))
    log.info("\n%s", ", ".join(written))


@app.command()
def compare(
    runs: Annotated[list[str], Argument(metavar="RUN...", help="Folders of runs, or names of those in checkpoints/.")],
    on: On = "validation",
    data: Data = Path("data"),
    quiet: Quiet = False,
) -> None:
    """Put runs side by side: accuracy, parity, loss, size, time, speed; draw them in checkpoints/comparison.png."""
    speak(quiet)
    from pipeline.reports.compare import compare, table
    from pipeline.reports.figures import plot_comparison
    from pipeline.reports.style import save_figure
    from pipeline.run import CHECKPOINTS

    compared = compare(runs, on, data)
    figure = CHECKPOINTS / "comparison.png"
    save_figure(figure, plot_comparison, {each.run.folder.name: each.score for each in compared})
    log.info("%s\n\nOn %s; %s", table(compared), on, figure)


@app.command()
def predict(
    run: RunName,
    inputs: Annotated[
        list[str],
        Argument(
            metavar="INPUT...",
            help="Images in CSV, as Kaggle's (plain, .gz or zip), or Parquet: files, folders, patterns.",
        ),
    ],
    out: Annotated[
        Path, Option(metavar="OUT", help="NAME.csv for the answers to one file, ImageId,Label; else a new folder.")
    ],
    engine: Annotated[Engine, Option(help="This machine alone, or a Ray cluster; the answers are the same.")] = "plain",
    form: Annotated[Format, Option("--format", help="Of the answers in a folder: File,ImageId,Label.")] = "csv",
    quiet: Quiet = False,
) -> None:
    """Read every image of files of any length: rows are streamed and memory stays flat."""
    speak(quiet)
    from pipeline.inference import batch as prediction
    from pipeline.run import Run

    Run.open(run).require_digits()
    rows = prediction.predict(run, inputs, out, engine=engine, form=form, quiet=quiet)
    log.info("%s: %s rows", out, f"{rows:,}")


@app.command()
def read(
    run: RunName,
    pictures: Annotated[list[Path], Argument(metavar="PICTURE...", help="Photos or drawings: PNG, JPEG and others.")],
) -> None:
    """Read the number in each picture: what it is, odd or even, and the probability that all of it is right."""
    speak(quiet=False)
    from pipeline.inference.predictor import Predictor

    predictor = Predictor.load(run)
    for picture in pictures:
        reading = predictor.read(picture)
        if reading.confidence is None:
            log.info("%s: no digits", picture)
        else:
            text = "digits unknown" if reading.text is None else reading.marked
            remark = "; ? is likely no digit" if "?" in reading.marked else ""
            log.info("%s: %s, %s, %.1f %% sure%s", picture, text, reading.parity, 100 * reading.confidence, remark)


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
    from pipeline.config.recipe import Recipe
    from pipeline.sources.find import find_source
    from pipeline.utils.files import require_writable

    settings = Recipe.load(recipe)
    require_writable(out)
    if run:
        from pipeline.run import Run

        trained = Run.open(run)
        trained.require_digits()
    found = find_source(source, data)
    log.info("Data: %s", found)
    test = found.read_test()
    from pipeline.kaggle.solution import make

    if not run:
        from pipeline.reports.evaluate import report
        from pipeline.training import train as trainers

        trained = trainers.train(settings, found, quiet=quiet)
        report(trained, found)
    card = trained.card
    score = make(trained, found, test, out, allow_leak=allow_leak)
    log.info("\n%s: %s rows, by %s", out, f"{len(test):,}", trained)
    log.info("Validation accuracy: %s", card.validation_in_words)
    if score:
        log.info("Test accuracy: %s", score)
    if found.name == "competition":
        log.info("Submit it by python -m pipeline kaggle submit, or at %s/submit", PAGE)


@app.command()
def export(
    run: RunName,
    to: Annotated[str, Option("--to", metavar="transformers|onnx|safetensors", help="For which programs.")],
    out: Annotated[Path, Option(metavar="PATH", help="The folder to write, or for the last two the file.")],
    quiet: Quiet = False,
) -> None:
    """Write a run for other programs: a folder that Transformers loads, or one file."""
    speak(quiet)
    from pipeline.export.transformers import export
    from pipeline.run import Run

    found = Run.open(run)
    export(found, to, out)
    log.info("%s: %s, for %s", out, found, to)


@app.command()
def recipes() -> None:
    """List the recipes, with the minutes that each takes on 2 cores and what it then reads of MNIST's test digits."""
    speak(quiet=False)
    from pipeline.config.recipe import load_recipe
    from pipeline.config.settings import names

    log.info("%-18s %7s  %8s  what", "recipe", "minutes", "accuracy")
    for name in names():
        recipe = load_recipe(name)
        minutes = "-" if recipe.minutes is None else f"{recipe.minutes:.1f}"
        accuracy = "-" if recipe.accuracy is None else f"{recipe.accuracy:.2f} %"
        log.info("%-18s %7s  %8s  %s", name, minutes, accuracy, recipe.summary)


@kaggle.command("data")
def kaggle_data(data: Data = Path("data"), quiet: Quiet = False) -> None:
    """Download the competition's files, where they are not there yet, and check every row."""
    speak(quiet)
    from pipeline.sources.find import find_source

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
    from pipeline.kaggle.ledger import Ledger
    from pipeline.kaggle.sending import describe_result, send_submission

    scored = send_submission(file, message, Ledger(ledger), again=again, allow_leak=allow_leak)
    log.info(describe_result(scored))


@kaggle.command("status")
def kaggle_status(ledger: LedgerFile = LEDGER, quiet: Quiet = False) -> None:
    """Show the ledger, with what Kaggle knows by now, and draw progress.png beside it."""
    speak(quiet)
    from pipeline.kaggle.ledger import Ledger
    from pipeline.kaggle.sending import format_table, refresh_ledger
    from pipeline.reports.figures import plot_progress
    from pipeline.reports.style import save_figure

    try:
        refresh_ledger(Ledger(ledger))
    finally:  # what is known is shown, whether Kaggle answers or not
        entries = Ledger(ledger).entries()
        log.info(format_table(entries))
    scored = [entry for entry in entries if entry.public_score is not None]
    if scored:
        figure = ledger.with_name("progress.png")
        save_figure(figure, plot_progress, scored)
        log.info("\n%s", figure)


@kaggle.command("leaderboard")
def kaggle_leaderboard() -> None:
    """Show the head of the competition's leaderboard."""
    speak(quiet=False)
    from pipeline.kaggle.competition import fetch_leaderboard

    for place, team in enumerate(fetch_leaderboard(), start=1):
        log.info("%3d  %.5f  %s", place, team.score, team.teamName)


def tell(source: "Source") -> None:
    """Say which data were found, and check and count every row."""
    log.info("Data: %s", source)
    log.info("%s rows to learn from, %s to predict", f"{len(source.read_train()):,}", f"{len(source.read_test()):,}")


def speak(quiet: bool) -> None:
    """Print what the library logs as plain lines on stdout, unless `quiet`; of several processes the main one does."""
    if not quiet and is_main_process():
        log.setLevel(logging.INFO)
        log.addHandler(Lines(sys.stdout))


class Lines(logging.StreamHandler[TextIO]):
    """Lines for a reader who may leave early, as `head` does: the work goes on in silence."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, the name is logging's
        """Write to nowhere from now on where nobody reads any more; else do as logging does."""
        if isinstance(sys.exception(), BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())
        else:
            super().handleError(record)


def main() -> None:
    """Run the command line; a UserError is one line on stderr, however many processes it ends, and status 2."""
    gc.set_threshold(50_000)  # imports make many objects and no garbage: looking for it is a quarter of the start
    try:
        app()
    except UserError as error:
        if claim_report():
            print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
