"""The notebook for Kaggle and Colab is its source, and every cell of it runs there, without network."""

import sys
import zipfile
from pathlib import Path

import jupytext
import nbclient
import numpy as np
import pytest
from helpers.files import csv_text
from helpers.paths import PROJECT
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbformat import NotebookNode

from pipeline import DigitTable

SOURCE = PROJECT / "notebooks" / "digit-recognizer.py"
RECIPE = 'Recipe.load("fast")'
BRIEF = 'Recipe.load("fast", ["epochs=1", "minimum_updates=0"])'
SECRETS = """
class SecretNotFoundError(Exception): ...
class NotebookAccessError(Exception): ...
def get(name): raise SecretNotFoundError(name)
"""
"""Colab's module of secrets, without a secret."""


def test_the_notebook_has_the_cells_of_its_source_and_no_outputs() -> None:
    written, source = jupytext.read(SOURCE.with_suffix(".ipynb")), jupytext.read(SOURCE)
    cells, expected = ([(cell.cell_type, cell.source) for cell in each.cells] for each in (written, source))
    assert cells == expected, "run: jupytext --to ipynb notebooks/digit-recognizer.py"
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in written.cells)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the notebook's folder."""
    folder = tmp_path / "checkout"
    (folder / "notebooks").mkdir(parents=True)
    for name in ("pipeline", "digit_recognizer.py", "checkpoints"):
        (folder / name).symlink_to(PROJECT / name)
    return folder


def execute(folder: Path, patch: str, environment: dict[str, str]) -> NotebookNode:
    """Run all cells in a folder, and return the notebook with its outputs.

    Args:
        folder: the kernel's current folder.
        patch: Python that runs before the cell that looks for the data.
        environment: environment variables of the kernel.
    """
    notebook = jupytext.read(SOURCE)
    assert sum(RECIPE in cell.source for cell in notebook.cells) == 1
    for cell in notebook.cells:
        cell.source = cell.source.replace(RECIPE, BRIEF)
        if "find_source(" in cell.source:
            cell.source = f"{patch}\n{cell.source}"
    manager = AsyncKernelManager()
    manager._kernel_spec = KernelSpec(
        argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        env={"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9", **environment},
    )
    client = nbclient.NotebookClient(notebook, km=manager, timeout=180, resources={"metadata": {"path": str(folder)}})
    return client.execute()


def outputs(notebook: NotebookNode) -> list[str]:
    """Return the text of each code cell's outputs."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return ["".join(output.get("text", "") for output in cell.outputs) for cell in cells]


def pictures(notebook: NotebookNode) -> int:
    """Return the number of cells that end with a picture."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return sum(any("image/png" in output.get("data", {}) for output in cell.outputs) for cell in cells)


@pytest.fixture
def competition(digits: DigitTable) -> dict[str, str]:
    """The practice digits under the names of the competition's files."""
    return {
        "train.csv": csv_text(digits.select(np.arange(600))),
        "test.csv": csv_text(DigitTable(digits.pixels[600:700])),
    }


def test_every_cell_runs_in_folders_like_kaggles(checkout: Path, competition: dict[str, str], tmp_path: Path) -> None:
    files = tmp_path / "input" / "competitions" / "digit-recognizer"
    files.mkdir(parents=True)
    for name, text in competition.items():
        (files / name).write_text(text)
    patch = f"from pipeline.sources import notebook; notebook.KAGGLE_INPUT = Path({str(tmp_path / 'input')!r})"
    done = execute(checkout / "notebooks", patch, {})
    assert "(the notebook's input): 600 labelled digits" in outputs(done)[1]
    assert outputs(done)[-1].startswith("25, odd, ")
    assert pictures(done) == 4
    assert (checkout / "notebooks" / "submission.csv").read_text().count("\n") == 101
    assert sorted(path.name for path in files.iterdir()) == ["test.csv", "train.csv"]


def test_every_cell_runs_in_folders_like_colabs(checkout: Path, competition: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "site" / "google" / "colab").mkdir(parents=True)
    (tmp_path / "site" / "google" / "colab" / "userdata.py").write_text(SECRETS)
    (tmp_path / "content" / "data").mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "content" / "data" / "digit-recognizer.zip", "w") as archive:
        for name, text in competition.items():
            archive.writestr(name, text)
    (tmp_path / "content" / "digit-recognizer").symlink_to(checkout)
    environment = {"COLAB_RELEASE_TAG": "release-colab", "PYTHONPATH": str(tmp_path / "site")}
    done = execute(tmp_path / "content", "", environment)
    assert outputs(done)[0].startswith("There is no secret KAGGLE_API_TOKEN")
    assert "digit-recognizer.zip (found there): 600 labelled digits" in outputs(done)[1]
    assert (tmp_path / "content" / "submission.csv").read_text().count("\n") == 101
