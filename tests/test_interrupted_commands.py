"""Commands that are interrupted at a random moment: the old output is whole, and the same command completes the work.

In the suite, `predict` alone is interrupted, once by each signal. `make fuzz`, which sets FUZZ_MINUTES, interrupts all
commands, each for its share of that time.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers.kaggle_server import KEY, NAME, KaggleServer
from helpers.paths import PROJECT

from pipeline import Run, Source
from pipeline.kaggle.ledger import Ledger

MINUTES = float(os.environ.get("FUZZ_MINUTES", "0"))
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
SHORT = ["--set", "epochs=2", "--set", "minimum_updates=0", "--limit", "100", "--source", "practice", "--run", "new"]
COMMANDS = {
    "predict": ["predict", "a", "data/practice/test.csv", "--out", "answers.csv"],
    "train": ["train", "fast", *SHORT],
    "ensemble": ["train", "best", "--set", "members=2", "--set", "folds=2", *SHORT],
    "submit": ["submit", "--run", "a", "--source", "practice", "--out", "answers.csv"],
    "export": ["export", "a", "--to", "transformers", "--out", "network"],
    "kaggle submit": ["kaggle", "submit", "--file", "submissions/mine.csv"],
}
LOCKS = {".lock", ".ledger.csv.lock", ".ledger.csv.sending.lock"}
TRAINED = ("model.safetensors", "recipe.yaml", "out_of_fold.safetensors", "fingerprint.safetensors")
"""The files of a run that do not contain times."""


@dataclass
class Place:
    """A folder with data and a run, in which a command is started."""

    folder: Path
    server: KaggleServer

    def start(self, arguments: list[str]) -> subprocess.Popen[str]:
        environment = {**os.environ, **self.server.environment, "PYTHONPATH": str(PROJECT)}
        environment |= {"KAGGLE_USERNAME": NAME, "KAGGLE_KEY": KEY, "HOME": str(self.folder)}
        command = [sys.executable, "-m", "pipeline", *arguments]
        return subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    def run(self, arguments: list[str]) -> float:
        """Run a command to its end and return its seconds."""
        started = time.monotonic()
        process = self.start(arguments)
        _, err = process.communicate()
        assert process.returncode == 0, err
        return time.monotonic() - started

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.folder / "submissions" / "ledger.csv")

    def outputs(self) -> dict[str, bytes]:
        """Return the files that do not contain times, by name."""
        run = {f"new/{name}": self.folder / "checkpoints" / "new" / name for name in TRAINED}
        files = {"answers.csv": self.folder / "answers.csv", **run}
        files |= {f"network/{path.name}": path for path in (self.folder / "network").glob("*")}
        return {name: path.read_bytes() for name, path in files.items() if path.is_file()}

    def leftovers(self) -> set[str]:
        """Return the names of temporary files and folders."""
        hidden = {path.name for path in self.folder.rglob(".*")} | {path.name for path in self.folder.rglob("*.part")}
        return hidden - LOCKS - {".cache", ".config", ".kaggle", ".local"}


@pytest.fixture
def make_place(run: Run, practice: Source, tmp_path: Path) -> Callable[[], object]:
    @contextmanager
    def make() -> Iterator[Place]:
        folder = tmp_path / "place"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(run.folder, folder / "checkpoints" / "a")
        shutil.copytree(practice.data_dir, folder / "data")
        (folder / "answers.csv").write_text("old")
        (folder / "submissions").mkdir()
        rows = "".join(f"{row},{row % 10}\n" for row in range(1, 28_001))
        (folder / "submissions" / "mine.csv").write_text(f"ImageId,Label\n{rows}")
        with KaggleServer() as server:
            yield Place(folder, server)

    return make


@pytest.mark.parametrize("sent", SIGNALS, ids=lambda sent: sent.name)
@pytest.mark.parametrize("verb", COMMANDS if MINUTES else ["predict"])
def test_an_interrupted_command_loses_nothing(verb: str, sent: signal.Signals, make_place: Callable) -> None:
    arguments = COMMANDS[verb]
    with make_place() as place:
        old = place.outputs()
        place.run(arguments)
        new = place.outputs()
    with make_place() as place:
        duration = place.run(arguments)  # the first run also fills caches
    chance, tally = random.Random(f"{verb} {sent.name} {MINUTES}"), Counter[int]()  # other minutes: other moments
    end = time.monotonic() + 60 * MINUTES / len(COMMANDS) / len(SIGNALS)
    while not tally or time.monotonic() < end:
        with make_place() as place:
            process = place.start(arguments)
            try:
                process.wait(chance.uniform(0, duration))
            except subprocess.TimeoutExpired:
                process.send_signal(sent)
            _, err = process.communicate()
            tally[process.returncode] += 1
            case = (tally.total(), process.returncode, err)
            assert process.returncode in {0, -sent, 128 + sent}, case
            assert "Traceback" not in err or process.returncode == -sent, case
            found = place.outputs()
            if sent != signal.SIGKILL:
                assert not place.leftovers(), (case, place.leftovers())
            begun = "new/recipe.yaml" in found
            if not begun:  # a training that has not begun yet leaves no run
                assert found in ({name: old[name] for name in old}, new), case
            was_sent = any(entry.status == "COMPLETE" for entry in place.ledger.entries())
            if verb in {"predict", "submit", "export"} or (process.returncode and not was_sent):
                place.run([*arguments, "--resume"] if begun else arguments)
            assert place.outputs() == new, case
            assert not place.leftovers(), (case, place.leftovers())
            if verb == "kaggle submit":
                assert len(place.server.submissions) == 1, case
                statuses = [entry.status for entry in place.ledger.entries() if entry.status != "NOT SENT"]
                assert statuses == ["COMPLETE"], (case, statuses)
    print(f"{verb}, {sent.name}: {tally.total()} times; by exit status: {dict(tally)}")
