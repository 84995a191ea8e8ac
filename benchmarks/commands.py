"""Time whole commands, `submit` and `train fast` on MNIST, and print medians; in turn with another checkout, if given.

Usage: python benchmarks/commands.py DATA [OTHER_CHECKOUT]

DATA holds the competition's files and MNIST/raw. Each command runs three times in an empty folder, in a new process,
with the environment's packages. Processor time counts all threads: it changes less than the time when the machine has
other work.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
RUNS = 3
COMMANDS = {
    "submit": ["submit", "--quiet", "--data"],
    "train fast": ["train", "fast", "--source", "mnist", "--quiet", "--data"],
}


def time_command(checkout: Path, arguments: list[str]) -> tuple[float, float]:
    """Return the seconds and the processor seconds of `python -m pipeline` with these arguments."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "pipeline", *arguments],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(checkout)},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        elapsed = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return elapsed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Run the commands, in turn in each checkout, and print a table."""
    data = str(Path(sys.argv[1]).resolve())
    checkouts = [HERE, *(Path(path).resolve() for path in sys.argv[2:])]
    print("| command | checkout | seconds | processor seconds |\n|---|---|---:|---:|")
    for name, arguments in COMMANDS.items():
        turns = [[time_command(checkout, [*arguments, data]) for checkout in checkouts] for _ in range(RUNS)]
        for checkout, times in zip(checkouts, zip(*turns, strict=True), strict=True):
            cells = [
                f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"
                for values in zip(*times, strict=True)
            ]
            print(f"| {name} | {checkout} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
