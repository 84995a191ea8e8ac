"""Shared fixtures: small sets of real digits, a run trained on them, the command line, and the demo page."""

import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import torch
from helpers.commands import Outcome
from helpers.kaggle_server import KEY, NAME, KaggleServer
from helpers.page import Page
from helpers.paths import PROJECT, SHARED
from helpers.recipes import SMALL_FINE_TUNING
from helpers.waiting import free_port, is_up, wait_until

from pipeline import DigitTable, Recipe, Run, Source, find_source, train
from pipeline.__main__ import main
from pipeline.config.fine_tuning import FineTuning
from pipeline.kaggle.credentials import find_credentials


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """A developer's folder with the competition's archive and MNIST; skip the test if it does not exist."""
    if not SHARED.is_dir():
        pytest.skip("needs the real files in ../shared/data")
    return SHARED


@pytest.fixture(scope="session", autouse=True)
def control_c() -> None:
    """Enable SIGINT, which shells disable for background commands, so that Ctrl-C ends the processes of the tests."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tests away from the developer's Kaggle account."""
    monkeypatch.setattr("pipeline.kaggle.credentials.find_credentials", lambda: None)


@pytest.fixture
def no_mirrors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make MNIST's mirrors unreachable."""
    monkeypatch.setattr("torchvision.datasets.MNIST.mirrors", [])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder with the real credential search, without the developer's credentials."""
    for name in os.environ:
        if name.startswith(("KAGGLE_", "XDG_CONFIG")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home" / ".kaggle").mkdir(parents=True)
    monkeypatch.setattr("pipeline.kaggle.credentials.find_credentials", find_credentials)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def server(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KaggleServer]:
    """A fake Kaggle server for this process and its children, with credentials (a user name and a key) set."""
    with KaggleServer() as started:
        for name, value in started.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("KAGGLE_USERNAME", NAME)
        monkeypatch.setenv("KAGGLE_KEY", KEY)
        yield started


@pytest.fixture(scope="session")
def practice(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """The practice set: 1,297 training rows and 500 test rows."""
    return find_source("practice", tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def digits(practice: Source) -> DigitTable:
    """1,297 labelled digits."""
    return practice.read_train()


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """A short version of `fast`: a few updates in three epochs."""
    return Recipe.load("fast", ["epochs=3", "minimum_updates=0", "batch_size=128"])


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, practice: Source) -> Run:
    """A finished run, trained on the practice digits to more than 90 % validation accuracy."""
    short_recipe = Recipe.load("fast", ["epochs=4", "minimum_updates=60"])
    return train(short_recipe, practice, str(tmp_path_factory.mktemp("checkpoints") / "practice"), quiet=True)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the Hugging Face hub provides it: a very small ResNet with five classes, and its image processor."""
    from transformers import ConvNextImageProcessor, ResNetConfig, ResNetForImageClassification

    folder = tmp_path_factory.mktemp("hub") / "tiny"
    torch.manual_seed(0)
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
    ResNetForImageClassification(ResNetConfig(num_labels=5, **sizes)).save_pretrained(folder)
    ConvNextImageProcessor(size={"shortest_edge": 224}, crop_pct=0.875).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def parity_run(tmp_path_factory: pytest.TempPathFactory, practice: Source, tiny: Path) -> Run:
    """A finished run that predicts parity."""
    from pipeline.training.fine_tune import fine_tune

    recipe = FineTuning.load("even-odd", [*SMALL_FINE_TUNING, f"pretrained={tiny}"])
    return fine_tune(recipe, practice, str(tmp_path_factory.mktemp("checkpoints") / "parity"), quiet=True)


@pytest.fixture
def program() -> Callable[[], None]:
    """The program that `command` runs: `python -m pipeline`, unless a test file overrides this."""
    return main


@pytest.fixture
def command(
    program: Callable[[], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """A function that runs the command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    log = logging.getLogger("pipeline")

    def call(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr("sys.argv", ["pipeline", *map(str, arguments)])
        capfd.readouterr()
        try:
            program()
            status = 0
        except SystemExit as exit_:
            status = int(exit_.code or 0)
        finally:
            log.handlers.clear()
        captured = capfd.readouterr()
        return Outcome(status, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The demo page, served by `python -m demo --keep-corrections` in a separate process.

    After all tests, Ctrl-C must end the process, its log must be empty, and its temporary folder must have no files.
    """
    folder = tmp_path_factory.mktemp("demo")
    for name in ("sketchpad", "twin"):
        shutil.copytree(PROJECT / "checkpoints" / "sketchpad", folder / "checkpoints" / name)
    temporary = tmp_path_factory.mktemp("temporary")
    port = free_port()
    command = [sys.executable, "-m", "demo", "--keep-corrections"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "PORT": str(port), "TMPDIR": str(temporary)}
    environment["MPLBACKEND"] = "module://backend_of_another_environment"  # a notebook may start the page
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
    page = Page(f"http://127.0.0.1:{port}", folder, temporary, process.pid)
    with httpx.Client() as client:
        wait_until(lambda: is_up(client, page.address), "the page does not respond")
    yield page
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert out == f"Page: {page.address}  (press Ctrl-C to stop)\nPage closed.\n"
    assert page.log == ""
    assert [path for path in temporary.rglob("*") if path.is_file()] == []
