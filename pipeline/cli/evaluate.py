"""`evaluate`, `compare`."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from pipeline.cli.options import DataDir, On, Quiet, RunName, log, log_to_stdout


def evaluate(
    run: RunName,
    on: On = "validation",
    data: DataDir = Path("data"),
    no_mistakes: Annotated[
        bool, Option("--no-mistakes", help="Write no page of mistakes, which takes longest for large networks.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Evaluate a run on labelled digits, and write a report, figures and a page of mistakes to its folder."""
    log_to_stdout(quiet)
    from pipeline.inference.orientation import orient_table
    from pipeline.inference.predictor import Predictor
    from pipeline.reports.evaluate import evaluate, labelled_rows
    from pipeline.reports.mistakes import write_page
    from pipeline.run import Run

    found = Run.open(run)
    rows = labelled_rows(found, on, data)
    predictor = Predictor.load(found)
    if on != "validation":
        rows = orient_table(predictor, rows, on)
    score = evaluate(found, rows, on, predictor)
    log.info("%s evaluated on %s\n%s", found, on, score.report())
    written = [f"{found.report_folder}/report.txt", f"{found.report_folder}/figures"]
    if score.of_digits and not no_mistakes:
        written.append(str(write_page(found, rows, on, predictor, quiet=quiet)))
    log.info("\nWrote %s", ", ".join(written))


def compare(
    runs: Annotated[list[str], Argument(metavar="RUN...", help="Folders of runs, or their names in checkpoints/.")],
    on: On = "validation",
    data: DataDir = Path("data"),
    quiet: Quiet = False,
) -> None:
    """Compare runs by accuracy, parity accuracy, loss, size, time and speed, and plot checkpoints/comparison.png."""
    log_to_stdout(quiet)
    from pipeline.reports.compare import compare, format_comparison
    from pipeline.reports.figures import plot_comparison
    from pipeline.reports.style import save_figure
    from pipeline.run_folder import CHECKPOINTS

    compared = compare(runs, on, data)
    log.info("%s\n\nEvaluated on %s", format_comparison(compared), on)
    figure = CHECKPOINTS / "comparison.png"  # drawn last: the table is printed even if the figure cannot be written
    save_figure(figure, plot_comparison, {each.run.folder.name: each.score for each in compared})
    log.info("Figure: %s", figure)
