"""A full disk: each command says so in one line, keeps its old output, and leaves nothing behind."""

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from helpers.commands import Outcome
from helpers.disk import fill, small_disk
from helpers.kaggle_server import KaggleServer

from pipeline import Run, Source
from pipeline.kaggle.ledger import Entry, Ledger

DISK_KILOBYTES = 20_000
OUTPUTS = ["answers.csv", "network.onnx", "network.safetensors", "submissions/solution.csv"]
KEPT_BY_SYSTEMS = {"study.db", ".lock", ".ledger.csv.sending.lock"}
"""Files that a database and locks leave; the next command uses them again."""


@pytest.fixture
def disk(
    command: Callable[..., Outcome], run: Run, practice: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A small disk as the working folder, with data, a run, earlier outputs and a ledger."""
    (tmp_path / "disk").mkdir()
    with small_disk(tmp_path / "disk", DISK_KILOBYTES) as folder:
        shutil.copytree(run.folder, folder / "checkpoints" / "a")
        shutil.copytree(practice.data_dir, folder / "data")
        (folder / "submissions").mkdir()
        for name in OUTPUTS:
            (folder / name).write_text("old")
        solution = "".join(f"{row},{row % 10}\n" for row in range(1, 28_001))
        (folder / "submissions" / "mine.csv").write_text(f"ImageId,Label\n{solution}")
        scored = Entry(
            time=datetime.now(UTC), token="ab12", file_hash="x", ref="9", status="COMPLETE", public_score=0.9
        )
        Ledger(folder / "submissions" / "ledger.csv").add(scored)
        monkeypatch.chdir(folder)
        yield folder
        monkeypatch.chdir(tmp_path)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "filler"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "a", "data/practice/train.csv", "--out", "answers.csv"],
        ["predict", "a", "data/practice/train.csv", "--out", "answers"],
        ["predict", "a", "data/practice/train.csv", "--out", "answers", "--format", "parquet"],
        ["export", "a", "--to", "onnx", "--out", "network.onnx"],
        ["export", "a", "--to", "safetensors", "--out", "network.safetensors"],
        ["export", "a", "--to", "transformers", "--out", "network"],
        ["evaluate", "a"],
        ["compare", "a"],
        ["submit", "--run", "a", "--source", "practice"],
        ["sweep", "fast", "--trials", "1", "--source", "practice"],
        ["data", "--source", "practice", "--data", "new"],
        ["kaggle", "data", "--data", "kaggle"],
        ["kaggle", "train", "fast"],
        ["kaggle", "submit", "--file", "submissions/mine.csv"],
        ["kaggle", "status"],
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("server")
def test_a_full_disk_costs_nothing(
    arguments: list[str], disk: Path, command: Callable[..., Outcome], server: KaggleServer
) -> None:
    server.archive = bytes(100_000)
    before = contents(disk)
    fill(disk)
    outcome = command(*arguments)
    assert outcome.status == 2
    (line,) = outcome.err.splitlines()
    assert line.startswith("error: ") and "disk" in line and "free" in line
    after = contents(disk)
    assert {path: after.get(path) for path in before} == before
    assert {path.name for path in after.keys() - before.keys()} <= KEPT_BY_SYSTEMS
