"""Run the steps of docs/lesson.md: print their table, and draw their pictures in docs/lesson/.

Usage: PYTHONPATH=.:tests python benchmarks/lesson.py RUNS [--seeds N] [--data DATA]

The commands are those on the page, with another folder and, from the second on, other seeds: 0, 100, 200 and so on. A
run that is complete in the folder RUNS is not trained again; an empty folder gives new seconds. Nothing is chosen on
MNIST's test digits: each run is evaluated on them once.
"""

import argparse
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lesson_figures import draw_lesson

from pipeline import DigitTable, Predictor, Run, find_source
from pipeline.metrics.interval import wilson_interval

PAGE = Path(__file__).parents[1] / "docs" / "lesson.md"
SEED_DISTANCE = 100
"""Distance of two seeds, so large that no two ensembles share a member."""


@dataclass(frozen=True)
class Step:
    """A step of the lesson: its number, its title, the words of its command, and one finished run for each seed."""

    number: int
    title: str
    words: list[str]
    runs: list[Run]

    def correct(self, test: DigitTable) -> list[int]:
        """Return the number of test digits that each run predicts correctly."""
        predicted = [Predictor.load(run).predict(test.pixels).known_digits for run in self.runs]
        return [int((digits == test.known_labels).sum()) for digits in predicted]


def read_commands() -> list[tuple[str, list[str]]]:
    """Return the title of each step of the page, and the words of its command after `-m`."""
    found = re.findall(r"^## \d\. ([^\n]+)\n.*?^```\n(python -m pipeline train .*?)^```", PAGE.read_text(), re.M | re.S)
    return [(title, shlex.split(command.replace("\\\n", " "))[2:]) for title, command in found]


def train(words: list[str], folder: Path, seed: int, data: Path) -> Run:
    """Return the run of a command with a seed in `folder`; train it unless it is complete."""
    name = words[words.index("--run") + 1]
    run = Run(folder / f"{name}-{seed}")
    if not (run.recipe_path.exists() and run.card.finished):
        options = ["--run", str(run), "--data", str(data), "--set", f"seed={seed}"]
        resume = ["--resume"] if run.recipe_path.exists() else []
        subprocess.run([sys.executable, "-m", *words, *options, *resume], check=True)
    return Run(run.folder)


def table_row(step: Step, correct: list[int], rows: int) -> str:
    """Return a step as a row of the table."""
    accuracies = 100 * np.array(correct) / rows
    low, high = wilson_interval(round(float(np.mean(correct))), rows)
    seconds = 60 * np.mean([run.card.minutes for run in step.runs])
    spread = f" ({accuracies.min():.2f} to {accuracies.max():.2f})" if len(correct) > 1 else ""
    cells = [
        f"{step.number}",
        f"[{step.title[0].lower()}{step.title[1:]}](#{step.number}-{step.title.lower().replace(' ', '-')})",
        f"{accuracies.mean():.2f}{spread}",
        f"{100 * low:.2f} to {100 * high:.2f}",
        f"{rows - np.mean(correct):.0f}",
        f"{seconds:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Train what is missing, print the table, draw the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="folder of the runs")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds")
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the data")
    options = parser.parse_args()
    seeds = [SEED_DISTANCE * index for index in range(options.seeds)]
    steps = [
        Step(number, title, words, [train(words, options.runs, seed, options.data) for seed in seeds])
        for number, (title, words) in enumerate(read_commands(), 1)
    ]
    test = find_source("mnist", options.data).read_test()
    correct = [step.correct(test) for step in steps]
    print(f"Seeds: {', '.join(map(str, seeds))}")
    print("| | step | test digits, % | interval | errors in 10,000 | seconds |")
    print("|---:|---|---|---|---:|---:|")
    for step, counts in zip(steps, correct, strict=True):
        print(table_row(step, counts, len(test)))
    titles = [step.title for step in steps]
    draw_lesson(PAGE.with_suffix(""), titles, [step.runs[0] for step in steps], correct, test, options.data)


if __name__ == "__main__":
    main()
