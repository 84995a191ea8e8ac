"""Downloads: fetched once, and only with the expected SHA-256."""

import functools
import hashlib
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline import UserError
from pipeline.sources.download import Download
from pipeline.sources.mnist import MNIST_FILES

CONTENT = b"digits"


class Handler(SimpleHTTPRequestHandler):
    """Serve files without logging."""

    def log_message(self, format: str, *arguments: object) -> None:
        """Discard the message."""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Start a server of digits.zip; yield its URL."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "digits.zip").write_bytes(CONTENT)
    handler = functools.partial(Handler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/digits.zip"
        server.shutdown()


def test_a_download_with_the_expected_content_is_kept(address: str, tmp_path: Path) -> None:
    download = Download("digits", address, hashlib.sha256(CONTENT).hexdigest(), ("digits.zip", "digits.json"))
    assert download.fetch(tmp_path / "data").read_bytes() == CONTENT


def test_a_download_with_other_content_is_refused_and_deleted(address: str, tmp_path: Path) -> None:
    download = Download("digits", address, hashlib.sha256(b"others").hexdigest(), ("digits.zip",))
    with pytest.raises(
        UserError, match=r"digits\.zip: the download is damaged or has changed \(SHA-256 .*\); try again"
    ):
        download.fetch(tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_a_connection_that_breaks_off_is_not_an_error_of_writing(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise TimeoutError("timed out")

    monkeypatch.setattr("http.client.HTTPResponse.read", fail)
    download = Download("digits", address, "", ("digits.zip",))
    with pytest.raises(UserError, match=rf"digits is not in .* cannot be downloaded \(timed out\): save {address} as"):
        download.fetch(tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_an_existing_file_is_used_under_any_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "digits.json").write_bytes(b"mine")
    download = Download("digits", "http://127.0.0.1:9/", "", ("digits.zip", "digits.json"))
    assert download.fetch(tmp_path).read_bytes() == b"mine"


def test_the_hashes_of_mnist_match_its_files(shared_data: Path) -> None:
    for name, expected in MNIST_FILES.items():
        content = (shared_data / "MNIST" / "raw" / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == expected
