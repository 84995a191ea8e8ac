"""HTML views of runs: their table and their figures."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from html import escape

from demo.pictures import data_url
from pipeline import Card, Run, UserError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
MNIST_TEST_ROWS = 10_000
MIN_PERCENTAGE_ROWS = 100
"""Minimum number of rows for a percentage; of fewer, the correct ones are counted."""
RUNS_HEADER = ["Run", "Recipe", "Data", "Accuracy", "Parity", "Parameters", "Minutes"]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return an HTML table with escaped cells."""
    head = "".join(f"<th scope='col'>{escape(name)}</th>" for name in header)
    body = "".join(f"<tr>{_cells(header, row)}</tr>" for row in rows)
    return f'<div class="runs"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cells(header: Sequence[str], row: Sequence[str]) -> str:
    """Return the cells of a row, each with the name of its column, which phones show beside it."""
    return "".join(
        f'<td data-label="{escape(name)}">{escape(cell)}</td>' for name, cell in zip(header, row, strict=True)
    )


def run_row(run: Run) -> list[str]:
    """Return a run's row of the table under `RUNS_HEADER`."""
    try:
        card = run.card
    except UserError:
        return [run.folder.name, "damaged: train it again", *[""] * (len(RUNS_HEADER) - 2)]
    accuracy, parity = _scores(card)
    data = f"{card.source}, {card.train_rows:,} images"
    return [run.folder.name, card.recipe, data, accuracy, parity, f"{card.parameters:,}", f"{card.minutes:.1f}"]


def _scores(card: Card) -> tuple[str, str]:
    """Return accuracy and parity accuracy as text: on MNIST's test images if known, else on the validation rows."""
    for on, rows, of in (
        ("mnist", MNIST_TEST_ROWS, " of MNIST's {:,} test images"),
        ("validation", card.validation_rows, " of {:,} validation rows"),
    ):
        accuracy, parity = (card.scores.get(f"{on}_{kind}") for kind in ("accuracy", "parity_accuracy"))
        if accuracy is not None:
            return _accuracy(accuracy, rows, of), "" if parity is None else _accuracy(parity, rows)
        if parity is not None:
            return "parity only", _accuracy(parity, rows, of)
    return "not evaluated", ""


def _accuracy(accuracy: float, rows: int, of: str = "") -> str:
    """Return an accuracy on a number of rows as text: the count of correct ones if they are few, else a percentage."""
    correct = f"{round(accuracy * rows)}" if rows < MIN_PERCENTAGE_ROWS else f"{accuracy * 100:.2f} %"
    return correct + of.format(rows)


def figures(run: Run) -> str:
    """Return the figures in a run's folder with their names; each opens to fit the screen.

    Data URLs are used because no route serves these files. A file that is not a PNG is left out.
    """
    shown = []
    for path in sorted(run.folder.glob("figures/*.png")):
        with suppress(OSError):
            content = path.read_bytes()
            if content.startswith(PNG_SIGNATURE):
                shown.append(_figure(path.stem, content))
    return f'<ul class="figures">{"".join(shown)}</ul>'


def _figure(name: str, content: bytes) -> str:
    """Return a figure with its name."""
    shown, url = escape(name), data_url(content, "png")
    return (
        f'<li><figure><button type="button" title="Open"><img src="{url}" alt="{shown}"></button>'
        f"<figcaption>{shown}</figcaption></figure></li>"
    )
