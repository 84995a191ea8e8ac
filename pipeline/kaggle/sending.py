"""A submission's way to Kaggle: checked, sent once, found again there, scored; the ledger keeps every step."""

import logging
import secrets
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep

from tqdm import tqdm

from pipeline.errors import UserError
from pipeline.kaggle.client import KaggleError
from pipeline.kaggle.competition import (
    PATIENT,
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

SLOWDOWN = 6
"""Times the pause after a failed look: how long Kaggle asks to be left alone, its client does not say."""
STATUS_COMMAND = "python -m pipeline kaggle status"


def send_submission(
    file: Path, message: str, ledger: Ledger, *, again: bool = False, allow_leak: bool = False, limits: Limits = PATIENT
) -> Entry:
    """Send solution.csv to the competition and return its entry once it is scored.

    It is sent once: a submission that was cut off, in whatever way, is looked for on Kaggle before anything is sent.

    Args:
        file: the submission.
        message: what to say of it, in one line; the recipe and its validation accuracy where it is empty.
        ledger: where all submissions are noted; copies of what was sent lie beside it.
        again: send a file that was sent before.
        allow_leak: send what a run predicted that was trained on the test images; the ledger says so.
        limits: how long each step may take.

    Raises:
        UserError: the file is unsound, is not for the competition, leaks or was sent before; there are no credentials;
            or Kaggle refuses, cannot be reached, could not score it, or has not yet.
    """
    origin = load_provenance(file)
    if origin and origin.source != "competition":
        raise UserError(
            f"{file}: answers the {origin.source} digits, not the competition's; get those by "
            "python -m pipeline kaggle data, then run python -m pipeline submit"
        )
    content = check_solution(file, TEST_ROWS)
    if origin is None:
        log.info("%s: its origin is unknown, so whether its run saw the test images is too", file)
    elif origin.leaked and not allow_leak:
        raise UserError(
            f"{file}: {origin.run} was trained on {origin.leaked:,} of the images that it predicts, so its score would "
            "mean nothing; --allow-leak sends it, and notes that in the ledger"
        )
    log.info("Signing in with the credentials in %s", require_credentials().place)
    with ledger.sending(limits.upload + limits.appearance):
        entry = _recover(ledger, hash_content(content), limits)
        if entry is None:
            if not again:
                _refuse_resend(file, hash_content(content), ledger)
            entry = _send(content, _make_entry(content, origin, message), ledger, limits)
    return _await_score(entry, ledger, limits)


def _make_entry(content: bytes, origin: Provenance | None, message: str) -> Entry:
    """Return what is known of a submission before it is sent."""
    entry = Entry(
        time=datetime.now(UTC).replace(microsecond=0),
        token=secrets.token_hex(4),
        file_hash=hash_content(content),
        status="SENDING",
        message=" ".join(message.split()),
    )
    if origin is None:
        return entry.model_copy(update={"message": entry.message or "of unknown origin"})
    accuracy = origin.validation_accuracy
    words = origin.recipe if accuracy is None else f"{origin.recipe}, {accuracy:.2%} of the validation rows right"
    known = origin.model_dump(
        include={"run", "recipe", "fingerprint", "validation_accuracy", "validation_rows", "leaked"}
    )
    return entry.model_copy(update={**known, "message": entry.message or words})


def _recover(ledger: Ledger, file_hash: str, limits: Limits) -> Entry | None:
    """Settle all submissions that were cut off; return the one of this file, if it is on Kaggle after all."""
    found = None
    for entry in ledger.entries():
        if entry.status != "SENDING":
            continue
        age = (datetime.now(UTC) - entry.time).total_seconds()
        listed = _find_listed(entry.token, limits, limits.appearance - age)
        if listed is None:
            _mark_unsent(entry, ledger)
        else:
            log.info("Sent before, as %s, by a submit that was cut off", listed.ref)
            now_known = _note_score(entry, listed, ledger)
            found = now_known if entry.file_hash == file_hash else found
    return found


def _refuse_resend(file: Path, file_hash: str, ledger: Ledger) -> None:
    """Raise a UserError where a file with this content was sent before."""
    for entry in ledger.entries():
        if entry.file_hash == file_hash and entry.status != "NOT SENT":
            score = "" if entry.public_score is None else f", with a score of {entry.public_score:.5f}"
            raise UserError(
                f"{file}: the same bytes were sent on {entry.time:%Y-%m-%d} as {entry.ref}{score}; "
                "--again sends them once more"
            )


def _send(content: bytes, entry: Entry, ledger: Ledger, limits: Limits) -> Entry:
    """Send a submission and return its entry once it is on Kaggle's list."""
    left = submissions_left(limits)
    if left == 0:
        now = datetime.now(UTC)
        midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        hours, minutes = divmod((midnight - now).seconds // 60, 60)
        raise KaggleError(
            f"no submissions are left today; Kaggle's next day begins in {hours} h {minutes} min, 0:00 UTC"
        )
    if left is not None:
        log.info("%s submissions left today, this one included", left)
    copy = _copy_path(entry, ledger)
    write_atomic(copy, content)
    ledger.add(entry)
    failure = None
    try:
        upload(copy, f"{entry.message} [{entry.token}]", limits)
    except KaggleError as error:
        failure = error
    refused = failure is not None and not failure.retryable
    try:
        listed = _find_listed(entry.token, limits, 0 if refused else limits.appearance)
    except KaggleError as error:
        listed, failure = None, failure or error
    if listed:
        log.info("Sent as %s", listed.ref)
        return _note_score(entry, listed, ledger)
    if refused and failure:
        _mark_unsent(entry, ledger)
        raise failure
    raise KaggleError(
        f"whether the submission arrived is not known ({failure or 'it is not in the list'}); submit again: what has "
        "arrived is found, and not sent twice",
        retryable=True,
    )


def _find_listed(token: str, limits: Limits, seconds: float) -> Submission | None:
    """Return the submission with a token in its message, waiting that long for it to appear; None if it does not.

    Raises:
        KaggleError: at the end of that time Kaggle does not tell its list, or it refuses to.
    """
    until = monotonic() + seconds
    while True:
        pause = limits.pause
        try:
            listed = next((each for each in list_submissions(limits) if token in each.description), None)
            if listed or monotonic() >= until:
                return listed
        except KaggleError as error:
            if not error.retryable or monotonic() >= until:
                raise
            pause *= SLOWDOWN
        sleep(pause)


def _await_score(entry: Entry, ledger: Ledger, limits: Limits) -> Entry:
    """Wait until a submission is scored, and return its entry then.

    Raises:
        KaggleError: Kaggle could not score it, or has not within the time limit.
    """
    until = monotonic() + limits.score
    hidden = None if log.isEnabledFor(logging.INFO) else True
    with tqdm(desc=f"Kaggle scores {entry.ref}", bar_format="{desc}: {elapsed}", leave=False, disable=hidden) as line:
        while not entry.settled:
            if monotonic() >= until:
                raise KaggleError(
                    f"{entry.ref}: no score within {limits.score:g} seconds; ask again by {STATUS_COMMAND}"
                )
            sleep(limits.pause)
            line.refresh()
            listed = _find_listed(entry.token, limits, until - monotonic())
            if listed:
                entry = _note_score(entry, listed, ledger)
    if entry.status == "ERROR":
        raise KaggleError(f"{entry.ref}: Kaggle could not score it: {fetch_error(entry.ref, limits)}")
    return entry


def refresh_ledger(ledger: Ledger, limits: Limits = PATIENT) -> None:
    """Note in the ledger what Kaggle knows by now of those submissions that are not settled."""
    waiting = [entry for entry in ledger.entries() if not entry.settled]
    listed = list_submissions(limits) if waiting else []
    for entry in waiting:
        for each in listed:
            if entry.token in each.description:
                _note_score(entry, each, ledger)


def _note_score(entry: Entry, listed: Submission, ledger: Ledger) -> Entry:
    """Return the entry with what Kaggle's list says; a change is added to the ledger, and names the copy by its ref."""
    now_known = entry.model_copy(
        update={"ref": listed.ref, "status": listed.status, "public_score": listed.publicScore}
    )
    if now_known != entry:
        ledger.add(now_known)
        with suppress(OSError):  # another process has named it so, or the user has moved it
            _copy_path(entry, ledger).replace(_copy_path(now_known, ledger))
    return now_known


def _mark_unsent(entry: Entry, ledger: Ledger) -> None:
    """Note that a submission never reached Kaggle; its copy goes."""
    ledger.add(entry.model_copy(update={"status": "NOT SENT"}))
    _copy_path(entry, ledger).unlink(missing_ok=True)


def _copy_path(entry: Entry, ledger: Ledger) -> Path:
    """Return where the copy of what was sent is kept."""
    name = entry.ref or f"{entry.time:%Y%m%d-%H%M%S}"
    return ledger.path.parent / f"{name}-{entry.recipe or 'unknown'}.csv"


def describe_result(entry: Entry) -> str:
    """Return a scored submission's result in words, beside what its run reached on its validation rows."""
    line = f"Public score: {entry.public_score:.5f}" if entry.public_score is not None else "No public score"
    if entry.leaked:
        return f"{line}; it means nothing, for the run was trained on {entry.leaked:,} of these images"
    if entry.public_score is None or entry.interval is None:
        return f"{line}; the validation accuracy is unknown"
    low, high = entry.interval
    place = "below" if entry.public_score < low else "above" if entry.public_score > high else "inside"
    return (
        f"{line}, {place} the 95% interval of the validation accuracy "
        f"({entry.validation_accuracy:.2%}; {low:.2%} to {high:.2%})"
    )


def format_table(entries: Sequence[Entry]) -> str:
    """Return submissions as lines of text, the newest last."""
    if not entries:
        return "No submissions yet: python -m pipeline kaggle submit sends one"
    lines = [f"{'sent (UTC)':16}  {'ref':10}  {'status':8}  {'score':7}  {'validation':10}  {'recipe':16}  message"]
    for entry in entries:
        score = "-" if entry.public_score is None else f"{entry.public_score:.5f}"
        accuracy = "-" if entry.validation_accuracy is None else f"{entry.validation_accuracy:.5f}"
        leak = " (leaked)" if entry.leaked else ""
        lines.append(
            f"{entry.time:%Y-%m-%d %H:%M}  {entry.ref or '-':10}  {entry.status:8}  {score:7}  {accuracy:10}  "
            f"{entry.recipe or 'unknown':16}  {entry.message}{leak}"
        )
    return "\n".join(lines)
