"""`import`."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from pipeline.cli.options import DataDir, Quiet, RecipeName, log, log_to_stdout


def import_weights(
    recipe: RecipeName,
    file: Annotated[Path, Argument(metavar="FILE", help="State dict that torch.save wrote, .pth or .pt.")],
    source: Annotated[
        str, Option(metavar="SOURCE", help="Data that the weights were trained on: mnist, kaggle, or a path.")
    ],
    data: DataDir = Path("data"),
    run: Annotated[
        str | None, Option(metavar="RUN", help="Name or folder of the new run.", show_default="recipe and time")
    ] = None,
    set_: Annotated[
        list[str] | None, Option("--set", metavar="KEY=VALUE", help="Override a setting; repeatable.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Import the weights of another program's network, of a recipe's architecture, as a run."""
    log_to_stdout(quiet)
    from pipeline.export.import_weights import import_weights, load_import_recipe
    from pipeline.sources.find import find_source

    settings = load_import_recipe(recipe, set_ or [])
    found = find_source(source, data)
    log.info("Data: %s", found)
    imported = import_weights(file, settings, found, run)
    log.info("Run: %s\nTo score it: python -m pipeline evaluate %s --on mnist", imported, imported)
