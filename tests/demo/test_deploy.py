"""Deployments start from the copied files alone."""

import base64
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from helpers import only_required
from helpers.page import draw_number, drawn, encode_image, upload
from helpers.paths import PROJECT
from helpers.waiting import free_port, is_up, wait_until
from PIL import Image

from demo.schema import PNG_URL


@contextmanager
def started(command: list[str], folder: Path, port: int) -> Iterator[None]:
    """Run a server in `folder` with a minimal environment; yield when it is healthy, and stop it at the end."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PORT": str(port)}
    server = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    try:
        with httpx.Client() as client:
            wait_until(lambda: is_up(client, f"http://127.0.0.1:{port}"), "the server does not answer")
        yield
    finally:
        server.terminate()
        server.wait(20)


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions, each with its arguments."""
    text = re.sub(r"^#.*\n", "", (PROJECT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def test_the_container_serves_the_page_from_the_copied_files(tmp_path: Path) -> None:
    found = instructions()
    for name, rest in found:
        if name == "COPY":
            origin, target = rest.split()
            if (PROJECT / origin).is_dir():
                shutil.copytree(PROJECT / origin, tmp_path / target)
            else:
                shutil.copy(PROJECT / origin, tmp_path / target)
    single = dict(found)
    program, *rest = json.loads(single["CMD"])
    assert program == "python"
    health = single["HEALTHCHECK"].partition("CMD")[2].replace("python", shlex.quote(sys.executable), 1)
    port = free_port()

    def healthy() -> bool:
        quiet = {"env": {"PORT": str(port)}, "stderr": subprocess.DEVNULL}
        return subprocess.run(["sh", "-c", health], check=False, **quiet).returncode == 0

    assert not healthy()
    with started([sys.executable, *rest], tmp_path, port):
        assert healthy()
    assert not healthy()
    assert single["USER"] != "root"


def test_a_space_is_assembled(tmp_path: Path) -> None:
    folder = tmp_path / "space"
    subprocess.run(["make", "--silent", "space", f"SPACE={folder}"], cwd=PROJECT, check=True)
    settings = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert settings["sdk"] == "gradio"
    lines = (folder / "requirements.txt").read_text().splitlines()
    (required,) = [line for line in lines if line.startswith("gradio>=")]
    assert settings["sdk_version"].startswith(required.removeprefix("gradio>="))
    assert not list(folder.rglob("__pycache__"))
    assert sum(path.stat().st_size for path in folder.rglob("*")) < 3_000_000


def test_a_space_requires_the_versions_of_the_project(tmp_path: Path) -> None:
    files = [PROJECT / "requirements" / name for name in ("core.txt", "demo.txt")]
    tested = {line.partition("#")[0].strip() for file in files for line in file.read_text().splitlines()}
    lines = (PROJECT / "demo" / "space" / "requirements.txt").read_text().splitlines()
    assert {line for line in lines if line[0].isalpha()} <= tested


def test_the_packages_that_a_space_requires_are_all_that_its_page_needs(tmp_path: Path) -> None:
    folder, port = tmp_path / "space", free_port()
    subprocess.run(["make", "--silent", "space", f"SPACE={folder}"], cwd=PROJECT, check=True)
    command = [sys.executable, str(Path(only_required.__file__)), "requirements.txt", "app.py"]
    frame = PNG_URL + base64.b64encode(encode_image(Image.new("L", (28, 28)))).decode()
    requests: dict[str, list[Any]] = {
        "draw": [drawn("42"), "sketchpad", True],
        "runs": [],
        "figures": ["sketchpad"],
        "inside": [frame, "sketchpad", None],
        "digits": [[frame], [7], "csv"],
    }
    with started(command, folder, port), httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        answers = {name: client.post(f"/gradio_api/run/{name}", json={"data": data}) for name, data in requests.items()}
        path = upload(client, "7.png", encode_image(draw_number("7"))).json()[0]
        answers["read"] = client.post("/gradio_api/run/read", json={"data": [{"path": path}]})
    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys([*requests, "read"], 200)
    assert answers["draw"].json()["data"][0].count(">42<") == 1
    assert answers["read"].json()["data"][0]["text"] == "7"


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make in `folder`."""
    return subprocess.run(["make", *arguments], cwd=folder, text=True, capture_output=True, check=False)


def test_a_space_whose_name_has_a_space_touches_no_other_folder(checkout: Path) -> None:
    assert make(checkout, "space", "SPACE=my space").returncode == 0
    assert (checkout / "my space" / "app.py").exists()
    assert (checkout / "my" / "notes.txt").exists()
    assert (checkout / "space" / "notes.txt").exists()


@pytest.mark.parametrize("name", ["my", "./demo/space", ".", "LICENSE"])
def test_a_folder_that_is_no_space_is_refused(checkout: Path, name: str) -> None:
    before = sorted(checkout.rglob("*"))
    refused = make(checkout, "space", f"SPACE={name}")
    assert (refused.returncode, "holds other files than those of a Space" in refused.stderr) == (2, True)
    assert sorted(checkout.rglob("*")) == before


def test_a_space_is_renewed_in_its_git_clone(checkout: Path) -> None:
    assert make(checkout, "space", "SPACE=clone").returncode == 0
    clone = checkout / "clone"
    (clone / ".git").mkdir()
    for kept in (".git/HEAD", ".gitattributes", "notes.txt"):
        (clone / kept).write_text("mine")
    (clone / "pipeline" / "removed_since.py").touch()
    assert make(checkout, "space", "SPACE=clone").returncode == 0
    assert all((clone / kept).read_text() == "mine" for kept in (".git/HEAD", ".gitattributes", "notes.txt"))
    assert not (clone / "pipeline" / "removed_since.py").exists()


@pytest.mark.parametrize("word", ["my data", "it's", 'say "a"; b', "$HOME `date` *"])
def test_make_passes_on_every_variable_as_one_word(checkout: Path, word: str) -> None:
    values = [f"{name}={word}" for name in ("RECIPE", "SOURCE", "DATA", "RUN", "MESSAGE")]
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)
    (checkout / ".venv" / "runs").touch()
    where = f"--source\n{word}\n--data\n{word}\n"
    for target, expected in {
        "train": f"pipeline\ntrain\n{word}\n{where}",
        "submit": f"pipeline\nsubmit\n--recipe\n{word}\n{where}",
        "data": f"pipeline\ndata\n{where}",
        "kaggle-data": f"pipeline\nkaggle\ndata\n--data\n{word}\n",
        "kaggle-submit": f"pipeline\nkaggle\nsubmit\n--message\n{word}\n",
        "demo": f"demo\n--run\n{word}\n",
        "share": f"demo\n--run\n{word}\n--share\n",
    }.items():
        assert make(checkout, "--silent", target, *values).stdout == f"-m\n{expected}"
    assert make(checkout, "--silent", "kaggle-submit", "MESSAGE=a\nb").stdout.endswith("--message\na b\n")


@pytest.mark.parametrize("name", ["Dockerfile", "docs/deploy.md"])
def test_every_documented_option_exists(name: str) -> None:
    known = subprocess.run(
        [sys.executable, "-m", "demo", "--help"], cwd=PROJECT, text=True, stdout=subprocess.PIPE, check=True
    ).stdout
    for line in re.findall(r"python -m demo(.*)", (PROJECT / name).read_text()):
        for option in re.findall(r"--[a-z-]+", line):
            assert option in known
