"""`make space SPACE=USER/NAME` uploads the assembled folder to a Space, by the Hub's own client."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.hub_server import KEPT, TOKEN, HubServer
from helpers.waiting import free_port


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """Yield a stand-in for the Hub."""
    with HubServer() as server:
        yield server


@pytest.fixture
def installed(checkout: Path) -> Path:
    """The checkout, with this environment as its .venv."""
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (checkout / ".venv" / "runs").touch()
    return checkout


def publish(folder: Path, space: str, address: str, token: str | None = TOKEN) -> subprocess.CompletedProcess[str]:
    """Run `make space SPACE=USER/NAME` with a Hub at an address; without Xet, which has a protocol of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "MAKE", "PYTHON"))}
    environment |= {"HF_ENDPOINT": address, "HF_HOME": str(folder / "home"), "HF_HUB_DISABLE_XET": "1"}
    if token:
        environment["HF_TOKEN"] = token
    command = ["make", "--silent", "space", f"SPACE={space}"]
    return subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, check=False)


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the content of each file in a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_space_is_created_and_renewed_and_keeps_what_is_not_the_projects(installed: Path, hub: HubServer) -> None:
    first = publish(installed, "me/digits", hub.address)
    assert (first.returncode, first.stdout) == (0, f"{hub.address}/spaces/me/digits\n"), first.stderr
    assert subprocess.run(["make", "--silent", "space", "SPACE=./me/digits"], cwd=installed, check=True).returncode == 0
    assembled = files_of(installed / "me" / "digits")
    assert hub.repositories["me/digits"] == assembled | KEPT
    assert assembled["checkpoints/sketchpad/model.safetensors"] in hub.objects.values()

    (installed / "demo" / "theme.py").unlink()
    assert publish(installed, "me/digits", hub.address).returncode == 0
    assert assembled.keys() - hub.repositories["me/digits"].keys() == {"demo/theme.py"}
    assert hub.repositories["me/digits"].items() >= KEPT.items()


@pytest.mark.parametrize(
    ("space", "token", "fault"),
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
            "not uploaded; the token may not write there; use a write token of the repository's owner\n",
        ),
    ],
)
def test_a_token_that_is_missing_or_wrong_is_told_in_one_line(
    installed: Path, hub: HubServer, space: str, token: str | None, fault: str
) -> None:
    refused = publish(installed, space, hub.address, token)
    error, makes_own = refused.stderr.splitlines(keepends=True)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert error.startswith(f"error: {space}: {fault}")
    assert makes_own.startswith("make: ")
    assert hub.repositories == {}


def test_a_hub_that_cannot_be_reached_is_told_in_one_line(installed: Path) -> None:
    refused = publish(installed, "me/digits", f"http://127.0.0.1:{free_port()}")
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[0] == "error: me/digits: not uploaded; [Errno 111] Connection refused; try again"
