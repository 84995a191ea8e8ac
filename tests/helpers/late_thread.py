"""The program of each of two processes in training/test_distributed.py; one exits while Gloo's thread waits for Python.

The thread has to release a tensor. An interval of a minute keeps Python from handing over to it, and no exit handler
may do so either.
"""

import atexit
import os
import sys
import time

import torch

from pipeline.cli import app as command_line
from pipeline.utils.processes.distributed import main_process_first


def train() -> None:
    """Exit while a broadcast of the other process arrives."""
    with main_process_first():
        pass
    atexit._clear()
    if os.environ["RANK"] == "0":
        time.sleep(1)
        torch.distributed.broadcast(torch.zeros(9), 0)
        time.sleep(2)
    else:
        sys.setswitchinterval(60)
        torch.distributed.broadcast(torch.zeros(9), 0, async_op=True)
        arrived = time.monotonic() + 2
        while time.monotonic() < arrived:
            pass
    sys.exit(0)


command_line.app = train  # type: ignore[assignment]
command_line.main()
