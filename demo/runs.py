"""The runs as the page lists them."""

import re

from PIL import Image

from pipeline import Run, UserError

HEADER = ["Run", "Recipe", "Data", "Accuracy", "Odd or even", "Parameters", "Minutes"]


def row(run: Run) -> list[str]:
    """Return what the table says of a run, under `HEADER`."""
    try:
        card = run.card
    except UserError:
        return [run.folder.name, "damaged: train it again", *[""] * (len(HEADER) - 2)]
    accuracy, parity = scores(run)
    data = f"{card.source}, {card.train_rows:,} digits"
    return [run.folder.name, card.recipe, data, accuracy, parity, f"{card.parameters:,}", f"{card.minutes:.1f}"]


def scores(run: Run) -> tuple[str, str]:
    """Return accuracy and parity accuracy in words: from the run's report, else what its training validated."""
    report = run.folder / "report.txt"
    text = report.read_text(encoding="utf-8") if report.is_file() else ""
    found = re.match(r".* on (.+):.*\naccuracy +([\d.]+)%(?:.*\n)+?parity +([\d.]+)%", text)
    if found:
        on, accuracy, parity = found.groups()
        return f"{accuracy} % on {on}", f"{parity} %"
    validated = run.card.scores.get("validation_accuracy")
    return ("not scored" if validated is None else f"{validated:.2%} on validation".replace("%", " %")), ""


def figures(run: Run) -> list[tuple[Image.Image, str]]:
    """Return the figures that `evaluate` left in a run, each with its name."""
    return [(Image.open(path), path.stem) for path in sorted(run.folder.glob("figures/*.png"))]
