"""Run: a training run on disk, a folder of safetensors, YAML, CSV and JSON files. Nothing in it is pickled."""

import csv
import json
import logging
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, Self

import numpy as np
import safetensors.numpy
import safetensors.torch
from pydantic import ValidationError
from torch import Tensor

from pipeline.card import Card, Epoch, OutOfFold
from pipeline.config.fine_tuning import FineTuning
from pipeline.config.recipe import Recipe, load_saved_recipe, parity_only_message
from pipeline.data.table import BLOCKS, Fingerprint
from pipeline.errors import UserError, damaged_file, did_you_mean
from pipeline.run_folder import CHECKPOINTS, MEMBERS, SHIPPED, RunFolder, locate
from pipeline.utils.files import open_atomic, sha256, write_atomic
from pipeline.utils.tensors import contiguous, extract_tensors, insert_tensors, read_tensors

log = logging.getLogger(__name__)


class Run(RunFolder):
    """A folder with `model.safetensors`, `recipe.yaml`, `history.csv`, `card.json` and `fingerprint.safetensors`.

    If the recipe has `line_updates`, `line.safetensors` holds a second network, which reads touching digits.

    During training, `progress.safetensors` holds the state that `--resume` loads. A fine-tuning has the folders
    `output_dir` and `save_dir` of its recipe instead of these two files. An ensemble also has
    `out_of_fold.safetensors` and, until it is complete, a folder `members` with one run per member.
    """

    @classmethod
    def create(cls, name: str | None, recipe: Recipe | FineTuning) -> Self:
        """Create the folder of a new run: `name` as in `open`, or a name made of the recipe and the time (UTC).

        Raises:
            UserError: the folder already contains a run, or cannot be created.
        """
        if name is None:
            dated = f"{recipe.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
            names = (dated if number == 1 else f"{dated}-{number}" for number in count(1))
            return next(run for run in map(cls, map(locate, names)) if run.make(exist_ok=False))
        run = cls(locate(name))
        run.require_new()
        run.make(exist_ok=True)
        return run

    @classmethod
    def open(cls, name: Self | str | Path) -> Self:
        """Return an existing run: a folder, the name of one in `checkpoints/`, or of the shipped one.

        A Run is returned unchanged.

        Raises:
            UserError: the run does not exist; the message suggests the closest name.
        """
        if not isinstance(name, str | Path):
            return name
        run = cls(locate(name))
        for each in (run, *(cls(folder / name) for folder in SHIPPED)):
            if each.recipe_path.exists():
                return each
        known = [other.folder.name for other in cls.every()]
        raise UserError(
            f"{run}: no run found{did_you_mean(str(name), known)} "
            f"(in {CHECKPOINTS}: {', '.join(known) or 'none yet; train one: python -m pipeline train fast'})"
        )

    @classmethod
    def every(cls) -> list[Self]:
        """Return all runs in `checkpoints/`, oldest first."""
        folders = [path.parent for path in CHECKPOINTS.glob("*/recipe.yaml")]
        return [cls(folder) for folder in sorted(folders, key=lambda folder: folder.stat().st_mtime)]

    @classmethod
    def unfinished(cls, recipe: str) -> Self:
        """Return the newest unfinished run of a recipe.

        Raises:
            UserError: the recipe has no unfinished run.
        """
        for run in reversed(cls.every()):
            try:
                if not run.card.finished and run.card.recipe == recipe:
                    return run
            except UserError as error:
                log.warning("Skipped: %s", error)
        raise UserError(f"{CHECKPOINTS}: no unfinished run of {recipe} to resume; start one without --resume")

    def begin(self, recipe: Recipe | FineTuning, card: Card, fingerprint: Fingerprint) -> None:
        """Write the fingerprint, the card and the recipe before the first epoch.

        The recipe is written last because a folder counts as a run once it contains one.
        """
        write_atomic(
            self.fingerprint_path,
            safetensors.numpy.save({"hashes": fingerprint.hashes, "blocks": fingerprint.blocks}),
        )
        self.save_card(card)
        recipe.save(self.recipe_path)

    @property
    def resume_command(self) -> str:
        """The command that resumes the run, quoted for a shell; its settings are in the run's recipe.

        A member is resumed with its ensemble.
        """
        if self.folder.parent.name == MEMBERS:
            return type(self)(self.folder.parents[1]).resume_command
        command = ["python", "-m", "pipeline", "train", str(self.recipe_path), "--run", str(self), "--resume"]
        return shlex.join([*command, *(self.card.options if self.card_path.exists() else ())])

    @cached_property
    def recipe(self) -> Recipe | FineTuning:
        return load_saved_recipe(self.recipe_path)

    def require_digits(self) -> Recipe:
        """Return the recipe; raise a UserError if the run predicts parity only."""
        recipe = self.recipe
        if isinstance(recipe, FineTuning):
            raise UserError(parity_only_message(self))
        return recipe

    @cached_property
    def card(self) -> Card:
        """The card as this object first read it or last wrote it; later changes on disk do not show."""
        return self._read_card()

    def _read_card(self) -> Card:
        path = self.card_path
        try:
            return Card.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise damaged_file(path, error) from None

    def save_card(self, card: Card) -> None:
        self.card = card
        with open_atomic(self.card_path) as temporary:
            temporary.write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @property
    def report_folder(self) -> Path:
        """The folder for results of evaluations: the run's own, or a separate one if it ships with the project."""
        return CHECKPOINTS / self.folder.name / "evaluation" if self.card.shipped else self.folder

    def add_scores(self, scores: Mapping[str, float]) -> None:
        """Add scores to the card on disk; it is read again because it may hold scores that the copy here lacks."""
        card = self._read_card()
        card.scores.update(scores)
        self.save_card(card)

    @property
    def fingerprint(self) -> Fingerprint:
        """Fingerprint of all images that the run was trained and validated on."""
        path = self.fingerprint_path
        tensors = self._read_tensors(path)[0]
        try:
            hashes = tensors["hashes"].numpy()
            blocks = tensors["blocks"].numpy() if "blocks" in tensors else np.empty((0, BLOCKS), np.uint8)
            return Fingerprint(hashes, blocks)
        except (KeyError, ValueError) as error:
            raise damaged_file(path, error) from None

    @property
    def history(self) -> list[Epoch]:
        """The history, at least one epoch.

        Raises:
            UserError: the file is missing, damaged or empty.
        """
        path = self.history_path
        try:
            with path.open(newline="", encoding="utf-8") as file:
                rows = csv.DictReader(file, strict=True)
                epochs = [Epoch.model_validate({key: cell or None for key, cell in row.items()}) for row in rows]
            if not epochs:
                raise ValueError("it has no rows")
        except (OSError, ValueError, csv.Error) as error:  # wrong text and wrong values are ValueErrors
            raise damaged_file(path, error) from None
        return epochs

    def save_history(self, history: list[Epoch]) -> None:
        """Write the history; optional columns only if an epoch has a value."""
        rows = [epoch.model_dump() for epoch in history]
        columns = [
            name
            for name, field in Epoch.model_fields.items()
            if field.is_required() or any(row[name] is not None for row in rows)
        ]
        with open_atomic(self.history_path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)

    def save_model(self, weights: Mapping[str, Tensor]) -> None:
        write_atomic(self.model_path, safetensors.torch.save(contiguous(weights)))

    def require_model(self) -> None:
        """Raise a UserError if the training was stopped before it had saved a model."""
        recipe = self.recipe
        path = self.folder / recipe.save_dir if isinstance(recipe, FineTuning) else self.model_path
        if not path.exists() and self.card_path.exists() and not self.card.finished:
            raise UserError(
                f"{self}: its training was stopped before it had saved a model; resume it: {self.resume_command}"
            )

    def load_model(self) -> dict[str, Tensor]:
        """Return the weights of the best epoch, on the CPU.

        Raises:
            UserError: the file is missing or damaged.
        """
        return self._read_tensors(self.model_path)[0]

    def save_line(self, weights: Mapping[str, Tensor]) -> None:
        """Save the weights of the line network in float16, half the size. It computes in float32."""
        halves = {name: weight.half() if weight.is_floating_point() else weight for name, weight in weights.items()}
        write_atomic(self.line_path, safetensors.torch.save(contiguous(halves)))

    def load_line(self) -> dict[str, Tensor] | None:
        """Return the weights of the line network, on the CPU; None if the run has none.

        Raises:
            UserError: the file is damaged.
        """
        return self._read_tensors(self.line_path)[0] if self.line_path.exists() else None

    @property
    def out_of_fold(self) -> OutOfFold | None:
        """Out-of-fold predictions; None if the run is a single network."""
        path = self.out_of_fold_path
        if not path.exists():
            return None
        tensors = self._read_tensors(path)[0]
        try:
            return OutOfFold(tensors["rows"].numpy(), tensors["logits"].numpy())
        except (KeyError, ValueError) as error:
            raise damaged_file(path, error) from None

    def save_out_of_fold(self, kept: OutOfFold) -> None:
        content = safetensors.numpy.save({"rows": kept.rows, "logits": kept.logits})
        write_atomic(self.out_of_fold_path, content)

    def save_progress(self, state: dict[str, Any]) -> None:
        """Save a nested state of dicts, lists, tensors, numbers, strings, booleans and None; tuples load as lists."""
        tensors: dict[str, Tensor] = {}
        structure = extract_tensors(state, tensors)
        content = safetensors.torch.save(contiguous(tensors), metadata={"state": json.dumps(structure)})
        write_atomic(self.progress_path, content)

    def load_progress(self) -> dict[str, Any]:
        """Return the state that `save_progress` wrote, with its tensors on the CPU."""
        tensors, metadata = read_tensors(self.progress_path)
        try:
            state: dict[str, Any] = insert_tensors(json.loads(metadata["state"]), tensors)
        except (KeyError, ValueError) as error:
            raise damaged_file(self.progress_path, error) from None
        return state

    def finish(self, card: Card) -> None:
        """Write the final card with the files' checksums, and delete the progress; the run can no longer be resumed."""
        folders = [self.folder, *([self.folder / self.recipe.save_dir] if isinstance(self.recipe, FineTuning) else [])]
        files = [path for folder in folders for path in sorted(folder.glob("*.safetensors"))]
        card.checksums = {
            path.relative_to(self.folder).as_posix(): sha256(path) for path in files if path != self.progress_path
        }
        self.save_card(card)
        self.progress_path.unlink(missing_ok=True)

    def require_intact(self, path: Path) -> None:
        """Raise a UserError if a file of the run is not the one that `finish` recorded in the card.

        Files of runs that old versions trained are not in their cards, and pass.
        """
        expected = self.card.checksums.get(path.relative_to(self.folder).as_posix())
        if expected and sha256(path) != expected:
            raise damaged_file(path, ValueError(f"its SHA-256 is not the one in {self.card_path.name}"))

    def _read_tensors(self, path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Return the tensors of a file of the run, as `read_tensors` does, if it is intact."""
        found = read_tensors(path)
        if self.card_path.exists():
            self.require_intact(path)
        return found
