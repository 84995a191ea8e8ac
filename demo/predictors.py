"""Predictors of the page, one per run in use."""

import os
from functools import lru_cache
from pathlib import Path
from threading import Semaphore

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from pipeline import Activations, Predictions, Predictor, Reading, Run, UserError

MAX_PREDICTORS = 8
"""Maximum number of predictors in memory."""

SALIENCY_PATCHES = 5
"""Number of pieces of ink for which a saliency map shows the evidence: as many as a person can read."""


class PredictorPool:
    """Reads pictures with any run, one picture per CPU core at a time, each on one thread.

    More parallel readings would be slower overall, and large photos would exhaust the memory.
    """

    def __init__(self, run: str | Path) -> None:
        """Load the default run.

        Raises:
            UserError: the run does not exist or is damaged.
        """
        torch.set_num_threads(1)
        self.first = Run.open(run)
        self.slots = Semaphore(os.cpu_count() or 1)
        self._load = lru_cache(MAX_PREDICTORS)(lambda folder, _version: Predictor.load(folder))
        blank = np.full((28, 28), 255, dtype=np.uint8)
        blank[4:24, 13:16] = 0
        self.read(blank, self.first.folder.name)  # warm-up: the first reading is slow

    @property
    def runs(self) -> dict[str, Run]:
        """The available runs by name: the default run, then those in `checkpoints/`."""
        return {run.folder.name: run for run in (self.first, *reversed(Run.every()), self.first)}

    def read(self, picture: Image.Image | Path | NDArray[np.uint8], run: str) -> Reading:
        """Return the reading of a picture with a run.

        Raises:
            UserError: the picture is not valid or too large, or the run is missing or damaged.
        """
        predictor = self.predictor_of(run)
        try:
            with self.slots:
                return predictor.read(picture)
        except UserError as error:
            if not isinstance(picture, Path):
                raise
            # Visitors must not see the temporary folder.
            raise UserError(str(error).replace(f"{picture.parent}/", "")) from None

    def saliency(self, reading: Reading, run: str) -> NDArray[np.float32] | None:
        """Return the saliency of a reading's N glyphs by pieces of ink, float32 (N, 28, 28).

        None if the run predicts only parity.
        """
        predictor, digits = self.predictor_of(run), reading.predictions.digits
        if digits is None:
            return None
        with self.slots:
            return predictor.saliency(np.stack([glyph.frame for glyph in reading.glyphs]), digits, SALIENCY_PATCHES)

    def activations(self, frame: NDArray[np.uint8], run: str) -> tuple[Activations, Predictions, float]:
        """Return what each layer of a run's network computes for a digit, its prediction, and the run's temperature.

        Args:
            frame: the digit as the network sees it, uint8 (28, 28).
            run: name of the run.

        Raises:
            UserError: the run is missing or damaged, or it predicts only parity.
        """
        predictor = self.predictor_of(run)
        with self.slots:
            return predictor.activations(frame), predictor.predict(frame[np.newaxis]), predictor.temperature

    def predictor_of(self, run: str) -> Predictor:
        """Return the predictor of a run, loaded at first use and whenever the run has changed.

        Raises:
            UserError: the run does not exist or is damaged.
        """
        found = self.runs.get(run)
        if found is None:
            raise UserError(f"The run {run} no longer exists; choose another in the tab Models.")
        files = [path for path in (found.model_path, found.card_path) if path.exists()]
        return self._load(found.folder, tuple(path.stat().st_mtime_ns for path in files))
