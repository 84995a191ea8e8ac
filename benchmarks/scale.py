"""How the cost of `predict` grows, plain and on Ray: PYTHONPATH=. python benchmarks/scale.py [--rows N]... [--run RUN].

Writes MNIST's digits, each time shifted anew by up to two pixels, into Parquet files of 250,000 rows, and prints a
table. Each measurement is the whole command, its start included, in a process of its own. The plain one has one core,
and Ray has all of this machine.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow
from pyarrow import parquet

from pipeline import find_source
from pipeline.digits import SIDE, Pixels
from pipeline.utils.files import open_atomic

HERE = Path(__file__).parent
FILE_ROWS = 250_000
GROUP_ROWS = 50_000
SHIFT = 2
"""Pixels, at most, each way."""


def main() -> None:
    """Measure, print and write benchmarks/scale.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, action="append", help="default: 100000, 1000000 and 5000000")
    parser.add_argument("--run", default="sketchpad")
    arguments = parser.parse_args()
    source = find_source("auto", Path("data"))
    digits = source.read_train().pixels
    cores = os.cpu_count() or 1
    lines = [
        f"Written by `{' '.join(['python', *sys.argv])}`: run {arguments.run}, {cores} cores, digits of {source.name}.",
        "",
        "| rows | plain, 1 core, s | images/s | Ray, s | images/s | Ray, images/s a core | Ray beside plain, a core |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for rows in arguments.rows or [100_000, 1_000_000, 5_000_000]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write(folder / "in", digits, rows)
            plain = seconds(folder, arguments.run, "plain", rows)
            by_ray = seconds(folder, arguments.run, "ray", rows)
            require_equal(folder / "plain", folder / "ray")
        lines.append(
            f"| {rows:,} | {plain:.1f} | {rows / plain:,.0f} | {by_ray:.1f} | {rows / by_ray:,.0f} "
            f"| {rows / by_ray / cores:,.0f} | {plain / by_ray / cores:.2f} |"
        )
    report = "\n".join(lines) + "\n"
    with open_atomic(HERE / "scale.md") as temporary:
        temporary.write_text(report, encoding="utf-8")
    print(report)


def write(folder: Path, digits: Pixels, rows: int) -> None:
    """Write `rows` shifted digits, as the column `pixels` of Parquet files."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    schema = pyarrow.schema({"pixels": pyarrow.binary(SIDE * SIDE)})
    for start in range(0, rows, FILE_ROWS):
        with parquet.ParquetWriter(folder / f"{start:09}.parquet", schema) as writer:
            for first in range(start, min(rows, start + FILE_ROWS), GROUP_ROWS):
                count = min(GROUP_ROWS, rows - first, start + FILE_ROWS - first)
                flat = shifted(digits[np.arange(first, first + count) % len(digits)], generator).tobytes()
                buffers = [None, pyarrow.py_buffer(flat)]
                images = pyarrow.FixedSizeBinaryArray.from_buffers(schema.field("pixels").type, count, buffers)
                writer.write_table(pyarrow.table([images], schema))


def shifted(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    """Return the images, each moved by up to SHIFT pixels to any side."""
    moves = generator.integers(0, 2 * SHIFT + 1, (len(pixels), 2))
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(pixels, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT))), (SIDE, SIDE), axis=(1, 2)
    )
    moved: Pixels = windows[np.arange(len(pixels)), moves[:, 0], moves[:, 1]]
    return moved


def seconds(folder: Path, run: str, engine: str, rows: int) -> float:
    """Return how long `predict` takes, all in all; it must answer every row."""
    print(f"  {engine}, {rows:,} rows", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "pipeline", "predict", run, str(folder / "in"), "--out", str(folder / engine)]
    environment = os.environ | ({"OMP_NUM_THREADS": "1"} if engine == "plain" else {})
    core = {min(os.sched_getaffinity(0))}
    started = time.perf_counter()
    ended = subprocess.run(
        [*command, "--engine", engine, "--format", "parquet"],
        env=environment,
        preexec_fn=(lambda: os.sched_setaffinity(0, core)) if engine == "plain" else None,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    spent = time.perf_counter() - started
    if not ended.stdout.endswith(f": {rows:,} rows\n"):
        raise SystemExit(f"{engine}: {ended.stdout} in place of {rows:,} rows")
    return spent


def require_equal(plain: Path, by_ray: Path) -> None:
    """Stop where the two engines' shards differ in a byte."""
    for shard in sorted(plain.iterdir()):
        if shard.read_bytes() != (by_ray / shard.name).read_bytes():
            raise SystemExit(f"{shard.name}: Ray's answers differ from the plain ones")


if __name__ == "__main__":
    main()
