"""The real client against a server on the loopback; nothing here can leave the machine."""

import io
import os
import shlex
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT, Outcome, csv_text
from kaggle_server import KEY, NAME, TOKEN, Fault, KaggleServer
from torchvision.datasets import MNIST

from pipeline import DigitTable, UserError, find_source, kaggle, sending
from pipeline.credentials import find_credentials
from pipeline.kaggle import Limits
from pipeline.ledger import Ledger
from pipeline.submission import Origin, hash_of, origin_path

QUICK = Limits(answer=30, download=30, upload=30, appearance=1, score=30, pause=0.1)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, the real search for credentials, and nothing of the developer's account."""
    for name in os.environ:
        if name.startswith(("KAGGLE_", "XDG_CONFIG")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / ".kaggle").mkdir(parents=True)
    monkeypatch.setattr("pipeline.credentials.find_credentials", find_credentials)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KaggleServer]:
    """A server that this process and its children take for Kaggle, signed in with a name and a key."""
    with KaggleServer() as started:
        for name, value in started.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("KAGGLE_USERNAME", NAME)
        monkeypatch.setenv("KAGGLE_KEY", KEY)
        yield started


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "submissions" / "ledger.csv")


@pytest.fixture
def solution(tmp_path: Path) -> Path:
    """A sound submission of a known origin."""
    path = tmp_path / "submissions" / "solution.csv"
    path.parent.mkdir()
    path.write_text("ImageId,Label\n" + "".join(f"{row},{row % 10}\n" for row in range(1, 28_001)))
    keep_origin(path)
    return path


def keep_origin(path: Path, **changes: object) -> None:
    origin = Origin(
        file_hash=hash_of(path.read_bytes()),
        run="checkpoints/mine",
        recipe="fast",
        source="competition",
        fingerprint="0123456789abcdef",
        validation_accuracy=0.99452,
        validation_rows=4200,
        leaked=0,
    )
    origin_path(path).write_text(origin.model_copy(update=changes).model_dump_json())


def put_archive(server: KaggleServer, digits: DigitTable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server have an archive of 30 and 20 rows, and let that be what is expected."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train.csv", csv_text(digits.select(np.arange(30))))
        archive.writestr("test.csv", csv_text(DigitTable(digits.pixels[30:50])))
    server.archive = packed.getvalue()
    monkeypatch.setattr(kaggle, "TRAIN_ROWS", 30)
    monkeypatch.setattr(kaggle, "TEST_ROWS", 20)


# Credentials


@pytest.mark.parametrize("verb", ["data", "submit", "leaderboard"])
@pytest.mark.usefixtures("home")
def test_without_credentials_four_lines_say_how_to_get_some(
    verb: str, command: Callable[..., Outcome], solution: Path
) -> None:
    ended = command("kaggle", verb)
    assert ended.status == 2
    assert "there are no credentials for Kaggle" in ended.err
    assert [line[:2] for line in ended.err.splitlines()[1:]] == ["1.", "2.", "3.", "4."]
    assert solution.exists()


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
    ("fault", "said", "passing"),
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
def test_each_refusal_says_in_one_line_what_to_do(fault: Fault, said: str, passing: bool, server: KaggleServer) -> None:
    server.faults["ListSubmissions"] = fault
    with pytest.raises(kaggle.KaggleError, match=said) as refusal:
        kaggle.submissions(QUICK)
    assert "\n" not in str(refusal.value)
    assert "Traceback" not in str(refusal.value)
    assert refusal.value.passing == passing


def test_a_token_that_kaggle_does_not_know_is_named_by_its_place(
    server: KaggleServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "KGAT_expired")
    server.faults["IntrospectToken"] = Fault(401, None)
    with pytest.raises(UserError, match="does not accept the credentials in KAGGLE_API_TOKEN") as refusal:
        kaggle.submissions(QUICK)
    assert "KGAT_expired" not in str(refusal.value)


def test_a_silent_server_costs_the_time_limit_and_no_more(server: KaggleServer) -> None:
    server.faults["GetLeaderboard"] = Fault(kind="silence")
    started = time.monotonic()
    with pytest.raises(kaggle.KaggleError, match="did not answer within 5 seconds"):
        kaggle.leaderboard(Limits(answer=5))
    assert time.monotonic() - started < 9
    assert server.left.wait(5), "the client went on without us"


def test_a_list_is_read_through_all_the_noise_around_it(server: KaggleServer, home: Path) -> None:
    server.headers["X-Kaggle-APIVersion"] = "99.0.0"  # the client warns of its age
    (home / ".kaggle" / "kaggle.json").write_text(f'{{"username": "{NAME}", "key": "{KEY}"}}')
    (home / ".kaggle" / "kaggle.json").chmod(0o644)  # and of that
    server.uploads.append(b"")
    server.create({"submissionDescription": "[not] a {list} [12ab34cd]"})
    (found,) = kaggle.submissions(QUICK)
    assert (found.ref, found.status, found.publicScore) == ("900", "COMPLETE", 0.99321)
    assert found.description == "[not] a {list} [12ab34cd]"


@pytest.mark.parametrize(
    "printed", ["", "Warning: old\n{}", '[{"ref": 1}]', "[1, 2", '[{"ref": 1, "status": null}]', "<html>[]"]
)
def test_what_cannot_be_understood_is_shown(printed: str) -> None:
    with pytest.raises(kaggle.KaggleError, match="cannot be understood: ") as refusal:
        kaggle.parsed(printed, list[kaggle.Submission])
    assert " ".join(printed.split()) in str(refusal.value)


def test_credentials_are_hidden_in_whatever_the_client_says(server: KaggleServer) -> None:
    server.faults["ListSubmissions"] = Fault(
        400, f"{KEY} is wrong: Basic ZW50cmFudDpjMGZmZWU= http://x.y/z?signature=s1"
    )
    with pytest.raises(UserError) as refusal:
        kaggle.submissions(QUICK)
    said = str(refusal.value)
    assert "[hidden] is wrong: Basic [hidden] http://x.y/z?[hidden]" in said
    assert KEY not in said


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
    assert "30 rows to learn from, 20 to predict" in ended.out
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
    monkeypatch.setattr(kaggle, "TRAIN_ROWS", 42_000)
    server.archive = server.archive if content is None else content
    with pytest.raises(UserError, match=rf"what Kaggle sent is unsound: digit-recognizer\.zip.*({said})"):
        find_source("kaggle", Path("data"))
    assert list(Path("data").iterdir()) == []


def test_a_download_that_stands_still_is_given_up(server: KaggleServer) -> None:
    server.faults["GET"] = Fault(kind="silence")
    with pytest.raises(UserError, match="did not answer within"):
        kaggle.download(Path("data"), Limits(answer=3))
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
    assert kaggle.size_in("  0%|          | 0.00/14.2M [00:00<?, ?B/s]") == pytest.approx(14.2 * 1024**2)
    assert kaggle.size_in("100%|##########| 812/812 [00:00<00:00, 9kB/s]") == 812
    assert kaggle.size_in("Downloading digit-recognizer.zip") is None


# Submissions


def test_a_submission_is_sent_confirmed_scored_and_noted(
    server: KaggleServer,
    solution: Path,
    ledger: Ledger,
    command: Callable[..., Outcome],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sending, "PATIENT", QUICK)
    monkeypatch.setattr(kaggle, "PATIENT", QUICK)
    server.pending = 2
    entry = sending.submit(solution, "-first\nof many", ledger, limits=QUICK)
    assert (entry.status, entry.ref, entry.public_score) == ("COMPLETE", "900", 0.99321)
    assert (entry.run, entry.recipe, entry.validation_accuracy) == ("checkpoints/mine", "fast", 0.99452)
    assert [line.split(",")[10] for line in ledger.path.read_text().splitlines()] == [
        "status", "SENDING", "PENDING", "COMPLETE",
    ]  # fmt: skip
    assert ledger.entries() == [entry]
    assert server.submissions[0]["description"] == f"-first of many [{entry.token}]"
    assert server.submissions[0]["content"] == solution.read_text()
    assert (ledger.path.parent / "900-fast.csv").read_bytes() == solution.read_bytes()
    assert sending.verdict(entry) == (
        "Public score: 0.99321, inside the 95% interval of the validation accuracy (99.45%; 99.18% to 99.63%)"
    )

    calls = list(server.calls)
    with pytest.raises(UserError, match=r"the same bytes were sent on .* as 900, with a score of 0\.99321; --again"):
        sending.submit(solution, "", ledger, limits=QUICK)
    assert server.calls == calls

    ended = command("kaggle", "status", "--ledger", ledger.path)
    assert ended.status == 0
    assert "900         COMPLETE  0.99321  0.99452     fast              -first of many" in ended.out
    assert server.calls == calls, "what is settled is not asked for"
    assert (ledger.path.parent / "progress.png").read_bytes().startswith(b"\x89PNG")
    assert KEY not in ledger.path.read_text() + ended.out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"source": "practice"}, "answers the practice digits, not the competition's"),
        ({"source": "mnist"}, "answers the mnist digits"),
        ({"leaked": 28_000}, "was trained on 28,000 of the images that it predicts"),
    ],
)
def test_what_is_not_for_the_competition_is_refused_unsent(
    changes: dict[str, object], said: str, server: KaggleServer, solution: Path, ledger: Ledger
) -> None:
    keep_origin(solution, **changes)
    with pytest.raises(UserError, match=said):
        sending.submit(solution, "", ledger, limits=QUICK)
    assert (server.calls, ledger.entries()) == ([], [])


def test_a_leak_is_sent_where_it_is_asked_for_and_the_ledger_says_so(
    server: KaggleServer, solution: Path, ledger: Ledger
) -> None:
    keep_origin(solution, leaked=28_000)
    entry = sending.submit(solution, "", ledger, allow_leak=True, limits=QUICK)
    assert ledger.entries()[0].leaked == 28_000
    assert "it means nothing, for the run was trained on 28,000" in sending.verdict(entry)
    assert "(leaked)" in sending.table([entry])


def test_a_file_of_unknown_origin_is_checked_and_sent(server: KaggleServer, solution: Path, ledger: Ledger) -> None:
    origin_path(solution).unlink()
    entry = sending.submit(solution, "", ledger, limits=QUICK)
    assert (entry.run, entry.recipe, entry.message) == ("", "", "of unknown origin")
    assert (ledger.path.parent / "900-unknown.csv").exists()
    assert sending.verdict(entry) == "Public score: 0.99321; the validation accuracy is unknown"
    solution.write_text(solution.read_text().replace("\n27999,9\n", "\n27999,9.0\n"))
    with pytest.raises(UserError, match=r'row 27999: Label "9\.0" is not a digit'):
        sending.submit(solution, "", ledger, limits=QUICK)
    assert server.calls.count("PUT") == 1


def test_the_daily_limit_is_asked_for_first(server: KaggleServer, solution: Path, ledger: Ledger) -> None:
    server.uploads.append(b"")
    server.create({"submissionDescription": "by hand"})
    server.daily = 1
    with pytest.raises(UserError, match=r"no submissions are left today; Kaggle's next day begins in \d+ h \d+ min"):
        sending.submit(solution, "", ledger, limits=QUICK)
    assert (server.calls, ledger.entries()) == (["GetSubmissionLimits"], [])


def test_an_upload_that_is_refused_was_not_sent(server: KaggleServer, solution: Path, ledger: Ledger) -> None:
    server.faults["PUT"] = Fault(503, None)
    with pytest.raises(UserError, match="did not take the upload"):
        sending.submit(solution, "", ledger, limits=QUICK)
    (entry,) = ledger.entries()
    assert entry.status == "NOT SENT"
    assert sorted(path.name for path in ledger.path.parent.glob("*.csv")) == ["ledger.csv", "solution.csv"]


def test_an_upload_that_is_cut_ends_at_its_time_limit(server: KaggleServer, solution: Path, ledger: Ledger) -> None:
    server.faults["PUT"] = Fault(kind="cut")
    with pytest.raises(UserError, match=r"whether the submission arrived is not known .* not sent twice"):
        sending.submit(solution, "", ledger, limits=Limits(upload=4, appearance=0.1, pause=0.1))
    assert [entry.status for entry in ledger.entries()] == ["SENDING"]
    assert server.submissions == []
    server.faults.clear()
    entry = sending.submit(solution, "", ledger, again=True, limits=QUICK)
    assert (entry.status, entry.message) == ("COMPLETE", "fast, 99.45% of the validation rows right")
    assert [entry.status for entry in ledger.entries()] == ["NOT SENT", "COMPLETE"]
    assert sending.submit(solution, "", ledger, again=True, limits=QUICK).ref == "901"


def test_a_time_limit_never_sends_twice(server: KaggleServer, solution: Path, ledger: Ledger) -> None:
    server.faults["CreateSubmission"] = Fault(kind="silence", after_the_deed=True)
    entry = sending.submit(solution, "", ledger, limits=Limits(upload=7, appearance=5, pause=0.1))
    assert (entry.ref, len(server.submissions)) == ("900", 1)
    assert entry.status == "COMPLETE"


def test_an_error_after_the_deed_is_found_out(server: KaggleServer, solution: Path, ledger: Ledger) -> None:
    server.faults["CreateSubmission"] = Fault(500, after_the_deed=True)
    assert sending.submit(solution, "", ledger, limits=QUICK).ref == "900"
    assert server.calls.count("CreateSubmission") == 1


def test_what_kaggle_cannot_score_is_an_error_with_its_reason(
    server: KaggleServer, solution: Path, ledger: Ledger
) -> None:
    server.result = {"status": "ERROR", "publicScore": "", "errorDescription": "Submission has 3 rows too few"}
    with pytest.raises(UserError, match=r"900: Kaggle could not score it: .*(rows too few|submissions says why)"):
        sending.submit(solution, "", ledger, limits=QUICK)
    assert [entry.status for entry in ledger.entries()] == ["ERROR"]


def test_a_score_that_does_not_come_is_asked_for_by_status(
    server: KaggleServer, solution: Path, ledger: Ledger, command: Callable[..., Outcome]
) -> None:
    server.pending = 3
    with pytest.raises(UserError, match="no score within 1 seconds; ask again by python -m pipeline kaggle status"):
        sending.submit(solution, "", ledger, limits=Limits(score=1, pause=0.1))
    assert [entry.status for entry in ledger.entries()] == ["PENDING"]
    server.pending = 0
    assert "COMPLETE  0.99321" in command("kaggle", "status", "--ledger", ledger.path).out
    assert [entry.status for entry in ledger.entries()] == ["COMPLETE"]


def begin(ledger: Ledger, message: str) -> subprocess.Popen[bytes]:
    """Submit in a process of its own."""
    program = (
        "import sys; from pathlib import Path; from pipeline import credentials, sending\n"
        "from pipeline.kaggle import Limits; from pipeline.ledger import Ledger\n"
        "limits = Limits(appearance=1, score=60, pause=0.1)\n"
        "sending.submit(Path('submissions/solution.csv'), sys.argv[2], Ledger(Path(sys.argv[1])), limits=limits)\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{PROJECT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-c", program, str(ledger.path), message]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)


def test_killed_between_upload_and_confirmation_it_is_sent_once(
    server: KaggleServer, solution: Path, ledger: Ledger
) -> None:
    server.faults["CreateSubmission"] = Fault(kind="silence", after_the_deed=True)
    process = begin(ledger, "killed")
    assert server.silent.wait(60), process.communicate()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert [entry.status for entry in ledger.entries()] == ["SENDING"]
    assert server.left.wait(10), "the client went on without us"
    server.faults.clear()
    entry = sending.submit(solution, "killed", ledger, limits=QUICK)
    assert (entry.status, entry.ref) == ("COMPLETE", "900")
    assert len(server.submissions) == server.calls.count("CreateSubmission") == 1


def test_killed_before_the_upload_it_is_sent_again(server: KaggleServer, solution: Path, ledger: Ledger) -> None:
    server.faults["PUT"] = Fault(kind="silence")
    process = begin(ledger, "killed")
    assert server.silent.wait(60), process.communicate()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    server.faults.clear()
    assert sending.submit(solution, "killed", ledger, limits=QUICK).status == "COMPLETE"
    assert [entry.status for entry in ledger.entries()] == ["NOT SENT", "COMPLETE"]
    assert len(server.submissions) == 1


def test_of_two_submits_at_once_one_sends(server: KaggleServer, solution: Path, ledger: Ledger) -> None:
    both = [begin(ledger, name) for name in ("one", "other")]
    ends = [process.communicate(timeout=120)[1].decode() for process in both]
    assert sorted(process.returncode for process in both) == [0, 1], ends
    assert any("the same bytes were sent" in end for end in ends)
    assert len(server.submissions) == 1
    assert [entry.status for entry in ledger.entries()] == ["COMPLETE"]


def test_the_leaderboard_is_shown(server: KaggleServer, command: Callable[..., Outcome]) -> None:
    ended = command("kaggle", "leaderboard")
    assert (ended.status, ended.out) == (0, "  1  0.99900  the first\n")


def test_the_plain_client_takes_the_line_of_the_readme(server: KaggleServer, solution: Path) -> None:
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    (line,) = (line for line in readme.splitlines() if line.startswith("kaggle competitions submit"))
    assert line.startswith("kaggle competitions submit -c digit-recognizer -f submissions/solution.csv -m ")
    program = Path(sys.executable).parent / "kaggle"
    ended = subprocess.run([program, *shlex.split(line)[1:]], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0
    assert "Successfully submitted" in ended.stdout
    assert [each["content"] for each in server.submissions] == [solution.read_text()]
