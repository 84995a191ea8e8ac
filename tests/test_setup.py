"""`make setup`: PyTorch's build for CPUs, and machines on which it cannot work at once. No package is downloaded."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers.paths import PROJECT

PYTHON = """#!/bin/sh
# Python on a machine with a fault. Its commands are logged; a virtual environment contains a copy of it.
echo "$*" >> commands.txt
case "$*" in
*version_info*) [ "$FAULT" != old ] ;;
*"-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python && /bin/chmod 644 .venv/bin/python ;;
*"import ensurepip") [ "$FAULT" != ensurepip ] ;;
"-m ensurepip"*) touch .venv/pip ;;
"-m pip --version") [ -e .venv/pip ] ;;
"-m pip install"*)
    [ "$FAULT" != disk ] || { printf 'WARNING: slow\\nERROR: [Errno 28] No space left on device\\n' >&2; exit 1; }
    case "$FAULT $*" in *"unknown-version "*constraints.txt) echo "ERROR: no such version" >&2; exit 1 ;; esac ;;
esac
"""
CHMOD = """#!/bin/sh
# A mounted drive ignores execute bits.
[ "$FAULT" = drive ] || exec /bin/chmod "$@"
"""
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CPU_BUILD = f"torch torchvision --no-deps --index-url {CPU_INDEX} --constraint requirements/core.txt"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder with the files of the installation, and a machine's programs; there is a space in its name."""
    folder = tmp_path / "my digits"
    (folder / "bin").mkdir(parents=True)
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt", "requirements-cluster.txt"):
        shutil.copy(PROJECT / name, folder)
    for name, text in (("python3", PYTHON), ("chmod", CHMOD)):
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    return folder


def make(folder: Path, *arguments: str, fault: str = "") -> subprocess.CompletedProcess[str]:
    """Run make on a machine with a fault."""
    environment = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "FAULT": fault}
    command = ["make", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, check=False)


def commands(folder: Path, beginning: str) -> list[str]:
    """Return the logged commands of Python with this beginning, without it."""
    lines = (folder / "commands.txt").read_text().splitlines()
    return [line.removeprefix(beginning).strip() for line in lines if line.startswith(beginning)]


def test_the_build_for_cpus_comes_from_pytorchs_index_before_everything_else(machine: Path) -> None:
    assert make(machine, "setup", "TORCH=cpu").returncode == 0
    constraint = "--constraint constraints.txt"
    expected = [f"{CPU_BUILD} {constraint}", f"--requirement requirements.txt {constraint}"]
    assert commands(machine, "-m pip install") == expected
    assert make(machine, "setup", "TORCH=cpu").returncode == 0
    assert commands(machine, "-m pip install") == expected


def test_without_a_choice_pytorch_comes_from_pips_own_index(machine: Path) -> None:
    assert "--index-url" not in make(machine, "--dry-run", "setup").stdout
    assert f"add {CPU_BUILD}" in make(machine, "--dry-run", "setup", "TORCH=cpu").stdout


def test_another_build_is_not_replaced_in_silence(machine: Path) -> None:
    assert make(machine, "setup").returncode == 0
    refused = make(machine, "setup", "TORCH=cpu")
    assert refused.returncode == 2
    advice = "error: .venv has another build of PyTorch; to replace it: make clean setup TORCH=cpu\n"
    assert refused.stderr.startswith(advice)
    assert "TORCH=gpu: the only choice is TORCH=cpu" in make(machine, "setup", "TORCH=gpu").stderr


@pytest.mark.parametrize(
    ("fault", "remedy"),
    [
        ("old", "Python 3.11 or newer is required; choose one, for example: make PYTHON=python3.13"),
        ("ensurepip", "sudo apt install python3-venv, or python3 -m pip --python .venv install pip; then run"),
        ("drive", "move the project from a mounted drive to a disk that runs programs (in Colab, to /content)"),
        ("disk", "the disk is full: free 7 GB, or 3 GB with TORCH=cpu, or set TMPDIR to a folder on another disk"),
    ],
)
def test_a_fault_of_the_machine_is_one_line_and_the_next_call_continues(fault: str, remedy: str, machine: Path) -> None:
    refused = make(machine, "setup", fault=fault)
    assert refused.returncode == 2
    error, makes_own = refused.stderr.splitlines()
    assert error.startswith("error: ") and remedy in error
    assert makes_own.startswith("make: ")
    (machine / "commands.txt").unlink()
    assert make(machine, "setup").returncode == 0
    assert len(commands(machine, "-m venv")) == (fault in ("old", "drive"))
    assert commands(machine, "-m pip install") == ["--requirement requirements.txt --constraint constraints.txt"]


def test_a_full_disk_starts_no_second_download(machine: Path) -> None:
    make(machine, "setup", fault="disk")
    assert len(commands(machine, "-m pip install")) == 1


def test_versions_that_cannot_be_installed_are_replaced_by_the_newest(machine: Path) -> None:
    assert make(machine, "setup", fault="unknown-version").returncode == 0
    constrained, newest = commands(machine, "-m pip install")
    assert constrained == f"{newest} --constraint constraints.txt"


@pytest.mark.parametrize("lost", ["execute bits", "interpreter"])
def test_an_environment_whose_python_no_longer_runs_is_repaired(lost: str, machine: Path) -> None:
    assert make(machine, "setup").returncode == 0
    python = machine / ".venv" / "bin" / "python"
    if lost == "interpreter":
        python.unlink()
    else:
        python.chmod(0o644)
    assert make(machine, "data").returncode == 0
    assert commands(machine, "-m pipeline") == ["data --source auto --data data"]
