"""Measure every recipe against the naive loop, and how cost grows; print tables and write benchmarks/results.md.

Usage: make bench, or make bench QUICK=1 for a short version that takes under three minutes.
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
from pipeline.metrics.interval import wilson_interval
from pipeline.utils.files import open_atomic

HERE = Path(__file__).parent
IMAGES_PER_PASS = {
    "linear": (54_000, 6_000),
    "fast": (12_000, 3_000),
    "light-cnn": (6_000, 1_500),
    "branch-cnn": (2_560, 640),
    "resnet18": (2_000, 600),
    "resnet18-plateau": (2_000, 600),
    "resnet18-imagenet": (1_000, 300),
    "resnet50": (1_000, 300),
    "vgg16": (640, 160),
}
"""The recipes that are measured. Images in a pass of this project, and of the naive loop: a few seconds each."""


def measure(action: str, **settings: Any) -> dict[str, Any]:
    """Run one measurement in a new process and return its figures; see measure.py."""
    print(f"  {action} {' '.join(map(str, settings.values()))}", file=sys.stderr, flush=True)
    command = [sys.executable, str(HERE / "measure.py"), action, json.dumps(settings)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return figures


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def format_rate(figures: dict[str, float]) -> str:
    """Return the median rate with the lowest and the highest."""
    return f"{figures['rate']:,.0f} ({figures['low']:,.0f} to {figures['high']:,.0f})"


def machine_table() -> str:
    """Return the machine's measured peak rates of convolutions as a table."""
    peaks = measure("peaks")
    return table(
        ["3x3 convolutions, GFLOP/s", "forward", "forward and backward"],
        [
            [dtype, f"{peaks[f'{dtype} forward']:,.0f}", f"{peaks[f'{dtype} forward and backward']:,.0f}"]
            for dtype in ("float32", "bfloat16")
        ],
    )


def speed_table(recipes: list[str]) -> str:
    """Return each recipe's rates and those of the naive loop as a table."""
    rows = []
    for recipe in recipes:
        images, naive_images = IMAGES_PER_PASS[recipe]
        training = measure("training", recipe=recipe, images=images)
        naive_training = measure("naive_training", recipe=recipe, images=naive_images)
        prediction = measure("prediction", recipe=recipe, images=5 * images)
        naive_prediction = measure("naive_prediction", recipe=recipe, images=images)
        shares = measure("layer_shares", recipe=recipe)
        rows += [
            [
                f"`{recipe}`, training",
                format_rate(training),
                format_rate(naive_training),
                f"{training['rate'] / naive_training['rate']:.1f}",
                f"{shares['update']:.0%}",
                f"{training['MiB']:,.0f}",
            ],
            [
                f"`{recipe}`, prediction",
                format_rate(prediction),
                format_rate(naive_prediction),
                f"{prediction['rate'] / naive_prediction['rate']:.1f}",
                f"{shares['prediction']:.0%}",
                f"{prediction['MiB']:,.0f}",
            ],
        ]
    return table(["images per second", "this project", "naive loop", "ratio", "of the peak", "peak MiB"], rows)


def accuracy_table(recipes: list[str]) -> str:
    """Return each recipe's validation accuracy, and the seconds until it reaches 99 % and 99.5 %, as a table."""
    rows = []
    for recipe in recipes:
        figures = measure("accuracy", recipe=recipe)
        correct = round(figures["accuracy"] * figures["rows"])
        low, high = wilson_interval(correct, figures["rows"])
        rows.append(
            [
                f"`{recipe}`",
                *(f"{figures[goal]:.1f}" if figures[goal] else "not reached" for goal in ("99 %", "99.5 %")),
                f"{figures['seconds']:.1f}",
                f"{100 * figures['accuracy']:.2f} % ({100 * low:.2f} to {100 * high:.2f})",
                f"{figures['parameters']:,}",
                f"{figures['MiB']:,.0f}",
            ]
        )
    header = ["recipe", "s to 99 %", "s to 99.5 %", "s in total", "accuracy (95 % interval)", "parameters", "peak MiB"]
    return table(header, rows)


def growth_table(*, quick: bool) -> str:
    """Return how the cost of `fast` grows with the rows and falls with the threads, as a table."""
    rows = []
    for count in (10_000, 100_000) if quick else (10_000, 100_000, 1_000_000):
        figures = measure("csv_prediction", rows=count)
        rows.append([f"predict a CSV of {count:,} rows", figures])
    for count in (6_000, 60_000) if quick else (6_000, 60_000, 600_000):
        figures = measure("training", recipe="fast", images=count)
        rows.append([f"train an epoch of {count:,} images", figures])
    for threads in (1, 2):
        figures = measure("training", recipe="fast", images=6_000, threads=threads)
        rows.append([f"train an epoch of 6,000 images, {threads} thread{'s' * (threads > 1)}", figures])
    return table(
        ["`fast`", "seconds", "images per second", "peak MiB"],
        [
            [name, f"{figures['seconds']:.2f}", f"{figures['rate']:,.0f}", f"{figures['MiB']:,.0f}"]
            for name, figures in rows
        ],
    )


def main() -> None:
    """Run all measurements, print the report and write it."""
    quick = "--quick" in sys.argv[1:]
    source = find_source("auto", Path("data"))
    recipes = ["fast", "resnet18"] if quick else list(IMAGES_PER_PASS)
    from_scratch = ["fast"] if quick else [name for name in recipes if not load_recipe(name).pretrained]
    report = f"""# Results

Written by `make bench{" QUICK=1" * quick}` on {datetime.now(UTC):%F}: {os.cpu_count()} cores; digits: {source.name}.
Every measurement ran in a new process, with no other at the same time. Rates are medians, with the lowest and the
highest in brackets.

## The machine

{machine_table()}
## Speed

The naive loop trains the same network as the usual tutorials do: one image at a time through PIL, in float32, with
torch's optimizer unchanged. For prediction, it gets prepared tensors in batches of 64.

"Of the peak" is the time that torch takes for the network's convolutions alone, in the same precision, divided by the
time of the complete prediction, or of an update's forward and backward pass. It is 100 % if nothing else takes time. It
is higher if this project's convolutions are faster than torch's.

{speed_table(recipes)}
## Accuracy

The accuracy is measured on the validation rows. No test part is used. Seconds include training and validation.

{accuracy_table(from_scratch)}
## How cost grows

{growth_table(quick=quick)}"""
    with open_atomic(HERE / "results.md") as temporary:
        temporary.write_text(report, encoding="utf-8")
    print(report)


if __name__ == "__main__":
    main()
