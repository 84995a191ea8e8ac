"""The real client against a server on the loopback; nothing here can leave the machine."""

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
    """Let the server have an archive of 30 and 20 rows, and let that be what is expected."""
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
def test_without_credentials_four_lines_say_how_to_get_some(verb: str, command: Callable[..., Outcome]) -> None:
    ended = command("kaggle", verb)
    assert ended.status == 2
    assert "there are no credentials for Kaggle" in ended.err
    assert [line[:2] for line in ended.err.splitlines()[1:]] == ["1.", "2.", "3.", "4."]


def test_credentials_are_found_where_the_client_finds_them_in_its_order(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def place() -> str:
        found = find_credentials()
        return found.place.removeprefix(f"{home}/") if found else "nowhere"

    assert place() == "nowhere"
    (home / ".kaggle" / "credentials.json").write_text('{"refresh_token": "of-oauth", "username": "entrant"}')
    assert place() == ".kaggle/credentials.json"
    (home / ".kaggle" / "kaggle.json").write_text(f'{{"username": "{NAME}", "key": "{KEY}"}}')
    assert place() == ".kaggle/kaggle.json"
    monkeypatch.setenv("KAGGLE_USERNAME", NAME)
    monkeypatch.setenv("KAGGLE_KEY", "another-key")
    assert place() == "KAGGLE_KEY"
    (home / ".kaggle" / "access_token").write_text(f"{TOKEN}\n")
    assert place() == ".kaggle/access_token"
    monkeypatch.setenv("KAGGLE_API_TOKEN", str(home / ".kaggle" / "access_token"))
    assert place() == "KAGGLE_API_TOKEN"
    found = find_credentials()
    assert found is not None
    assert {TOKEN, KEY, "another-key", "of-oauth"} <= set(found.secrets)
    assert KEY not in repr(found)


def test_damaged_credential_files_count_as_none(home: Path) -> None:
    (home / ".kaggle" / "kaggle.json").write_text("{")
    (home / ".kaggle" / "credentials.json").write_text('["refresh_token"]')
    (home / ".kaggle" / "access_token").write_bytes(b"\xff\xfe")
    assert find_credentials() is None


# What the client says


@pytest.mark.parametrize(
    ("fault", "said", "retryable"),
    [
        (Fault(401, "Unauthenticated"), "does not accept the credentials in KAGGLE_KEY", False),
        (Fault(403), "accept the competition's rules at .*/digit-recognizer/rules", False),
        (Fault(403, "You must accept this competition's rules"), "accept the competition's rules at", False),
        (Fault(404), "404 Client Error", False),
        (Fault(400), "400 Client Error", False),
        (Fault(400, "The page is too large"), r"refuses \(The page is too large\)", True),
        (Fault(429, None, {"Retry-After": "30"}), "wait some minutes", True),
        (Fault(500, "<html>"), "out of order .*500 Server Error", True),
        (Fault(kind="cut"), "cannot be reached .* see to the network", True),
        (Fault(200, "<html>Not a list"), "client failed .*Expecting value", True),
    ],
    ids=["401", "403", "403 rules", "404", "400", "400 message", "429", "500", "cut", "no list"],
)
def test_each_refusal_says_in_one_line_what_to_do(
    fault: Fault, said: str, retryable: bool, server: KaggleServer
) -> None:
    server.faults["ListSubmissions"] = fault
    with pytest.raises(KaggleError, match=said) as refusal:
        list_submissions(QUICK)
    assert "\n" not in str(refusal.value)
    assert "Traceback" not in str(refusal.value)
    assert refusal.value.retryable == retryable


def test_a_token_that_kaggle_does_not_know_is_named_by_its_place(
    server: KaggleServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_expired")
    server.faults["IntrospectToken"] = Fault(401, None)
    with pytest.raises(UserError, match="does not accept the credentials in KAGGLE_API_TOKEN") as refusal:
        list_submissions(QUICK)
    assert "KGAT_expired" not in str(refusal.value)


def test_a_silent_server_costs_the_time_limit_and_no_more(server: KaggleServer) -> None:
    server.faults["GetLeaderboard"] = Fault(kind="silence")
    started = time.monotonic()
    with pytest.raises(KaggleError, match="did not answer within 5 seconds"):
        fetch_leaderboard(Limits(answer=5))
    assert time.monotonic() - started < 9
    assert server.left.wait(5), "the client went on without us"


def test_a_list_is_read_through_all_the_noise_around_it(server: KaggleServer, home: Path) -> None:
    server.headers["X-Kaggle-APIVersion"] = "99.0.0"  # the client warns of its age
    (home / ".kaggle" / "kaggle.json").write_text(f'{{"username": "{NAME}", "key": "{KEY}"}}')
    (home / ".kaggle" / "kaggle.json").chmod(0o644)  # and of that
    server.uploads.append(b"")
    server.create({"submissionDescription": "[not] a {list} [12ab34cd]"})
    (found,) = list_submissions(QUICK)
    assert (found.ref, found.status, found.publicScore) == ("900", "COMPLETE", 0.99321)
    assert found.description == "[not] a {list} [12ab34cd]"


@pytest.mark.parametrize(
    "printed", ["", "Warning: old\n{}", '[{"ref": 1}]', "[1, 2", '[{"ref": 1, "status": null}]', "<html>[]"]
)
def test_what_cannot_be_understood_is_shown(printed: str) -> None:
    with pytest.raises(KaggleError, match="cannot be understood: ") as refusal:
        parse_json(printed, list[Submission])
    assert " ".join(printed.split()) in str(refusal.value)


def test_credentials_are_hidden_in_whatever_the_client_says(server: KaggleServer) -> None:
    server.faults["ListSubmissions"] = Fault(
        400, f"{KEY} is wrong: Basic ZW50cmFudDpjMGZmZWU= http://x.y/z?signature=s1"
    )
    with pytest.raises(UserError) as refusal:
        list_submissions(QUICK)
    said = str(refusal.value)
    assert "[hidden] is wrong: Basic [hidden] http://x.y/z?[hidden]" in said
    assert KEY not in said


def test_the_leaderboard_is_shown(server: KaggleServer, command: Callable[..., Outcome]) -> None:
    ended = command("kaggle", "leaderboard")
    assert (ended.status, ended.out) == (0, "  1  0.99900  the first\n")


# The data


def test_data_are_downloaded_once_checked_and_moved_in_whole(
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
    ("content", "said"),
    [
        (b"<html>Sign in", "web page|no such|zip"),
        (b"PK\x03\x04 and no more", "damaged or incomplete"),
        (None, "30 rows"),
    ],
    ids=["web page", "truncated", "too few rows"],
)
def test_a_download_that_is_not_the_data_is_refused_and_leaves_nothing(
    content: bytes | None, said: str, server: KaggleServer, digits: DigitTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_archive(server, digits, monkeypatch)
    monkeypatch.setattr("pipeline.kaggle.competition.TRAIN_ROWS", 42_000)
    server.archive = server.archive if content is None else content
    with pytest.raises(UserError, match=rf"what Kaggle sent is unsound: digit-recognizer\.zip.*({said})"):
        find_source("kaggle", Path("data"))
    assert list(Path("data").iterdir()) == []


def test_a_download_that_breaks_off_is_taken_up_again(
    server: KaggleServer, digits: DigitTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_archive(server, digits, monkeypatch)
    server.faults["GET"] = Fault(kind="half", times=1)
    download_files(Path("data"), QUICK)
    assert Path("data/digit-recognizer.zip").read_bytes() == server.archive
    assert server.calls.count("GET") == 2


def test_a_download_that_stands_still_is_given_up(server: KaggleServer) -> None:
    server.faults["GET"] = Fault(kind="silence")
    with pytest.raises(UserError, match="did not answer within"):
        download_files(Path("data"), Limits(answer=3))
    assert list(Path("data").iterdir()) == []


def test_auto_takes_kaggles_data_where_there_are_credentials_and_says_why_where_they_do_not_come(
    server: KaggleServer, digits: DigitTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MNIST, "mirrors", [])
    put_archive(server, digits, monkeypatch)
    server.faults["DownloadDataFiles"] = Fault(403)
    found = find_source("auto", Path("data"))
    assert found.name == "practice"
    assert "accept the competition's rules at https://www.kaggle.com/" in found.reason
    assert "\n" not in str(found)
    server.faults.clear()
    found = find_source("auto", Path("data"))
    assert (found.name, found.reason, len(found.read_train())) == ("competition", "downloaded from Kaggle", 30)


def test_how_much_is_to_come_is_read_off_the_clients_own_bar() -> None:
    assert parse_size("  0%|          | 0.00/14.2M [00:00<?, ?B/s]") == pytest.approx(14.2 * 1024**2)
    assert parse_size("100%|##########| 812/812 [00:00<00:00, 9kB/s]") == 812
    assert parse_size("Downloading digit-recognizer.zip") is None
