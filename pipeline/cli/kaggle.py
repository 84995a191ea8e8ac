"""`kaggle data`, `kaggle train`, `kaggle submit`, `kaggle status`, `kaggle leaderboard`."""

from pathlib import Path
from typing import Annotated

from typer import Option, Typer

from pipeline.cli.data import check_source
from pipeline.cli.options import DEFAULT_SOLUTION, AllowLeak, DataDir, Overrides, Quiet, RecipeName, log, log_to_stdout

LedgerFile = Annotated[Path, Option("--ledger", metavar="CSV", help="Ledger of all submissions and trainings.")]
DEFAULT_LEDGER = Path("submissions/ledger.csv")

kaggle = Typer(
    help="Download the competition's data, train on Kaggle, send submissions, and record their scores in a ledger."
)


@kaggle.command("data")
def data(data: DataDir = Path("data"), quiet: Quiet = False) -> None:
    """Download the competition's files if they are missing, and check every row."""
    log_to_stdout(quiet)
    check_source("kaggle", data)


@kaggle.command("train")
def train(
    recipe: RecipeName,
    set_: Overrides = None,
    accelerator: Annotated[
        str, Option(metavar="NAME", help="Kaggle's name of a GPU, such as NvidiaTeslaT4; none is its CPU.")
    ] = "NvidiaTeslaT4",
    ledger: LedgerFile = DEFAULT_LEDGER,
    quiet: Quiet = False,
) -> None:
    """Train a recipe on Kaggle's GPU; bring back the run, and its submission file. Resumes if it was interrupted."""
    log_to_stdout(quiet)
    from pipeline.config.recipe import Recipe
    from pipeline.kaggle.kernel_training import train_on_kaggle
    from pipeline.kaggle.ledger import Ledger

    settings = Recipe.load(recipe, set_ or [])
    run = train_on_kaggle(settings, DEFAULT_SOLUTION, Ledger(ledger), accelerator=accelerator)
    log.info("Run: %s", run)
    log.info("Validation accuracy: %s", run.card.validation_in_words)
    log.info("Wrote %s; to send it to Kaggle: python -m pipeline kaggle submit", DEFAULT_SOLUTION)


@kaggle.command("submit")
def submit(
    file: Annotated[Path, Option(metavar="CSV", help="Submission file to send.")] = DEFAULT_SOLUTION,
    message: Annotated[
        str,
        Option(
            metavar="TEXT",
            help="Description of the submission on Kaggle.",
            show_default="recipe and validation accuracy",
        ),
    ] = "",
    ledger: LedgerFile = DEFAULT_LEDGER,
    again: Annotated[bool, Option("--again", help="Send the file even if it was sent before.")] = False,
    fix: Annotated[
        bool, Option("--fix", help="Repair the format of a file, such as one saved by Excel, in a new file; send that.")
    ] = False,
    allow_leak: AllowLeak = False,
    quiet: Quiet = False,
) -> None:
    """Send a submission to Kaggle, wait for its score, and add both to the ledger."""
    log_to_stdout(quiet)
    from pipeline.kaggle.ledger import Ledger
    from pipeline.kaggle.sending import describe_result, send_submission

    if fix:
        from pipeline.kaggle.competition import TEST_ROWS
        from pipeline.kaggle.solution import fix_solution

        given, file = file, fix_solution(file, TEST_ROWS)
        log.info("%s: %s", given, "needs no repair" if file == given else f"repaired in {file}")
    log.info(describe_result(send_submission(file, message, Ledger(ledger), again=again, allow_leak=allow_leak)))


@kaggle.command("status")
def status(ledger: LedgerFile = DEFAULT_LEDGER, quiet: Quiet = False) -> None:
    """Show the ledger with current scores from Kaggle, and plot progress.png next to it."""
    log_to_stdout(quiet)
    from pipeline.kaggle.ledger import Ledger
    from pipeline.kaggle.sending import format_table, refresh_ledger
    from pipeline.reports.figures import plot_progress
    from pipeline.reports.style import save_figure

    kept = Ledger(ledger)
    try:
        refresh_ledger(kept)
    finally:  # the ledger is shown even if Kaggle does not answer
        entries = kept.entries()
        log.info(format_table(entries))
    scored = [entry for entry in entries if entry.public_score is not None]
    if scored:
        figure = ledger.with_name("progress.png")
        save_figure(figure, plot_progress, scored)
        log.info("\nFigure: %s", figure)


@kaggle.command("leaderboard")
def leaderboard() -> None:
    """Show the top of the competition's leaderboard."""
    log_to_stdout(quiet=False)
    from pipeline.kaggle.competition import fetch_leaderboard

    for place, team in enumerate(fetch_leaderboard(), start=1):
        log.info("%3d  %.5f  %s", place, team.score, team.teamName)
