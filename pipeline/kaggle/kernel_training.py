"""Train a recipe in a Kaggle kernel, exactly once, and bring back its run; the ledger records every step."""

import base64
import io
import logging
import os
import secrets
import shutil
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from zipfile import ZIP_DEFLATED, BadZipFile, ZipFile

import yaml
from tqdm import tqdm

from pipeline.config.recipe import Recipe
from pipeline.errors import UserError
from pipeline.kaggle import kernel_script
from pipeline.kaggle.client import KaggleError
from pipeline.kaggle.competition import COMPETITION_NAME, DEFAULT_LIMITS, TEST_ROWS, Limits
from pipeline.kaggle.credentials import require_credentials
from pipeline.kaggle.kernel import (
    CPU,
    PHONE_REMEDY,
    download_result,
    fetch_error,
    fetch_owner,
    fetch_status,
    push_kernel,
    with_remedy,
)
from pipeline.kaggle.ledger import Entry, Ledger
from pipeline.kaggle.solution import check_solution, hash_content, load_provenance, provenance_path
from pipeline.run import Run
from pipeline.run_folder import CHECKPOINTS
from pipeline.utils.files import explain_write_error, open_all_atomic, require_writable

log = logging.getLogger(__name__)

PACKAGE = Path(__file__).parents[1]
TESTED = ("torch", "torchvision", "accelerate", "safetensors", "numpy", "pandas", "pydantic", "typer", "filelock")
"""Packages whose versions are compared with those in Kaggle's image if the training crashes there."""
PAUSES = 6
"""Pauses between two requests for the status: a training takes minutes."""
RUNNING = ("NEW_SCRIPT", "QUEUED", "RUNNING", "CANCEL_REQUESTED")
"""Kaggle's words for a kernel that has not ended."""
ENDED = {None: "it was deleted, or is another account's", "CANCEL_ACKNOWLEDGED": "it was cancelled"}
"""Why a kernel ended, by Kaggle's word; for others, the kernel's log says it."""


def train_on_kaggle(
    recipe: Recipe,
    out: Path,
    ledger: Ledger,
    *,
    accelerator: str,
    limits: Limits = DEFAULT_LIMITS,
) -> Run:
    """Train a recipe on the competition's data in a Kaggle kernel; return its run, which is then in `checkpoints/`.

    It is pushed once: the unfinished kernel of an interrupted call is awaited instead of pushing another one.

    Args:
        recipe: the recipe.
        out: where to write the kernel's submission file; its provenance is written next to it.
        ledger: records all kernels.
        accelerator: Kaggle's name of a GPU, or `CPU`.
        limits: time-outs of the steps.

    Raises:
        UserError: there are no credentials; Kaggle rejects the kernel or cannot be reached; the training failed or did
            not end in time; its run or submission is not valid; or a file cannot be written.
    """
    require_writable(out)
    require_writable(CHECKPOINTS / f"{recipe.name}.part")
    log.info("Signing in with the credentials in %s", require_credentials().location)
    job = hash_content(f"{_as_yaml(recipe)}{accelerator}".encode())
    with ledger.sending_lock(limits.upload + limits.appearance):
        entry = _recover(job, ledger, limits) or _push(recipe, accelerator, job, ledger, limits)
    try:
        _await_end(entry, ledger, limits)
        run = _bring_back(entry, out, ledger, limits)
    except KeyboardInterrupt:
        log.warning("Stopped. %s continues on Kaggle; the same command brings back its run", entry.ref)
        raise
    if accelerator != CPU and run.card.device.startswith("cpu"):
        log.warning("Kaggle ran it without a GPU: %s", PHONE_REMEDY)
    return run


def _as_yaml(recipe: Recipe) -> str:
    """Return a recipe with all of its settings as YAML."""
    return yaml.safe_dump(recipe.model_dump(), sort_keys=False)


def _recover(job: str, ledger: Ledger, limits: Limits) -> Entry | None:
    """Return the entry of an unfinished kernel with this job, or None if Kaggle never received one."""
    for entry in ledger.entries():
        if not entry.is_kernel or entry.settled or entry.file_hash != job:
            continue
        age = (datetime.now(UTC) - entry.time).total_seconds()
        if entry.status == "SENDING" and _await_appearance(entry, limits, limits.appearance - age) is None:
            _update(entry, "NOT SENT", ledger)
            continue
        log.info("Found %s, which an interrupted command pushed", entry.ref)
        return entry if entry.status == "PENDING" else _update(entry, "PENDING", ledger)
    return None


def _push(recipe: Recipe, accelerator: str, job: str, ledger: Ledger, limits: Limits) -> Entry:
    """Push a new kernel, which starts it, and return its entry."""
    token = f"k{secrets.token_hex(4)}"
    run = f"{recipe.name}-{token}"
    entry = Entry(
        time=datetime.now(UTC).replace(microsecond=0),
        token=token,
        file_hash=job,
        run=str(CHECKPOINTS / run),
        recipe=recipe.name,
        ref=f"{fetch_owner(limits)}/{COMPETITION_NAME}-{token}",
        status="SENDING",
        message=f"trained on Kaggle, accelerator {accelerator}",
    )
    internet = bool(recipe.pretrained or recipe.pen_drawings or recipe.outliers)  # they download files
    ledger.add(entry)
    failure = None
    try:
        push_kernel(entry.ref, write_script(recipe, run), accelerator, internet, limits)
    except KaggleError as error:
        failure = error
    if failure and not failure.retryable:
        _update(entry, "ERROR", ledger)
        raise failure
    if failure and _await_appearance(entry, limits, limits.appearance) is None:
        raise KaggleError(
            f"it is unknown whether the kernel arrived ({failure}); give the same command again: if it arrived, it is "
            "found and not pushed twice",
            retryable=True,
        )
    log.info("Pushed https://www.kaggle.com/code/%s", entry.ref)
    return _update(entry, "PENDING", ledger)


def write_script(recipe: Recipe, run: str) -> str:
    """Return the script of a kernel that trains a recipe as a run of this name; it carries the project's source."""
    packed = io.BytesIO()
    with ZipFile(packed, "w", ZIP_DEFLATED) as archive:
        for path in sorted(PACKAGE.rglob("*")):
            if path.suffix in (".py", ".yaml", ".j2"):
                archive.write(path, Path(PACKAGE.name, path.relative_to(PACKAGE)))
        archive.writestr(kernel_script.RECIPE, _as_yaml(recipe))
    project = base64.b64encode(packed.getvalue()).decode()
    tested = {name: version(name) for name in TESTED}
    source = Path(kernel_script.__file__).read_text(encoding="utf-8")
    return f"{source}\n\ntrain_here({project!r}, {run!r}, {tested!r})\n"


def _await_appearance(entry: Entry, limits: Limits, seconds: float) -> str | None:
    """Return the status of a kernel that may have been pushed; None if it does not appear within `seconds`.

    Raises:
        KaggleError: Kaggle rejects the request, or the last request within that time fails.
    """
    deadline = monotonic() + seconds
    while True:
        try:
            status = fetch_status(entry.ref, limits)
            if status or monotonic() >= deadline:
                return status
        except KaggleError as error:
            if not error.retryable or monotonic() >= deadline:
                raise
        sleep(limits.pause)


def _await_end(entry: Entry, ledger: Ledger, limits: Limits) -> None:
    """Wait until a kernel has completed. Failed requests are repeated for `limits.score` seconds.

    Raises:
        KaggleError: the training failed, or did not end in time; or Kaggle does not answer.
    """
    answered = started = monotonic()
    disable = None if log.isEnabledFor(logging.INFO) else True
    with tqdm(desc=f"{entry.ref}", bar_format="{desc}: {elapsed}", leave=False, disable=disable) as bar:
        while monotonic() - started < limits.training:
            try:
                status = fetch_status(entry.ref, limits)
                answered = monotonic()
            except KaggleError as error:
                if not error.retryable or monotonic() - answered >= limits.score:
                    raise
                bar.set_description_str(f"{entry.ref}: no answer, trying again")
            else:
                if status == "COMPLETE":
                    return
                if status not in RUNNING:
                    reason = ENDED.get(status) or fetch_error(entry.ref, limits)
                    _update(entry, "ERROR", ledger)
                    raise KaggleError(with_remedy(f"{entry.ref}: the training failed on Kaggle ({reason})"))
                bar.set_description_str(f"{entry.ref} on Kaggle, {status.lower()}")
            sleep(limits.pause * PAUSES)
    raise KaggleError(f"{entry.ref}: did not end within {limits.training:g} seconds; the same command waits again")


def _bring_back(entry: Entry, out: Path, ledger: Ledger, limits: Limits) -> Run:
    """Download and check the result of a complete kernel, and move the run and the submission to their places."""
    with TemporaryDirectory(dir=CHECKPOINTS, prefix=".kaggle-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        download_result(entry.ref, folder, kernel_script.RESULT, limits)
        solution = folder / "submissions" / "solution.csv"
        try:
            run = _unpack(folder, Run(folder / entry.run), solution)
        except (UserError, BadZipFile, FileNotFoundError) as error:
            _update(entry, "ERROR", ledger)
            fault = str(error).replace(f"{name}{os.sep}", "")
            raise KaggleError(
                f"{entry.ref}: its result is not valid ({fault}); the same command starts again"
            ) from None
        except OSError as error:
            raise explain_write_error(folder, error) from error
        with open_all_atomic(out, provenance_path(out)) as temporaries:
            for origin, temporary in zip((solution, provenance_path(solution)), temporaries, strict=True):
                shutil.copyfile(origin, temporary)
        card, kept = run.card, Run(Path(entry.run))
        if not kept.folder.exists():  # its name is unique: an interrupted command has brought back the same run
            run.folder.rename(kept.folder)
    scores = {"validation_accuracy": card.scores.get("validation_accuracy"), "validation_rows": card.validation_rows}
    ledger.add(entry.model_copy(update={**scores, "fingerprint": card.fingerprint, "status": "COMPLETE"}))
    return kept


def _unpack(folder: Path, run: Run, solution: Path) -> Run:
    """Unpack a kernel's result in `folder`, and return its run.

    Raises:
        UserError: a file of the run is damaged, the training is not finished, or the submission is not valid.
        BadZipFile: the archive is damaged.
        FileNotFoundError: the archive or a file of the run is missing.
    """
    with ZipFile(folder / kernel_script.RESULT) as archive:
        archive.extractall(folder)
    if not run.card.finished or not run.history:
        raise UserError(f"{run}: its training is not finished")
    run.require_digits()
    run.load_model()
    run.load_line()
    for name in run.card.checksums:
        run.require_intact(run.folder / name)
    check_solution(solution, TEST_ROWS)
    provenance = load_provenance(solution)
    if provenance is None or provenance.source != "competition":
        raise UserError(f"{solution}: does not predict the competition's digits")
    return run


def _update(entry: Entry, status: str, ledger: Ledger) -> Entry:
    """Add a kernel's new status to the ledger, and return the entry."""
    updated = entry.model_copy(update={"status": status})
    ledger.add(updated)
    return updated
