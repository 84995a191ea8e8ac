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

from pipeline import Predictor, UserError, find_source
from pipeline.data.table import DigitTable
from pipeline.digits import Labels
from pipeline.metrics.score import score
from pipeline.models import build
from pipeline.models.ensemble import Ensemble
from pipeline.run import Run


@torch.inference_mode()
def member_logits(name: str, table: DigitTable) -> NDArray[np.float32]:
    """Return what each member of a run answers, float32 (members, N, 10); a UserError where it is no ensemble."""
    run, predictor = Run.open(name), Predictor.load(name)
    ensemble = build(run.recipe).eval()
    if not isinstance(ensemble, Ensemble):
        raise UserError(f"{name}: has no members; train one by --set members=10 --set validation_fraction=0")
    ensemble.load_state_dict(run.load_model())
    members = ensemble.to(predictor.device).members
    return np.stack([predictor.logits(member, torch.float32, table) for member in members])


def percentages(logits: NDArray[np.float32], labels: Labels) -> tuple[float, float]:
    """Return how many digits and how many parities are right, in percent."""
    result = score(logits.argmax(axis=1), labels)
    return 100 * result.accuracy, 100 * result.parity.accuracy


def measure(names: list[str]) -> None:
    """Print a table for these runs."""
    table = find_source("mnist", Path("data")).read_test()
    every = [member_logits(name, table) for name in names]
    count = min(len(answers) for answers in every)
    minutes = np.mean([Run.open(name).card.minutes / len(answers) for name, answers in zip(names, every, strict=True)])
    print("| members | digits, % | parity, % | minutes |\n|---:|---|---|---:|")
    for members in sorted({members for members in (1, 2, 3, 5, count) if members <= count}):
        groups = [answers[:members].mean(0) for answers in every]
        if members == 1:
            groups = [member for answers in every for member in answers]
        found = np.array([percentages(group, table.known_labels) for group in groups])
        told = [f"{part.mean():.2f} ({part.min():.2f} to {part.max():.2f})" for part in found.T]
        print(f"| {members} | {' | '.join(told)} | {minutes * members:.1f} |")


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit("error: name the runs: PYTHONPATH=. python benchmarks/members.py RUN [RUN ...]")
    try:
        measure(sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
