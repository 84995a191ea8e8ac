"""Commands in the cells of a notebook, whose kernel has packages that the project's environment lacks."""

import shlex
import site
import sys
from pathlib import Path

import pytest
from helpers.paths import PROJECT

from pipeline import Recipe

pytest.importorskip("ipykernel", reason="needs ipykernel")
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

BACKEND = "matplotlib_inline"


def link_packages(folder: Path) -> None:
    """Link the installed packages into a folder, without the backend of notebooks."""
    for installed in map(Path, site.getsitepackages()):
        for entry in installed.iterdir():
            if not entry.name.startswith(BACKEND):
                (folder / entry.name).symlink_to(entry)


def test_a_cell_trains_and_writes_the_figures(tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    link_packages(packages)
    recipe = tmp_path / "brief.yaml"
    Recipe.load("fast", ["epochs=1", "minimum_updates=0"]).save(recipe)
    command = [
        *("env", f"PYTHONPATH={packages}:{PROJECT}", sys.executable, "-S", "-m"),
        *("pipeline", "train", str(recipe), "--source", "practice", "--run", "mine"),
    ]
    manager = KernelManager()
    manager._kernel_spec = KernelSpec(argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"])
    manager.start_kernel(cwd=str(tmp_path))
    client = manager.blocking_client()
    client.start_channels()
    printed: list[str] = []
    try:
        client.wait_for_ready(timeout=60)
        client.execute_interactive(
            f"import os; print(os.environ['MPLBACKEND'])\n!{shlex.join(command)}",
            timeout=120,
            output_hook=lambda message: printed.append(message["content"].get("text", "")),
        )
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    output = "".join(printed)
    assert output.startswith(f"module://{BACKEND}.backend_inline")
    assert "Validation accuracy: " in output, output
    assert (tmp_path / "checkpoints" / "mine" / "figures" / "history.png").exists()
