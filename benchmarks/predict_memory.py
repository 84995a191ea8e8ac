"""The memory that `predict` needs for longer and longer files.

Usage: python benchmarks/predict_memory.py RUN [ROWS ...]

Writes CSVs of random ink with 30,000 and then 1,000,000 rows (or ROWS) into a temporary folder, 1.4 GB for the longer,
predicts each in a process of its own, and prints rows, seconds and peak memory. Linux only: it reads /proc.
"""

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PREDICT = (
    "import re; from pipeline.__main__ import main\n"
    "try: main()\n"
    "except SystemExit as end: assert not end.code\n"
    "print(re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1])"
)


def write_rows(path: Path, rows: int) -> None:
    """Write `rows` images of random ink, a thousand different ones again and again."""
    generator = random.Random(0)
    images = [",".join(str(generator.choice((0, 0, 0, 0, 255))) for _ in range(784)) + "\n" for _ in range(1000)]
    with path.open("w") as file:
        file.write(",".join(f"pixel{index}" for index in range(784)) + "\n")
        for row in range(rows):
            file.write(images[row % 1000])


def main() -> None:
    """Measure and print."""
    run, *rows = sys.argv[1:]
    print("     rows  seconds  peak MiB")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        for count in map(int, rows or ("30000", "1000000")):
            write_rows(path, count)
            command = [
                sys.executable,
                "-c",
                PREDICT,
                "predict",
                run,
                str(path),
                "--out",
                f"{folder}/out.csv",
                "--quiet",
            ]
            started = time.perf_counter()
            ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            print(f"{count:9,}  {time.perf_counter() - started:7.1f}  {int(ended.stdout) / 1024:8.0f}", flush=True)


if __name__ == "__main__":
    main()
