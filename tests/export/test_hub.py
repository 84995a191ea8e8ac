"""`export --to hub USER/NAME` uploads the folder for Transformers to the Hub, by the Hub's own client."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.commands import Outcome
from helpers.hub_server import KEPT, TOKEN, HubServer
from helpers.paths import PROJECT
from helpers.waiting import free_port

from pipeline import Run
from pipeline.export.formats import export


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """Yield a stand-in for the Hub."""
    with HubServer() as server:
        yield server


def publish(folder: Path, run: Run, repository: str, address: str, token: str | None = TOKEN) -> Outcome:
    """Run the command with a Hub at an address; without Xet, which has a protocol of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {"HF_ENDPOINT": address, "HF_HOME": str(folder / "home"), "HF_HUB_DISABLE_XET": "1"}
    environment |= {"PYTHONPATH": str(PROJECT)} | ({"HF_TOKEN": token} if token else {})
    command = [sys.executable, "-m", "pipeline", "export", str(run), "--to", "hub", repository]
    ended = subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, check=False)
    return Outcome(ended.returncode, ended.stdout, ended.stderr)


def test_the_folder_for_transformers_is_uploaded_with_a_card_that_loads_it_from_the_hub(
    run: Run, hub: HubServer, tmp_path: Path
) -> None:
    outcome = publish(tmp_path, run, "me/digits", hub.address)
    assert (outcome.status, outcome.out) == (0, f"Uploaded {run} to {hub.address}/me/digits\n"), outcome.err
    export(run, "transformers", tmp_path / "local")
    files = {path.name: path.read_bytes() for path in (tmp_path / "local").iterdir()}
    files["README.md"] = files["README.md"].replace(b'model="FOLDER"', b'model="me/digits"')
    assert b'model="me/digits", trust_remote_code=True' in files["README.md"]
    assert hub.repositories["me/digits"] == files | KEPT
    assert files["model.safetensors"] in hub.objects.values()

    hub.repositories["me/digits"]["README.md"] = b"old"
    assert publish(tmp_path, run, "me/digits", hub.address).status == 0
    assert hub.repositories["me/digits"] == files | KEPT


@pytest.mark.parametrize(
    ("repository", "token", "fault"),
    [
        (
            "me/digits",
            None,
            "there is no token for the Hugging Face Hub; run `hf auth login`, or set HF_TOKEN, with a ",
        ),
        ("me/digits", "hf_wrong", "not uploaded; the Hub does not accept the token; run `hf auth login`, or set HF_TO"),
        (
            "you/digits",
            TOKEN,
            "not uploaded; the token may not write there; use a write token of the repository's owner",
        ),
        ("digits", TOKEN, "is no repository on the Hub; give it as USER/NAME"),
    ],
)
def test_a_token_or_a_name_that_is_missing_or_wrong_is_one_line(
    repository: str, token: str | None, fault: str, run: Run, hub: HubServer, tmp_path: Path
) -> None:
    outcome = publish(tmp_path, run, repository, hub.address, token)
    assert (outcome.status, outcome.out) == (2, "")
    (line,) = outcome.err.splitlines()
    assert line.startswith(f"error: {repository}: {fault}")
    assert hub.repositories == {}


def test_a_hub_that_cannot_be_reached_is_one_line(run: Run, tmp_path: Path) -> None:
    outcome = publish(tmp_path, run, "me/digits", f"http://127.0.0.1:{free_port()}")
    line = "error: me/digits: not uploaded; [Errno 111] Connection refused; try again\n"
    assert (outcome.status, outcome.err) == (2, line)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--to", "hub"], "--to hub: give the repository, and no --out: export RUN --to hub USER/NAME"),
        (["--to", "hub", "me/x", "--out", "x"], "--to hub: give the repository, and no --out"),
        (["--to", "onnx"], "--to onnx: give the place to write to, and nothing else: export RUN --to onnx --out PATH"),
        (["--to", "onnx", "me/x", "--out", "x"], "--to onnx: give the place to write to, and nothing else"),
    ],
)
def test_each_format_has_one_place(
    arguments: list[str], fault: str, command: Callable[..., Outcome], run: Run, tmp_path: Path
) -> None:
    outcome = command("export", run.folder, *arguments)
    assert outcome.status == 2
    (line,) = outcome.err.splitlines()
    assert line.startswith(f"error: {fault.replace('RUN', str(run.folder))}")
    assert not (tmp_path / "x").exists()
