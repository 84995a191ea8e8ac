"""Train in a Kaggle kernel. The text of this file, followed by a call of `train_here`, is the kernel's script.

It imports the standard library only: Kaggle runs it without the rest of the project, which it carries in the call.
"""

import base64
import io
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

RESULT = "result.zip"
"""File in the kernel's output with the run and the submission."""
RECIPE = "recipe.yaml"
OLDEST_PYTHON = (3, 11)


def train_here(project: str, run: str, tested: Mapping[str, str]) -> None:
    """Train a recipe, predict the competition's test images, and pack the run and the submission into `RESULT`.

    Args:
        project: a zip archive in base64, with the package `pipeline` and the recipe.
        run: name of the new run.
        tested: the version of each package that the project was tested with.
    """
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(f"error: Kaggle's image is too old: Python {sys.version.split()[0]}, expected 3.11 or newer")
    with TemporaryDirectory() as folder:
        ZipFile(io.BytesIO(base64.b64decode(project))).extractall(folder)
        for arguments in (["train", str(Path(folder, RECIPE)), "--run", run], ["submit", "--run", run]):
            status = subprocess.run(
                [sys.executable, "-P", "-m", "pipeline", *arguments],
                env={**os.environ, "PYTHONPATH": folder},
                check=False,
            ).returncode
            if status:
                outdated = find_outdated(tested)
                if status == 1 and outdated:  # a crash; for other errors, the command has printed its line
                    print(f"error: Kaggle's image is too old: {', '.join(outdated)}", file=sys.stderr)
                sys.exit(status)
    packed = [*Path("checkpoints", run).rglob("*"), *Path("submissions").glob("solution.*")]
    with ZipFile(RESULT, "w") as archive:
        for path in packed:
            archive.write(path)


def find_outdated(tested: Mapping[str, str]) -> list[str]:
    """Return, in words, the packages here that are older than the tested ones, or missing."""
    outdated = []
    for name, expected in tested.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            outdated.append(f"{name} is missing")
            continue
        if _numbers(found) < _numbers(expected):
            outdated.append(f"{name} {found} (tested with {expected})")
    return outdated


def _numbers(text: str) -> list[int]:
    """Return the major and minor number of a version."""
    return [int(part) for part in re.findall(r"\d+", text)[:2]]
