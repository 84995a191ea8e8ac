"""Every recipe beside the naive loop, and how cost grows; prints tables and writes them to benchmarks/results.md.

Usage: make bench, or make bench QUICK=1 for one that takes under three minutes.
"""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline import find_source
from pipeline.config.recipe import load_recipe
from pipeline.config.settings import names
from pipeline.metrics.interval import interval_of
from pipeline.utils.files import open_atomic

HERE = Path(__file__).parent
IMAGES = {
    "fast": (12_000, 3_000),
    "light-cnn": (6_000, 1_500),
    "branch-cnn": (640, 160),
    "resnet18": (2_000, 600),
    "resnet18-plateau": (2_000, 600),
    "resnet18-imagenet": (1_000, 300),
    "resnet50": (1_000, 300),
    "vgg16": (640, 160),
}
"""Of a pass in training: ours and the naive one's. A few seconds each."""


def measure(action: str, **settings: Any) -> dict[str, Any]:
    """Run one measurement in a process of its own and return its figures; see measure.py."""
    print(f"  {action} {' '.join(map(str, settings.values()))}", file=sys.stderr, flush=True)
    command = [sys.executable, str(HERE / "measure.py"), action, json.dumps(settings)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return figures


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def rate(figures: dict[str, float]) -> str:
    """Return a rate with its spread."""
    return f"{figures['rate']:,.0f} ({figures['low']:,.0f} to {figures['high']:,.0f})"


def machine() -> str:
    """Return the machine's measured convolution peaks."""
    peaks = measure("peaks")
    return table(
        ["3x3 convolutions, GFLOP/s", "forward", "forward and backward"],
        [
            [dtype, f"{peaks[f'{dtype} forward']:,.0f}", f"{peaks[f'{dtype} forward and backward']:,.0f}"]
            for dtype in ("float32", "bfloat16")
        ],
    )


def speeds(recipes: list[str]) -> str:
    """Return each recipe's rates beside the naive loop's."""
    rows = []
    for recipe in recipes:
        ours, naive = IMAGES[recipe]
        trained = measure("training", recipe=recipe, images=ours)
        plain = measure("naive_training", recipe=recipe, images=naive)
        answered = measure("prediction", recipe=recipe, images=5 * ours)
        asked = measure("naive_prediction", recipe=recipe, images=ours)
        shares = measure("layer_shares", recipe=recipe)
        rows += [
            [
                f"`{recipe}`, trained",
                rate(trained),
                rate(plain),
                f"{trained['rate'] / plain['rate']:.1f}",
                f"{shares['update']:.0%}",
                f"{trained['MiB']:,.0f}",
            ],
            [
                f"`{recipe}`, predicted",
                rate(answered),
                rate(asked),
                f"{answered['rate'] / asked['rate']:.1f}",
                f"{shares['prediction']:.0%}",
                f"{answered['MiB']:,.0f}",
            ],
        ]
    return table(["images a second", "this project", "naive loop", "ratio", "of the peak", "peak MiB"], rows)


def accuracies(recipes: list[str]) -> str:
    """Return how soon each recipe is how good."""
    rows = []
    for recipe in recipes:
        found = measure("accuracy", recipe=recipe)
        right = round(found["accuracy"] * found["rows"])
        low, high = interval_of(right, found["rows"])
        rows.append(
            [
                f"`{recipe}`",
                *(f"{found[goal]:.1f}" if found[goal] else "not reached" for goal in ("99 %", "99.5 %")),
                f"{found['seconds']:.1f}",
                f"{100 * found['accuracy']:.2f} % ({100 * low:.2f} to {100 * high:.2f})",
                f"{found['parameters']:,}",
                f"{found['MiB']:,.0f}",
            ]
        )
    header = ["recipe", "s to 99 %", "s to 99.5 %", "s in all", "accuracy (95 % interval)", "parameters", "peak MiB"]
    return table(header, rows)


def growth(*, quick: bool) -> str:
    """Return how the cost of `fast` grows with rows and falls with threads."""
    rows = []
    for count in (10_000, 100_000) if quick else (10_000, 100_000, 1_000_000):
        found = measure("csv_prediction", rows=count)
        rows.append([f"predict a CSV of {count:,} rows", found])
    for count in (6_000, 60_000) if quick else (6_000, 60_000, 600_000):
        found = measure("training", recipe="fast", images=count)
        rows.append([f"train an epoch of {count:,} images", found])
    for threads in (1, 2):
        found = measure("training", recipe="fast", images=6_000, threads=threads)
        rows.append([f"train an epoch of 6,000 images, {threads} thread{'s' * (threads > 1)}", found])
    return table(
        ["`fast`", "seconds", "images a second", "peak MiB"],
        [[name, f"{each['seconds']:.2f}", f"{each['rate']:,.0f}", f"{each['MiB']:,.0f}"] for name, each in rows],
    )


def main() -> None:
    """Measure, print and write."""
    quick = "--quick" in sys.argv[1:]
    source = find_source("auto", Path("data"))
    recipes = ["fast", "resnet18"] if quick else names()
    trained = ["fast"] if quick else [name for name in names() if not load_recipe(name).pretrained]
    report = f"""# Results

Written by `make bench{" QUICK=1" * quick}` on {datetime.now(UTC):%F}: {os.cpu_count()} cores; digits: {source.name}.
Every measurement ran alone, in a process of its own. Rates are medians, with the lowest and the highest in brackets.

## The machine

{machine()}
## Speed

The naive loop trains the same network as the tutorials do: one image at a time through PIL, float32, torch's optimizer
as it comes. In prediction it is given ready tensors, 64 at a time. "Of the peak" is the time of the
network's own convolutions, when torch computes them alone in the same precision, as a fraction of the whole prediction
or of an update's forward and backward pass: 100 % if nothing else took time, more where ours are faster than torch's.

{speeds(recipes)}
## Accuracy

On the rows that the recipe sets aside from training; no test part is looked at. Seconds are of training and validation.

{accuracies(trained)}
## How cost grows

{growth(quick=quick)}"""
    with open_atomic(HERE / "results.md") as temporary:
        temporary.write_text(report, encoding="utf-8")
    print(report)


if __name__ == "__main__":
    main()
