"""One trial of a search: a training with suggested settings, scored by its lowest validation loss."""

import shutil
from contextlib import suppress
from typing import NoReturn

import numpy as np
from optuna import Study, Trial, TrialPruned
from optuna.exceptions import UpdateFinishedTrialError
from optuna.samplers import TPESampler
from pydantic import ValidationError

from pipeline.card import Epoch
from pipeline.config.recipe import Recipe
from pipeline.config.settings import first_error
from pipeline.data.table import DigitTable
from pipeline.errors import UserError
from pipeline.search.study import Search
from pipeline.sources.source import Source
from pipeline.training.network import train_network
from pipeline.training.optim.divergence import DivergedError
from pipeline.utils.device_errors import DeviceMemoryError
from pipeline.utils.processes.interrupts import defer_interrupts

SCHEDULE_STEPS = 1000
"""Steps per schedule at which the losses of trials are compared."""
TRIAL_ERRORS = (RuntimeError, ArithmeticError)
"""Errors that torch raises for incompatible settings. Other errors are bugs and end the worker."""


def run_trial(search: Search, study: Study) -> int:
    """Run one trial, store its result in the study, and return its number.

    Raises:
        UserError: an error that the next trial would hit as well, such as a full disk.
    """
    numbers = []

    def objective(trial: Trial) -> float:
        numbers.append(trial.number)
        return _validation_loss(search, trial)

    with suppress(UpdateFinishedTrialError):  # after a suspend, another worker may have marked the trial as failed
        study.optimize(objective, n_trials=1, catch=TRIAL_ERRORS)
    return numbers[0]


def _validation_loss(search: Search, trial: Trial) -> float:
    """Train with the trial's suggested settings; return the validation loss of the kept epoch, in nats.

    Settings that are incompatible, diverge, or run out of memory are pruned and not failed, because the sampler avoids
    pruned settings but ignores failed trials.

    Raises:
        TrialPruned: the settings are unusable, or the loss is worse than the median.
    """
    recipe = _recipe_of(search, trial).model_copy(update={"line_updates": 0})  # that network changes no loss here

    def report(epoch: Epoch) -> None:
        assert epoch.validation_loss is not None, "the recipe has validation rows"
        # Steps are fractions of the schedule, because trials may differ in their number of epochs.
        step = int(SCHEDULE_STEPS * epoch.epoch // recipe.epochs)
        with defer_interrupts():  # a transaction that is interrupted leaves a session that cannot store the failure
            trial.report(epoch.validation_loss, step)
            pruned = 1 < epoch.epoch < recipe.epochs and trial.should_prune()
        if pruned:
            raise TrialPruned

    folder = search.folder / f"trial-{trial.number}"
    shutil.rmtree(folder, ignore_errors=True)  # left by a deleted study
    source = Source(search.source, search.folder, "", lambda: search.table, _no_test_rows, search.data_dir)
    try:
        run = train_network(recipe, source, str(folder), on_epoch=report, quiet=True)
    except DivergedError:
        _prune(trial, "diverged")
    except DeviceMemoryError:
        _prune(trial, "out of memory")
    except TRIAL_ERRORS as error:
        trial.set_user_attr("reason", f"{type(error).__name__} {error}".splitlines()[0])
        raise
    except KeyboardInterrupt:
        trial.set_user_attr("reason", "stopped")
        raise
    scores = run.card.scores
    trial.set_user_attr("validation_accuracy", scores["validation_accuracy"])
    trial.set_user_attr("validation_rows", run.card.validation_rows)
    return scores["validation_loss"]


def _recipe_of(search: Search, trial: Trial) -> Recipe:
    """Return the recipe with the suggested settings, which depend only on the recipe's seed and the earlier trials."""
    seed = np.random.SeedSequence([search.recipe.seed, trial.number]).generate_state(1)[0]
    trial.study.sampler = TPESampler(seed=int(seed))
    try:
        return search.with_settings(search.space.suggest(trial))
    except ValidationError as error:
        _prune(trial, first_error(error, Recipe.model_fields)[1])


def _prune(trial: Trial, reason: str) -> NoReturn:
    """Store the reason and prune the trial."""
    trial.set_user_attr("reason", reason)
    raise TrialPruned(reason) from None


def _no_test_rows() -> DigitTable:
    """Raise a UserError, because a search must not use test rows."""
    raise UserError("a search must not read the test rows; evaluate on them once, after the search")
