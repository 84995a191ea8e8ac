"""What the processes of one training settle among themselves, under torchrun or `accelerate launch`.

A process that was started alone is the main one, waits for nobody and asks nobody. Only where there are others is torch
imported.
"""

import os
import signal
import socket
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
"""A process that lets the others wait so long in training counts as lost: its machine or its network has gone."""
PREPARATION_TIMEOUT = timedelta(hours=2)
"""How long one process may prepare what the others wait for: a download of data or of weights."""
STORE_TIMEOUT = timedelta(seconds=5)
"""How long the launcher's store may take to answer a process that is about to end."""

Answer = TypeVar("Answer")


def world_size() -> int:
    """Return how many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """Tell whether this is the process that writes and speaks."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def main_process_first() -> Iterator[None]:
    """Run the block on the main process, then on the first of each other machine, then on the rest.

    So one of them fetches or makes files, and the others find them, whether machines share a disk or not.
    """
    if world_size() == 1:
        yield
        return
    import torch.distributed

    mine = 0 if is_main_process() else 1 if os.environ.get("LOCAL_RANK") == "0" else 2
    for turn in range(3):
        if turn == mine:
            yield
        with report_lost_peer("give the command again"):
            torch.distributed.barrier(_preparation_group())


def broadcast_from_main(ask: Callable[[], Answer]) -> Answer:
    """Return what `ask` returns on the main process, or raise what it raises there, on every process."""
    if world_size() == 1:
        return ask()
    import torch.distributed

    outcome: list[Any] = [None, None]  # the answer, or else the error
    if is_main_process():
        try:
            outcome[0] = ask()
        except Exception as error:
            outcome[1] = error
    with report_lost_peer("give the command again"):
        torch.distributed.broadcast_object_list(outcome, src=0, group=_preparation_group())
    answer, failure = outcome
    if failure is not None:
        raise failure
    return cast(Answer, answer)


@cache
def _preparation_group() -> "ProcessGroup":
    """Join the other processes, and return the group in which they may keep one another waiting for PREPARATION."""
    import torch
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    # Without a GPU, Accelerate lets the processes of torchrun train apart, unless it is told of the CPU.
    cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.cuda.is_available()
    joined = PartialState(cpu=cpu, timeout=LOST_PEER_TIMEOUT).num_processes
    if joined != world_size():
        raise UserError(f"of {world_size()} processes Accelerate has joined {joined}; start them by torchrun again")
    group = torch.distributed.new_group(backend="gloo", timeout=PREPARATION_TIMEOUT)
    return cast("ProcessGroup", group)  # this process is one of it


@contextmanager
def report_lost_peer(remedy: str) -> Iterator[None]:
    """Raise a UserError that ends with `remedy` where, inside the block, another process is lost."""
    try:
        yield
    except RuntimeError as error:
        if world_size() == 1 or not _is_connection_error(error):
            raise
        raise UserError(f"another process of this training was lost, or cannot be reached; {remedy}") from error


def _is_connection_error(error: RuntimeError) -> bool:
    """Tell an error of the connection between processes from any other, by its type or by what Gloo and NCCL say."""
    from torch.distributed import DistError

    return isinstance(error, DistError) or any(name in str(error).lower() for name in ("gloo", "nccl"))


def claim_report() -> bool:
    """Tell whether no other process has asked this: all of them end for one reason, and one of them tells it."""
    if world_size() == 1:
        return True
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    try:  # the store at which torchrun lets the processes meet
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        socket.create_connection((address, port), STORE_TIMEOUT.seconds).close()
        store = TCPStore(address, port, is_master=False, timeout=STORE_TIMEOUT)
        return store.add(f"told/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", 1) == 1
    except (KeyError, OSError, RuntimeError):  # there is none, or it is gone with its machine
        return True


@contextmanager
def defer_sigterm() -> Iterator[Event]:
    """Yield an event that SIGTERM sets inside the block, where there are others, in place of ending the process.

    Launchers send it when a scheduler ends the job, and to all that are left when one process is lost: those are then
    about to learn of the loss by themselves, and have something better to say. Where an exception leaves the block,
    SIGTERM stays without effect, for the process is about to end by that and has yet to say why.
    """
    noted = Event()
    if world_size() == 1 or current_thread() is not main_thread():
        yield noted
        return

    def note(_signal: int, _frame: "FrameType | None") -> None:
        noted.set()

    before = signal.signal(signal.SIGTERM, note)
    yield noted
    signal.signal(signal.SIGTERM, before)
