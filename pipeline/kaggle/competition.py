"""The competition on Kaggle: its data, its submissions and its leaderboard, as Kaggle's client tells them."""

import json
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError, field_validator
from tqdm import tqdm

from pipeline.data.csv_file import CsvFile
from pipeline.digits import COMPETITION_URL
from pipeline.errors import UserError
from pipeline.kaggle.client import KaggleError, explain_refusal, run_client, shorten, summarise
from pipeline.kaggle.credentials import require_credentials
from pipeline.utils.files import require_writable

log = logging.getLogger(__name__)

COMPETITION_NAME = "digit-recognizer"
ARCHIVE = f"{COMPETITION_NAME}.zip"
TRAIN_ROWS, TEST_ROWS = 42_000, 28_000
MAX_LISTED = 100
"""How many submissions are asked for."""
Parsed = TypeVar("Parsed")


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


def download_files(folder: Path, limits: Limits = PATIENT) -> None:
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
                bar.total = bar.total or parse_size(printed)
                size = fetched.stat().st_size if fetched.exists() else 0
                bar.update(size - bar.n)
                return size

            said = run_client(
                "download",
                COMPETITION_NAME,
                "--path",
                name,
                seconds=limits.answer,
                growing=arrived,
                most=limits.download,
            )
        if not fetched.exists():
            raise KaggleError(f"Kaggle's client ended without {ARCHIVE} ({summarise(said)}): try again", retryable=True)
        try:
            for member, rows in (("train.csv", TRAIN_ROWS), ("test.csv", TEST_ROWS)):
                table = CsvFile(fetched, member).read(labels_required=member == "train.csv")
                if len(table) != rows:
                    raise UserError(f"{fetched}/{member}: {len(table):,} rows where {rows:,} are expected")
        except UserError as error:
            raise KaggleError(f"what Kaggle sent is unsound: {str(error).replace(f'{name}{os.sep}', '')}") from None
        fetched.replace(folder / ARCHIVE)


def parse_size(printed: str) -> float | None:
    """Return the bytes to come, as the client's own progress bar gives them, or None before it does."""
    found = re.search(r"/([\d.]+)([kMG]?)[B ]", printed)
    return float(found[1]) * 1024 ** " kMG".index(found[2] or " ") if found else None


def submissions_left(limits: Limits = PATIENT) -> int | None:
    """Return how many submissions are left today, or None where Kaggle does not know the team yet."""
    counts = parse_json(
        run_client("submission-limits", COMPETITION_NAME, "--json", seconds=limits.answer), dict[str, int | bool | None]
    )
    return int(counts.get("numAllowedNow") or 0) if counts else None  # what is 0 is left out


def upload(file: Path, message: str, limits: Limits = PATIENT) -> None:
    """Send a submission. That no error is raised says little: look for it in `list_submissions`."""
    said = run_client("submit", "-c", COMPETITION_NAME, "-f", str(file), f"--message={message}", seconds=limits.upload)
    if "Could not submit" in said:  # with status 0, before 2.2.5
        raise explain_refusal(said, "", "")


def list_submissions(limits: Limits = PATIENT) -> list[Submission]:
    """Return the newest submissions, the last one first."""
    text = run_client(
        "submissions", COMPETITION_NAME, "--format", "json", "--page-size", str(MAX_LISTED), seconds=limits.answer
    )
    return [] if "No submissions found" in text.splitlines() else parse_json(text, list[Submission])


def fetch_error(ref: str, limits: Limits = PATIENT) -> str:
    """Return why Kaggle could not score a submission, or where that is told: clients before 2.2.5 do not say."""
    try:
        told = run_client("submission", ref, seconds=limits.answer)
    except KaggleError:
        told = ""
    found = re.search(r"^Error:\s*(.+)$", told, re.MULTILINE)
    return found[1] if found else f"{COMPETITION_URL}/submissions says why"


def fetch_leaderboard(limits: Limits = PATIENT) -> list[Standing]:
    """Return the leaderboard's first lines, the best first."""
    return parse_json(
        run_client("leaderboard", COMPETITION_NAME, "--show", "--format", "json", seconds=limits.answer), list[Standing]
    )


def parse_json(text: str, kind: type[Parsed]) -> Parsed:
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
        f"Kaggle's client printed what cannot be understood: {shorten(text) or 'nothing'}; try again", retryable=True
    )
