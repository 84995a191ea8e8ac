"""Tests of the real client against a local server; no request leaves the machine."""

import io
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import Outcome
from helpers.files import csv_text
from helpers.kaggle_server import KEY, NAME, QUICK, TOKEN, Fault, KaggleServer
from torchvision.datasets import MNIST

from pipeline import DigitTable, UserError, find_source
from pipeline.kaggle.client import KaggleError
from pipeline.kaggle.competition import (
    Limits,
    Submission,
    download_files,
    fetch_leaderboard,
    list_submissions,
    parse_json,
    parse_size,
)
from pipeline.kaggle.credentials import find_credentials


def put_archive(server: KaggleServer, digits: DigitTable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the server an archive of 30 and 20 rows, and set the expected numbers of rows to match."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train.csv", csv_text(digits.select(np.arange(30))))
        archive.writestr("test.csv", csv_text(DigitTable(digits.pixels[30:50])))
    server.archive = packed.getvalue()
    monkeypatch.setattr("pipeline.kaggle.competition.TRAIN_ROWS", 30)
    monkeypatch.setattr("pipeline.kaggle.competition.TEST_ROWS", 20)


# Credentials


@pytest.mark.parametrize("verb", ["data", "leaderboard"])
@pytest.mark.usefixtures("home")
def test_missing_credentials_are_explained_in_four_steps(verb: str, command: Callable[..., Outcome]) -> None:
    ended = command("kaggle", verb)
    assert ended.status == 2
    assert "no Kaggle credentials found" in ended.err
    assert [line[:2] for line in ended.err.splitlines()[1:]] == ["1.", "2.", "3.", "4."]


def test_credentials_are_searched_in_the_clients_order(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def location() -> str:
        found = find_credentials()
        return found.location.removeprefix(f"{home}/") if found else "nowhere"

    assert location() == "nowhere"
    (home / ".kaggle" / "credentials.json").write_text('{"refresh_token": "of-oauth", "username": "entrant"}')
    assert location() == ".kaggle/credentials.json"
    (home / ".kaggle" / "kaggle.json").write_text(f'{{"username": "{NAME}", "key": "{KEY}"}}')
    assert location() == ".kaggle/kaggle.json"
    monkeypatch.setenv("KAGGLE_USERNAME", NAME)
    monkeypatch.setenv("KAGGLE_KEY", "another-key")
    assert location() == "KAGGLE_KEY"
    (home / ".kaggle" / "access_token").write_text(f"{TOKEN}\n")
    assert location() == ".kaggle/access_token"
    monkeypatch.setenv("KAGGLE_API_TOKEN", str(home / ".kaggle" / "access_token"))
    assert location() == "KAGGLE_API_TOKEN"
    found = find_credentials()
    assert found is not None
    assert {TOKEN, KEY, "another-key", "of-oauth"} <= set(found.secrets)
    assert KEY not in repr(found)


def test_damaged_credential_files_count_as_none(home: Path) -> None:
    (home / ".kaggle" / "kaggle.json").write_text("{")
    (home / ".kaggle" / "credentials.json").write_text('["refresh_token"]')
    (home / ".kaggle" / "access_token").write_bytes(b"\xff\xfe")
    assert find_credentials() is None


@pytest.mark.parametrize("in_variable", [False, True])
@pytest.mark.parametrize(
    "content",
    [
        f"# my token, from the settings\n{TOKEN}",
        f"{TOKEN}\n# my token",
        f"{TOKEN[:10]}\n{TOKEN[10:]}",
        f"{TOKEN[:10]}\r\n{TOKEN[10:]}",
        f"{TOKEN} my token",
        f"{TOKEN}\u2013",
        f"Jos\u00e9 {TOKEN}",
    ],
)
def test_a_token_that_cannot_be_sent_is_refused_and_never_shown(
    content: str, in_variable: bool, home: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Outcome]
) -> None:
    path = home / ".kaggle" / "access_token"
    path.write_bytes(content.encode())
    if in_variable:
        monkeypatch.setenv("KAGGLE_API_TOKEN", content)
    ended = command("kaggle", "leaderboard")
    location = "KAGGLE_API_TOKEN" if in_variable else str(path)
    assert ended.status == 2
    assert f"{location}: must be the token alone, in one line" in ended.err
    assert ended.err.count("\n") == 1
    for part in (TOKEN, TOKEN[:10], TOKEN[10:]):
        assert part not in ended.out + ended.err


def test_every_line_of_a_secret_is_hidden(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / ".kaggle" / "access_token").write_text(f"# remark\n{TOKEN}\nrest-of-it")
    monkeypatch.setenv("KAGGLE_API_TOKEN", "another-token")
    found = find_credentials()
    assert found is not None
    text = f"ValueError: Invalid header value b'Bearer # remark\\n{TOKEN}\\nrest-of-it'\n{TOKEN}"
    hidden = found.hide(text)
    assert not any(part in hidden for part in (TOKEN, "rest-of-it", "remark"))
    assert hidden.startswith("ValueError: Invalid header value b'Bearer [hidden]")


# Errors and output of the client


@pytest.mark.parametrize(
    ("fault", "message", "retryable"),
    [
        (Fault(401, "Unauthenticated"), "rejected the credentials in KAGGLE_KEY", False),
        (Fault(403), "accept the rules at .*/digit-recognizer/rules", False),
        (Fault(403, "You must accept this competition's rules"), "accept the rules at", False),
        (Fault(404), "404 Client Error", False),
        (Fault(400), "400 Client Error", False),
        (Fault(400, "The page is too large"), r"rejected the request \(The page is too large\)", True),
        (Fault(429, None, {"Retry-After": "30"}), "wait a few minutes", True),
        (Fault(500, "<html>"), "returned a server error .*500 Server Error", True),
        (Fault(kind="cut"), "cannot be reached .* check your network connection", True),
        (Fault(200, "<html>Not a list"), "client failed .*Expecting value", True),
    ],
    ids=["401", "403", "403 rules", "404", "400", "400 message", "429", "500", "cut", "no list"],
)
def test_each_error_gives_a_remedy_in_one_line(
    fault: Fault, message: str, retryable: bool, server: KaggleServer
) -> None:
    server.faults["ListSubmissions"] = fault
    with pytest.raises(KaggleError, match=message) as refusal:
        list_submissions(QUICK)
    assert "\n" not in str(refusal.value)
    assert "Traceback" not in str(refusal.value)
    assert refusal.value.retryable == retryable


def test_a_rejected_token_is_named_by_its_location(server: KaggleServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_expired")
    server.faults["IntrospectToken"] = Fault(401, None)
    with pytest.raises(UserError, match="rejected the credentials in KAGGLE_API_TOKEN") as refusal:
        list_submissions(QUICK)
    assert "KGAT_expired" not in str(refusal.value)


def test_a_silent_server_ends_in_a_time_out(server: KaggleServer) -> None:
    server.faults["GetLeaderboard"] = Fault(kind="silence")
    started = time.monotonic()
    with pytest.raises(KaggleError, match="did not answer within 5 seconds"):
        fetch_leaderboard(Limits(answer=5))
    assert time.monotonic() - started < 9
    assert server.left.wait(5), "the client did not end"


def test_a_list_is_parsed_despite_warnings_around_it(server: KaggleServer, home: Path) -> None:
    server.headers["X-Kaggle-APIVersion"] = "99.0.0"  # the client warns that it is outdated
    (home / ".kaggle" / "kaggle.json").write_text(f'{{"username": "{NAME}", "key": "{KEY}"}}')
    (home / ".kaggle" / "kaggle.json").chmod(0o644)  # the client warns of these permissions
    server.uploads.append(b"")
    server.create({"submissionDescription": "[not] a {list} [12ab34cd]"})
    (found,) = list_submissions(QUICK)
    assert (found.ref, found.status, found.publicScore) == ("900", "COMPLETE", 0.99321)
    assert found.description == "[not] a {list} [12ab34cd]"


@pytest.mark.parametrize(
    "printed", ["", "Warning: old\n{}", '[{"ref": 1}]', "[1, 2", '[{"ref": 1, "status": null}]', "<html>[]"]
)
def test_unexpected_output_is_quoted(printed: str) -> None:
    with pytest.raises(KaggleError, match="unexpected output: ") as refusal:
        parse_json(printed, list[Submission])
    assert " ".join(printed.split()) in str(refusal.value)


def test_credentials_are_hidden_in_the_clients_output(server: KaggleServer) -> None:
    server.faults["ListSubmissions"] = Fault(
        400, f"{KEY} is wrong: Basic ZW50cmFudDpjMGZmZWU= http://x.y/z?signature=s1"
    )
    with pytest.raises(UserError) as refusal:
        list_submissions(QUICK)
    message = str(refusal.value)
    assert "[hidden] is wrong: Basic [hidden] http://x.y/z?[hidden]" in message
    assert KEY not in message


def test_the_leaderboard_is_shown(server: KaggleServer, command: Callable[..., Outcome]) -> None:
    ended = command("kaggle", "leaderboard")
    assert (ended.status, ended.out) == (0, "  1  0.99900  the first\n")


# Downloads


def test_data_are_downloaded_once_and_checked(
    server: KaggleServer, digits: DigitTable, command: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    put_archive(server, digits, monkeypatch)
    ended = command("kaggle", "data", "--data", "fresh")
    assert (ended.status, ended.err) == (0, "")
    assert "with the credentials in KAGGLE_KEY\n" in ended.out
    assert "downloaded from Kaggle" in ended.out
    assert KEY not in ended.out
    assert "30 training rows, 20 test rows" in ended.out
    assert Path("fresh/digit-recognizer.zip").read_bytes() == server.archive
    assert [path.name for path in Path("fresh").iterdir()] == ["digit-recognizer.zip"]
    calls = list(server.calls)
    again = command("kaggle", "data", "--data", "fresh")
    assert (again.status, server.calls) == (0, calls)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>Sign in", "web page|no such|zip"),
        (b"PK\x03\x04 and no more", "damaged or incomplete"),
        (None, "30 rows"),
    ],
    ids=["web page", "truncated", "too few rows"],
)
def test_an_invalid_download_is_rejected_and_deleted(
    content: bytes | None, message: str, server: KaggleServer, digits: DigitTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_archive(server, digits, monkeypatch)
    monkeypatch.setattr("pipeline.kaggle.competition.TRAIN_ROWS", 42_000)
    server.archive = server.archive if content is None else content
    with pytest.raises(UserError, match=rf"Kaggle sent invalid data: digit-recognizer\.zip.*({message})"):
        find_source("kaggle", Path("data"))
    assert list(Path("data").iterdir()) == []


def test_an_interrupted_download_is_resumed(
    server: KaggleServer, digits: DigitTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_archive(server, digits, monkeypatch)
    server.faults["GET"] = Fault(kind="half", times=1)
    download_files(Path("data"), QUICK)
    assert Path("data/digit-recognizer.zip").read_bytes() == server.archive
    assert server.calls.count("GET") == 2


def test_a_stalled_download_times_out(server: KaggleServer) -> None:
    server.faults["GET"] = Fault(kind="silence")
    with pytest.raises(UserError, match="did not answer within"):
        download_files(Path("data"), Limits(answer=3))
    assert list(Path("data").iterdir()) == []


def test_with_credentials_auto_downloads_from_kaggle_or_stops_and_never_practises(
    server: KaggleServer, digits: DigitTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MNIST, "mirrors", [])
    put_archive(server, digits, monkeypatch)
    server.faults["DownloadDataFiles"] = Fault(403)
    with pytest.raises(UserError) as caught:
        find_source("auto", Path("data"))
    message = str(caught.value)
    assert "accept the rules at https://www.kaggle.com/" in message
    assert message.endswith("; to practise on other digits, add --source practice")
    assert "\n" not in message
    server.faults.clear()
    found = find_source("auto", Path("data"))
    assert (found.name, found.reason, len(found.read_train())) == ("competition", "downloaded from Kaggle", 30)


def test_the_download_size_is_parsed_from_the_clients_progress_bar() -> None:
    assert parse_size("  0%|          | 0.00/14.2M [00:00<?, ?B/s]") == pytest.approx(14.2 * 1024**2)
    assert parse_size("100%|##########| 812/812 [00:00<00:00, 9kB/s]") == 812
    assert parse_size("Downloading digit-recognizer.zip") is None
