"""Run: one training on disk, as a folder that anyone can look into. Nothing in it is pickled."""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, Self

import numpy as np
import safetensors.numpy
import safetensors.torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from pipeline.card import Card, Epoch
from pipeline.config.fine_tuning import FineTuning
from pipeline.config.recipe import Recipe, load_saved_recipe, no_digits
from pipeline.data.table import BLOCKS, Fingerprint
from pipeline.errors import UserError, did_you_mean
from pipeline.utils.files import open_atomic, write_atomic
from pipeline.utils.tensors import contiguous, put_tensors, read_tensors, take_tensors

CHECKPOINTS = Path("checkpoints")


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """What the members of an ensemble say of training rows that they never saw.

    Attributes:
        rows: int64 (M,), places in the table that the ensemble was trained on, in order.
        logits: float32 (M, classes), calibrated: the mean over the members that left the row out.
    """

    rows: NDArray[np.int64]
    logits: NDArray[np.float32]


class Run:
    """A folder with `model.safetensors`, `recipe.yaml`, `history.csv`, `card.json` and `fingerprint.safetensors`.

    While it is being trained, `progress.safetensors` holds what `--resume` goes on from. A fine-tuning has the folders
    that its recipe names in place of both files of weights. An ensemble has `out_of_fold.safetensors` too, and until
    it is complete a folder `members` with the run of each.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __str__(self) -> str:
        return str(self.folder)

    @classmethod
    def create(cls, name: str | None, recipe: Recipe | FineTuning) -> Self:
        """Return the run that a new training will fill: `name` as in `open`, or one from the recipe and the time.

        Raises:
            UserError: that folder holds a run already.
        """
        if name is None:
            dated = f"{recipe.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
            names = (dated if number == 1 else f"{dated}-{number}" for number in count(1))
            return next(run for run in map(cls, map(_locate, names)) if not run.folder.exists())
        run = cls(_locate(name))
        if run.recipe_path.exists():
            raise UserError(f"{run}: there is a run already; choose another --run, or go on with it by --resume")
        return run

    @classmethod
    def open(cls, name: Self | str | Path) -> Self:
        """Return a run that exists: a folder, or the name of one in `checkpoints/`; a Run is returned as it is.

        Raises:
            UserError: there is none, with the nearest name.
        """
        if not isinstance(name, str | Path):
            return name
        run = cls(_locate(name))
        if not run.recipe_path.exists():
            known = [other.folder.name for other in cls.every()]
            raise UserError(
                f"{run}: there is no run there{did_you_mean(str(name), known)} "
                f"(in {CHECKPOINTS}: {', '.join(known) or 'none yet; python -m pipeline train fast makes one'})"
            )
        return run

    @classmethod
    def every(cls) -> list[Self]:
        """Return all runs in `checkpoints/`, the oldest first."""
        folders = [path.parent for path in CHECKPOINTS.glob("*/recipe.yaml")]
        return [cls(folder) for folder in sorted(folders, key=lambda folder: folder.stat().st_mtime)]

    @classmethod
    def unfinished(cls, recipe: str) -> Self:
        """Return the newest run of a recipe that was stopped before its end.

        Raises:
            UserError: there is none.
        """
        for run in reversed(cls.every()):
            card = run.card
            if not card.finished and card.recipe == recipe:
                return run
        raise UserError(f"{CHECKPOINTS}: no unfinished run of {recipe} to resume; start one without --resume")

    def begin(self, recipe: Recipe | FineTuning, card: Card, fingerprint: Fingerprint) -> None:
        """Write what is known before the first epoch; the recipe last, for it makes the folder a run."""
        write_atomic(
            self.folder / "fingerprint.safetensors",
            safetensors.numpy.save({"hashes": fingerprint.hashes, "blocks": fingerprint.blocks}),
        )
        self.save_card(card)
        recipe.save(self.recipe_path)

    @property
    def recipe_path(self) -> Path:
        return self.folder / "recipe.yaml"

    @property
    def model_path(self) -> Path:
        return self.folder / "model.safetensors"

    @property
    def card_path(self) -> Path:
        return self.folder / "card.json"

    @property
    def progress_path(self) -> Path:
        return self.folder / "progress.safetensors"

    @property
    def resume_command(self) -> str:
        return f"python -m pipeline train {self.recipe_path} --run {self} --resume"

    @cached_property
    def recipe(self) -> Recipe | FineTuning:
        return load_saved_recipe(self.recipe_path)

    def require_digits(self) -> Recipe:
        """Return the recipe, or raise a UserError where the run tells odd from even and reads no digits."""
        recipe = self.recipe
        if isinstance(recipe, FineTuning):
            raise UserError(no_digits(self))
        return recipe

    @cached_property
    def card(self) -> Card:
        """The card as it was when it was first read or last written by this object."""
        return self._read_card()

    def _read_card(self) -> Card:
        path = self.card_path
        try:
            return Card.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise UserError(f"{path}: missing or damaged: {str(error).splitlines()[0]}; train the run again") from None

    def save_card(self, card: Card) -> None:
        self.card = card
        with open_atomic(self.card_path) as temporary:
            temporary.write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")

    def add_scores(self, scores: Mapping[str, float]) -> None:
        """Add scores to the card on disk, which may have more than the one in memory."""
        card = self._read_card()
        card.scores.update(scores)
        self.save_card(card)

    @property
    def fingerprint(self) -> Fingerprint:
        """The fingerprint of all images that the run was trained and validated on."""
        kept = read_tensors(self.folder / "fingerprint.safetensors")[0]
        hashes = kept["hashes"].numpy()
        return Fingerprint(hashes, kept["blocks"].numpy() if "blocks" in kept else np.empty((0, BLOCKS), np.uint8))

    @property
    def history(self) -> list[Epoch]:
        path = self.folder / "history.csv"
        try:
            with path.open(newline="", encoding="utf-8") as file:
                rows = csv.DictReader(file)
                return [Epoch.model_validate({key: cell or None for key, cell in row.items()}) for row in rows]
        except (OSError, ValidationError) as error:
            raise UserError(f"{path}: missing or damaged: {str(error).splitlines()[0]}; train the run again") from None

    def save_history(self, history: list[Epoch]) -> None:
        with open_atomic(self.folder / "history.csv") as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(Epoch.model_fields))
            writer.writeheader()
            writer.writerows(epoch.model_dump() for epoch in history)

    def save_model(self, weights: Mapping[str, Tensor]) -> None:
        write_atomic(self.model_path, safetensors.torch.save(contiguous(weights)))

    def load_model(self) -> dict[str, Tensor]:
        """Return the weights of the best epoch, on the CPU.

        Raises:
            UserError: the file is missing or damaged.
        """
        return read_tensors(self.model_path)[0]

    @property
    def out_of_fold(self) -> OutOfFold | None:
        """What was kept of the rows that members left out; None in a run of a single network."""
        path = self.folder / "out_of_fold.safetensors"
        if not path.exists():
            return None
        kept = read_tensors(path)[0]
        return OutOfFold(kept["rows"].numpy(), kept["logits"].numpy())

    def save_out_of_fold(self, kept: OutOfFold) -> None:
        content = safetensors.numpy.save({"rows": kept.rows, "logits": kept.logits})
        write_atomic(self.folder / "out_of_fold.safetensors", content)

    def save_progress(self, state: dict[str, Any]) -> None:
        """Keep a nested state of dicts, lists, tensors, numbers, strings, booleans and None; tuples return as lists."""
        tensors: dict[str, Tensor] = {}
        structure = take_tensors(state, tensors)
        content = safetensors.torch.save(contiguous(tensors), metadata={"state": json.dumps(structure)})
        write_atomic(self.progress_path, content)

    def load_progress(self) -> dict[str, Any]:
        """Return what `save_progress` kept, its tensors on the CPU."""
        tensors, metadata = read_tensors(self.progress_path)
        state: dict[str, Any] = put_tensors(json.loads(metadata["state"]), tensors)
        return state

    def finish(self, card: Card) -> None:
        """Mark the run as complete: its card says so, and there is nothing left to resume."""
        self.save_card(card)
        self.progress_path.unlink(missing_ok=True)


def _locate(name: str | Path) -> Path:
    """Return the folder that a RUN means: a path where it is one, else a folder of that name in `checkpoints/`."""
    path = Path(name)
    if path.is_absolute() or len(path.parts) > 1 or (path / "recipe.yaml").exists():
        return path
    return CHECKPOINTS / path
