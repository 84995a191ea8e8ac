"""How much of what people draw is read, how fast, and what is told from digits: pen strokes of 30 writers.

Usage: PYTHONPATH=. python benchmarks/handwriting.py RUN [DATA]

The drawings, with a round brush, are those of UCI's set 81 that no recipe trains on (pipeline/sources/pendigits.py), in
the folder for data; the characters that are no digits those of Omniglot's Greek, which none trains on either. What is
made that is no digit is made as it is for training, of other drawings and other chance.
"""

import sys
from pathlib import Path
from time import perf_counter

import numpy as np
from PIL import Image
from sklearn.metrics import roc_auc_score

from pipeline import Predictor, UserError
from pipeline.data.table import DigitTable
from pipeline.digits import Pixels
from pipeline.metrics.interval import accuracy_in_words
from pipeline.sources.outliers import characters, made
from pipeline.sources.pendigits import drawings
from pipeline.sources.strokes import Drawing, Points, canvas
from pipeline.vision.frame import glyphs

NUMBERS = 500
MADE = 1_000
"""Images that are no digits, made of the held-out drawings and of nothing."""
PAD = 400
"""Pixels along one side of a pad."""


def drawn(strokes: list[Points], width: int, brush: float) -> Image.Image:
    """Return strokes in black on a transparent canvas, as a pad gives them."""
    image = Image.new("RGBA", (width, PAD))
    image.putalpha(canvas(strokes, (width, PAD), brush))
    return image


def digit(drawing: Drawing, random: np.random.Generator) -> Image.Image:
    """Return a digit of 110 to 300 pixels anywhere on a canvas of 400 x 400, with a brush of 10 to 26."""
    brush = random.uniform(10, 26)
    strokes, extent = drawing.placed(random.uniform(110, 300))
    corner = random.uniform(brush, PAD - brush - extent)
    return drawn([stroke + corner for stroke in strokes], PAD, brush)


def number(drawings: list[Drawing], random: np.random.Generator) -> Image.Image:
    """Return digits side by side, a tenth to four tenths of their height apart, with a brush of 8 to 18."""
    brush, height = random.uniform(8, 18), random.uniform(80, 160)
    left, top = 2 * brush, random.uniform(brush, PAD - 1.3 * height - brush)
    placed: list[Points] = []
    for drawing in drawings:
        strokes, (width, own) = drawing.placed(height * random.uniform(0.8, 1.2))
        corner = left, top + 1.2 * height - own - random.uniform(0, 0.1) * height
        placed += [stroke + corner for stroke in strokes]
        left += width + brush + random.uniform(0.1, 0.4) * height
    return drawn(placed, max(PAD, round(left + brush)), brush)


def measure(predictor: Predictor, jobs: list[list[Drawing]]) -> tuple[int, int, list[float]]:
    """Return how many of the numbers are wholly right, how many were parted rightly, and the milliseconds of each."""
    random = np.random.default_rng(0)
    right = parted = 0
    times = []
    for job in jobs:
        image = digit(job[0], random) if len(job) == 1 else number(job, random)
        start = perf_counter()
        reading = predictor.read(image)
        times.append(1000 * (perf_counter() - start))
        right += reading.text == "".join(str(drawing.label) for drawing in job)
        parted += len(reading.glyphs) == len(job)
    return right, parted, times


def tell_refused(predictor: Predictor, held_out: list[Drawing], greek: Pixels) -> None:
    """Print how many digits, and how many of what is none, are refused, and how well they are told apart at best."""
    random = np.random.default_rng(0)
    read = [(glyph.frame, drawing.label) for drawing in held_out for glyph in glyphs(digit(drawing, random))]
    table = DigitTable(*map(np.array, zip(*read, strict=True)))
    digits = predictor.predict(table.pixels)
    print(f"\nRefused: {(~digits.is_digit).mean():.2%} of {len(digits):,} digits.")
    no_digits = {"Greek characters": greek, "scribbles, joined digits, halves, specks": made(table, MADE, seed=1)}
    for name, images in no_digits.items():
        strange = predictor.predict(images)
        scores = np.concatenate([digits.digit_score, strange.digit_score])
        area = roc_auc_score(np.repeat([1, 0], [len(digits), len(strange)]), scores)
        print(
            f"{name}: {(~strange.is_digit).mean():.2%} of {len(strange):,} refused; told from the digits by an area "
            f"under the ROC curve of {area:.4f}"
        )


def main() -> None:
    """Measure and print."""
    run, data = [*sys.argv[1:], "data"][:2]
    try:
        _, held_out = drawings(Path(data))
        greek = characters(Path(data), held_out=True)
    except UserError as error:
        print(f"handwriting is not measured: {error}")
        return
    random = np.random.default_rng(2)
    lengths = random.integers(2, 7, NUMBERS)
    jobs = {
        "single digits": [[drawing] for drawing in held_out],
        "numbers of 2 to 6": [
            [held_out[index] for index in random.choice(len(held_out), length)] for length in lengths
        ],
        "numbers of 6": [[held_out[index] for index in random.choice(len(held_out), 6)] for _ in range(100)],
    }
    predictor = Predictor.load(run)
    predictor.read(digit(held_out[0], random))
    print("| drawn | wholly right | parted into the right count | p50 ms | p95 ms |\n|---|---|---:|---:|---:|")
    for name, each in jobs.items():
        right, parted, times = measure(predictor, each)
        p50, p95 = np.percentile(times, [50, 95])
        found = accuracy_in_words(right, len(each))
        print(f"| {name} | {found} | {parted / len(each):.1%} | {p50:.1f} | {p95:.1f} |", flush=True)
    tell_refused(predictor, held_out, greek)


if __name__ == "__main__":
    main()
