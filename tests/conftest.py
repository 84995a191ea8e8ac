"""What the tests share: real digits in small numbers, a run trained on them, and the command line in process."""

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from kaggle_server import KEY, NAME, KaggleServer

from pipeline import DigitTable, Recipe, Run, Source, find_source, train
from pipeline.__main__ import main
from pipeline.config.fine_tuning import FineTuning
from pipeline.config.recipe import load_recipe
from pipeline.config.settings import names
from pipeline.kaggle.credentials import find_credentials

PROJECT = Path(__file__).parents[1]
SHARED = PROJECT.parent / "shared" / "data"
DIGIT_RECIPES = [name for name in names() if isinstance(load_recipe(name), Recipe)]
"""Those of our own loop, which read digits."""


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the competition's archive and MNIST, where a developer has one."""
    if not SHARED.is_dir():
        pytest.skip("the real files are not beside the project: ../shared/data")
    return SHARED


@pytest.fixture(scope="session", autouse=True)
def control_c() -> None:
    """Let Ctrl-C end what the tests start, also in the background of a shell, which has its commands ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test from a developer's own account at Kaggle."""
    monkeypatch.setattr("pipeline.kaggle.credentials.find_credentials", lambda: None)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, the real search for credentials, and nothing of the developer's account."""
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
    """A server that this process and its children take for Kaggle, signed in with a name and a key."""
    with KaggleServer() as started:
        for name, value in started.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("KAGGLE_USERNAME", NAME)
        monkeypatch.setenv("KAGGLE_KEY", KEY)
        yield started


@pytest.fixture(scope="session")
def practice(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """The practice set: 1,297 digits to learn from and 500 to answer."""
    return find_source("practice", tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def digits(practice: Source) -> DigitTable:
    """1,297 labelled digits."""
    return practice.read_train()


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """`fast`, short: a few updates over three epochs."""
    return Recipe.load("fast", ["epochs=3", "minimum_updates=0", "batch_size=128"])


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, practice: Source) -> Run:
    """A finished run that has learnt the practice digits well enough to be worth asking."""
    brief = Recipe.load("fast", ["epochs=4", "minimum_updates=60"])
    return train(brief, practice, str(tmp_path_factory.mktemp("checkpoints") / "practice"), quiet=True)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the Hugging Face hub would give it: a very small ResNet of five classes, and its image processor."""
    from transformers import ConvNextImageProcessor, ResNetConfig, ResNetForImageClassification

    folder = tmp_path_factory.mktemp("hub") / "tiny"
    torch.manual_seed(0)
    shape = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
    ResNetForImageClassification(ResNetConfig(num_labels=5, **shape)).save_pretrained(folder)
    ConvNextImageProcessor(size={"shortest_edge": 224}, crop_pct=0.875).save_pretrained(folder)
    return folder


SMALL = ["image_size=32", "epochs=2", "eval_steps=20", "save_steps=20", "learning_rate=2e-2", "precision=float32"]
"""Settings with which `even-odd` tunes a very small network in a second or two."""


@pytest.fixture(scope="session")
def parity_run(tmp_path_factory: pytest.TempPathFactory, practice: Source, tiny: Path) -> Run:
    """A finished run that tells odd from even."""
    from pipeline.training.fine_tune import fine_tune

    recipe = FineTuning.load("even-odd", [*SMALL, f"pretrained={tiny}"])
    return fine_tune(recipe, practice, str(tmp_path_factory.mktemp("checkpoints") / "parity"), quiet=True)


@dataclass
class Outcome:
    """How a command ended."""

    status: int
    out: str
    err: str


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """Call the command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    log = logging.getLogger("pipeline")

    def call(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr("sys.argv", ["pipeline", *map(str, arguments)])
        capfd.readouterr()
        try:
            main()
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
        finally:
            log.handlers.clear()
        captured = capfd.readouterr()
        return Outcome(status, captured.out, captured.err)

    return call


def csv_text(table: DigitTable, columns: Sequence[str] | None = None) -> str:
    """Return a table as Kaggle writes it."""
    pixels = table.pixels.reshape(len(table), -1)
    names = [f"pixel{index}" for index in range(784)]
    if table.labels is not None:
        pixels = np.column_stack([table.labels, pixels])
        names = ["label", *names]
    rows = [",".join(map(str, row)) for row in pixels.tolist()]
    return "\n".join([",".join(columns or names), *rows]) + "\n"


def peak_memory(folder: Path, *arguments: str) -> int:
    """Run a command in a process of its own, in `folder`, and return the most memory that it held, in KiB."""
    if sys.platform != "linux":
        pytest.skip("peak memory is read from Linux's /proc")
    program = (
        "import re; from pipeline.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1])"
    )
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-c", program, *arguments]
    ended = subprocess.run(command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, check=True)
    return int(ended.stdout.split()[-1])


@dataclass
class Page:
    """The demo, served from a folder with two runs: the one that ships, and a twin of it.

    Attributes:
        temporary: its temporary folder.
        pid: of its process.
    """

    address: str
    folder: Path
    temporary: Path
    pid: int

    @property
    def log(self) -> str:
        """What it has written to stderr."""
        return (self.folder / "log.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page as `python -m demo --keep-corrections` serves it, in a process of its own; Ctrl-C must end it.

    Whatever the tests do to it, it writes no error to its log, and leaves nothing in its temporary folder.
    """
    folder = tmp_path_factory.mktemp("demo")
    for name in ("sketchpad", "twin"):
        shutil.copytree(PROJECT / "checkpoints" / "sketchpad", folder / "checkpoints" / name)
    temporary = tmp_path_factory.mktemp("temporary")
    port = free_port()
    command = [sys.executable, "-m", "demo", "--keep-corrections"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "PORT": str(port), "TMPDIR": str(temporary)}
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
    page = Page(f"http://127.0.0.1:{port}", folder, temporary, process.pid)
    with httpx.Client() as client:
        until(lambda: answers(client, page.address), "the page does not answer")
    yield page
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert out == f"The page: {page.address}  (Ctrl-C ends it)\nThe page is closed.\n"
    assert page.log == ""
    assert [path for path in temporary.rglob("*") if path.is_file()] == []


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def answers(client: httpx.Client, address: str) -> bool:
    """Return whether a page is up."""
    try:
        return client.get(f"{address}/healthz").is_success
    except httpx.TransportError:
        return False


def until(condition: Callable[[], bool], otherwise: str, seconds: float = 60) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, otherwise
        time.sleep(0.05)
