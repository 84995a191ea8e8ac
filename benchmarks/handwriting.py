"""Measure a run on pen drawings of 30 writers: accuracy, time per reading, and rejection of non-digits.

Usage: PYTHONPATH=.:tests python benchmarks/handwriting.py RUN [DATA]

The drawings are those of UCI's set 81 (in DATA) that no recipe trains on; see pipeline/sources/drawings/pendigits.py.
They are drawn with a round brush. The non-digit characters are Omniglot's Greek alphabet, on which no recipe trains
either. The other non-digits are generated as for training, but from other drawings and with another seed.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
from helpers.writing import write_joined
from PIL import Image, ImageOps
from sklearn.metrics import roc_auc_score

from pipeline import Predictor, UserError
from pipeline.data.table import DigitTable
from pipeline.digits import Pixels
from pipeline.metrics.interval import format_accuracy
from pipeline.sources.drawings.pendigits import load_drawings
from pipeline.sources.drawings.strokes import Drawing, Points, render_strokes
from pipeline.sources.outliers import load_characters, make_non_digits
from pipeline.vision.frame import glyphs

NUMBER_COUNT, SIX_COUNT = 500, 100
"""Numbers of several lengths, apart or touching, and numbers of six digits."""
GENERATED_OUTLIER_COUNT = 1_000
"""Non-digit images, generated from the held-out drawings or from random strokes."""
PAD_SIDE_PX = 400


def draw_strokes(strokes: list[Points], width: int, brush: float) -> Image.Image:
    """Return strokes in black on a transparent canvas of `width` x PAD_SIDE_PX, like the picture of a pad."""
    image = Image.new("RGBA", (width, PAD_SIDE_PX))
    image.putalpha(render_strokes(strokes, (width, PAD_SIDE_PX), brush))
    return image


def draw_digit(drawing: Drawing, random: np.random.Generator) -> Image.Image:
    """Return a digit of 110 to 300 pixels, at a random place of a 400 x 400 canvas, with a brush of 10 to 26 pixels."""
    brush = random.uniform(10, 26)
    strokes, extent = drawing.placed(random.uniform(110, 300))
    corner = random.uniform(brush, PAD_SIDE_PX - brush - extent)
    return draw_strokes([stroke + corner for stroke in strokes], PAD_SIDE_PX, brush)


def draw_number(drawings: list[Drawing], random: np.random.Generator) -> Image.Image:
    """Return digits in a row, with gaps of 0.1 to 0.4 of their height, and a brush of 8 to 18 pixels."""
    brush, height = random.uniform(8, 18), random.uniform(80, 160)
    left, top = 2 * brush, random.uniform(brush, PAD_SIDE_PX - 1.3 * height - brush)
    placed: list[Points] = []
    for drawing in drawings:
        strokes, (width, own) = drawing.placed(height * random.uniform(0.8, 1.2))
        corner = left, top + 1.2 * height - own - random.uniform(0, 0.1) * height
        placed += [stroke + corner for stroke in strokes]
        left += width + brush + random.uniform(0.1, 0.4) * height
    return draw_strokes(placed, max(PAD_SIDE_PX, round(left + brush)), brush)


def draw_touching(drawings: list[Drawing], random: np.random.Generator) -> Image.Image:
    """Return digits in a row whose ink overlaps by 1 to 4 pixels at a height of 20, in black on white paper."""
    brush, height = random.uniform(8, 18), random.uniform(80, 160)
    writing = write_joined(drawings, height, brush, random.uniform(1, 4), random)
    return ImageOps.invert(ImageOps.expand(writing.ink, border=round(height / 3)))


def measure(
    predictor: Predictor,
    jobs: list[list[Drawing]],
    draw: Callable[[list[Drawing], np.random.Generator], Image.Image],
) -> tuple[int, int, list[float]]:
    """Return how many numbers are read correctly, how many have the correct digit count, and the time of each in ms."""
    random = np.random.default_rng(0)
    correct = segmented = 0
    times = []
    for job in jobs:
        image = draw(job, random)
        start = perf_counter()
        reading = predictor.read(image)
        times.append(1000 * (perf_counter() - start))
        correct += reading.text == "".join(str(drawing.label) for drawing in job)
        segmented += len(reading.glyphs) == len(job)
    return correct, segmented, times


def pick_numbers(drawings: list[Drawing], lengths: Sequence[int], count: int) -> list[list[Drawing]]:
    """Return the digits of `count` numbers, each of one of the lengths."""
    random = np.random.default_rng(2)
    return [
        [drawings[index] for index in random.choice(len(drawings), length)]
        for length in random.choice(lengths, count).tolist()
    ]


def report_rejected(predictor: Predictor, held_out: list[Drawing], greek: Pixels) -> None:
    """Print the rejected fractions of digits and of non-digits, and the area under the ROC curve between them."""
    random = np.random.default_rng(0)
    labelled = [(glyph.frame, drawing.label) for drawing in held_out for glyph in glyphs(draw_digit(drawing, random))]
    table = DigitTable(*map(np.array, zip(*labelled, strict=True)))
    digits = predictor.predict(table.pixels)
    print(f"\nRejected: {(~digits.is_digit).mean():.2%} of {len(digits):,} digits.")
    non_digits = {
        "Greek characters": greek,
        "scribbles, joined digits, halves, specks": make_non_digits(table, GENERATED_OUTLIER_COUNT, seed=1),
    }
    for name, images in non_digits.items():
        outliers = predictor.predict(images)
        scores = np.concatenate([digits.digit_score, outliers.digit_score])
        area = roc_auc_score(np.repeat([1, 0], [len(digits), len(outliers)]), scores)
        print(
            f"{name}: {(~outliers.is_digit).mean():.2%} of {len(outliers):,} rejected; area under the ROC curve "
            f"against the digits: {area:.4f}"
        )


def main() -> None:
    """Run all measurements and print them."""
    run, data = [*sys.argv[1:], "data"][:2]
    try:
        _, held_out = load_drawings(Path(data))
        greek = load_characters(Path(data), held_out=True)
    except UserError as error:
        print(f"no measurement: {error}")
        return
    predictor = Predictor.load(run)
    predictor.read(draw_digit(held_out[0], np.random.default_rng(2)))  # warm-up
    print("| drawings | correct | correct digit count | p50 ms | p95 ms |\n|---|---|---:|---:|---:|")
    for name, jobs, draw in (
        ("single digits", [[drawing] for drawing in held_out], lambda job, random: draw_digit(job[0], random)),
        ("numbers of 2 to 6", pick_numbers(held_out, range(2, 7), NUMBER_COUNT), draw_number),
        ("numbers of 6", pick_numbers(held_out, [6], SIX_COUNT), draw_number),
        ("numbers of 2 to 5, touching", pick_numbers(held_out, range(2, 6), NUMBER_COUNT), draw_touching),
    ):
        correct, segmented, times = measure(predictor, jobs, draw)
        p50, p95 = np.percentile(times, [50, 95])
        found = format_accuracy(correct, len(jobs))
        print(f"| {name} | {found} | {segmented / len(jobs):.1%} | {p50:.1f} | {p95:.1f} |", flush=True)
    report_rejected(predictor, held_out, greek)


if __name__ == "__main__":
    main()
