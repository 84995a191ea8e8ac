"""`train`, `sweep`, `recipes`."""

from pathlib import Path
from typing import Annotated

from typer import Option

from pipeline.cli.options import (
    SOURCE_HELP,
    DataDir,
    Overrides,
    Quiet,
    RecipeName,
    SourceName,
    log,
    log_to_stdout,
    with_options,
)
from pipeline.utils.processes.distributed import is_main_process, main_process_first


def train(
    recipe: RecipeName,
    data: DataDir = Path("data"),
    source: Annotated[str | None, Option(help=SOURCE_HELP, show_default="the recipe's, or auto")] = None,
    run: Annotated[
        str | None, Option(metavar="RUN", help="Name or folder of the new run.", show_default="recipe and time")
    ] = None,
    set_: Overrides = None,
    with_: Annotated[
        Path | None,
        Option(
            "--with", metavar="DIR", help="Add the corrections that the demo saved in DIR, or other labelled digits."
        ),
    ] = None,
    limit: Annotated[
        int | None, Option(metavar="N", min=10, help="Train on at most N rows, and validate on at most N/5.")
    ] = None,
    resume: Annotated[bool, Option("--resume", help="Resume RUN, or the newest unfinished run of RECIPE.")] = False,
    tracker: Annotated[
        str | None,
        Option(
            metavar="NAME",
            help="Log to a tracker too: tensorboard, trackio, wandb or mlflow.",
            show_default="tensorboard",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Train a recipe and save the run in checkpoints/. Use torchrun to train on several processes."""
    log_to_stdout(quiet)
    from pipeline.config.recipe import load_recipe
    from pipeline.sources.find import find_source

    settings = load_recipe(recipe, set_ or [])
    with main_process_first():
        found = find_source(source or settings.dataset, data)
    log.info("Data: %s", found)
    found = with_options(found, source or settings.dataset, with_, limit)
    corrections = None
    if with_:
        from pipeline.inference.corrections import read_corrections

        corrections = read_corrections(with_)
        log.info("Corrections: %s digits from %s", f"{len(corrections):,}", with_)
    from pipeline.reports.evaluate import report
    from pipeline.training.train import train

    trained = train(
        settings, found, run, corrections=corrections, limit=limit, resume=resume, tracker=tracker, quiet=quiet
    )
    if is_main_process():
        report(trained, found)
        log.info("Validation accuracy: %s", trained.card.validation_in_words)


def sweep(
    recipe: RecipeName,
    trials: Annotated[int, Option(metavar="N", min=1, help="Number of trials to add to the study.")],
    storage: Annotated[
        str | None,
        Option(
            metavar="URL",
            help="Database of the study: sqlite:///FILE, or postgresql://USER@HOST/DATABASE for several machines.",
            show_default="a file in sweeps/",
        ),
    ] = None,
    jobs: Annotated[int, Option(metavar="K", min=1, help="Number of trials to run in parallel.")] = 1,
    space: Annotated[
        Path | None,
        Option(metavar="YAML", help="Search space: settings to vary, with their ranges.", show_default="the recipe's"),
    ] = None,
    data: DataDir = Path("data"),
    source: SourceName = "auto",
    set_: Annotated[
        list[str] | None, Option("--set", metavar="KEY=VALUE", help="Fix a setting in all trials; repeatable.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Search for the settings with the lowest validation loss, and write the best recipe to sweeps/."""
    log_to_stdout(quiet)
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


def recipes() -> None:
    """List the recipes with their training time on 2 CPU cores and their accuracy on MNIST's test images."""
    log_to_stdout(quiet=False)
    from pipeline.config.recipe import load_recipe
    from pipeline.config.settings import recipe_names

    log.info("%-18s %7s  %8s  summary", "recipe", "minutes", "accuracy")
    for name in recipe_names():
        recipe = load_recipe(name)
        minutes = "-" if recipe.minutes is None else f"{recipe.minutes:.1f}"
        accuracy = "-" if recipe.accuracy is None else f"{recipe.accuracy:.2f} %"
        log.info("%-18s %7s  %8s  %s", name, minutes, accuracy, recipe.summary)
    log.info(
        "\nComing from the project that a recipe is based on? docs/coming-from.md has its commands, files and settings."
    )
