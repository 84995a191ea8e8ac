"""Readers: the predictors behind the page, one for each run that somebody chose."""

import os
from functools import lru_cache
from pathlib import Path
from threading import Semaphore

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from pipeline import Predictor, Reading, Run, UserError

MAX_PREDICTORS = 8
"""Predictors held at a time."""


class PredictorPool:
    """Reads pictures by any run, as many at a time as there are cores, each on one thread.

    More at a time would be slower for all, and large photographs would fill the memory.
    """

    def __init__(self, run: str | Path) -> None:
        """Load the run that the page begins with.

        Raises:
            UserError: there is no such run, or it is damaged.
        """
        torch.set_num_threads(1)
        self.first = Run.open(run)
        self.slots = Semaphore(os.cpu_count() or 1)
        self.predictor = lru_cache(MAX_PREDICTORS)(Predictor.load)
        blank = np.full((28, 28), 255, dtype=np.uint8)
        blank[4:24, 13:16] = 0
        self.read(blank, self.first.folder.name)  # the first reading is slow, and nobody should wait for it

    @property
    def runs(self) -> dict[str, Run]:
        """The runs to choose from by name: that which the page begins with, then those in `checkpoints/`."""
        return {run.folder.name: run for run in (self.first, *reversed(Run.every()), self.first)}

    def read(self, picture: Image.Image | Path | NDArray[np.uint8], run: str) -> Reading:
        """Return what a run reads in a picture.

        Raises:
            UserError: the picture is not one, or too large, or the run is gone or damaged.
        """
        predictor = self.chosen(run)
        try:
            with self.slots:
                return predictor.read(picture)
        except UserError as error:
            if not isinstance(picture, Path):
                raise
            # A person knows the file by its name; the folder is this machine's affair.
            raise UserError(str(error).replace(f"{picture.parent}/", "")) from None

    def saliency(self, reading: Reading, run: str) -> NDArray[np.float32] | None:
        """Return where a run looked, float32 (N, 28, 28), in a reading's N glyphs; None where it knew no digits."""
        predictor, digits = self.chosen(run), reading.predictions.digits
        if digits is None:
            return None
        with self.slots:
            return predictor.saliency(np.stack([glyph.frame for glyph in reading.glyphs]), digits)

    def chosen(self, run: str) -> Predictor:
        """Return the predictor of a run that is to choose from, loaded when it is first asked for."""
        found = self.runs.get(run)
        if found is None:
            raise UserError(f"There is no run {run} any more; choose another in the tab Runs.")
        return self.predictor(found.folder)
