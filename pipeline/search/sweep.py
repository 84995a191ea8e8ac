"""Hyperparameter search: trains a recipe with different settings to minimise the validation loss."""

import logging
import shutil
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock
from tqdm import tqdm

from pipeline.config.recipe import Recipe
from pipeline.errors import UserError
from pipeline.search.space import SearchSpace
from pipeline.search.study import (
    HEADER,
    Search,
    best_trial,
    format_summary,
    format_trial,
    format_validation_accuracy,
    hide_password,
    setting_importances,
    storage_errors,
    trial_losses,
)
from pipeline.sources.source import Source
from pipeline.utils.files import require_writable
from pipeline.utils.processes.workers import deal
from pipeline.utils.progress import hide_bar

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

log = logging.getLogger(__name__)
package_log = logging.getLogger("pipeline")

SWEEPS = Path("sweeps")
DEFAULT_VALIDATION_FRACTION = 0.1
"""Fraction of validation rows if the recipe has none; trials are compared on these rows."""


def sweep(
    recipe: Recipe,
    source: Source,
    space: SearchSpace,
    trials: int,
    *,
    storage: str | None = None,
    jobs: int = 1,
    quiet: bool = False,
) -> Path:
    """Search settings on a source's labelled rows; return the recipe file of the best trial, `sweeps/NAME/best.yaml`.

    The study has the name of the recipe. An existing study is continued. The folder also receives `best/`, the run of
    the best trial if it was trained in this folder, and figures of the search. An interrupt stops all workers and
    still writes these files.

    Args:
        recipe: the recipe to train.
        source: the source of the labelled rows.
        space: the settings to vary.
        trials: number of trials to add to the study, 1 or more; pruned and failed trials count.
        storage: SQLAlchemy URL of the study's database; None means a file in the same folder.
        jobs: number of parallel worker processes.
        quiet: show no progress bar.

    Raises:
        UserError: the rows are invalid, the database cannot be used or has another study, or no trial completed.
    """
    recipe = _require_validation_rows(recipe)
    folder = SWEEPS / recipe.name
    require_writable(folder / "best.yaml")
    url = storage or f"sqlite:///{folder / 'study.db'}"
    search = Search(recipe, space, source.read_train(), source.name, folder, url, source.data_dir)
    with storage_errors(url):
        study = search.open()
        log.info("Study: %s, %d earlier trials\n%s", hide_password(url), len(study.get_trials(deepcopy=False)), HEADER)
        try:
            _run_trials(search, study, trials, jobs, quiet)
        except KeyboardInterrupt:
            log.warning("Stopped. Run the same command again to continue the study.")
            raise
        finally:
            _keep_best_run(search, study)
            _report_results(search, study)
        if not best_trial(study):
            raise UserError(
                f"{hide_password(url)}: no trial completed; see the reasons above, then add trials or narrow the space"
            )
    return folder / "best.yaml"


def _require_validation_rows(recipe: Recipe) -> Recipe:
    """Return the recipe, with the default validation rows if it has none; raise a UserError if it is an ensemble."""
    if recipe.members > 1:
        raise UserError(f"{recipe.name}: a search trains single networks, not ensembles; add --set members=1")
    if recipe.validation_fraction:
        return recipe
    percent = 100 * DEFAULT_VALIDATION_FRACTION
    log.info("%s has no validation rows; the search uses %.0f %% of the rows for validation", recipe.name, percent)
    return recipe.model_copy(update={"validation_fraction": DEFAULT_VALIDATION_FRACTION})


def _run_trials(search: Search, study: "Study", trials: int, jobs: int, quiet: bool) -> None:
    """Run trials in worker processes and log each when it ends."""
    ended = 0
    with (
        tqdm(total=trials, desc="search", unit="trial", disable=hide_bar(quiet)) as bar,
        closing(deal(TrialWorker(search, jobs), range(trials), min(jobs, trials))) as outcomes,
    ):
        for outcome in outcomes:
            ended += outcome.task is not None
            if outcome.result is None:
                log.warning("A worker died (%s); the others continue. Its trial counts as failed.", outcome.death)
                continue
            with tqdm.external_write_mode():
                log.info("%s", format_trial(study.get_trials(deepcopy=False)[outcome.result]))
            _keep_best_run(search, study)
            bar.update()
    if ended < trials:
        remaining = trials - ended
        raise UserError(
            f"all workers died with {remaining} trials remaining; run the same command again with fewer --jobs"
        )


class TrialWorker:
    """Runs trials in a worker process, on its share of the CPU cores."""

    def __init__(self, search: Search, jobs: int) -> None:
        self.search, self.jobs = search, jobs
        self.study: Study | None = None

    def __call__(self, _: int) -> int:
        """Run one trial and return its number."""
        import torch

        from pipeline.search.trial import run_trial

        with storage_errors(self.search.url):
            if self.study is None:
                package_log.addHandler(logging.NullHandler())
                torch.set_num_threads(max(1, torch.get_num_threads() // self.jobs))
                self.study = self.search.open()
            return run_trial(self.search, self.study)


def _keep_best_run(search: Search, study: "Study") -> None:
    """Move the run of the best trial to `best/` if it is new, and delete the runs of all other finished trials."""
    with FileLock(search.folder / ".lock"):  # another search may use the same folder
        # The order matters: a trial that ends between these two queries is kept.
        finished = [trial.number for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
        winner = best_trial(study)
        newest, kept, old = (search.folder / name for name in (f"trial-{winner and winner.number}", "best", ".old"))
        if newest.exists():
            shutil.rmtree(old, ignore_errors=True)
            with suppress(FileNotFoundError):
                kept.rename(old)
            newest.rename(kept)
            shutil.rmtree(old, ignore_errors=True)
        for number in finished:
            shutil.rmtree(search.folder / f"trial-{number}", ignore_errors=True)


def _report_results(search: Search, study: "Study") -> None:
    """Write the best trial's recipe and the figures; log the best trials and the output folder."""
    from pipeline.reports.style import save_figure
    from pipeline.search.figures import plot_importances, plot_search_history

    winner = best_trial(study)
    if not winner:
        return
    recipe = _write_recipe(search, winner)
    complete, pruned = trial_losses(study)
    save_figure(search.folder / "history.png", plot_search_history, complete, pruned)
    shares = setting_importances(study)
    if shares:
        save_figure(search.folder / "importances.png", plot_importances, shares, len(complete))
    log.info(
        "\n%s\n\nValidation accuracy of the best trial: %s", format_summary(study), format_validation_accuracy(winner)
    )
    log.info("Written to %s. To train the best recipe: python -m pipeline train %s", search.folder, recipe)


def _write_recipe(search: Search, winner: "FrozenTrial") -> Path:
    """Write the recipe of the best trial as a file for `train`; return its path."""
    path = search.folder / "best.yaml"
    name, summary = f"{search.recipe.name}-best", f"{search.recipe.summary}; settings found by a search"
    search.with_settings({**winner.params, "name": name, "summary": summary}).save(
        path,
        f"python -m pipeline train {path}\n"
        f"Trial {winner.number} of the study {search.recipe.name}, in {hide_password(search.url)}: validation loss "
        f"{winner.value:.4f}, accuracy\n{format_validation_accuracy(winner)}.\n"
        "Both figures are optimistic: the trial was selected on the same validation rows.",
    )
    return path
