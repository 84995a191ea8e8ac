"""Tests of submissions by the real client to a local server; no request leaves the machine."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.commands import Outcome
from helpers.kaggle_server import KEY, QUICK, Fault, KaggleServer
from helpers.paths import PROJECT

from pipeline import UserError
from pipeline.kaggle.competition import Limits
from pipeline.kaggle.ledger import Ledger
from pipeline.kaggle.sending import describe_result, format_table, send_submission
from pipeline.kaggle.solution import Provenance, hash_content, provenance_path


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "submissions" / "ledger.csv")


@pytest.fixture
def solution(tmp_path: Path) -> Path:
    """Return a valid submission with its provenance."""
    path = tmp_path / "submissions" / "solution.csv"
    path.parent.mkdir()
    path.write_text("ImageId,Label\n" + "".join(f"{row},{row % 10}\n" for row in range(1, 28_001)))
    write_provenance(path)
    return path


def write_provenance(path: Path, **changes: object) -> None:
    provenance = Provenance(
        file_hash=hash_content(path.read_bytes()),
        run="checkpoints/mine",
        recipe="fast",
        source="competition",
        fingerprint="0123456789abcdef",
        validation_accuracy=0.99452,
        validation_rows=4200,
        leaked=0,
    )
    provenance_path(path).write_text(provenance.model_copy(update=changes).model_dump_json())


def test_a_submission_is_sent_confirmed_scored_and_recorded(
    server: KaggleServer, solution: Path, ledger: Ledger, command: Callable[..., Outcome]
) -> None:
    server.pending = 2
    entry = send_submission(solution, "-first\nof many", ledger, limits=QUICK)
    assert (entry.status, entry.ref, entry.public_score) == ("COMPLETE", "900", 0.99321)
    assert (entry.run, entry.recipe, entry.validation_accuracy) == ("checkpoints/mine", "fast", 0.99452)
    assert [line.split(",")[10] for line in ledger.path.read_text().splitlines()] == [
        "status", "SENDING", "PENDING", "COMPLETE",
    ]  # fmt: skip
    assert ledger.entries() == [entry]
    assert server.submissions[0]["description"] == f"-first of many [{entry.token}]"
    assert server.submissions[0]["content"] == solution.read_text()
    assert (ledger.path.parent / "900-fast.csv").read_bytes() == solution.read_bytes()
    assert describe_result(entry) == (
        "Public score: 0.99321, inside the 95% interval of the validation accuracy (99.45%; 99.18% to 99.63%)"
    )

    calls = list(server.calls)
    with pytest.raises(UserError, match=r"the same content was sent on .* as 900, with a score of 0\.99321; --again"):
        send_submission(solution, "", ledger, limits=QUICK)
    assert server.calls == calls

    ended = command("kaggle", "status", "--ledger", ledger.path)
    assert ended.status == 0
    assert "900         COMPLETE  0.99321  0.99452     fast              -first of many" in ended.out
    assert server.calls == calls, "settled submissions are not requested again"
    assert (ledger.path.parent / "progress.png").read_bytes().startswith(b"\x89PNG")
    assert KEY not in ledger.path.read_text() + ended.out


@pytest.mark.usefixtures("home")
def test_without_credentials_nothing_is_recorded(solution: Path, command: Callable[..., Outcome]) -> None:
    ended = command("kaggle", "submit")
    assert ended.status == 2
    assert "no Kaggle credentials found" in ended.err
    assert sorted(path.name for path in solution.parent.iterdir()) == ["solution.csv", "solution.json"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "practice"}, "predicts the practice digits, not the competition's"),
        ({"source": "mnist"}, "predicts the mnist digits"),
        ({"leaked": 28_000}, "was trained on 28,000 of the images that it predicts"),
    ],
)
def test_a_submission_that_is_not_for_the_competition_is_rejected_before_sending(
    changes: dict[str, object], message: str, server: KaggleServer, solution: Path, ledger: Ledger
) -> None:
    write_provenance(solution, **changes)
    with pytest.raises(UserError, match=message):
        send_submission(solution, "", ledger, limits=QUICK)
    assert (server.calls, ledger.entries()) == ([], [])


def test_a_leak_is_sent_on_request_and_recorded_in_the_ledger(
    server: KaggleServer, solution: Path, ledger: Ledger
) -> None:
    write_provenance(solution, leaked=28_000)
    entry = send_submission(solution, "", ledger, allow_leak=True, limits=QUICK)
    assert ledger.entries()[0].leaked == 28_000
    assert "not valid: the run was trained on 28,000" in describe_result(entry)
    assert "(leaked)" in format_table([entry])


def test_a_file_of_unknown_provenance_is_checked_and_sent(server: KaggleServer, solution: Path, ledger: Ledger) -> None:
    provenance_path(solution).unlink()
    entry = send_submission(solution, "", ledger, limits=QUICK)
    assert (entry.run, entry.recipe, entry.message) == ("", "", "unknown provenance")
    assert (ledger.path.parent / "900-unknown.csv").exists()
    assert describe_result(entry) == "Public score: 0.99321; the validation accuracy is unknown"
    solution.write_text(solution.read_text().replace("\n27999,9\n", "\n27999,9.0\n"))
    with pytest.raises(UserError, match=r'row 27999: Label "9\.0" is not a digit'):
        send_submission(solution, "", ledger, limits=QUICK)
    assert server.calls.count("PUT") == 1


def test_the_daily_limit_is_checked_first(server: KaggleServer, solution: Path, ledger: Ledger) -> None:
    server.uploads.append(b"")
    server.create({"submissionDescription": "by hand"})
    server.daily = 1
    with pytest.raises(UserError, match=r"no submissions are left today; Kaggle resets the limit in \d+ h \d+ min"):
        send_submission(solution, "", ledger, limits=QUICK)
    assert (server.calls, ledger.entries()) == (["GetSubmissionLimits"], [])


def test_a_rejected_upload_is_recorded_as_not_sent(server: KaggleServer, solution: Path, ledger: Ledger) -> None:
    server.faults["PUT"] = Fault(503, None)
    with pytest.raises(UserError, match="did not accept the upload"):
        send_submission(solution, "", ledger, limits=QUICK)
    (entry,) = ledger.entries()
    assert entry.status == "NOT SENT"
    assert sorted(path.name for path in ledger.path.parent.glob("*.csv")) == ["ledger.csv", "solution.csv"]


def test_an_interrupted_upload_times_out(server: KaggleServer, solution: Path, ledger: Ledger) -> None:
    server.faults["PUT"] = Fault(kind="cut")
    with pytest.raises(UserError, match=r"it is unknown whether the submission arrived .* not sent twice"):
        send_submission(solution, "", ledger, limits=Limits(upload=4, appearance=0.1, pause=0.1))
    assert [entry.status for entry in ledger.entries()] == ["SENDING"]
    assert server.submissions == []
    server.faults.clear()
    entry = send_submission(solution, "", ledger, again=True, limits=QUICK)
    assert (entry.status, entry.message) == ("COMPLETE", "fast, validation accuracy 99.45%")
    assert [entry.status for entry in ledger.entries()] == ["NOT SENT", "COMPLETE"]
    assert send_submission(solution, "", ledger, again=True, limits=QUICK).ref == "901"


def test_a_time_out_never_sends_twice(server: KaggleServer, solution: Path, ledger: Ledger) -> None:
    server.faults["CreateSubmission"] = Fault(kind="silence", after_the_deed=True)
    entry = send_submission(solution, "", ledger, limits=Limits(upload=7, appearance=5, pause=0.1))
    assert (entry.ref, len(server.submissions)) == ("900", 1)
    assert entry.status == "COMPLETE"


def test_a_submission_that_arrived_despite_an_error_is_found(
    server: KaggleServer, solution: Path, ledger: Ledger
) -> None:
    server.faults["CreateSubmission"] = Fault(500, after_the_deed=True)
    server.faults["ListSubmissions"] = Fault(429, headers={"Retry-After": "1"}, times=1)
    assert send_submission(solution, "", ledger, limits=QUICK).ref == "900"
    assert server.calls.count("CreateSubmission") == 1


def test_a_submission_that_kaggle_cannot_score_is_reported_with_the_reason(
    server: KaggleServer, solution: Path, ledger: Ledger
) -> None:
    server.result = {"status": "ERROR", "publicScore": "", "errorDescription": "Submission has 3 rows too few"}
    with pytest.raises(UserError, match=r"900: Kaggle could not score it: .*(rows too few|see https://.*/submissions)"):
        send_submission(solution, "", ledger, limits=QUICK)
    assert [entry.status for entry in ledger.entries()] == ["ERROR"]


@pytest.mark.parametrize("form", ["as Excel saves it", "damaged"])
def test_nothing_is_sent_twice_after_a_spreadsheet_has_changed_the_ledger(
    form: str, server: KaggleServer, solution: Path, ledger: Ledger
) -> None:
    send_submission(solution, "", ledger, limits=QUICK)
    text = ledger.path.read_text()
    if form == "damaged":
        text = re.sub(r"^\d{4}-\S+?,", "21.11.2026 12:00,", text, flags=re.MULTILINE)
    ledger.path.write_bytes(text.replace(",", ";").replace("0.9", "0,9").replace("\n", "\r\n").encode("utf-8-sig"))
    with pytest.raises(
        UserError, match=r"the same content (was sent on .* as 900|is named in line 2 of .*ledger\.csv)"
    ):
        send_submission(solution, "", ledger, limits=QUICK)
    assert len(server.submissions) == 1
    assert send_submission(solution, "", ledger, again=True, limits=QUICK).status == "COMPLETE"


def test_an_interrupt_while_a_score_is_awaited_names_the_command_that_shows_it(
    server: KaggleServer,
    solution: Path,
    ledger: Ledger,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    server.pending = 99
    monkeypatch.setattr("pipeline.kaggle.sending.sleep", interrupt)
    mine = Ledger(ledger.path.parent / "my ledger.csv")
    with pytest.raises(KeyboardInterrupt):
        send_submission(solution, "", mine, limits=QUICK)
    line = caplog.messages[-1]
    assert line.startswith("Stopped. 900 was sent; to see its score: python -m pipeline kaggle status --ledger ")
    assert shlex.split(line)[-1] == str(mine.path)


def test_a_late_score_is_fetched_by_status(
    server: KaggleServer, solution: Path, ledger: Ledger, command: Callable[..., Outcome]
) -> None:
    server.pending = 99
    with pytest.raises(UserError, match="no score within 1 seconds; check again with python -m pipeline kaggle status"):
        send_submission(solution, "", ledger, limits=Limits(score=1, pause=0.1))
    assert [entry.status for entry in ledger.entries()] == ["PENDING"]
    server.faults["ListSubmissions"] = Fault(500, times=1)
    failed = command("kaggle", "status", "--ledger", ledger.path)
    assert failed.status == 2
    assert "Kaggle returned a server error" in failed.err
    assert "900         PENDING" in failed.out, "the ledger is shown despite the error"
    server.pending = 0
    assert "COMPLETE  0.99321" in command("kaggle", "status", "--ledger", ledger.path).out
    assert [entry.status for entry in ledger.entries()] == ["COMPLETE"]


def start_submit(ledger: Ledger, message: str) -> subprocess.Popen[bytes]:
    """Send the submission in a subprocess."""
    program = (
        "import sys; from pathlib import Path\n"
        "from pipeline.kaggle.sending import send_submission\n"
        "from pipeline.kaggle.competition import Limits; from pipeline.kaggle.ledger import Ledger\n"
        "limits = Limits(appearance=1, score=60, pause=0.1)\n"
        "send_submission(Path('submissions/solution.csv'), sys.argv[2], Ledger(Path(sys.argv[1])), limits=limits)\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{PROJECT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-c", program, str(ledger.path), message]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)


def test_killed_between_upload_and_confirmation_it_is_sent_once(
    server: KaggleServer, solution: Path, ledger: Ledger
) -> None:
    server.faults["CreateSubmission"] = Fault(kind="silence", after_the_deed=True)
    process = start_submit(ledger, "killed")
    assert server.silent.wait(60), process.communicate()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert [entry.status for entry in ledger.entries()] == ["SENDING"]
    assert server.left.wait(10), "the client did not end"
    server.faults.clear()
    entry = send_submission(solution, "killed", ledger, limits=QUICK)
    assert (entry.status, entry.ref) == ("COMPLETE", "900")
    assert len(server.submissions) == server.calls.count("CreateSubmission") == 1


def test_killed_before_the_upload_it_is_sent_again(server: KaggleServer, solution: Path, ledger: Ledger) -> None:
    server.faults["PUT"] = Fault(kind="silence")
    process = start_submit(ledger, "killed")
    assert server.silent.wait(60), process.communicate()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    server.faults.clear()
    assert send_submission(solution, "killed", ledger, limits=QUICK).status == "COMPLETE"
    assert [entry.status for entry in ledger.entries()] == ["NOT SENT", "COMPLETE"]
    assert len(server.submissions) == 1


def test_of_two_concurrent_submits_one_sends(server: KaggleServer, solution: Path, ledger: Ledger) -> None:
    both = [start_submit(ledger, name) for name in ("one", "other")]
    ends = [process.communicate(timeout=120)[1].decode() for process in both]
    assert sorted(process.returncode for process in both) == [0, 1], ends
    assert any("the same content was sent" in end for end in ends)
    assert len(server.submissions) == 1
    assert [entry.status for entry in ledger.entries()] == ["COMPLETE"]


def test_kaggles_own_client_accepts_the_documented_command(server: KaggleServer, solution: Path) -> None:
    text = (PROJECT / "docs" / "commands.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"`\.venv/bin/(kaggle competitions submit .*)`", text)
    assert line.startswith("kaggle competitions submit -c digit-recognizer -f submissions/solution.csv -m ")
    program = Path(sys.executable).parent / "kaggle"
    ended = subprocess.run([program, *shlex.split(line)[1:]], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0
    assert "Successfully submitted" in ended.stdout
    assert [each["content"] for each in server.submissions] == [solution.read_text()]
