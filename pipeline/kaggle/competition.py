"""Access the competition's data, submissions and leaderboard through Kaggle's client."""

import errno
import json
import logging
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError, field_validator
from tqdm import tqdm

from pipeline.data.csv_file import CsvFile
from pipeline.digits import COMPETITION_URL
from pipeline.errors import UserError
from pipeline.kaggle.client import KaggleError, explain_failure, run_client, shorten, summarise
from pipeline.kaggle.credentials import require_credentials
from pipeline.utils.files import explain_write_error, require_writable

log = logging.getLogger(__name__)

COMPETITION_NAME = "digit-recognizer"
ARCHIVE = f"{COMPETITION_NAME}.zip"
MIN_FREE_BYTES = 1 << 16
"""Free space below which a download fails."""
TRAIN_ROWS, TEST_ROWS = 42_000, 28_000
MAX_LISTED_SUBMISSIONS = 100
"""Page size of the list of submissions."""
Parsed = TypeVar("Parsed")


@dataclass(frozen=True)
class Limits:
    """Time-outs, in seconds.

    Attributes:
        answer: of one call; of a download, the longest time without new data.
        download: of a complete download.
        upload: of sending a submission.
        appearance: until a sent submission appears in Kaggle's list.
        score: until a submission has a score.
        training: until a training on Kaggle ends; Kaggle stops it after 12 hours, and it may wait for a GPU before.
        pause: between two requests for that list.
    """

    answer: float = 60
    download: float = 900
    upload: float = 120
    appearance: float = 30
    score: float = 900
    training: float = 86_400
    pause: float = 5


DEFAULT_LIMITS = Limits()


class Submission(BaseModel):
    """A submission in Kaggle's list; the public score is None until the status is COMPLETE."""

    ref: str
    status: Literal["PENDING", "COMPLETE", "ERROR"]
    description: str
    publicScore: float | None  # noqa: N815  Kaggle's name

    @field_validator("ref", mode="before")
    @classmethod
    def ref_as_text(cls, value: object) -> str:
        return str(value)

    @field_validator("status", mode="before")
    @classmethod
    def normalise_status(cls, value: object) -> str:
        """Strip the enum's name from the status; treat an unknown status as PENDING."""
        status = str(value).rpartition(".")[2].upper()
        return status if status in ("COMPLETE", "ERROR") else "PENDING"

    @field_validator("publicScore", mode="before")
    @classmethod
    def empty_score_as_none(cls, value: object) -> object:
        return None if value == "" else value


class Standing(BaseModel):
    """A row of the leaderboard."""

    teamName: str  # noqa: N815  Kaggle's name
    score: float


def download_files(folder: Path, limits: Limits = DEFAULT_LIMITS) -> None:
    """Download the competition's archive into `folder`; check every row before the file appears there.

    Raises:
        UserError: there are no credentials, Kaggle rejects the request, the download times out, the disk is full, or
            the archive is not valid.
    """
    require_writable(folder / ARCHIVE)
    log.info("Downloading %s from Kaggle, with the credentials in %s", ARCHIVE, require_credentials().location)
    with TemporaryDirectory(dir=folder, prefix=".kaggle-", ignore_cleanup_errors=True) as name:
        download = Path(name) / ARCHIVE
        disable = None if log.isEnabledFor(logging.INFO) else True
        with tqdm(desc=ARCHIVE, unit="B", unit_scale=True, leave=False, disable=disable) as bar:

            def report_progress(printed: str) -> int:
                bar.total = bar.total or parse_size(printed)
                if shutil.disk_usage(name).free < MIN_FREE_BYTES:  # the client would try again and again
                    raise explain_write_error(folder / ARCHIVE, OSError(errno.ENOSPC, "no space left"))
                size = download.stat().st_size if download.exists() else 0
                bar.update(size - bar.n)
                return size

            output = run_client(
                "competitions",
                "download",
                COMPETITION_NAME,
                "--path",
                name,
                seconds=limits.answer,
                progress=report_progress,
                max_seconds=limits.download,
            )
        if not download.exists():
            raise KaggleError(
                f"Kaggle's client did not download {ARCHIVE} ({summarise(output)}): try again", retryable=True
            )
        try:
            for member, rows in (("train.csv", TRAIN_ROWS), ("test.csv", TEST_ROWS)):
                table = CsvFile(download, member).read(labels_required=member == "train.csv")
                if len(table) != rows:
                    raise UserError(f"{download}/{member}: {len(table):,} rows, expected {rows:,}")
        except UserError as error:
            raise KaggleError(f"Kaggle sent invalid data: {str(error).replace(f'{name}{os.sep}', '')}") from None
        download.replace(folder / ARCHIVE)


def parse_size(printed: str) -> float | None:
    """Return the download size in bytes from the client's progress bar, or None if the bar shows no size yet."""
    found = re.search(r"/([\d.]+)([kMG]?)[B ]", printed)
    return float(found[1]) * 1024 ** " kMG".index(found[2] or " ") if found else None


def submissions_left(limits: Limits = DEFAULT_LIMITS) -> int | None:
    """Return the number of submissions left today, or None if Kaggle does not know the team yet."""
    counts = parse_json(
        run_client("competitions", "submission-limits", COMPETITION_NAME, "--json", seconds=limits.answer),
        dict[str, int | bool | None],
    )
    return int(counts.get("numAllowedNow") or 0) if counts else None  # Kaggle omits zeros


def upload(file: Path, message: str, limits: Limits = DEFAULT_LIMITS) -> None:
    """Send a submission. The client may fail silently: check that `list_submissions` contains it."""
    output = run_client(
        "competitions", "submit", "-c", COMPETITION_NAME, "-f", str(file), f"--message={message}", seconds=limits.upload
    )
    if "Could not submit" in output:  # clients before 2.2.5 exit with status 0
        raise explain_failure(output, "", "")


def list_submissions(limits: Limits = DEFAULT_LIMITS) -> list[Submission]:
    """Return the newest submissions, at most 100, newest first."""
    text = run_client(
        "competitions",
        "submissions",
        COMPETITION_NAME,
        "--format",
        "json",
        "--page-size",
        str(MAX_LISTED_SUBMISSIONS),
        seconds=limits.answer,
    )
    return [] if "No submissions found" in text.splitlines() else parse_json(text, list[Submission])


def fetch_error(ref: str, limits: Limits = DEFAULT_LIMITS) -> str:
    """Return why Kaggle could not score a submission, or a link to the reason: clients before 2.2.5 omit it."""
    try:
        output = run_client("competitions", "submission", ref, seconds=limits.answer)
    except KaggleError:
        output = ""
    found = re.search(r"^Error:\s*(.+)$", output, re.MULTILINE)
    return found[1] if found else f"see {COMPETITION_URL}/submissions"


def fetch_leaderboard(limits: Limits = DEFAULT_LIMITS) -> list[Standing]:
    """Return the first rows of the leaderboard, best first."""
    return parse_json(
        run_client(
            "competitions", "leaderboard", COMPETITION_NAME, "--show", "--format", "json", seconds=limits.answer
        ),
        list[Standing],
    )


def parse_json(text: str, kind: type[Parsed]) -> Parsed:
    """Return the first valid JSON value of a type at the start of a line of the client's output.

    Raises:
        KaggleError: the output contains no such value; the message quotes the output.
    """
    decoder = json.JSONDecoder()
    for start in re.finditer(r"^[\[{]", text, re.MULTILINE):
        try:
            return TypeAdapter(kind).validate_python(decoder.raw_decode(text, start.start())[0])
        except (ValueError, ValidationError):
            continue
    raise KaggleError(
        f"Kaggle's client printed unexpected output: {shorten(text) or 'nothing'}; try again", retryable=True
    )
