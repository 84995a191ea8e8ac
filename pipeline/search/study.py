"""A study: the trials of a search, stored by Optuna in a file or a database that all workers share."""

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
from pipeline.metrics.interval import format_accuracy
from pipeline.search.space import SearchSpace
from pipeline.utils.files import require_writable
from pipeline.utils.imports import install_command, missing_package

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
    raise missing_package(error, "optuna") from None

HEARTBEAT_SECONDS = 10
"""Interval between two heartbeats of a trial."""
GRACE_SECONDS = 60
"""Time without a heartbeat after which a trial counts as failed, because its worker is dead."""
LOCK_TIMEOUT_SECONDS = 60
"""Time that a worker waits for the lock of an SQLite file."""
MAX_ATTEMPTS = 50
"""Attempts to open a study while other processes create its tables."""
RETRY_SECONDS = 0.2
"""Pause between two attempts."""
ALREADY_EXISTS = ("already exists", "UNIQUE constraint failed")
"""Messages of PostgreSQL and SQLite about an existing table or row."""
TABLE_ROWS = 5
"""Trials in the table of the best."""
MIN_TRIALS_FOR_IMPORTANCES = 10
"""Minimum number of complete trials for meaningful importances."""
HEADER = "trial  validation loss  accuracy  epochs  minutes  ended     settings"
STATE_NAMES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


@dataclass(frozen=True)
class Search:
    """Everything that a worker needs: the recipe, the search space, the data and the database.

    Attributes:
        recipe: the recipe that each trial trains with suggested settings; it has validation rows.
        space: the search space.
        table: the labelled rows; a search never receives test rows.
        source: name of the data source.
        folder: output folder of the search.
        url: SQLAlchemy URL of the study's database.
        data_dir: the data folder, which also stores the extra training data of recipes.
    """

    recipe: Recipe
    space: SearchSpace
    table: DigitTable
    source: str
    folder: Path
    url: str
    data_dir: Path

    def open(self) -> Study:
        """Open the study with the name of the recipe; create it if it does not exist.

        A trial is pruned if its lowest validation loss is above the median of the complete trials at the same point of
        their schedules. Pruning starts after five complete trials.

        Raises:
            UserError: the database does not exist or cannot be used, or its study searches something else.
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
                f'{hide_password(self.url)}: the study "{self.recipe.name}" started with '
                f"{_describe_difference(kept, subject)}; use the earlier ones, or give the recipe another name or the "
                "search another --storage"
            )
        return study

    def with_settings(self, settings: dict[str, Any]) -> Recipe:
        """Return the recipe with these settings; raise a ValidationError if they are incompatible."""
        return Recipe.model_validate(self.recipe.model_dump() | settings)

    @property
    def subject(self) -> dict[str, Any]:
        """The values that all trials of a study must share to be comparable, as JSON."""
        excluded = {"name", "summary", *self.space.settings}
        subject = {
            "settings": self.recipe.model_dump(exclude=excluded),
            "search space": self.space.as_json(),
            "data": self.table.fingerprint.digest,
        }
        as_json: dict[str, Any] = json.loads(json.dumps(subject))
        return as_json


def _open_storage(url: str) -> RDBStorage:
    """Open the database at a URL and create its tables if they are missing."""
    address = _parse_url(url)
    sqlite = address.get_backend_name() == "sqlite"
    if sqlite:
        require_writable(Path(address.database or ""))
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # the search logs its own trial lines
    arguments = {"connect_args": {"timeout": LOCK_TIMEOUT_SECONDS}} if sqlite else {"pool_pre_ping": True}
    attempts = MAX_ATTEMPTS
    while True:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)  # heartbeats are experimental
                return RDBStorage(url, arguments, heartbeat_interval=HEARTBEAT_SECONDS, grace_period=GRACE_SECONDS)
        except (SQLAlchemyError, StorageInternalError) as error:
            # Searches that start at the same time all try to create the tables; all but one fail.
            attempts -= 1
            if not attempts or not any(text in _database_message(error) for text in ALREADY_EXISTS):
                raise
        time.sleep(RETRY_SECONDS)


def _parse_url(url: str) -> URL:
    """Return a parsed database URL; raise a UserError if it is not valid or processes cannot share the database."""
    try:
        address = make_url(url)
        address.get_dialect().import_dbapi()
    except (ArgumentError, ImportError) as error:
        raise UserError(
            f"--storage {hide_password(url)}: {str(error).splitlines()[0]}; write sqlite:///FILE or "
            f"postgresql://USER@HOST/DATABASE; to install its driver, psycopg: {install_command('psycopg')}"
        ) from None
    if address.get_backend_name() == "sqlite" and address.database in (None, "", ":memory:"):
        raise UserError(f"--storage {url}: workers cannot share an in-memory database; write sqlite:///FILE")
    return address


def hide_password(url: str) -> str:
    """Return a URL with its password masked."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return url


@contextmanager
def storage_errors(url: str) -> Iterator[None]:
    """Convert database errors to a UserError of one line."""
    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        raise UserError(
            f"{hide_password(url)}: {_database_message(error).splitlines()[0]}; check that the database is running, "
            "that you have write access, and that its disk has free space; then run the same command again"
        ) from error


def _database_message(error: Exception) -> str:
    """Return the message of the database driver."""
    origin = error.__cause__ if isinstance(error, StorageInternalError) else error
    return str(getattr(origin, "orig", None) or origin or error)


def _describe_difference(kept: dict[str, Any], subject: dict[str, Any]) -> str:
    """Return a description of the parts of a study's subject that have changed."""
    changes = []
    for part, now in subject.items():
        before = kept.get(part)
        if before != now and isinstance(before, dict):
            keys = sorted(key for key in before | now if before.get(key) != now.get(key))
            changes.append(f"other {part} ({', '.join(keys)})")
        elif before != now:
            changes.append(f"other {part}")
    return " and ".join(changes)


def best_trial(study: Study) -> FrozenTrial | None:
    """Return the complete trial with the lowest validation loss, or None if no trial is complete."""
    complete = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    return min(complete, key=_loss_of, default=None)


def _loss_of(trial: FrozenTrial) -> float:
    """Return a trial's validation loss in nats; if it is not complete, the lowest of its epochs, or infinity."""
    if trial.state == TrialState.COMPLETE and trial.value is not None:
        return trial.value
    return min(trial.intermediate_values.values(), default=math.inf)


def format_trial(trial: FrozenTrial) -> str:
    """Return a trial as a table row under `HEADER`."""
    loss = f"{_loss_of(trial):.4f}" if trial.intermediate_values else "-"
    accuracy = trial.user_attrs.get("validation_accuracy")
    settings = " ".join(f"{key}={_format_value(value)}" for key, value in trial.params.items())
    reason = trial.user_attrs.get("reason")
    state = STATE_NAMES.get(trial.state, "running")
    return (
        f"{trial.number:5}  {loss:>15}  {'-' if accuracy is None else f'{accuracy:.2%}':>8}  "
        f"{len(trial.intermediate_values):6}  {_minutes(trial):7.1f}  {state:8}  {settings}"
        f"{f' ({reason})' if reason else ''}"
    )


def _minutes(trial: FrozenTrial) -> float:
    """Return the duration of a trial in minutes, or 0 while it runs."""
    return trial.duration.total_seconds() / 60 if trial.duration else 0.0


def _format_value(value: Any) -> str:
    """Return a setting's value as text, floats with three significant digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def format_summary(study: Study) -> str:
    """Return a table of the best trials, and the number of trials in each state."""
    trials = study.get_trials(deepcopy=False)
    leading = sorted((trial for trial in trials if trial.state == TrialState.COMPLETE), key=_loss_of)[:TABLE_ROWS]
    states = Counter(STATE_NAMES.get(trial.state, "running") for trial in trials)
    counts = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    return "\n".join([HEADER, *map(format_trial, leading), f"{len(trials)} trials: {counts}"])


def trial_losses(study: Study) -> tuple[dict[int, float], dict[int, float]]:
    """Return the validation losses of the complete trials and the lowest losses of the pruned ones, by trial number."""
    complete, pruned = (
        {trial.number: _loss_of(trial) for trial in study.get_trials(deepcopy=False, states=[state])}
        for state in (TrialState.COMPLETE, TrialState.PRUNED)
    )
    return complete, {number: loss for number, loss in pruned.items() if math.isfinite(loss)}


def setting_importances(study: Study) -> dict[str, float]:
    """Return how well each setting separates the best tenth of the complete trials from the rest; the values sum to 1.

    Method: PED-ANOVA (Watanabe et al. 2023, arXiv:2304.10255). The result is empty with fewer than ten complete trials.
    """
    if len(study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])) < MIN_TRIALS_FOR_IMPORTANCES:
        return {}
    return optuna.importance.get_param_importances(study)


def format_validation_accuracy(trial: FrozenTrial) -> str:
    """Return the validation accuracy of a complete trial with its confidence interval."""
    rows = trial.user_attrs["validation_rows"]
    return format_accuracy(round(trial.user_attrs["validation_accuracy"] * rows), rows)
