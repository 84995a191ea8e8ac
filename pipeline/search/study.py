"""A study: what a search has tried, kept by Optuna in a file or a database that all of its workers share."""

import json
import math
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.recipe import Recipe
from pipeline.data.table import DigitTable
from pipeline.errors import UserError
from pipeline.metrics.interval import accuracy_in_words
from pipeline.search.space import SearchSpace
from pipeline.utils.files import require_writable
from pipeline.utils.imports import INSTALL, missing_package

try:
    import optuna
    from optuna.exceptions import ExperimentalWarning, StorageInternalError
    from optuna.pruners import MedianPruner
    from optuna.storages import RDBStorage
    from optuna.study import Study
    from optuna.trial import FrozenTrial, TrialState
    from sqlalchemy.engine import URL, make_url
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError
except ImportError as error:
    raise missing_package(error) from None

HEARTBEAT = 10
"""Seconds between two signs of life of a trial."""
GRACE = 60
"""Seconds without one after which a trial counts as failed, for its worker is dead."""
LOCKED = 60
"""Seconds that a worker waits for others to write to an SQLite file."""
ATTEMPTS = 50
"""Times that a study's tables are looked for, a fifth of a second apart, while others make them."""
MADE_BY_ANOTHER = ("already exists", "UNIQUE constraint failed")
"""What PostgreSQL and SQLite say of a table or a row that is there."""
SHOWN = 5
"""Trials in the table of the best."""
ENOUGH = 10
"""Complete trials without which importances mean nothing."""
HEADER = "trial  validation loss  accuracy  epochs  minutes  ended     settings"
ENDS = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


@dataclass(frozen=True)
class Search:
    """What is searched, on what, and where it is kept: all that a worker is told.

    Attributes:
        recipe: what each trial trains, but for the settings that it draws; some rows are set aside.
        space: what they are drawn from.
        table: the labelled rows; a search is given no others.
        source: the name of where these come from.
        folder: for what a search leaves.
        url: of the study's database, as SQLAlchemy takes it.
    """

    recipe: Recipe
    space: SearchSpace
    table: DigitTable
    source: str
    folder: Path
    url: str

    def open(self) -> Study:
        """Return the study that is named as the recipe, as it is or new.

        A trial is pruned when its lowest validation loss is above the median of those that complete trials had at the
        same place in their schedules, if there are five of these.

        Raises:
            UserError: there is no such database, it cannot be used, or its study has another subject.
        """
        study = optuna.create_study(
            storage=_open_storage(self.url),
            pruner=MedianPruner(n_min_trials=5),
            study_name=self.recipe.name,
            direction="minimize",
            load_if_exists=True,
        )
        kept, subject = study.user_attrs.get("subject"), self.subject
        if kept is None:
            study.set_user_attr("subject", subject)
        elif kept != subject:
            raise UserError(
                f'{shown(self.url)}: the study "{self.recipe.name}" began with {_difference(kept, subject)}; use these '
                "again, or give the recipe another name or the search another --storage"
            )
        return study

    def with_settings(self, settings: dict[str, Any]) -> Recipe:
        """Return the recipe with these settings for its own; a ValidationError where they exclude one another."""
        return Recipe.model_validate(self.recipe.model_dump() | settings)

    @property
    def subject(self) -> dict[str, Any]:
        """What must be the same in all trials of a study for them to be compared, as JSON can hold it."""
        said = {"name", "summary", *self.space.settings}
        subject = {
            "settings": self.recipe.model_dump(exclude=said),
            "search space": self.space.as_json(),
            "data": self.table.fingerprint.digest,
        }
        kept: dict[str, Any] = json.loads(json.dumps(subject))
        return kept


def _open_storage(url: str) -> RDBStorage:
    """Return the database of that URL, whose tables are made where they are missing."""
    address = _parsed(url)
    sqlite = address.get_backend_name() == "sqlite"
    if sqlite:
        require_writable(Path(address.database or ""))
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # how trials end is told in the project's own words
    arguments = {"connect_args": {"timeout": LOCKED}} if sqlite else {"pool_pre_ping": True}
    attempts = ATTEMPTS
    while True:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)  # of the heartbeat
                return RDBStorage(url, arguments, heartbeat_interval=HEARTBEAT, grace_period=GRACE)
        except (SQLAlchemyError, StorageInternalError) as error:
            # Searches that begin at once all find no tables, and all but one find each of them made by another.
            attempts -= 1
            if not attempts or not any(words in _words_of(error) for words in MADE_BY_ANOTHER):
                raise
        time.sleep(0.2)


def _parsed(url: str) -> URL:
    """Return the parts of a database's URL; a UserError where it is none that processes can share."""
    try:
        address = make_url(url)
        address.get_dialect().import_dbapi()
    except (ArgumentError, ImportError) as error:
        raise UserError(
            f"--storage {shown(url)}: {str(error).splitlines()[0]}; write sqlite:///FILE or "
            f"postgresql://USER@HOST/DATABASE, whose driver psycopg: {INSTALL}"
        ) from None
    if address.get_backend_name() == "sqlite" and address.database in (None, "", ":memory:"):
        raise UserError(f"--storage {url}: workers cannot share memory; write sqlite:///FILE")
    return address


def shown(url: str) -> str:
    """Return a URL without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return url


@contextmanager
def faults_told(url: str) -> Iterator[None]:
    """Turn what a database has to complain of into one line."""
    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        raise UserError(
            f"{shown(url)}: {_words_of(error).splitlines()[0]}; see that the database is up and that you may write to "
            "it; the same command then goes on"
        ) from error


def _words_of(error: Exception) -> str:
    """Return what the database itself said."""
    origin = error.__cause__ if isinstance(error, StorageInternalError) else error
    return str(getattr(origin, "orig", None) or origin or error)


def _difference(kept: dict[str, Any], subject: dict[str, Any]) -> str:
    """Return in words what of a study's subject is no longer as it was."""
    words = []
    for part, now in subject.items():
        before = kept.get(part)
        if before != now and isinstance(before, dict):
            keys = sorted(key for key in before | now if before.get(key) != now.get(key))
            words.append(f"other {part} ({', '.join(keys)})")
        elif before != now:
            words.append(f"other {part}")
    return " and ".join(words)


def best(study: Study) -> FrozenTrial | None:
    """Return the complete trial with the lowest validation loss; None where none is complete."""
    complete = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    return min(complete, key=_loss_of, default=None)


def _loss_of(trial: FrozenTrial) -> float:
    """Return a trial's validation loss in nats; of one that is not complete the lowest of its epochs, or infinity."""
    if trial.state == TrialState.COMPLETE and trial.value is not None:
        return trial.value
    return min(trial.intermediate_values.values(), default=math.inf)


def line(trial: FrozenTrial) -> str:
    """Return a trial as a line under `HEADER`."""
    loss = f"{_loss_of(trial):.4f}" if trial.intermediate_values else "-"
    accuracy = trial.user_attrs.get("validation_accuracy")
    settings = " ".join(f"{key}={_value_in_words(value)}" for key, value in trial.params.items())
    reason = trial.user_attrs.get("reason")
    return (
        f"{trial.number:5}  {loss:>15}  {'-' if accuracy is None else f'{accuracy:.2%}':>8}  "
        f"{len(trial.intermediate_values):6}  {_minutes(trial):7.1f}  {ENDS.get(trial.state, 'running'):8}  {settings}"
        f"{f' ({reason})' if reason else ''}"
    )


def _minutes(trial: FrozenTrial) -> float:
    """Return the minutes that a trial took, or 0 while it runs."""
    return trial.duration.total_seconds() / 60 if trial.duration else 0.0


def _value_in_words(value: Any) -> str:
    """Return a setting's value with as many digits as matter to a reader."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def standing(study: Study) -> str:
    """Return the best trials as a table, and how all of them ended."""
    trials = study.get_trials(deepcopy=False)
    leading = sorted((trial for trial in trials if trial.state == TrialState.COMPLETE), key=_loss_of)[:SHOWN]
    ends = Counter(ENDS.get(trial.state, "running") for trial in trials)
    counts = ", ".join(f"{number} {end}" for end, number in sorted(ends.items()))
    return "\n".join([HEADER, *map(line, leading), f"{len(trials)} trials: {counts}"])


def losses(study: Study) -> tuple[dict[int, float], dict[int, float]]:
    """Return the validation loss of each complete trial, by its number, and the lowest that each pruned one came to."""
    complete, pruned = (
        {trial.number: _loss_of(trial) for trial in study.get_trials(deepcopy=False, states=[state])}
        for state in (TrialState.COMPLETE, TrialState.PRUNED)
    )
    return complete, {number: loss for number, loss in pruned.items() if math.isfinite(loss)}


def importances(study: Study) -> dict[str, float]:
    """Return how much each setting tells the best tenth of the complete trials from the rest; the shares sum to 1.

    By PED-ANOVA (Watanabe et al. 2023, arXiv:2304.10255). Empty where fewer than ten trials are complete.
    """
    if len(study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])) < ENOUGH:
        return {}
    return optuna.importance.get_param_importances(study)


def accuracy(trial: FrozenTrial) -> str:
    """Return the validation accuracy of a complete trial with its interval."""
    rows = trial.user_attrs["validation_rows"]
    return accuracy_in_words(round(trial.user_attrs["validation_accuracy"] * rows), rows)
