"""Measure how the cost of `predict` grows, with the plain engine and with Ray.

Usage: PYTHONPATH=. python benchmarks/scale.py [--rows N]... [--run RUN]

The input is MNIST's digits, shifted at random by up to two pixels, in Parquet files of 250,000 rows. Each measurement
is the complete command in a new process, including its start. The plain engine has one core. Ray has all cores of this
machine. The table is printed and written to benchmarks/scale.md.
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
ROW_GROUP_ROWS = 50_000
MAX_SHIFT_PX = 2
"""The largest shift in each direction."""


def main() -> None:
    """Run all measurements, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, action="append", help="default: 100000, 1000000 and 5000000")
    parser.add_argument("--run", default="sketchpad")
    arguments = parser.parse_args()
    source = find_source("auto", Path("data"))
    digits = source.read_train().pixels
    cores = os.cpu_count() or 1
    lines = [
        f"Written by `{' '.join(['python', *sys.argv])}`: run {arguments.run}, {cores} cores, digits: {source.name}.",
        "",
        "| rows | plain, 1 core, s | images/s | Ray, s | images/s | Ray, images/s per core | ratio to plain per core |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for rows in arguments.rows or [100_000, 1_000_000, 5_000_000]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_parquet(folder / "in", digits, rows)
            plain = time_predict(folder, arguments.run, "plain", rows)
            ray = time_predict(folder, arguments.run, "ray", rows)
            require_equal(folder / "plain", folder / "ray")
        lines.append(
            f"| {rows:,} | {plain:.1f} | {rows / plain:,.0f} | {ray:.1f} | {rows / ray:,.0f} "
            f"| {rows / ray / cores:,.0f} | {plain / ray / cores:.2f} |"
        )
    report = "\n".join(lines) + "\n"
    with open_atomic(HERE / "scale.md") as temporary:
        temporary.write_text(report, encoding="utf-8")
    print(report)


def write_parquet(folder: Path, digits: Pixels, rows: int) -> None:
    """Write `rows` shifted digits into Parquet files in a new folder, as the column `pixels`."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    schema = pyarrow.schema({"pixels": pyarrow.binary(SIDE * SIDE)})
    for start in range(0, rows, FILE_ROWS):
        with parquet.ParquetWriter(folder / f"{start:09}.parquet", schema) as writer:
            for first in range(start, min(rows, start + FILE_ROWS), ROW_GROUP_ROWS):
                count = min(ROW_GROUP_ROWS, rows - first, start + FILE_ROWS - first)
                flat = shift_randomly(digits[np.arange(first, first + count) % len(digits)], generator).tobytes()
                buffers = [None, pyarrow.py_buffer(flat)]
                images = pyarrow.FixedSizeBinaryArray.from_buffers(schema.field("pixels").type, count, buffers)
                writer.write_table(pyarrow.table([images], schema))


def shift_randomly(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    """Return the images, uint8 (N, 28, 28), each shifted by up to MAX_SHIFT_PX pixels in each direction."""
    shifts = generator.integers(0, 2 * MAX_SHIFT_PX + 1, (len(pixels), 2))
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(pixels, ((0, 0), (MAX_SHIFT_PX, MAX_SHIFT_PX), (MAX_SHIFT_PX, MAX_SHIFT_PX))),
        (SIDE, SIDE),
        axis=(1, 2),
    )
    shifted: Pixels = windows[np.arange(len(pixels)), shifts[:, 0], shifts[:, 1]]
    return shifted


def time_predict(folder: Path, run: str, engine: str, rows: int) -> float:
    """Return the seconds that the complete `predict` command takes; exit if it does not predict every row."""
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
    elapsed = time.perf_counter() - started
    if not ended.stdout.endswith(f": {rows:,} rows\n"):
        raise SystemExit(f"{engine}: {ended.stdout} instead of {rows:,} rows")
    return elapsed


def require_equal(plain: Path, ray: Path) -> None:
    """Exit if the shards of the two engines are not identical."""
    for shard in sorted(plain.iterdir()):
        if shard.read_bytes() != (ray / shard.name).read_bytes():
            raise SystemExit(f"{shard.name}: the predictions of Ray and of the plain engine differ")


if __name__ == "__main__":
    main()
