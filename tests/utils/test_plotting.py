import os
import subprocess
import sys

import pytest

from pipeline.utils.plotting import drop_missing_backend


@pytest.mark.parametrize(
    "backend",
    [
        "module://no_such_package.backend_inline",
        "module://matplotlib.backends.no_such_backend",
        "module://",
        "no_such_backend",
    ],
)
def test_a_missing_backend_is_dropped(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", backend)
    drop_missing_backend()
    assert "MPLBACKEND" not in os.environ


@pytest.mark.parametrize("backend", ["agg", "SVG", "TkAgg", "module://matplotlib.backends.backend_agg"])
def test_an_installed_backend_is_kept(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", backend)
    drop_missing_backend()
    assert os.environ["MPLBACKEND"] == backend


@pytest.mark.parametrize("module", ["pipeline.reports.figures", "demo.__main__, gradio, matplotlib.pyplot"])
def test_figures_are_drawn_whatever_backend_the_calling_process_has(module: str) -> None:
    environment = {**os.environ, "MPLBACKEND": "module://backend_of_another_environment"}
    program = f"import pipeline, {module}\nfrom matplotlib import pyplot; pyplot.figure()"
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
