"""Kaggle, by its official client: a process of its own, under a time limit, whose word is never taken on trust."""

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Literal, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError, field_validator
from tqdm import tqdm

from pipeline.credentials import PAGE, SETTINGS, require_credentials
from pipeline.errors import UserError
from pipeline.files import require_writable
from pipeline.table_files import CsvFile

log = logging.getLogger(__name__)

COMPETITION = "digit-recognizer"
ARCHIVE = f"{COMPETITION}.zip"
TRAIN_ROWS, TEST_ROWS = 42_000, 28_000
NEWEST = 100
"""How many submissions are asked for."""
MOST_SHOWN = 300
"""Characters of the client's words in an error."""

Parsed = TypeVar("Parsed")

# The client ends when our process does, however it ends: nobody else holds the other end of its standard input.
ENDS_WITH_US = """
import os, runpy, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
runpy.run_module("kaggle", run_name="__main__", alter_sys=True)
"""


class KaggleError(UserError):
    """What Kaggle refuses, or its client fails in.

    Attributes:
        passing: whether the same call may succeed a little later, or may have done what it was for; if not, Kaggle has
            refused it for certain.
    """

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


@dataclass(frozen=True)
class Limits:
    """How long things may take, in seconds.

    Attributes:
        answer: one call; of a download, the time in which nothing arrives.
        download: the whole download.
        upload: a submission's way to Kaggle.
        appearance: until a submission that was sent is in Kaggle's list.
        score: until a submission has its score.
        pause: between two looks at that list.
    """

    answer: float = 60
    download: float = 900
    upload: float = 120
    appearance: float = 30
    score: float = 900
    pause: float = 5


PATIENT = Limits()


class Submission(BaseModel):
    """A submission as Kaggle's list has it; there is no public score until the status is COMPLETE."""

    ref: str
    status: Literal["PENDING", "COMPLETE", "ERROR"]
    description: str
    publicScore: float | None  # noqa: N815  Kaggle's name

    @field_validator("ref", mode="before")
    @classmethod
    def as_text(cls, value: object) -> str:
        return str(value)

    @field_validator("status", mode="before")
    @classmethod
    def known_status(cls, value: object) -> str:
        """Take the status without the name of its type; one that is not known is not the last."""
        status = str(value).rpartition(".")[2].upper()
        return status if status in ("COMPLETE", "ERROR") else "PENDING"

    @field_validator("publicScore", mode="before")
    @classmethod
    def none_yet(cls, value: object) -> object:
        return None if value == "" else value


class Standing(BaseModel):
    """A line of the leaderboard."""

    teamName: str  # noqa: N815  Kaggle's name
    score: float


def download(folder: Path, limits: Limits = PATIENT) -> None:
    """Fetch the competition's archive into `folder`, where it appears whole and with every row checked, or not at all.

    Raises:
        UserError: there are no credentials, Kaggle refuses, it takes too long, or what came is not the archive.
    """
    require_writable(folder / ARCHIVE)
    log.info("Downloading %s from Kaggle, with the credentials in %s", ARCHIVE, require_credentials().place)
    with TemporaryDirectory(dir=folder, prefix=".kaggle-", ignore_cleanup_errors=True) as name:
        fetched = Path(name) / ARCHIVE
        hidden = None if log.isEnabledFor(logging.INFO) else True
        with tqdm(desc=ARCHIVE, unit="B", unit_scale=True, leave=False, disable=hidden) as bar:

            def arrived(printed: str) -> int:
                bar.total = bar.total or size_in(printed)
                size = sum(file.stat().st_size for file in fetched.parent.iterdir())
                bar.update(size - bar.n)
                return size

            said = ask(
                "download", COMPETITION, "--path", name, seconds=limits.answer, growing=arrived, most=limits.download
            )
        if not fetched.exists():
            raise KaggleError(f"Kaggle's client ended without {ARCHIVE} ({gist(said)}): try again", passing=True)
        try:
            for member, rows in (("train.csv", TRAIN_ROWS), ("test.csv", TEST_ROWS)):
                table = CsvFile(fetched, member).read(labels_required=member == "train.csv")
                if len(table) != rows:
                    raise UserError(f"{fetched}/{member}: {len(table):,} rows where {rows:,} are expected")
        except UserError as error:
            raise KaggleError(f"what Kaggle sent is unsound: {str(error).replace(f'{name}{os.sep}', '')}") from None
        fetched.replace(folder / ARCHIVE)


def size_in(printed: str) -> float | None:
    """Return the bytes to come, as the client's own progress bar gives them, or None before it does."""
    found = re.search(r"/([\d.]+)([kMG]?)[B ]", printed)
    return float(found[1]) * 1024 ** " kMG".index(found[2] or " ") if found else None


def submissions_left(limits: Limits = PATIENT) -> int | None:
    """Return how many submissions are left today, or None where Kaggle does not know the team yet."""
    counts = parsed(
        ask("submission-limits", COMPETITION, "--json", seconds=limits.answer), dict[str, int | bool | None]
    )
    return int(counts.get("numAllowedNow") or 0) if counts else None  # what is 0 is left out


def send(file: Path, message: str, limits: Limits = PATIENT) -> None:
    """Send a submission. That no error is raised says little: look for it in `submissions`."""
    said = ask("submit", "-c", COMPETITION, "-f", str(file), f"--message={message}", seconds=limits.upload)
    if "Could not submit" in said:  # with status 0, before 2.2.5
        raise refusal(said, "", "")


def submissions(limits: Limits = PATIENT) -> list[Submission]:
    """Return the newest submissions, the last one first."""
    text = ask("submissions", COMPETITION, "--format", "json", "--page-size", str(NEWEST), seconds=limits.answer)
    return [] if "No submissions found" in text else parsed(text, list[Submission])


def error_of(ref: str, limits: Limits = PATIENT) -> str:
    """Return why Kaggle could not score a submission, or where that is told: clients before 2.2.5 do not say."""
    try:
        told = ask("submission", ref, seconds=limits.answer)
    except KaggleError:
        told = ""
    found = re.search(r"^Error:\s*(.+)$", told, re.MULTILINE)
    return found[1] if found else f"{PAGE}/submissions says why"


def leaderboard(limits: Limits = PATIENT) -> list[Standing]:
    """Return the leaderboard's first lines, the best first."""
    return parsed(ask("leaderboard", COMPETITION, "--show", "--format", "json", seconds=limits.answer), list[Standing])


def parsed(text: str, kind: type[Parsed]) -> Parsed:
    """Return the first JSON value of a kind that begins a line of the client's output, whatever stands around it.

    Raises:
        KaggleError: there is none; the output is shown.
    """
    decoder = json.JSONDecoder()
    for start in re.finditer(r"^[\[{]", text, re.MULTILINE):
        try:
            return TypeAdapter(kind).validate_python(decoder.raw_decode(text, start.start())[0])
        except (ValueError, ValidationError):
            continue
    raise KaggleError(
        f"Kaggle's client printed what cannot be understood: {shortened(text) or 'nothing'}; try again", passing=True
    )


def ask(*arguments: str, seconds: float, growing: Callable[[str], float] | None = None, most: float = 0) -> str:
    """Run `kaggle competitions ...` and return what it printed, without credentials.

    Args:
        arguments: what follows `competitions`.
        seconds: its time limit.
        growing: called with what it has printed on stderr, some times a second; whenever what it returns has grown, the
            time limit begins anew.
        most: the time limit that holds even so, where `growing` is given.

    Raises:
        KaggleError: it failed, or was ended at its time limit.
        UserError: there are no credentials, or no client.
    """
    credentials = require_credentials()
    if find_spec("kaggle") is None:
        raise UserError("Kaggle's client is not installed: make setup, or pip install kaggle six")
    command = [sys.executable, "-P", "-c", ENDS_WITH_US, "-W", "competitions", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VERBOSE")}
    theirs, ours = os.pipe()
    try:
        with subprocess.Popen(
            command,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environment, "PYTHONUTF8": "1"},
        ) as process:
            try:
                out, err = (text.decode(errors="replace") for text in wait(process, seconds, growing, most))
            except BaseException:
                process.kill()
                raise
    finally:
        os.close(theirs)
        os.close(ours)
    out, err = credentials.hide(out), credentials.hide(err)
    if process.returncode:
        raise refusal(out, err, credentials.place)
    return out


def wait(
    process: subprocess.Popen[bytes], seconds: float, growing: Callable[[str], float] | None, most: float
) -> tuple[bytes, bytes]:
    """Return what a process prints on stdout and stderr; see `ask` for its time limits."""
    began = grown = monotonic()
    size = 0.0
    while True:
        try:
            return process.communicate(timeout=min(seconds, 0.2))
        except subprocess.TimeoutExpired as pause:
            now = monotonic()
            if growing:
                before, size = size, growing((pause.stderr or b"").decode(errors="replace"))
                grown = now if size > before else grown
            if now - grown >= seconds or (growing and now - began >= most):
                raise KaggleError(
                    f"Kaggle did not answer within {now - grown:.0f} seconds: try again later", passing=True
                ) from None


def refusal(out: str, err: str, place: str) -> KaggleError:
    """Return what a failed call of the client means, and what to do about it."""
    words = f"{out}\n{err}".lower()
    found = re.search(r"\b([45]\d\d) (?:client|server) error", words)
    status = int(found[1]) if found else 0
    said = gist(err) or gist(out) or "without a word"

    def told(*phrases: str) -> bool:
        return any(phrase in words for phrase in phrases)

    if told("could not submit"):
        return KaggleError(f"Kaggle did not take the upload ({said}): try again")
    if status == 401 or told("authentication required", "unauthenticated"):
        return KaggleError(f"Kaggle does not accept the credentials in {place}: put a new token there, from {SETTINGS}")
    if status == 403 or told("don't have access", "permission", "forbidden", "rules"):
        return KaggleError(
            f"Kaggle forbids it ({said}): accept the competition's rules at {PAGE}/rules, then try again"
        )
    if status == 429 or told("rate limit", "too many requests"):
        return KaggleError(f"Kaggle asks for fewer calls ({said}): wait some minutes, then try again", passing=True)
    if status >= 500 or told("on kaggle's side"):
        return KaggleError(f"Kaggle is out of order ({said}): try again later", passing=True)
    if told("connection", "timed out", "max retries"):
        return KaggleError(f"Kaggle cannot be reached ({said}): see to the network, then try again", passing=True)
    if told("traceback (most recent", "if this is unexpected", "expecting value"):
        return KaggleError(f"Kaggle's client failed ({said}): try again", passing=True)
    # Where Kaggle gives a reason, the client leaves out the status: it may be a 400 or a 500.
    return KaggleError(
        f"Kaggle refuses ({said}); if you have not joined yet, accept the rules at {PAGE}/rules", passing=not status
    )


def gist(text: str) -> str:
    """Return in one line what the client said last or, before its general advice, first; progress bars are left out."""
    lines = [line.strip() for line in re.split(r"[\r\n]", text.strip()) if "%|" not in line]
    paragraphs = [paragraph for paragraph in "\n".join(lines).strip().split("\n\n") if paragraph]
    if not paragraphs:
        return ""
    one = paragraphs[0].splitlines()
    if one[0].startswith(("Traceback", "usage")):
        one = paragraphs[-1].splitlines()[-1:]
    return shortened(" ".join(one))


def shortened(text: str) -> str:
    """Return a text in one line, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= MOST_SHOWN else f"{line[:MOST_SHOWN]}..."
