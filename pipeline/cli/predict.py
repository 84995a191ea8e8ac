"""`predict`, `read`, `submit`, `export`."""

import shlex
from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from pipeline.cli.options import (
    DEFAULT_SOLUTION,
    AllowLeak,
    DataDir,
    Overrides,
    Quiet,
    RunName,
    SourceName,
    log,
    log_to_stdout,
    with_options,
)
from pipeline.errors import UserError

DEFAULT_RECIPE = "fast"


def predict(
    run: RunName,
    inputs: Annotated[
        list[str],
        Argument(
            metavar="INPUT...",
            help="Images as CSV, Parquet, NumPy, IDX and others, or pictures of one digit each: files, folders, "
            "patterns, or - for standard input.",
        ),
    ],
    out: Annotated[
        Path, Option(metavar="OUT", help="For one file: NAME.csv with ImageId,Label. Otherwise a new folder.")
    ],
    engine: Annotated[
        Literal["plain", "ray"], Option(help="Predict on this machine or on a Ray cluster, with the same predictions.")
    ] = "plain",
    form: Annotated[
        Literal["csv", "parquet"], Option("--format", help="File format in a new folder, with File,ImageId,Label.")
    ] = "csv",
    quiet: Quiet = False,
) -> None:
    """Predict the digits in files of any length, in constant memory."""
    log_to_stdout(quiet)
    from pipeline.inference.batch import predict
    from pipeline.run import Run

    found = Run.open(run)
    found.require_digits()
    rows = predict(found, inputs, out, engine=engine, form=form, quiet=quiet)
    log.info("%s: %s rows", out, f"{rows:,}")


def read(
    run: RunName,
    pictures: Annotated[
        list[Path], Argument(metavar="PICTURE...", help="Photos or drawings, PNG, JPEG and others, or folders of them.")
    ],
) -> None:
    """Read the number in each picture: its digits, its parity, and the probability that all digits are correct."""
    log_to_stdout(quiet=False)
    from pipeline.inference.predictor import Predictor
    from pipeline.vision.image import list_pictures

    found = [picture for path in pictures for picture in (list_pictures(path) if path.is_dir() else [path])]
    predictor = Predictor.load(run)
    for picture in found:
        log.info("%s: %s", picture, predictor.read(picture))


def submit(
    recipe: Annotated[
        str | None, Option(metavar="RECIPE", help="Recipe to train ...", show_default=DEFAULT_RECIPE)
    ] = None,
    set_: Overrides = None,
    run: Annotated[str | None, Option(metavar="RUN", help="... or a trained run to use instead.")] = None,
    data: DataDir = Path("data"),
    source: SourceName = "auto",
    out: Annotated[Path, Option(metavar="CSV", help="Submission file to write.")] = DEFAULT_SOLUTION,
    allow_leak: AllowLeak = False,
    quiet: Quiet = False,
) -> None:
    """Train, predict the test rows, and write submissions/solution.csv. Only `kaggle submit` sends it to Kaggle."""
    log_to_stdout(quiet)
    from pipeline.config.recipe import Recipe
    from pipeline.digits import COMPETITION_URL
    from pipeline.kaggle.competition import TEST_ROWS
    from pipeline.run import Run
    from pipeline.sources.find import find_source
    from pipeline.utils.files import require_writable

    if run and recipe:
        raise UserError("--run and --recipe: give a trained run, or a recipe to train, but not both")
    if run and set_:
        raise UserError("--run and --set: a trained run keeps its settings; give a recipe to train with others")
    settings = Recipe.load(recipe or DEFAULT_RECIPE, set_ or [])
    require_writable(out)
    trained = Run.open(run) if run else None
    if trained:
        trained.require_digits()
    found = with_options(find_source(source, data), source)
    log.info("Data: %s", found)
    from pipeline.flow import submit

    submission = submit(trained or settings, found, out, allow_leak=allow_leak, quiet=quiet)
    log.info("\nValidation accuracy: %s", submission.run.card.validation_in_words)
    if submission.score:
        log.info("Test accuracy: %s", submission.score)
    log.info("Wrote %s: %s rows, predicted by %s", out, f"{submission.rows:,}", submission.run)
    if found.name == "competition" and submission.rows == TEST_ROWS:
        file = "" if out == DEFAULT_SOLUTION else f" --file {shlex.quote(str(out))}"
        log.info(
            "To send it to Kaggle: python -m pipeline kaggle submit%s, or upload it at %s/submit", file, COMPETITION_URL
        )
    elif found.name == "competition":
        log.info("Kaggle expects predictions for all %s rows of test.csv; do not send this file", f"{TEST_ROWS:,}")


def export(
    run: RunName,
    to: Annotated[str, Option("--to", metavar="transformers|onnx|safetensors|hub", help="Format to write.")],
    repository: Annotated[
        str | None, Argument(metavar="[USER/NAME]", help="For hub: the repository on the Hugging Face Hub.")
    ] = None,
    out: Annotated[
        Path | None, Option(metavar="PATH", help="Folder to write for transformers; file for onnx and safetensors.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Export a run to Transformers (a folder), ONNX or safetensors (one file), or upload that folder to the Hub."""
    log_to_stdout(quiet)
    from pipeline.run import Run

    found = Run.open(run)
    if to == "hub":
        if repository is None or out is not None:
            raise UserError(f"--to hub: give the repository, and no --out: export {run} --to hub USER/NAME")
        from pipeline.export.hub import publish

        log.info("Uploaded %s to %s", found, publish(found, repository))
        return
    if out is None or repository is not None:
        raise UserError(f"--to {to}: give the place to write to, and nothing else: export {run} --to {to} --out PATH")
    from pipeline.export.formats import export

    export(found, to, out)
    log.info("Wrote %s: %s as %s", out, found, to)
