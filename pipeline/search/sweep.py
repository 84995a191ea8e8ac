"""A search: many trainings of one recipe, each with other settings, for those with the lowest validation loss."""

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
    accuracy,
    best,
    faults_told,
    importances,
    line,
    losses,
    shown,
    standing,
)
from pipeline.sources.source import Source
from pipeline.utils.files import require_writable
from pipeline.utils.workers import deal

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

log = logging.getLogger(__name__)
library = logging.getLogger("pipeline")

SWEEPS = Path("sweeps")
SET_ASIDE = 0.1
"""Of the rows, where the recipe sets none aside: trials are compared on these."""


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
    """Try settings on a source's labelled rows; return the recipe file of the best, in `sweeps/` under its name.

    The study is named as the recipe, and one that there is goes on. Beside the file are left `best/`, the run of the
    best trial where it was trained here, and figures of the search. An interrupt ends all workers and leaves as much.
    A script calls this under `if __name__ == "__main__"`, for its worker processes import the main module.

    Args:
        trials: how many to add to the study, 1 or more; what is pruned or fails is one of them.
        storage: URL of the study's database, as SQLAlchemy takes it; None is a file in the same folder.
        jobs: processes that do trials beside one another.
        quiet: draw no progress bar.

    Raises:
        UserError: the rows are unsound, the database cannot be used or has another study, or no trial completed.
    """
    if recipe.members > 1:
        raise UserError(f"{recipe.name}: a search compares single networks; --set members=1")
    if not recipe.validation_fraction:
        log.info("%s sets no rows aside; its trials are compared on %.0f %%", recipe.name, 100 * SET_ASIDE)
        recipe = recipe.model_copy(update={"validation_fraction": SET_ASIDE})
    folder = SWEEPS / recipe.name
    require_writable(folder / "best.yaml")
    url = storage or f"sqlite:///{folder / 'study.db'}"
    search = Search(recipe, space, source.read_train(), source.name, folder, url)
    with faults_told(url):
        study = search.open()
        log.info("Study: %s, %d trials before\n%s", shown(url), len(study.get_trials(deepcopy=False)), HEADER)
        try:
            _do_trials(search, study, trials, jobs, quiet)
        except KeyboardInterrupt:
            log.warning("Stopped. The same command goes on with the study.")
            raise
        finally:
            _keep_best_run(search, study)
            _tell_results(search, study)
        if not best(study):
            raise UserError(
                f"{shown(url)}: no trial completed; see the lines above, then add trials or narrow the space"
            )
    return folder / "best.yaml"


def _do_trials(search: Search, study: "Study", trials: int, jobs: int, quiet: bool) -> None:
    """Let workers do so many trials, and report each when it has ended."""
    ended = 0
    with (
        tqdm(total=trials, desc="search", unit="trial", disable=quiet or None) as bar,
        closing(deal(TrialWorker(search, jobs), range(trials), min(jobs, trials))) as outcomes,
    ):
        for outcome in outcomes:
            ended += outcome.task is not None
            if outcome.result is None:
                log.warning("A worker ended with %s; the others continue. Its trial counts as failed.", outcome.death)
                continue
            with tqdm.external_write_mode():
                log.info("%s", line(study.get_trials(deepcopy=False)[outcome.result]))
            _keep_best_run(search, study)
            bar.update()
    if ended < trials:
        left = trials - ended
        raise UserError(
            f"every worker has ended, with {left} trials to do; give the same command again, with fewer --jobs"
        )


class TrialWorker:
    """Does trials in a worker process, on its share of the processor's cores."""

    def __init__(self, search: Search, jobs: int) -> None:
        self.search, self.jobs = search, jobs
        self.study: Study | None = None

    def __call__(self, _: int) -> int:
        """Do one trial and return its number."""
        import torch

        from pipeline.search.trial import one_trial

        with faults_told(self.search.url):
            if self.study is None:
                library.addHandler(logging.NullHandler())
                torch.set_num_threads(max(1, torch.get_num_threads() // self.jobs))
                self.study = self.search.open()
            return one_trial(self.search, self.study)


def _keep_best_run(search: Search, study: "Study") -> None:
    """Move the run of the best trial to `best/`, where it is new, and delete those of all other trials that ended."""
    with FileLock(search.folder / ".lock"):  # another search may be at work in the same folder
        # Asked in this order: a trial that ends in between is kept.
        over = [trial.number for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
        winner = best(study)
        newest, kept, old = (search.folder / name for name in (f"trial-{winner and winner.number}", "best", ".old"))
        if newest.exists():
            shutil.rmtree(old, ignore_errors=True)
            with suppress(FileNotFoundError):
                kept.rename(old)
            newest.rename(kept)
            shutil.rmtree(old, ignore_errors=True)
        for number in over:
            shutil.rmtree(search.folder / f"trial-{number}", ignore_errors=True)


def _tell_results(search: Search, study: "Study") -> None:
    """Write the best trial's recipe and the figures; tell the best trials, and where all of it is."""
    from pipeline.reports.style import save_figure
    from pipeline.search.figures import plot_importances, plot_search_history

    winner = best(study)
    if not winner:
        return
    recipe = _write_recipe(search, winner)
    complete, pruned = losses(study)
    save_figure(search.folder / "history.png", plot_search_history, complete, pruned)
    shares = importances(study)
    if shares:
        save_figure(search.folder / "importances.png", plot_importances, shares, len(complete))
    log.info("\n%s\n\nValidation accuracy of the best: %s", standing(study), accuracy(winner))
    log.info("It is in %s; to train it: python -m pipeline train %s", search.folder, recipe)


def _write_recipe(search: Search, winner: "FrozenTrial") -> Path:
    """Write the recipe of the best trial, as `train` takes it, and return its file."""
    path = search.folder / "best.yaml"
    name, summary = f"{search.recipe.name}-best", f"{search.recipe.summary}; settings found by a search"
    search.with_settings({**winner.params, "name": name, "summary": summary}).save(
        path,
        f"python -m pipeline train {path}\n"
        f"Trial {winner.number} of the study {search.recipe.name}, in {shown(search.url)}: validation loss "
        f"{winner.value:.4f}, accuracy\n{accuracy(winner)}.\n"
        "It was chosen by the very rows that it is measured on, which flatters both figures.",
    )
    return path
