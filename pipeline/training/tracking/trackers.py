"""Experiment trackers: trackio, Weights & Biases and MLflow, through Accelerate's classes for them."""

import io
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from importlib import import_module
from importlib.util import find_spec
from textwrap import shorten
from typing import Any

from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker

from pipeline.config.fine_tuning import FineTuning
from pipeline.config.recipe import Recipe
from pipeline.errors import UserError, did_you_mean
from pipeline.run import Run

TRACKERS = ("tensorboard", "trackio", "wandb", "mlflow")
"""Values of `--tracker`. Events for TensorBoard are in every run, if it is installed."""
PROJECT = "digit-recognizer"
"""Name of the project in a tracker, unless WANDB_PROJECT, TRACKIO_PROJECT or MLFLOW_EXPERIMENT_NAME is set."""
MLFLOW_LIMITS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "15"}
"""Environment variables that are set unless the user has set them: MLflow would wait for minutes for its server."""
WANDB_LIMITS = {"init_timeout": 30, "finish_timeout": 60, "finish_timeout_raises": True}
"""Seconds that Weights & Biases may take to start a run, and to send what is left when the training ends."""

MAX_REASON_CHARACTERS = 160
"""Longest part of an error's message that is shown."""

log = logging.getLogger(__name__)


def require_tracker(name: str) -> None:
    """Raise a UserError if the tracker is unknown or not installed."""
    if name not in TRACKERS:
        raise UserError(f"no tracker {name}{did_you_mean(name, TRACKERS)} (known: {', '.join(TRACKERS)})")
    spec = find_spec(name)
    if spec is None or spec.origin is None:  # a folder of that name, which a tracker may leave, has no origin
        raise UserError(f"{name} is not installed; run: pip install {name}")


class TrackedRun:
    """A run in a tracker: new, or resumed if the run's card names it.

    If the tracker fails, one warning says so, and the training continues without it.

    Args:
        name: one of `TRACKERS` except tensorboard.
        run: the run, which has a card.
        recipe: its recipe; the settings are the parameters of a new run in the tracker.
        quiet: whether the tracker prints nothing.
    """

    def __init__(self, name: str, run: Run, recipe: Recipe | FineTuning, *, quiet: bool) -> None:
        self.name, self.quiet = name, quiet
        self.tracker: GeneralTracker | None = None
        with self._report_failure():
            known = run.card.trackers.get(name)
            for variable, value in MLFLOW_LIMITS.items():
                os.environ.setdefault(variable, value)
            project = os.environ.get(f"{name.upper()}_PROJECT", PROJECT)
            tracker = LOGGER_TYPE_TO_CLASS[name](project, **_arguments(name, run, known))
            tracker.start()
            self.tracker = tracker
            if known is None:
                tracker.store_init_configuration(recipe.model_dump(mode="json"))
                identifier = _identifier(name, tracker.tracker)
                run.save_card(run.card.model_copy(update={"trackers": run.card.trackers | {name: identifier}}))

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Log metrics at a step."""
        with self._report_failure():
            if self.tracker is not None:
                self.tracker.log(dict(metrics), step=step)

    def finish(self) -> None:
        """Send what is left, and end the run in the tracker. It can be resumed."""
        with self._report_failure():
            self._end()

    def _end(self) -> None:
        """End the run in the tracker, which is not used again."""
        tracker, self.tracker = self.tracker, None
        if tracker is not None:
            # Accelerate's method lets trackio finish the run once more when the process ends.
            (import_module("trackio") if self.name == "trackio" else tracker).finish()

    @contextmanager
    def _report_failure(self) -> Iterator[None]:
        """Warn once if the tracker fails in the block, and ignore it from then on; if `quiet`, hide what it prints."""
        with ExitStack() as hidden:
            if self.quiet:
                hidden.enter_context(redirect_stdout(io.StringIO()))
                hidden.enter_context(redirect_stderr(io.StringIO()))
            try:
                yield
            except Exception as error:  # whatever a tracker raises must not end the training
                with suppress(Exception):
                    self._end()  # MLflow has one active run in a process, and would refuse the next one
                reason = shorten(str(error) or type(error).__name__, MAX_REASON_CHARACTERS, placeholder="...")
                log.warning("%s failed: %s; the training continues without it", self.name, reason)


def _arguments(name: str, run: Run, identifier: str | None) -> dict[str, Any]:
    """Return the arguments of Accelerate's tracker for a new run, or for one that has an identifier in the tracker."""
    title = run.folder.name
    match name:
        case "wandb":
            place = {"dir": str(run.folder), "settings": WANDB_LIMITS}
            return {"name": title, "id": identifier, "resume": "allow", **place}
        case "trackio":
            return {"name": identifier or title, "resume": "allow" if identifier else "never"}
    return {"run_name": title, "run_id": identifier, "nested_run": True}


def _identifier(name: str, started: Any) -> str:
    """Return the identifier of a run that was started in a tracker."""
    match name:
        case "wandb":
            return str(started.id)
        case "trackio":
            return str(started.name)
    return str(started.info.run_id)
