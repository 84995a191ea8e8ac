"""Tests of trainings on Kaggle by the real client and a local server; no request leaves the machine."""

import base64
import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from zipfile import ZipFile

import numpy as np
import pytest
from helpers.commands import Outcome
from helpers.disk import small_disk
from helpers.files import csv_text
from helpers.kaggle_server import NAME, QUICK, TOKEN, Fault, KaggleServer
from helpers.paths import PROJECT

from pipeline import DigitTable, Recipe, Run, UserError
from pipeline.kaggle.kernel_script import find_outdated, train_here
from pipeline.kaggle.kernel_training import train_on_kaggle
from pipeline.kaggle.ledger import Entry, Ledger
from pipeline.kaggle.solution import load_provenance, write_submission

LIMITS = replace(QUICK, training=120)
FIRST, SECOND = "00c0ffee", "1badcafe"
REF = f"{NAME}/digit-recognizer-k{FIRST}"
OUT = Path("submissions/solution.csv")


@pytest.fixture(autouse=True)
def known_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the kernels known names, and expect 20 test rows."""
    tokens = iter([FIRST, SECOND])
    monkeypatch.setattr("pipeline.kaggle.kernel_training.secrets", SimpleNamespace(token_hex=lambda _: next(tokens)))
    monkeypatch.setattr("pipeline.kaggle.kernel_training.TEST_ROWS", 20)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "submissions" / "ledger.csv")


@pytest.fixture
def result(run: Run, tmp_path: Path) -> dict[str, bytes]:
    """Return the files in the result of the first kernel, by name."""
    write_submission(tmp_path / "made" / "solution.csv", np.arange(20) % 10, run, "competition", 0)
    files = {f"checkpoints/fast-k{FIRST}/{path.relative_to(run.folder)}": path for path in run.folder.rglob("*.*")}
    files |= {f"submissions/{path.name}": path for path in (tmp_path / "made").iterdir()}
    return {name: path.read_bytes() for name, path in files.items() if path.is_file()}


@pytest.fixture
def kaggle(server: KaggleServer, result: dict[str, bytes]) -> KaggleServer:
    """A server on which each kernel completes with that result."""
    server.outputs = {"result.zip": pack(result), "unasked.bin": b"another output"}
    return server


def pack(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def train(ledger: Ledger, recipe: str = "fast", accelerator: str = "NvidiaTeslaT4") -> Run:
    return train_on_kaggle(Recipe.load(recipe), OUT, ledger, accelerator=accelerator, limits=LIMITS)


def statuses(ledger: Ledger) -> list[str]:
    return [entry.status for entry in ledger.entries()]


def brought_back(folder: Path) -> list[str]:
    """Return what a training left in the folders of runs and submissions, apart from the ledger and locks."""
    found = [*folder.glob("checkpoints/*"), *folder.glob("checkpoints/.kaggle*"), *folder.glob("submissions/solution*")]
    return sorted(path.name for path in found)


def test_a_run_is_trained_on_kaggle_brought_back_and_recorded(
    kaggle: KaggleServer,
    run: Run,
    result: dict[str, bytes],
    ledger: Ledger,
    command: Callable[..., Outcome],
    caplog: pytest.LogCaptureFixture,
) -> None:
    kaggle.running = 2
    trained = train(ledger)
    assert str(trained) == f"checkpoints/fast-k{FIRST}"
    assert trained.card == Run(run.folder).card  # as on disk, where other tests may have added scores
    assert trained.load_model().keys() == run.load_model().keys()
    assert OUT.read_bytes() == result["submissions/solution.csv"]
    assert load_provenance(OUT)
    assert brought_back(Path()) == [f"fast-k{FIRST}", "solution.csv", "solution.json"]
    assert "unasked.bin" not in {path.name for path in Path().rglob("*")}

    pushed = kaggle.kernels[REF]
    assert pushed["competitionDataSources"] == ["digit-recognizer"]
    assert (pushed["isPrivate"], pushed["enableGpu"], pushed["machineShape"]) == (True, True, "NvidiaTeslaT4")
    assert not pushed["enableInternet"], "fast downloads nothing"
    assert len(pushed["text"]) < 1_000_000, "the whole project in one script"
    assert "Kaggle ran it without a GPU: verify your phone number" in caplog.text

    assert [line.split(",")[10] for line in ledger.path.read_text().splitlines()] == [
        "status", "SENDING", "PENDING", "COMPLETE",
    ]  # fmt: skip
    (entry,) = ledger.entries()
    assert (entry.ref, entry.run, entry.recipe) == (REF, str(trained), "fast")
    assert entry.validation_accuracy == run.card.scores["validation_accuracy"]
    shown = command("kaggle", "status", "--ledger", ledger.path)
    assert f"{REF}  COMPLETE  -" in shown.out
    assert "ListSubmissions" not in kaggle.calls, "a kernel is no submission"


def test_an_interrupted_training_is_found_again_and_its_script_trains_the_recipe(
    server: KaggleServer,
    ledger: Ledger,
    digits: DigitTable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.running = 99
    small = Recipe.load("fast", ["epochs=1", "minimum_updates=0"])

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("pipeline.kaggle.kernel_training.sleep", interrupt)
        train_on_kaggle(small, OUT, ledger, accelerator="none", limits=LIMITS)
    assert caplog.messages[-1] == f"Stopped. {REF} continues on Kaggle; the same command brings back its run"
    assert (statuses(ledger), server.kernels[REF]["enableGpu"]) == (["PENDING"], False)

    working = tmp_path / "working"
    (working / "data").mkdir(parents=True)
    (working / "data" / "train.csv").write_text(csv_text(digits.select(np.arange(300))))
    (working / "data" / "test.csv").write_text(csv_text(DigitTable(digits.pixels[300:320])))
    (working / "train.py").write_text(server.kernels[REF]["text"])
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        [sys.executable, "train.py"], cwd=working, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    server.outputs = {"result.zip": (working / "result.zip").read_bytes()}

    server.running = 0
    trained = train_on_kaggle(small, OUT, ledger, accelerator="none", limits=LIMITS)
    assert (trained.card.finished, trained.card.train_rows + trained.card.validation_rows) == (True, 300)
    assert trained.recipe == small.model_copy(update={"minutes": None, "accuracy": None})
    assert (trained.folder / "report.txt").exists()
    assert len(OUT.read_text().splitlines()) == 21
    assert (server.calls.count("SaveKernel"), statuses(ledger)) == (1, ["COMPLETE"])


def test_another_training_and_one_after_the_end_are_pushed(kaggle: KaggleServer, ledger: Ledger) -> None:
    train(ledger)
    kaggle.outcome = {"status": "ERROR"}
    with pytest.raises(UserError):
        train(ledger)
    assert [kernel["versions"] for kernel in kaggle.kernels.values()] == [1, 1]
    assert statuses(ledger) == ["COMPLETE", "ERROR"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            {"error": "Maximum weekly GPU quota of 30.00 hours reached."},
            r"did not start .* \(Maximum weekly GPU quota of 30.00 hours reached.\): wait until .* --accelerator none",
        ),
        ({"error": "Maximum batch GPU session count of 2 reached."}, "wait until one of your kernels ends"),
        ({"error": "Phone verification is required to enable internet"}, "verify your phone number at https://"),
        ({"error": "Notebook not found"}, r"\(Notebook not found\): correct the cause"),
        ({"invalidCompetitionSources": ["digit-recognizer"]}, "accept the rules at .*/digit-recognizer/rules"),
    ],
    ids=["quota", "sessions", "phone", "other", "rules"],
)
def test_a_rejected_kernel_gives_the_reason_and_a_remedy(
    answer: dict[str, object], message: str, kaggle: KaggleServer, ledger: Ledger
) -> None:
    kaggle.push_answer = answer
    with pytest.raises(UserError, match=message) as refusal:
        train(ledger)
    assert "\n" not in str(refusal.value)
    assert (statuses(ledger), brought_back(Path())) == (["ERROR"], [])


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault(401, "Unauthenticated"), "rejected the credentials"),
        (Fault(403, "Permission 'kernels.create' was denied"), "verify your phone number"),
    ],
    ids=["401", "403"],
)
def test_a_rejected_request_is_explained(fault: Fault, message: str, kaggle: KaggleServer, ledger: Ledger) -> None:
    kaggle.faults["SaveKernel"] = fault
    with pytest.raises(UserError, match=message):
        train(ledger)
    assert statuses(ledger) == ["ERROR"]


@pytest.mark.parametrize("fault", [Fault(429), Fault(500, "<html>"), Fault(kind="cut")], ids=["429", "500", "cut"])
def test_a_push_that_did_not_arrive_is_repeated_by_the_next_command(
    fault: Fault, kaggle: KaggleServer, ledger: Ledger
) -> None:
    kaggle.faults["SaveKernel"] = fault
    with pytest.raises(UserError, match=r"unknown whether the kernel arrived .* same command again"):
        train(ledger)
    assert (statuses(ledger), kaggle.kernels) == (["SENDING"], {})
    kaggle.faults.clear()
    kaggle.outcome = {"status": "ERROR"}
    with pytest.raises(UserError, match=f"k{SECOND}: the training failed"):
        train(ledger)
    assert (statuses(ledger), len(kaggle.kernels)) == (["NOT SENT", "ERROR"], 1)


def test_a_kernel_that_arrived_despite_an_error_is_awaited(kaggle: KaggleServer, ledger: Ledger) -> None:
    kaggle.faults["SaveKernel"] = Fault(500, "<html>", after_the_deed=True)
    kaggle.faults["GetKernelSessionStatus"] = Fault(429, times=1)
    patient = replace(LIMITS, appearance=30)
    train_on_kaggle(Recipe.load("fast"), OUT, ledger, accelerator="none", limits=patient)
    assert (kaggle.calls.count("SaveKernel"), statuses(ledger)) == (1, ["COMPLETE"])


def test_killed_during_the_push_it_is_pushed_once(kaggle: KaggleServer, ledger: Ledger, tmp_path: Path) -> None:
    kaggle.faults["SaveKernel"] = Fault(kind="silence", after_the_deed=True)
    program = (
        "import secrets; from pathlib import Path\n"
        "from pipeline import Recipe; from pipeline.kaggle import kernel_training\n"
        "from pipeline.kaggle.ledger import Entry, Ledger\n"
        f"kernel_training.secrets.token_hex = lambda _: {FIRST!r}\n"
        "recipe, ledger = Recipe.load('fast'), Ledger(Path('submissions/ledger.csv'))\n"
        f"kernel_training.train_on_kaggle(recipe, Path({str(OUT)!r}), ledger, accelerator='NvidiaTeslaT4')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    process = subprocess.Popen([sys.executable, "-c", program], env=environment, stderr=subprocess.PIPE, cwd=tmp_path)
    assert kaggle.silent.wait(60), process.communicate()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert statuses(ledger) == ["SENDING"]
    assert kaggle.left.wait(10), "the client did not end"
    kaggle.faults.clear()
    train(ledger)
    assert (kaggle.calls.count("SaveKernel"), statuses(ledger)) == (1, ["COMPLETE"])


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (
            "Data: competition\nerror: resnet18-imagenet: cannot download the weights from https://x (no host)\nend",
            r"failed on Kaggle \(resnet18-imagenet: cannot download .*\): Kaggle gives a kernel internet access only",
        ),
        ("Traceback\nerror: Kaggle's image is too old: torch 2.1", "image is too old: torch 2.1"),
        ("Killed", r"failed on Kaggle \(Killed\)"),
        ("", r"failed on Kaggle \(it printed nothing\)"),
    ],
    ids=["internet off", "too old", "no error line", "no log"],
)
def test_a_failed_training_is_explained_by_its_log(
    log: str, message: str, kaggle: KaggleServer, ledger: Ledger
) -> None:
    kaggle.outcome = {"status": "ERROR", "failureMessage": "Your notebook threw an exception"}
    kaggle.kernel_log = log
    with pytest.raises(UserError, match=message) as failure:
        train(ledger)
    assert "\n" not in str(failure.value)
    assert (statuses(ledger), brought_back(Path())) == (["ERROR"], [])


@pytest.mark.parametrize("method", ["GetKernelSessionStatus", "ListKernelSessionOutput"])
def test_a_failed_request_neither_ends_nor_repeats_a_training(
    method: str, kaggle: KaggleServer, ledger: Ledger
) -> None:
    kaggle.faults[method] = Fault(500, "<html>", times=1)
    if method == "ListKernelSessionOutput":
        with pytest.raises(UserError, match="Kaggle returned a server error"):
            train(ledger)
        assert statuses(ledger) == ["PENDING"]
    train(ledger)
    assert (kaggle.calls.count("SaveKernel"), statuses(ledger)) == (1, ["COMPLETE"])


def test_a_kernel_that_was_deleted_is_given_up(kaggle: KaggleServer, ledger: Ledger) -> None:
    kaggle.faults["ListKernelSessionOutput"] = Fault(500, "<html>")
    with pytest.raises(UserError, match="server error"):
        train(ledger)
    kaggle.kernels.clear()
    with pytest.raises(UserError, match=f"{REF}: .* was deleted, or is another account's"):
        train(ledger)
    assert statuses(ledger) == ["ERROR"]


def test_a_kernel_that_was_cancelled_is_given_up(kaggle: KaggleServer, ledger: Ledger) -> None:
    kaggle.outcome = {"status": "CANCEL_ACKNOWLEDGED"}
    with pytest.raises(UserError, match=r"the training failed on Kaggle \(it was cancelled\)"):
        train(ledger)
    assert statuses(ledger) == ["ERROR"]


def test_interrupted_before_the_last_entry_it_brings_back_the_same_run(
    kaggle: KaggleServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Ledger.add

    def interrupt(kept: Ledger, entry: Entry) -> None:
        if entry.status == "COMPLETE":
            raise KeyboardInterrupt
        record(kept, entry)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Ledger, "add", interrupt)
        train(ledger)
    assert brought_back(Path()) == [f"fast-k{FIRST}", "solution.csv", "solution.json"]
    train(ledger)
    assert brought_back(Path()) == [f"fast-k{FIRST}", "solution.csv", "solution.json"]
    assert (kaggle.calls.count("SaveKernel"), statuses(ledger)) == (1, ["COMPLETE"])


def test_a_full_disk_is_named_and_the_kernel_is_kept(
    kaggle: KaggleServer, ledger: Ledger, result: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kaggle.outputs["result.zip"] = pack(result | {"padding": bytes(4_000_000)})
    (tmp_path / "disk").mkdir()
    with small_disk(tmp_path / "disk", 2000) as disk, monkeypatch.context() as patch:
        patch.chdir(disk)
        with pytest.raises(UserError, match="the disk is full: free some space and try again"):
            train(ledger)
        assert brought_back(disk) == []
        patch.chdir(tmp_path)
    assert statuses(ledger) == ["PENDING"]
    assert train(ledger).card.finished
    assert kaggle.calls.count("SaveKernel") == 1


def test_half_a_result_is_fetched_again(kaggle: KaggleServer, ledger: Ledger) -> None:
    kaggle.faults["GET"] = Fault(kind="half", times=1)
    assert train(ledger).card.finished


def damaged(files: dict[str, bytes], name: str) -> dict[str, bytes]:
    (path,) = (each for each in files if each.endswith(name))
    return {**files, path: bytes([files[path][0] ^ 1]) + files[path][1:]}


def without(files: dict[str, bytes], name: str) -> dict[str, bytes]:
    return {path: content for path, content in files.items() if not path.endswith(name)}


def unfinished(files: dict[str, bytes]) -> dict[str, bytes]:
    return {
        path: content.replace(b'"finished": true', b'"finished": false') if path.endswith("card.json") else content
        for path, content in files.items()
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda files: damaged(files, "model.safetensors"), "model.safetensors: missing or damaged"),
        (lambda files: damaged(files, "fingerprint.safetensors"), "fingerprint.safetensors: missing or damaged"),
        (unfinished, "its training is not finished"),
        (lambda files: without(files, "history.csv"), "history.csv: missing or damaged"),
        (lambda files: without(files, "card.json"), "card.json: missing or damaged"),
        (lambda files: without(files, "solution.csv"), "solution.csv: no such file"),
        (lambda files: damaged(files, "solution.csv"), "solution.csv: header is"),
        (lambda files: without(files, "solution.json"), "does not predict the competition's digits"),
        (lambda _: {}, "card.json: missing or damaged"),
    ],
    ids=["model", "fingerprint", "unfinished", "history", "card", "no solution", "solution", "provenance", "empty"],
)
def test_an_invalid_result_leaves_nothing_behind(
    change: Callable[[dict[str, bytes]], dict[str, bytes]],
    message: str,
    kaggle: KaggleServer,
    result: dict[str, bytes],
    ledger: Ledger,
    tmp_path: Path,
) -> None:
    kaggle.outputs["result.zip"] = pack(change(result))
    with pytest.raises(UserError, match=f"its result is not valid .*{message}") as failure:
        train(ledger)
    assert str(tmp_path) not in str(failure.value)
    assert ".kaggle-" not in str(failure.value)
    assert (statuses(ledger), brought_back(Path())) == (["ERROR"], [])


@pytest.mark.parametrize("outputs", [{}, {"result.zip": b"PK no archive"}], ids=["missing", "no zip"])
def test_a_missing_or_damaged_archive_is_reported(
    outputs: dict[str, bytes], kaggle: KaggleServer, ledger: Ledger
) -> None:
    kaggle.outputs = outputs
    with pytest.raises(UserError, match="its result is not valid"):
        train(ledger)
    assert (statuses(ledger), brought_back(Path())) == (["ERROR"], [])


def test_a_token_names_its_owner(kaggle: KaggleServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    train(ledger)
    assert list(kaggle.kernels) == [REF]
    assert TOKEN not in ledger.path.read_text()


def test_a_recipe_that_downloads_asks_for_internet(kaggle: KaggleServer, ledger: Ledger) -> None:
    kaggle.outcome = {"status": "ERROR"}
    with pytest.raises(UserError):
        train(ledger, "resnet18-imagenet")
    assert kaggle.kernels[REF]["enableInternet"]


@pytest.mark.usefixtures("home")
def test_the_command_refuses_before_it_records(command: Callable[..., Outcome]) -> None:
    ended = command("kaggle", "train", "fast")
    assert (ended.status, Path("submissions/ledger.csv").exists()) == (2, False)
    assert "no Kaggle credentials found" in ended.err
    assert command("kaggle", "train", "even-odd").status == 2


def test_the_command_names_the_run_and_the_next_step(kaggle: KaggleServer, command: Callable[..., Outcome]) -> None:
    ended = command("kaggle", "train", "fast", "--set", "epochs=2", "--accelerator", "none")
    assert ended.status == 0, ended.err
    assert f"Run: checkpoints/fast-k{FIRST}\nValidation accuracy: " in ended.out
    assert ended.out.endswith("to send it to Kaggle: python -m pipeline kaggle submit\n")
    assert re.search(r"Pushed https://www.kaggle.com/code/entrant/digit-recognizer-k\w+\n", ended.out)


def test_older_and_missing_packages_are_named() -> None:
    tested = {"numpy": "999.1.0", "pydantic": "1.0", "no-such-package": "1.0"}
    older, missing = find_outdated(tested)
    assert re.fullmatch(r"numpy [\d.]+ \(tested with 999\.1\.0\)", older)
    assert missing == "no-such-package is missing"


@pytest.mark.parametrize(
    ("program", "status", "last"),
    [
        ("import pandas_of_the_future", 1, "error: Kaggle's image is too old: numpy "),
        ("import sys; print('error: no data', file=sys.stderr); sys.exit(2)", 2, "error: no data"),
    ],
    ids=["a crash", "an error of the input"],
)
def test_the_script_names_old_packages_only_after_a_crash(
    program: str, status: int, last: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    project = base64.b64encode(pack({"pipeline/__main__.py": program.encode()})).decode()
    with pytest.raises(SystemExit) as ended:
        train_here(project, "mine", {"numpy": "999.0"})
    assert ended.value.code == status
    assert capfd.readouterr().err.splitlines()[-1].startswith(last)
    assert list(tmp_path.iterdir()) == []
