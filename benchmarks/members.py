"""How many members an ensemble needs: what the first of them read together of MNIST's test digits.

Usage: PYTHONPATH=. python benchmarks/members.py RUN [RUN ...]

The runs are of one recipe, trained on MNIST by seeds so far apart that no member is in two of them. The first K members
of a run are those that `--set members=K` trains, in about K times the time. Each figure is the mean over the runs,
with their lowest and highest; of single networks, over all members of all runs.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline import Predictor, find_source
from pipeline.checkpoint import Run
from pipeline.models import build
from pipeline.models.ensemble import Ensemble
from pipeline.table import DigitTable


@torch.inference_mode()
def member_logits(name: str, table: DigitTable) -> NDArray[np.float32]:
    """Return what each member of a run answers, float32 (members, N, 10)."""
    run, predictor = Run.open(name), Predictor.load(name)
    ensemble = build(run.recipe).eval()
    ensemble.load_state_dict(run.load_model())
    assert isinstance(ensemble, Ensemble), f"{name} is no ensemble"
    members = ensemble.to(predictor.device).members
    return np.stack([predictor.logits(member, torch.float32, table) for member in members])


def shares(logits: NDArray[np.float32], table: DigitTable) -> tuple[float, float]:
    """Return the shares of digits and of parities that are right."""
    digits = logits.argmax(axis=1)
    return float((digits == table.known_labels).mean()), float((digits % 2 == table.known_labels % 2).mean())


def main() -> None:
    """Measure and print."""
    table = find_source("mnist", Path("data")).read_test()
    names = sys.argv[1:]
    every = [member_logits(name, table) for name in names]
    count = min(len(answers) for answers in every)
    minutes = np.mean([Run.open(name).card.minutes / Run.open(name).recipe.members for name in names])
    print("| members | digits, % | parity, % | minutes |\n|---:|---|---|---:|")
    for members in sorted({1, 2, 3, 5, count}):
        groups = [answers[:members].mean(0) for answers in every]
        if members == 1:
            groups = [member for answers in every for member in answers]
        found = 100 * np.array([shares(group, table) for group in groups])
        told = [f"{part.mean():.2f} ({part.min():.2f} to {part.max():.2f})" for part in found.T]
        print(f"| {members} | {' | '.join(told)} | {minutes * members:.1f} |")


if __name__ == "__main__":
    main()
