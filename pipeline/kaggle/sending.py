"""Send a submission to Kaggle exactly once and wait for its score; the ledger records every step."""

import logging
import secrets
import shlex
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep

from tqdm import tqdm

from pipeline.errors import UserError
from pipeline.kaggle.client import KaggleError
from pipeline.kaggle.competition import (
    DEFAULT_LIMITS,
    TEST_ROWS,
    Limits,
    Submission,
    fetch_error,
    list_submissions,
    submissions_left,
    upload,
)
from pipeline.kaggle.credentials import require_credentials
from pipeline.kaggle.ledger import Entry, Ledger
from pipeline.kaggle.solution import Provenance, check_solution, hash_content, load_provenance
from pipeline.utils.files import write_atomic

log = logging.getLogger(__name__)

BACKOFF_FACTOR = 6
"""Multiplies the pause after a failed request: the client does not pass on Kaggle's Retry-After header."""


def send_submission(
    file: Path,
    message: str,
    ledger: Ledger,
    *,
    again: bool = False,
    allow_leak: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> Entry:
    """Send solution.csv to the competition and return its entry once it is scored.

    It is sent once: an interrupted submission is searched for in Kaggle's list before anything is sent.

    Args:
        file: the submission.
        message: its description on Kaggle, in one line; if empty, the recipe and its validation accuracy.
        ledger: records all submissions; copies of the sent files are stored in its folder.
        again: send a file that was sent before.
        allow_leak: send predictions of a run that was trained on test images; the ledger records the leak.
        limits: time-outs of the steps.

    Raises:
        UserError: the file is not valid, is not for the competition, leaks or was sent before; there are no
            credentials; or Kaggle rejects it, cannot be reached, could not score it, or has not scored it in time.
    """
    provenance = load_provenance(file)
    if provenance and provenance.source != "competition":
        raise UserError(
            f"{file}: predicts the {provenance.source} digits, not the competition's; run "
            "python -m pipeline kaggle data, then python -m pipeline submit"
        )
    content = check_solution(file, TEST_ROWS)
    if provenance is None:
        log.info("%s: its provenance is unknown, so its run may have been trained on test images", file)
    elif provenance.leaked and not allow_leak:
        raise UserError(
            f"{file}: {provenance.run} was trained on {provenance.leaked:,} of the images that it predicts, so its "
            "score would not be valid; --allow-leak sends it and records the leak in the ledger"
        )
    log.info("Signing in with the credentials in %s", require_credentials().location)
    with ledger.sending_lock(limits.upload + limits.appearance):
        entry = _recover(ledger, hash_content(content), limits)
        if entry is None:
            if not again:
                _refuse_resend(file, hash_content(content), ledger)
            entry = _send(content, _make_entry(content, provenance, message), ledger, limits)
    try:
        return _await_score(entry, ledger, limits)
    except KeyboardInterrupt:
        log.warning("Stopped. %s was sent; to see its score: %s", entry.ref, _status_command(ledger))
        raise


def _make_entry(content: bytes, provenance: Provenance | None, message: str) -> Entry:
    """Return the first entry of a submission, before it is sent."""
    entry = Entry(
        time=datetime.now(UTC).replace(microsecond=0),
        token=f"s{secrets.token_hex(4)}",  # with a letter in front, no spreadsheet takes it for a number
        file_hash=hash_content(content),
        status="SENDING",
        message=" ".join(message.split()),
    )
    if provenance is None:
        return entry.model_copy(update={"message": entry.message or "unknown provenance"})
    accuracy = provenance.validation_accuracy
    default = provenance.recipe if accuracy is None else f"{provenance.recipe}, validation accuracy {accuracy:.2%}"
    known = provenance.model_dump(
        include={"run", "recipe", "fingerprint", "validation_accuracy", "validation_rows", "leaked"}
    )
    return entry.model_copy(update={**known, "message": entry.message or default})


def _recover(ledger: Ledger, file_hash: str, limits: Limits) -> Entry | None:
    """Resolve all interrupted submissions; return the entry of this file if Kaggle received it."""
    found = None
    for entry in ledger.entries():
        if entry.status != "SENDING" or entry.is_kernel:
            continue
        age = (datetime.now(UTC) - entry.time).total_seconds()
        listed = _find_listed(entry.token, limits, limits.appearance - age)
        if listed is None:
            _record_unsent(entry, ledger)
        else:
            log.info("Already sent as %s by an interrupted command", listed.ref)
            updated = _update_entry(entry, listed, ledger)
            found = updated if entry.file_hash == file_hash else found
    return found


def _refuse_resend(file: Path, file_hash: str, ledger: Ledger) -> None:
    """Raise a UserError if a file with this content was sent before."""
    for entry in ledger.entries():
        if entry.file_hash == file_hash and entry.status != "NOT SENT":
            score = "" if entry.public_score is None else f", with a score of {entry.public_score:.5f}"
            raise UserError(
                f"{file}: the same content was sent on {entry.time:%Y-%m-%d} as {entry.ref}{score}; "
                "--again sends it again"
            )
    for number, line in ledger.damaged_lines.items():
        if file_hash in line:
            raise UserError(
                f"{file}: the same content is named in line {number} of {ledger.path}, which is damaged, and may have "
                "been sent; correct that line, or --again sends it again"
            )


def _send(content: bytes, entry: Entry, ledger: Ledger, limits: Limits) -> Entry:
    """Send a submission and return its entry once it is in Kaggle's list."""
    left = submissions_left(limits)
    if left == 0:
        now = datetime.now(UTC)
        midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        hours, minutes = divmod((midnight - now).seconds // 60, 60)
        raise KaggleError(
            f"no submissions are left today; Kaggle resets the limit in {hours} h {minutes} min, at 0:00 UTC"
        )
    if left is not None:
        log.info("%s submissions left today, including this one", left)
    copy = _copy_path(entry, ledger)
    write_atomic(copy, content)
    ledger.add(entry)
    failure = None
    try:
        upload(copy, f"{entry.message} [{entry.token}]", limits)
    except KaggleError as error:
        failure = error
    rejected = failure is not None and not failure.retryable
    try:
        listed = _find_listed(entry.token, limits, 0 if rejected else limits.appearance)
    except KaggleError as error:
        listed, failure = None, failure or error
    if listed:
        log.info("Sent as %s", listed.ref)
        return _update_entry(entry, listed, ledger)
    if rejected and failure:
        _record_unsent(entry, ledger)
        raise failure
    raise KaggleError(
        f"it is unknown whether the submission arrived ({failure or 'it is not in the list'}); submit again: if it "
        "arrived, it is found and not sent twice",
        retryable=True,
    )


def _find_listed(token: str, limits: Limits, seconds: float) -> Submission | None:
    """Return the submission with a token in its message, or None if it does not appear within `seconds`.

    Raises:
        KaggleError: Kaggle rejects the request for its list, or the last request within that time fails.
    """
    deadline = monotonic() + seconds
    while True:
        pause = limits.pause
        try:
            listed = next((each for each in list_submissions(limits) if token in each.description), None)
            if listed or monotonic() >= deadline:
                return listed
        except KaggleError as error:
            if not error.retryable or monotonic() >= deadline:
                raise
            pause *= BACKOFF_FACTOR
        sleep(pause)


def _await_score(entry: Entry, ledger: Ledger, limits: Limits) -> Entry:
    """Wait until a submission is scored, and return its entry.

    Raises:
        KaggleError: Kaggle could not score it, or has not scored it in time.
    """
    deadline = monotonic() + limits.score
    disable = None if log.isEnabledFor(logging.INFO) else True
    with tqdm(desc=f"Kaggle scores {entry.ref}", bar_format="{desc}: {elapsed}", leave=False, disable=disable) as bar:
        while not entry.settled:
            if monotonic() >= deadline:
                raise KaggleError(
                    f"{entry.ref}: no score within {limits.score:g} seconds; check again with {_status_command(ledger)}"
                )
            sleep(limits.pause)
            bar.refresh()
            listed = _find_listed(entry.token, limits, deadline - monotonic())
            if listed:
                entry = _update_entry(entry, listed, ledger)
    if entry.status == "ERROR":
        raise KaggleError(f"{entry.ref}: Kaggle could not score it: {fetch_error(entry.ref, limits)}")
    return entry


def _status_command(ledger: Ledger) -> str:
    """Return the command that shows the scores in a ledger, quoted for a shell."""
    return shlex.join(["python", "-m", "pipeline", "kaggle", "status", "--ledger", str(ledger.path)])


def refresh_ledger(ledger: Ledger, limits: Limits = DEFAULT_LIMITS) -> None:
    """Update the submissions in the ledger that are not settled from Kaggle's list."""
    waiting = [entry for entry in ledger.entries() if not (entry.settled or entry.is_kernel)]
    listed = list_submissions(limits) if waiting else []
    for entry in waiting:
        for each in listed:
            if entry.token in each.description:
                _update_entry(entry, each, ledger)


def _update_entry(entry: Entry, listed: Submission, ledger: Ledger) -> Entry:
    """Return the entry updated from Kaggle's list; add a change to the ledger, and rename the copy after its ref."""
    updated = entry.model_copy(update={"ref": listed.ref, "status": listed.status, "public_score": listed.publicScore})
    if updated != entry:
        ledger.add(updated)
        with suppress(OSError):  # another process has renamed it, or the user has moved it
            _copy_path(entry, ledger).replace(_copy_path(updated, ledger))
    return updated


def _record_unsent(entry: Entry, ledger: Ledger) -> None:
    """Record that a submission never reached Kaggle, and delete its copy."""
    ledger.add(entry.model_copy(update={"status": "NOT SENT"}))
    _copy_path(entry, ledger).unlink(missing_ok=True)


def _copy_path(entry: Entry, ledger: Ledger) -> Path:
    """Return the path of the copy of a sent file."""
    name = entry.ref or f"{entry.time:%Y%m%d-%H%M%S}"
    return ledger.path.parent / f"{name}-{entry.recipe or 'unknown'}.csv"


def describe_result(entry: Entry) -> str:
    """Return a sentence that compares a submission's public score with its run's validation accuracy."""
    line = f"Public score: {entry.public_score:.5f}" if entry.public_score is not None else "No public score"
    if entry.leaked:
        return f"{line}; not valid: the run was trained on {entry.leaked:,} of these images"
    if entry.public_score is None or entry.interval is None:
        return f"{line}; the validation accuracy is unknown"
    low, high = entry.interval
    position = "below" if entry.public_score < low else "above" if entry.public_score > high else "inside"
    return (
        f"{line}, {position} the 95% interval of the validation accuracy "
        f"({entry.validation_accuracy:.2%}; {low:.2%} to {high:.2%})"
    )


def format_table(entries: Sequence[Entry]) -> str:
    """Return submissions and kernels as a table in text, newest last."""
    if not entries:
        return "No submissions yet; send one with python -m pipeline kaggle submit"
    width = max(10, *(len(entry.ref) for entry in entries))
    lines = [
        f"{'sent (UTC)':16}  {'ref':{width}}  {'status':8}  {'score':7}  {'validation':10}  {'recipe':16}  message"
    ]
    for entry in entries:
        score = "-" if entry.public_score is None else f"{entry.public_score:.5f}"
        accuracy = "-" if entry.validation_accuracy is None else f"{entry.validation_accuracy:.5f}"
        leak = " (leaked)" if entry.leaked else ""
        lines.append(
            f"{entry.time:%Y-%m-%d %H:%M}  {entry.ref or '-':{width}}  {entry.status:8}  {score:7}  {accuracy:10}  "
            f"{entry.recipe or 'unknown':16}  {entry.message}{leak}"
        )
    return "\n".join(lines)
