"""Pipes: `predict` reads them; all other commands refuse them in one line instead of waiting for ever."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.commands import Outcome
from helpers.limits import time_limit

from pipeline import Run, Source


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "fast", "--data", "pipe"],
        ["train", "fast", "--source", "pipe"],
        ["train", "fast", "--source", "practice", "--with", "pipe"],
        ["train", "pipe.yaml"],
        ["evaluate", "RUN", "--on", "pipe"],
        ["compare", "RUN", "--on", "pipe"],
        ["read", "RUN", "pipe"],
        ["submit", "--run", "RUN", "--source", "pipe"],
        ["data", "--source", "pipe"],
        ["sweep", "fast", "--trials", "1", "--source", "practice", "--space", "pipe"],
        ["kaggle", "train", "pipe.yaml"],
        ["kaggle", "submit", "--file", "pipe"],
        ["kaggle", "submit", "--fix", "--file", "pipe"],
        ["kaggle", "status", "--ledger", "pipe"],
    ],
    ids=" ".join,
)
def test_a_pipe_is_refused_in_one_line(
    arguments: list[str], run: Run, practice: Source, tmp_path: Path, command: Callable[..., Outcome]
) -> None:
    (tmp_path / "data").symlink_to(practice.data_dir)
    for name in ("pipe", "pipe.yaml"):
        os.mkfifo(tmp_path / name)
    with time_limit(60):
        outcome = command(*(run.folder if word == "RUN" else word for word in arguments))
    assert outcome.status == 2, outcome.err
    (line,) = outcome.err.splitlines()
    assert re.search(
        r"pipe(\.yaml)?: is a pipe or a device, which cannot be read twice; save its content as a file first$", line
    )
