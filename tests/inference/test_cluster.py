"""Prediction on a Ray cluster of two local nodes, compared with the plain engine."""

import gzip
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pytest
from helpers.commands import Outcome
from helpers.files import csv_text
from helpers.waiting import wait_until
from pyarrow import parquet

from pipeline import DigitTable, Run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are found in Linux's /proc")

BUSY_WORKER_TITLE = "ray::MapWorker(FlatMap(_read_part)->Map(Actor)).submit"
"""Process title of a busy worker that both reads and predicts, so that images need no transfer."""
NODE = {"num_cpus": 1, "object_store_memory": 100 << 20, "include_dashboard": False}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """Start a cluster of two nodes with one CPU each, found by RAY_ADDRESS, without usage statistics."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        environment.setenv("RAY_worker_niceness", "0")  # otherwise other processes have priority
        cluster = Cluster(initialize_head=True, head_node_args=NODE)
        try:
            cluster.add_node(**NODE)
            environment.setenv("RAY_ADDRESS", cluster.address)
            yield cluster
        finally:
            cluster.shutdown()


@pytest.fixture
def files(digits: DigitTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DigitTable:
    """Write 5,188 images as CSV, gzipped CSV and Parquet. The CSV and Parquet files have many parts."""
    monkeypatch.setattr("pipeline.data.csv_file.PART_BYTES", 300_000)
    monkeypatch.setattr("pipeline.data.parquet.PART_ROWS", 200)
    (tmp_path / "in").mkdir()
    table = DigitTable(digits.pixels)
    header, rows = csv_text(table).split("\n", 1)
    (tmp_path / "in" / "a.csv").write_text(f"{header}\n{rows}{rows}")
    (tmp_path / "in" / "b.csv.gz").write_bytes(gzip.compress(csv_text(table).encode(), 1))
    images = [image.tobytes() for image in digits.pixels]
    parquet.write_table(arrow.table({"pixels": images}), tmp_path / "in" / "c.parquet", row_group_size=100)
    return table


def contents(folder: Path) -> dict[str, bytes]:
    """Return the contents of a folder's files by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def workers() -> dict[int, str]:
    """Return the process titles of this process's Ray workers with a predictor, by process id."""
    parents, titles = {}, {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            titles[int(process.name)] = (process / "cmdline").read_text().strip("\0 ")
        except (OSError, ValueError):
            continue  # the process has ended
    ours = {os.getpid()}
    while found := {child for child, parent in parents.items() if parent in ours} - ours:
        ours |= found
    return {each: titles[each] for each in ours if titles.get(each, "").startswith("ray::MapWorker")}


def test_a_killed_worker_is_replaced_and_the_predictions_are_the_same(
    nodes: Any, command: Callable[..., Outcome], run: Run, files: DigitTable, tmp_path: Path
) -> None:
    killed: list[int] = []
    seen: set[int] = set()

    def kill() -> None:
        """Kill the first busy worker, and record the ids of all workers."""
        while not ended.is_set():
            found = workers()
            busy = [each for each, title in found.items() if title == BUSY_WORKER_TITLE]
            if busy and not killed:
                os.kill(busy[0], signal.SIGKILL)
                killed.append(busy[0])
            seen.update(found)
            time.sleep(0.05)

    ended = threading.Event()
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        outcome = command("predict", run.folder, "in", "--out", "by-ray", "--engine", "ray")
    finally:
        ended.set()
        killer.join()
    assert (outcome.status, outcome.out) == (0, "by-ray: 5,188 rows\n")
    assert len(killed) == 1
    assert len(seen) == 3  # one on each node, and the replacement
    assert command("predict", run.folder, "in", "--out", "plain").status == 0
    assert contents(tmp_path / "by-ray") == contents(tmp_path / "plain")
    wait_until(lambda: not workers(), "a worker outlives the command")


def test_with_gpus_the_cpus_read_files(
    nodes: Any, command: Callable[..., Outcome], run: Run, files: DigitTable, tmp_path: Path
) -> None:
    node = nodes.add_node(**NODE, num_gpus=1)  # only declared: the predictor finds no GPU and uses the CPU
    try:
        arguments = ["predict", run.folder, "in", "--format", "parquet", "--out"]
        assert command(*arguments, "by-ray", "--engine", "ray").status == 0
        assert command(*arguments, "plain").status == 0
    finally:
        nodes.remove_node(node)
    assert contents(tmp_path / "by-ray") == contents(tmp_path / "plain")


def test_an_invalid_image_gives_the_plain_engines_error_and_writes_nothing(
    nodes: Any,
    command: Callable[..., Outcome],
    run: Run,
    files: DigitTable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.data.csv_file.PART_BYTES", 3_000_000)
    lines = (tmp_path / "in" / "a.csv").read_text().splitlines()
    lines[1900] = lines[1900].replace("0", "256", 1)
    (tmp_path / "in" / "a.csv").write_text("\n".join(lines))
    plain = command("predict", run.folder, "in/a.csv", "--out", "answers")
    by_ray = command("predict", run.folder, "in/a.csv", "--out", "answers", "--engine", "ray")
    assert "in/a.csv, row 1900 (line 1901): column pixel0: 256 is outside 0 to 255" in plain.err
    assert by_ray.status == 2
    assert by_ray.err.splitlines()[-1] == plain.err.strip()
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_an_unreachable_cluster_is_reported_in_one_line(
    command: Callable[..., Outcome], run: Run, files: DigitTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    outcome = command("predict", run.folder, "in", "--out", "answers", "--engine", "ray")
    assert outcome.status == 2
    assert outcome.err.startswith("error: RAY_ADDRESS: no cluster responds at 127.0.0.1:1 (")
