"""Coordination between the processes of a distributed training, under torchrun or `accelerate launch`.

A single process is the main process, and none of these functions waits or communicates in it. torch is imported only
if there are several processes.
"""

import atexit
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from threading import Event, current_thread, main_thread
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pipeline.errors import UserError

if TYPE_CHECKING:
    from types import FrameType

    from torch.distributed import ProcessGroup

LOST_PEER_TIMEOUT = timedelta(seconds=40)
"""A process that does not respond for this long during training counts as lost: its machine or network has failed."""
PREPARATION_TIMEOUT = timedelta(hours=2)
"""How long the others wait while one process downloads data or weights."""
STORE_TIMEOUT = timedelta(seconds=5)
"""How long a process that is about to exit waits for the launcher's store."""

Answer = TypeVar("Answer")


def world_size() -> int:
    """Return the number of processes in this training."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def require_all_processes() -> None:
    """Raise a UserError if `accelerate launch` was asked for several processes and started one.

    Without a GPU, or with --cpu, it starts one process. It then sets an address where the processes would meet, but no
    number of processes.
    """
    launched = "ACCELERATE_MIXED_PRECISION" in os.environ
    if launched and "MASTER_ADDR" in os.environ and "WORLD_SIZE" not in os.environ:
        raise UserError(
            "accelerate launch starts a single process without a GPU; use torchrun --nproc_per_node 2 -m -- pipeline "
            "train ..., or give accelerate launch --num_processes 1"
        )


def is_main_process() -> bool:
    """Return whether this is the main process, which writes files and logs."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def main_process_first() -> Iterator[None]:
    """Run the block on the main process, then on the first process of each other machine, then on the rest.

    The first process downloads or creates files, and the others find them, whether or not the machines share a disk.
    """
    if world_size() == 1:
        yield
        return
    import torch.distributed

    own_turn = 0 if is_main_process() else 1 if os.environ.get("LOCAL_RANK") == "0" else 2
    for turn in range(3):
        if turn == own_turn:
            yield
        with report_lost_peer(lambda: "run the command again"):
            torch.distributed.barrier(_preparation_group())


def broadcast_from_main(ask: Callable[[], Answer]) -> Answer:
    """Call `ask` on the main process, and return its result, or raise its exception, on every process."""
    if world_size() == 1:
        return ask()
    import torch.distributed

    outcome: list[Any] = [None, None]  # [result, error]
    if is_main_process():
        try:
            outcome[0] = ask()
        except Exception as error:
            outcome[1] = error
    with report_lost_peer(lambda: "run the command again"):
        torch.distributed.broadcast_object_list(outcome, src=0, group=_preparation_group())
    result, failure = outcome
    if failure is not None:
        raise failure
    return cast(Answer, result)


@cache
def _preparation_group() -> "ProcessGroup":
    """Join the other processes and return a Gloo group whose time-out is PREPARATION_TIMEOUT.

    Raises:
        UserError: Accelerate joined fewer processes than were started.
    """
    import torch
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    from pipeline.utils.device import cuda_fails

    # Without a GPU, Accelerate does not join the processes of torchrun unless `cpu` is set.
    cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.cuda.is_available() or cuda_fails()
    joined = PartialState(cpu=cpu, timeout=LOST_PEER_TIMEOUT).num_processes
    if joined != world_size():
        raise UserError(f"Accelerate joined {joined} of {world_size()} processes; start them again with torchrun")
    group = torch.distributed.new_group(backend="gloo", timeout=PREPARATION_TIMEOUT)
    return cast("ProcessGroup", group)  # this process is a member of the group


@contextmanager
def report_lost_peer(remedy: Callable[[], str]) -> Iterator[None]:
    """Raise a UserError that ends with the remedy if another process is lost while the block runs."""
    try:
        yield
    except RuntimeError as error:
        if world_size() == 1 or not _is_connection_error(error):
            raise
        raise UserError(f"another process of this training was lost or cannot be reached; {remedy()}") from error


def _is_connection_error(error: RuntimeError) -> bool:
    """Return whether the connection between processes failed, by the error's type or by "gloo" or "nccl" in it."""
    from torch.distributed import DistError

    return isinstance(error, DistError) or any(name in str(error).lower() for name in ("gloo", "nccl"))


def claim_report() -> bool:
    """Return True in the first process that calls this, and False in the others.

    All processes end with the same error, and only one of them reports it.
    """
    if world_size() == 1:
        return True
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    try:  # torchrun's rendezvous store
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        socket.create_connection((address, port), STORE_TIMEOUT.seconds).close()
        store = TCPStore(address, port, is_master=False, timeout=STORE_TIMEOUT)
        return store.add(f"reported/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", 1) == 1
    except (KeyError, OSError, RuntimeError):  # the launcher has no store, or the store's machine was lost
        return True


@contextmanager
def defer_sigterm() -> Iterator[Event]:
    """Yield an event. While the block runs, SIGTERM sets the event instead of ending the process.

    This applies only if there are several processes. Launchers send SIGTERM when a scheduler ends the job. They also
    send it to the remaining processes when one is lost; these detect the loss themselves and report a better reason.
    If the block raises an exception, SIGTERM stays disabled because the process must still report that exception.
    """
    received = Event()
    if world_size() == 1 or current_thread() is not main_thread():
        yield received
        return

    def handle(_signal: int, _frame: "FrameType | None") -> None:
        received.set()

    previous = signal.signal(signal.SIGTERM, handle)
    yield received
    signal.signal(signal.SIGTERM, previous)


@contextmanager
def skip_finalisation() -> Iterator[None]:
    """If the block ends with SystemExit in a process that has joined others, exit without finalising Python.

    DistributedDataParallel keeps Gloo's threads alive after the process group is destroyed. A thread that releases a
    tensor while Python is finalised aborts the process: https://github.com/pytorch/pytorch/issues/190489.
    """
    try:
        yield
    except SystemExit as error:
        if _preparation_group.cache_info().currsize == 0:
            raise
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(error.code or 0))
