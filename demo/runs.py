"""The runs as the page lists them."""

from typing import Any

from demo.views import data_url
from pipeline import Card, Run, UserError

HEADER = ["Run", "Recipe", "Data", "Accuracy", "Odd or even", "Parameters", "Minutes"]


def row(run: Run) -> list[str]:
    """Return what the table says of a run, under `HEADER`."""
    try:
        card = run.card
    except UserError:
        return [run.folder.name, "damaged: train it again", *[""] * (len(HEADER) - 2)]
    accuracy, parity = scores(card)
    data = f"{card.source}, {card.train_rows:,} digits"
    return [run.folder.name, card.recipe, data, accuracy, parity, f"{card.parameters:,}", f"{card.minutes:.1f}"]


def scores(card: Card) -> tuple[str, str]:
    """Return accuracy and parity accuracy in words: on MNIST's test digits, else on the rows that were set aside."""
    for on, words in (("mnist", "MNIST's test digits"), ("validation", "validation rows")):
        accuracy, parity = (card.scores.get(f"{on}_{kind}") for kind in ("accuracy", "parity_accuracy"))
        if accuracy is not None:
            return f"{accuracy * 100:.2f} % of {words}", "" if parity is None else f"{parity * 100:.2f} %"
        if parity is not None:
            return "reads no digits", f"{parity * 100:.2f} % of {words}"
    return "not scored", ""


def figures(run: Run) -> list[dict[str, Any]]:
    """Return the figures that `evaluate` left in a run, each with its name, as Gradio's Gallery takes them.

    As data URLs they need no route that serves files.
    """
    paths = sorted(run.folder.glob("figures/*.png"))
    return [
        {"image": {"path": path.stem, "url": data_url(path.read_bytes(), "png")}, "caption": path.stem}
        for path in paths
    ]
