"""One trial of a search: a training with settings that the study draws, worth the lowest validation loss it reaches."""

import shutil
from contextlib import suppress
from typing import NoReturn

import numpy as np
import torch
from optuna import Study, Trial, TrialPruned
from optuna.exceptions import UpdateFinishedTrialError
from optuna.samplers import TPESampler
from pydantic import ValidationError

from pipeline.card import Epoch
from pipeline.config.recipe import Recipe
from pipeline.config.settings import first_fault
from pipeline.data.table import DigitTable
from pipeline.errors import UserError
from pipeline.search.study import Search
from pipeline.sources.source import Source
from pipeline.training.network import train_network
from pipeline.training.trainer import DivergedError

PLACES = 1000
"""In a training's schedule, at which the losses of trials are compared."""
FAULTS = (RuntimeError, ArithmeticError)
"""What torch raises where settings do not go together; other errors are ours, and end a worker."""


def one_trial(search: Search, study: Study) -> int:
    """Do one trial, keep in the study how it ended, and return its number.

    Raises:
        UserError: something is wrong that the next trial would meet as well, such as a full disk.
    """
    numbers = []

    def objective(trial: Trial) -> float:
        numbers.append(trial.number)
        return _validation_loss(search, trial)

    with suppress(UpdateFinishedTrialError):  # the machine slept, and another took the trial for dead
        study.optimize(objective, n_trials=1, catch=FAULTS)
    return numbers[0]


def _validation_loss(search: Search, trial: Trial) -> float:
    """Train with the settings that the trial draws; return the validation loss of the epoch that is kept, in nats.

    Settings that lead nowhere (they exclude one another, diverge, or need more memory than there is) are pruned, so
    that the sampler learns to keep away from them; of trials that fail it takes no notice.

    Raises:
        TrialPruned: the trial is not worth going on with.
    """
    recipe = _recipe_of(search, trial)

    def judge(epoch: Epoch) -> None:
        assert epoch.validation_loss is not None, "some rows are set aside"
        # A schedule's place, not its epoch: trials of other lengths are compared where that is the same.
        trial.report(epoch.validation_loss, int(PLACES * epoch.epoch // recipe.epochs))
        if 1 < epoch.epoch < recipe.epochs and trial.should_prune():
            raise TrialPruned

    folder = search.folder / f"trial-{trial.number}"
    shutil.rmtree(folder, ignore_errors=True)  # of another study, that was deleted
    source = Source(search.source, search.folder, "", lambda: search.table, _no_test_rows)
    try:
        run = train_network(recipe, source, str(folder), on_epoch=judge, quiet=True)
    except DivergedError:
        _prune(trial, "diverged")
    except torch.OutOfMemoryError:
        _prune(trial, "out of memory")
    except FAULTS as error:
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
    """Return the recipe with what the trial draws, which depends on the recipe's seed and the earlier trials alone."""
    seed = np.random.SeedSequence([search.recipe.seed, trial.number]).generate_state(1)[0]
    trial.study.sampler = TPESampler(seed=int(seed))
    try:
        return search.with_settings(search.space.suggest(trial))
    except ValidationError as error:
        _prune(trial, first_fault(error, Recipe.model_fields)[1])


def _prune(trial: Trial, reason: str) -> NoReturn:
    """End a trial, and keep why."""
    trial.set_user_attr("reason", reason)
    raise TrialPruned(reason) from None


def _no_test_rows() -> DigitTable:
    """Refuse what a search must not look at."""
    raise UserError("a search looks at no test part; ask for its rows after it, once")
