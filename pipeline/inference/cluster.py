"""Prediction on all processors of a Ray cluster: the plain loop's answers, in its order."""

import logging
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from pipeline.data.formats import DigitFile
from pipeline.digits import SIDE, Labels
from pipeline.errors import UserError
from pipeline.inference.predictor import Predictor
from pipeline.run import Run
from pipeline.utils.imports import import_optional

BLOCK_BYTES = 32 << 20
"""Of images that are handed from a processor that reads to one that predicts, at a time."""
CONNECT_SECONDS = 10

Row = dict[str, Any]
"""What travels: `file` int, its place among the files; `pixels` or then `digits`, uint8 as bytes; `fault` str."""


def predict_on_cluster(run: Run, files: Sequence[DigitFile]) -> Iterator[tuple[str, Labels]]:
    """Yield each file's name with the digits of its next rows, in order, as the plain loop does.

    The cluster is the one that RAY_ADDRESS names, or that runs on this machine; where there is none this machine is one
    for the time. Files are cut into parts. Without GPUs Ray puts reading and predicting into one actor on each
    processor, so that images never travel; with GPUs the processors read and an actor on each GPU predicts. What a lost
    worker had begun is begun again by another.

    Raises:
        UserError: Ray is not installed or cannot be reached; there is no such run or file; an image is faulty.
    """
    ray, data = import_optional("ray"), import_optional("ray.data")
    Predictor.load(run)  # a damaged run is one line here, and many on every worker
    parts = [(place, part) for place, file in enumerate(files) for part in _make_absolute(file).parts()]
    with _connect(ray):
        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = True
        context.target_max_block_size = BLOCK_BYTES
        gpus = int(ray.cluster_resources().get("GPU", 0))
        kept = ray.put(_read_run_files(run))
        actors = min(gpus or int(ray.cluster_resources()["CPU"]), len(parts))
        answered = (
            data.from_items([{"part": number} for number in range(len(parts))], override_num_blocks=len(parts))
            .flat_map(_read, fn_args=(parts,), num_cpus=1)
            .map(
                Actor,
                fn_constructor_args=(kept,),
                num_cpus=0 if gpus else 1,
                num_gpus=1 if gpus else 0,
                compute=data.ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=2),
            )
        )
        for row in answered.iter_rows():
            if row["fault"]:
                raise UserError(row["fault"])
            yield str(files[row["file"]]), np.frombuffer(row["digits"], np.uint8).astype(np.int64)


@contextmanager
def _connect(ray: Any) -> Iterator[None]:
    """Join a cluster, or make this machine one, and leave it at the end. This package's code goes to its workers."""
    _require_reachable(os.environ.get("RAY_ADDRESS", ""))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # what is predicted here is nobody's business
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # lost workers are told all the same
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    with redirect_stdout(sys.stderr):  # Ray tells of lost workers there, and results stand alone on stdout
        try:
            ray.init(
                runtime_env={"py_modules": [str(Path(__file__).parents[1])]},
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
            )
        except (ConnectionError, RuntimeError) as error:  # such as a cluster of another Python
            raise UserError(f"Ray: the cluster cannot be joined: {' '.join(str(error).split())}") from None
        try:
            yield
        finally:
            ray.shutdown()


def _require_reachable(address: str) -> None:
    """Raise at once what Ray would find out in minutes: that nobody listens at HOST:PORT; other addresses are Ray's."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        try:
            socket.create_connection((host.rpartition("/")[2], int(port)), timeout=CONNECT_SECONDS).close()
        except OSError as error:
            raise UserError(
                f"RAY_ADDRESS: no cluster answers at {address} ({error}); start one there, or unset it"
            ) from None


def _make_absolute(file: DigitFile) -> DigitFile:
    """Return the file under the path by which a worker finds it, in whatever folder it runs."""
    return replace(file, path=file.path.absolute())


def _read_run_files(run: Run) -> dict[str, bytes]:
    """Return the files that a predictor is made of, by name."""
    return {path.name: path.read_bytes() for path in (run.recipe_path, run.model_path, run.card_path)}


def _read(row: Row, parts: Sequence[tuple[int, DigitFile]]) -> Iterator[Row]:
    """Yield the images of a part, a chunk at a time; a fault in them is told as it would be here, in one line."""
    place, part = parts[row["part"]]
    try:
        if not part.path.exists():
            raise UserError(f"{part.path}: is not on {os.uname().nodename}; every machine must find it by this path")
        for chunk in part.chunks():
            yield {"file": place, "pixels": chunk.pixels.tobytes(), "fault": ""}
    except UserError as error:
        yield {"file": place, "pixels": b"", "fault": str(error)}


class Actor:
    """A predictor that stays on its processor.

    Args:
        run: Ray's reference to what `_read_run_files` returns, for a worker may not see the folder of the run.
    """

    def __init__(self, run: Any) -> None:
        import ray
        import torch

        torch.set_num_threads(1)  # every processor has an actor of its own
        with TemporaryDirectory() as folder:
            for name, content in ray.get(run).items():
                (Path(folder) / name).write_bytes(content)
            self.predictor = Predictor.load(folder)

    def __call__(self, row: Row) -> Row:
        """Return the row with its digits in place of its pixels."""
        pixels = np.frombuffer(row["pixels"], np.uint8).reshape(-1, SIDE, SIDE)
        digits = self.predictor.predict(pixels).known_digits.astype(np.uint8)
        return {"file": row["file"], "digits": digits.tobytes(), "fault": row["fault"]}
