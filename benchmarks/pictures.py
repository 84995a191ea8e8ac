"""Measure how a run reads pictures of handwritten numbers, by kind: synthetic ones and, if named, real ones.

Usage: PYTHONPATH=.:tests python benchmarks/pictures.py RUN [DATA] [--count N] [--photos DIR]

The synthetic pictures are those of tests/helpers/pictures.py. They are made from the pen drawings of UCI's set 81 that
no recipe trains on, and from MNIST's test digits; DATA has both, or they are downloaded to it. In the table:

- number read exactly: the text is the truth, marks and spaces between rows included. A picture without digits is right
  if it is refused: the answer is blank, or has "?" only;
- digits right: the digits are those of the truth, whatever is between them;
- wrong without "?": wrong even apart from marks, and no character is marked "?".

A folder of real pictures has a `truth.csv` with the columns file, truth, scope and kind. Answers are right in the
scopes number, printed and rows if the text is the truth; in extra, if its digits are; in none, if the picture is
refused. Other scopes, and truths that are not digits and spaces, are left out. A needless "?" is one in a right answer
to a picture that has digits.
"""

import argparse
import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import numpy as np
from helpers.answers import Answer, ask, digits_of
from helpers.pictures import KINDS, make_pictures
from helpers.scenes import Material
from PIL import Image

from pipeline import Predictor, UserError, find_source
from pipeline.metrics.interval import format_accuracy
from pipeline.sources.drawings.pendigits import load_drawings

SCOPES: dict[str, Callable[[Answer, str], bool]] = {
    "number": lambda answer, truth: answer.text == truth,
    "printed": lambda answer, truth: answer.text == truth,
    "extra": lambda answer, truth: digits_of(answer.text) == truth,
    "rows": lambda answer, truth: answer.text == truth,
    "none": lambda answer, _: answer.refused,
}
"""Scopes of real pictures, and when an answer is right."""


@dataclass
class Count:
    """What is counted over the pictures of a kind.

    Attributes:
        exact: answers that are exactly right.
        digits: answers with the right digits.
        silent: wrong answers without "?".
        needless: right answers with "?" to pictures that have digits.
        times: time of each answer in ms.
    """

    exact: int = 0
    digits: int = 0
    silent: int = 0
    needless: int = 0
    times: list[float] = field(default_factory=list)

    def add(self, answer: Answer, truth: str, *, exact: bool, right: bool) -> None:
        """Count an answer. `exact` and `right`: whether it counts as exactly right, and whether it is not wrong."""
        self.exact += exact
        self.digits += digits_of(answer.text) == digits_of(truth) if truth else right
        self.silent += not right and "?" not in answer.marked
        self.needless += right and truth != "" and "?" in answer.marked

    @property
    def speed(self) -> str:
        """The 50th and 95th percentile of the times, as two cells of a table."""
        p50, p95 = np.percentile(self.times, [50, 95])
        return f"{p50:.0f} | {p95:.0f}"


def timed(predictor: Predictor, picture: Image.Image | Path, count: Count) -> Answer:
    """Return the answer to a picture, and add its time to the count."""
    start = perf_counter()
    answer = ask(predictor, picture)
    count.times.append(1000 * (perf_counter() - start))
    return answer


def report_synthetic(predictor: Predictor, material: Material, rows: int) -> None:
    """Print a table with a row for each kind of synthetic picture, of `rows` pictures each."""
    print('| kind | number read exactly | digits right | wrong without "?" | p50 ms | p95 ms |')
    print("|---|---|---:|---:|---:|---:|")
    for kind in KINDS:
        count = Count()
        for sample in make_pictures(kind, material, rows):
            answer = timed(predictor, sample.image, count)
            exact = answer.text == sample.text if sample.text else answer.refused
            count.add(answer, sample.text, exact=exact, right=answer.is_right(sample.text))
        cells = f"{format_accuracy(count.exact, rows)} | {count.digits / rows:.1%} | {count.silent / rows:.1%}"
        print(f"| {kind} | {cells} | {count.speed} |", flush=True)


def report_photos(predictor: Predictor, folder: Path) -> None:
    """Print a table with a row for each scope of real pictures in a folder."""
    with (folder / "truth.csv").open(newline="", encoding="utf-8") as file:
        entries = list(csv.DictReader(file))
    print('\n| scope | right | wrong without "?" | needless "?" | p50 ms | p95 ms |\n|---|---|---:|---:|---:|---:|')
    measured = 0
    for scope, is_right in SCOPES.items():
        chosen = [entry for entry in entries if entry["scope"] == scope and is_readable(entry["truth"])]
        measured += len(chosen)
        if chosen:
            count = count_photos(predictor, folder, chosen, is_right)
            cells = f"{format_accuracy(count.exact, len(chosen))} | {count.silent} | {count.needless}"
            print(f"| {scope} | {cells} | {count.speed} |", flush=True)
    print(f"\n{len(entries) - measured} pictures are of other scopes, or have another truth than digits and spaces.")


def is_readable(truth: str) -> bool:
    """Return whether a truth has digits and spaces only."""
    return not truth.strip("0123456789 ")


def count_photos(
    predictor: Predictor, folder: Path, entries: Iterable[dict[str, str]], is_right: Callable[[Answer, str], bool]
) -> Count:
    """Return the count over the pictures of one scope."""
    count = Count()
    for entry in entries:
        answer = timed(predictor, folder / entry["file"], count)
        right = is_right(answer, entry["truth"])
        count.add(answer, entry["truth"], exact=right, right=right)
    return count


def main() -> None:
    """Run the measurements and print them."""
    parser = argparse.ArgumentParser(description="Measure how a run reads pictures, by kind.")
    parser.add_argument("run", help="the run, its folder, or its name in checkpoints/")
    parser.add_argument("data", nargs="?", default="data", type=Path, help="folder of the drawings and of MNIST")
    parser.add_argument("--count", type=int, default=100, help="pictures of each kind")
    parser.add_argument("--photos", type=Path, help="folder of real pictures with truth.csv")
    options = parser.parse_args()
    try:
        predictor = Predictor.load(options.run)
        material = Material(load_drawings(options.data)[1], find_source("mnist", options.data).read_test())
    except UserError as error:
        parser.exit(2, f"no measurement: {error}\n")
    ask(predictor, next(make_pictures("plain", material, 1)).image)  # warm-up
    report_synthetic(predictor, material, options.count)
    if options.photos:
        report_photos(predictor, options.photos)


if __name__ == "__main__":
    main()
