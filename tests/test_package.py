"""The package: what it contains, what its parts require, and how it works in an empty folder without its extras."""

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.drawing import Drawing
from helpers.paths import PROJECT

from pipeline.utils.imports import EXTRA_BY_MODULE, install_command

Install = Callable[..., subprocess.CompletedProcess[str]]

WITHOUT_EXTRAS = f"""
import sys
sys.modules.update(dict.fromkeys({sorted(EXTRA_BY_MODULE)}))
sys.argv = ["digit-recognizer", *sys.argv[1:]]
from digit_recognizer import main
main()
"""
"""Runs the command as if no extra were installed."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built from a copy of the project."""
    folder = tmp_path_factory.mktemp("build")
    listed = subprocess.run(
        ["git", "-C", PROJECT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((PROJECT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "--wheel-dir", "wheel"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    [path] = (folder / "wheel").glob("*.whl")
    return path


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Install:
    """A function that runs the installed command, without extras, in an empty folder."""
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    (tmp_path / "empty").mkdir()

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-c", WITHOUT_EXTRAS, *arguments],
            cwd=tmp_path / "empty",
            env={**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    return run


def test_the_package_contains_every_module_and_what_it_reads(wheel: Path) -> None:
    contained = set(zipfile.ZipFile(wheel).namelist())
    needed = {
        str(path.relative_to(PROJECT))
        for part in ("pipeline", "demo")
        for path in (PROJECT / part).rglob("*")
        if path.is_file() and path.suffix != ".pyc" and path.parent.name != "space"
    }
    shipped = {f"pipeline/shipped/sketchpad/{name}" for name in ("model.safetensors", "line.safetensors", "card.json")}
    assert needed | shipped | {"digit_recognizer.py"} <= contained
    assert not any(name.startswith(("tests", "benchmarks", "data", "checkpoints")) for name in contained)


def test_each_optional_module_is_required_by_its_extra() -> None:
    names = {"sqlalchemy": "SQLAlchemy"}
    for module, extra in EXTRA_BY_MODULE.items():
        required = re.findall(r"^[\w-]+", (PROJECT / "requirements" / f"{extra}.txt").read_text(), re.MULTILINE)
        assert names.get(module, module) in required


def test_requirements_and_extras_are_the_same_files() -> None:
    listed = "".join((PROJECT / f"requirements{part}.txt").read_text() for part in ("", "-cluster"))
    included = re.findall(r"^-r requirements/(\w+)\.txt", listed, re.MULTILINE)
    assert sorted(included) == sorted(path.stem for path in (PROJECT / "requirements").iterdir())
    assert set(EXTRA_BY_MODULE.values()) | {"core"} == set(included)


def test_a_submission_is_made_without_extras_in_an_empty_folder(installed: Install, tmp_path: Path) -> None:
    settings = tmp_path / "short.yaml"
    recipe = (PROJECT / "pipeline" / "recipes" / "fast.yaml").read_text()
    settings.write_text(recipe.replace("epochs: 3", "epochs: 1").replace("minimum_updates: 600", "minimum_updates: 9"))
    outcome = installed("submit", "--recipe", str(settings), "--source", "practice")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    answers = (tmp_path / "empty" / "submissions" / "solution.csv").read_text().splitlines()
    assert len(answers) == 501
    [run] = (tmp_path / "empty" / "checkpoints").iterdir()
    assert (run / "training.log").exists() and not (run / "tensorboard").exists()


def test_the_shipped_run_reads_a_picture_in_an_empty_folder(installed: Install, tmp_path: Path) -> None:
    Drawing("2036", height=90).page().save(tmp_path / "page.png")
    outcome = installed("read", "sketchpad", str(tmp_path / "page.png"))
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert "2036, even" in outcome.stdout


@pytest.mark.parametrize(
    ("arguments", "missing", "extra"),
    [
        (("demo",), "gradio", "demo"),
        (("sweep", "fast", "--trials", "1"), "optuna", "search"),
        (("train", "even-odd", "--source", "practice"), "transformers", "transformers"),
        (("export", "sketchpad", "--to", "onnx", "--out", "network.onnx"), "onnxscript", "transformers"),
    ],
)
def test_a_missing_extra_is_named_with_its_command(
    arguments: tuple[str, ...], missing: str, extra: str, installed: Install
) -> None:
    outcome = installed(*arguments)
    assert outcome.returncode == 2
    assert outcome.stderr == f"error: {missing} is not installed; run: pip install 'digit-recognizer[{extra}]'\n"


def test_help_lists_the_page_among_the_commands(installed: Install) -> None:
    outcome = installed("--help")
    assert outcome.returncode == 0
    assert {"train", "submit", "read", "demo"} <= set(re.findall(r"\w+", outcome.stdout))


def test_a_checkout_names_its_own_files() -> None:
    assert install_command("ray.data") == "pip install --requirement requirements-cluster.txt"
    assert install_command("gradio") == "pip install --requirement requirements.txt"
