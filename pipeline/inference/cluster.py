"""Batch prediction on a Ray cluster, with the same results in the same order as the plain engine."""

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
"""Size of the blocks of images that are passed from reading to predicting workers."""
CONNECT_TIMEOUT_SECONDS = 10

Row = dict[str, Any]
"""A row between workers: `file`, int, index of the file; `pixels` or `digits`, uint8 bytes; `error`, str."""


def predict_on_cluster(run: Run, files: Sequence[DigitFile]) -> Iterator[tuple[str, Labels]]:
    """Yield file names with the digits of the file's next rows, in order, like the plain engine.

    The cluster is that of RAY_ADDRESS, or the one that runs on this machine. If there is none, a local one is started
    for the duration of the call. Files are split into parts. Without GPUs Ray fuses reading and predicting into one
    actor per CPU, and images are not transferred between processes. With GPUs the CPUs read files and one actor per
    GPU predicts. The work of a lost worker is repeated by another one.

    Raises:
        UserError: Ray is not installed or unreachable, the run or a file does not exist, or an image is invalid.
    """
    ray, data = import_optional("ray"), import_optional("ray.data")
    Predictor.load(run)  # report a damaged run once, here, and not on every worker
    parts = [(index, part) for index, file in enumerate(files) for part in _make_absolute(file).parts()]
    with _connect(ray):
        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        context.execution_options.preserve_order = True
        context.target_max_block_size = BLOCK_BYTES
        gpus = int(ray.cluster_resources().get("GPU", 0))
        run_files = ray.put(_read_run_files(run))
        actors = min(gpus or int(ray.cluster_resources()["CPU"]), len(parts))
        predicted = (
            data.from_items([{"part": number} for number in range(len(parts))], override_num_blocks=len(parts))
            .flat_map(_read_part, fn_args=(parts,), num_cpus=1)
            .map(
                Actor,
                fn_constructor_args=(run_files,),
                num_cpus=0 if gpus else 1,
                num_gpus=1 if gpus else 0,
                compute=data.ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=2),
            )
        )
        for row in predicted.iter_rows():
            if row["error"]:
                raise UserError(row["error"])
            yield str(files[row["file"]]), np.frombuffer(row["digits"], np.uint8).astype(np.int64)


@contextmanager
def _connect(ray: Any) -> Iterator[None]:
    """Join a cluster or start a local one, and disconnect at the end. The workers receive this package's code."""
    _require_reachable(os.environ.get("RAY_ADDRESS", ""))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # send no usage statistics
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # lost workers are reported anyway
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    with redirect_stdout(sys.stderr):  # Ray reports lost workers on stdout, which is for results
        try:
            ray.init(
                runtime_env={"py_modules": [str(Path(__file__).parents[1])]},
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
            )
        except (ConnectionError, RuntimeError) as error:  # for example, another Python version
            raise UserError(f"Ray: cannot join the cluster: {' '.join(str(error).split())}") from None
        try:
            yield
        finally:
            ray.shutdown()


def _require_reachable(address: str) -> None:
    """Raise a UserError if nothing listens at HOST:PORT, which takes Ray minutes to find out. Skip other addresses."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        try:
            socket.create_connection((host.rpartition("/")[2], int(port)), timeout=CONNECT_TIMEOUT_SECONDS).close()
        except OSError as error:
            raise UserError(
                f"RAY_ADDRESS: no cluster responds at {address} ({error}); start one there, or unset RAY_ADDRESS"
            ) from None


def _make_absolute(file: DigitFile) -> DigitFile:
    """Return the file with an absolute path, because workers run in other folders."""
    return replace(file, path=file.path.absolute())


def _read_run_files(run: Run) -> dict[str, bytes]:
    """Return the contents of the files that a predictor needs, by file name."""
    return {path.name: path.read_bytes() for path in (run.recipe_path, run.model_path, run.card_path)}


def _read_part(row: Row, parts: Sequence[tuple[int, DigitFile]]) -> Iterator[Row]:
    """Yield a part's images, chunk by chunk. An invalid image yields a row with the plain engine's error message."""
    index, part = parts[row["part"]]
    try:
        if not part.path.exists():
            raise UserError(
                f"{part.path}: not found on {os.uname().nodename}; make it available there under the same path"
            )
        for chunk in part.chunks():
            yield {"file": index, "pixels": chunk.pixels.tobytes(), "error": ""}
    except UserError as error:
        yield {"file": index, "pixels": b"", "error": str(error)}


class Actor:
    """A Ray actor with a predictor.

    Args:
        run: Ray's reference to the result of `_read_run_files`. The worker's machine may not have the run's folder.
    """

    def __init__(self, run: Any) -> None:
        import ray
        import torch

        torch.set_num_threads(1)  # there is one actor per CPU
        with TemporaryDirectory() as folder:
            for name, content in ray.get(run).items():
                (Path(folder) / name).write_bytes(content)
            self.predictor = Predictor.load(folder)

    def __call__(self, row: Row) -> Row:
        """Return the row with digits instead of pixels."""
        pixels = np.frombuffer(row["pixels"], np.uint8).reshape(-1, SIDE, SIDE)
        digits = self.predictor.predict(pixels).known_digits.astype(np.uint8)
        return {"file": row["file"], "digits": digits.tobytes(), "error": row["error"]}
