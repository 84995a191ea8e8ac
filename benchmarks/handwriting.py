"""How much of what people draw is read, and how fast: pen strokes of 30 writers, drawn with a round brush.

Usage: PYTHONPATH=. python benchmarks/handwriting.py RUN STROKES.json.gz

The strokes are UCI's "Pen-Based Recognition of Handwritten Digits" (set 81, CC BY 4.0), training part, as a JSON
list of {"label": 3, "strokes": [[[x, y], ...], ...]}, the longer side of each digit 1, y down. The last 1,500 are left
alone, so that something remains on which nothing was ever chosen.
"""

import gzip
import json
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from pipeline import Predictor
from pipeline.scoring import accuracy_in_words

HELD_OUT = 1_500
CHOICE = 1_000
"""Drawings on which framing was chosen."""
NUMBERS = 500
FINER = 4
"""Canvases are drawn at so many times their size and then shrunk."""

Strokes = list[np.ndarray]


def canvas(digits: list[Strokes], size: tuple[int, int], brush: float) -> Image.Image:
    """Return digits, in pixels, in black on a transparent canvas."""
    large = Image.new("L", (size[0] * FINER, size[1] * FINER))
    draw = ImageDraw.Draw(large)
    for stroke in (FINER * stroke for strokes in digits for stroke in strokes):
        draw.line([tuple(point) for point in stroke.tolist()], fill=255, width=round(FINER * brush))
        for point in stroke.tolist():
            draw.circle(point, FINER * brush / 2, fill=255)
    image = Image.new("RGBA", size)
    image.putalpha(large.reduce(FINER))
    return image


def scaled(drawing: dict[str, Any], extent: float) -> tuple[Strokes, np.ndarray]:
    """Return a digit's strokes with its longer side `extent` pixels, its corner at the origin, and its extent."""
    strokes = [np.array(stroke) for stroke in drawing["strokes"]]
    points = np.concatenate(strokes)
    low, high = points.min(axis=0), points.max(axis=0)
    return [extent * (stroke - low) for stroke in strokes], extent * (high - low)


def digit(drawing: dict[str, Any], random: np.random.Generator) -> Image.Image:
    """Return a digit of 110 to 300 pixels anywhere on a canvas of 400 x 400, with a brush of 10 to 26."""
    brush = random.uniform(10, 26)
    strokes, extent = scaled(drawing, random.uniform(110, 300))
    corner = random.uniform(brush, 400 - brush - extent)
    return canvas([[stroke + corner for stroke in strokes]], (400, 400), brush)


def number(drawings: list[dict[str, Any]], random: np.random.Generator) -> Image.Image:
    """Return digits side by side, a tenth to four tenths of their height apart, with a brush of 8 to 18."""
    brush, height = random.uniform(8, 18), random.uniform(80, 160)
    left, top = 2 * brush, random.uniform(brush, 400 - 1.3 * height - brush)
    placed = []
    for drawing in drawings:
        strokes, (width, own) = scaled(drawing, height * random.uniform(0.8, 1.2))
        corner = left, top + 1.2 * height - own - random.uniform(0, 0.1) * height
        placed.append([stroke + corner for stroke in strokes])
        left += width + brush + random.uniform(0.1, 0.4) * height
    return canvas(placed, (max(400, round(left + brush)), 400), brush)


def measure(predictor: Predictor, jobs: list[list[dict[str, Any]]]) -> tuple[int, int, list[float]]:
    """Return how many of the numbers are wholly right, how many were parted rightly, and the milliseconds of each."""
    random = np.random.default_rng(0)
    right = parted = 0
    times = []
    for job in jobs:
        image = digit(job[0], random) if len(job) == 1 else number(job, random)
        start = perf_counter()
        reading = predictor.read(image)
        times.append(1000 * (perf_counter() - start))
        right += reading.text == "".join(str(drawing["label"]) for drawing in job)
        parted += len(reading.glyphs) == len(job)
    return right, parted, times


def main() -> None:
    """Measure and print."""
    run, file = sys.argv[1:]
    if not Path(file).is_file():
        print(f"{file} is not there: handwriting is not measured")
        return
    with gzip.open(file) as stream:
        drawings = json.load(stream)[:-HELD_OUT]
    order = np.random.default_rng(1).permutation(len(drawings))[CHOICE:]
    chosen = [drawings[index] for index in order]
    random = np.random.default_rng(2)
    lengths = random.integers(2, 7, NUMBERS)
    jobs = {
        "single digits": [[drawing] for drawing in chosen],
        "numbers of 2 to 6": [[chosen[index] for index in random.choice(len(chosen), length)] for length in lengths],
        "numbers of 6": [[chosen[index] for index in random.choice(len(chosen), 6)] for _ in range(100)],
    }
    predictor = Predictor.load(run)
    predictor.read(digit(chosen[0], random))
    print("| drawn | wholly right | parted into the right count | p50 ms | p95 ms |\n|---|---|---:|---:|---:|")
    for name, each in jobs.items():
        right, parted, times = measure(predictor, each)
        p50, p95 = np.percentile(times, [50, 95])
        found = accuracy_in_words(right, len(each))
        print(f"| {name} | {found} | {parted / len(each):.1%} | {p50:.1f} | {p95:.1f} |", flush=True)


if __name__ == "__main__":
    main()
