"""Measure how many members an ensemble needs: the accuracy of its first K members on MNIST's test digits.

Usage: PYTHONPATH=. python benchmarks/members.py RUN [RUN ...]

The runs have the same recipe and were trained on MNIST. Their seeds must be so far apart that no two runs share a
member. The first K members of a run are those that `--set members=K` trains, in about K times the time of one. Each
figure is the mean over the runs, with the lowest and highest. For single networks, it is over all members of all runs.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline import Predictor, UserError, find_source
from pipeline.data.table import DigitTable
from pipeline.digits import Labels
from pipeline.metrics.score import score
from pipeline.models import build
from pipeline.models.ensemble import Ensemble
from pipeline.run import Run


@torch.inference_mode()
def member_logits(name: str, table: DigitTable) -> NDArray[np.float32]:
    """Return the logits of each member of a run, float32 (members, N, 10); raise a UserError if it has no members."""
    run, predictor = Run.open(name), Predictor.load(name)
    ensemble = build(run.recipe).eval()
    if not isinstance(ensemble, Ensemble):
        raise UserError(f"{name}: not an ensemble; train one with --set members=10 --set validation_fraction=0")
    ensemble.load_state_dict(run.load_model())
    members = ensemble.to(predictor.device).members
    return np.stack([predictor.logits(member, torch.float32, table) for member in members])


def percentages(logits: NDArray[np.float32], labels: Labels) -> tuple[float, float]:
    """Return the accuracy of the digits and of their parity, in percent."""
    result = score(logits.argmax(axis=1), labels)
    return 100 * result.accuracy, 100 * result.parity.accuracy


def measure(names: list[str]) -> None:
    """Print a table of the accuracy by number of members, over these runs."""
    table = find_source("mnist", Path("data")).read_test()
    logits_of_runs = [member_logits(name, table) for name in names]
    largest = min(len(logits) for logits in logits_of_runs)
    minutes_per_member = np.mean(
        [Run.open(name).card.minutes / len(logits) for name, logits in zip(names, logits_of_runs, strict=True)]
    )
    print("| members | digits, % | parity, % | minutes |\n|---:|---|---|---:|")
    for members in sorted({members for members in (1, 2, 3, 5, largest) if members <= largest}):
        groups = [logits[:members].mean(0) for logits in logits_of_runs]
        if members == 1:
            groups = [member for logits in logits_of_runs for member in logits]
        found = np.array([percentages(group, table.known_labels) for group in groups])
        cells = [f"{column.mean():.2f} ({column.min():.2f} to {column.max():.2f})" for column in found.T]
        print(f"| {members} | {' | '.join(cells)} | {minutes_per_member * members:.1f} |")


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit("error: no run given; usage: PYTHONPATH=. python benchmarks/members.py RUN [RUN ...]")
    try:
        measure(sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
