"""Outcome of a command, and peak memory of a command in a separate process."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from helpers.paths import PROJECT


@dataclass
class Outcome:
    """Exit status, stdout and stderr of a command."""

    status: int
    out: str
    err: str


def peak_memory(folder: Path, *arguments: str) -> int:
    """Run a command in a separate process, in `folder`, and return its peak memory in KiB."""
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
    completed = subprocess.run(command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, check=True)
    return int(completed.stdout.split()[-1])
