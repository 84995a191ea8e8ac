"""Storage, ownership and lifetime of uploads."""

import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from helpers.page import draw_number, encode_image, serve_page, upload
from helpers.paths import PROJECT
from helpers.waiting import wait_until

from demo import uploads as module
from demo.predictors import PredictorPool
from demo.uploads import Uploads


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty temporary folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def uploads(temporary: Path) -> Iterator[Uploads]:
    """Yield a store for at most 100 bytes."""
    with closing(Uploads(max_bytes=100)) as uploads:
        yield uploads


def add(uploads: Uploads, size: int, visitor: str = "ada") -> Path:
    return Path(uploads.add(visitor, "7.png", BytesIO(bytes(size))))


def test_only_its_visitor_finds_an_upload(uploads: Uploads) -> None:
    path = add(uploads, 7)
    assert uploads.find("ada", str(path)) == path
    assert path.read_bytes() == bytes(7)
    assert uploads.find("bob", str(path)) is None
    assert uploads.find("ada", f"{path}/../7.png") is None


def test_the_same_picture_of_two_visitors_is_stored_twice(uploads: Uploads) -> None:
    one, other = add(uploads, 7, "ada"), add(uploads, 7, "bob")
    assert one != other
    assert uploads.find("bob", str(one)) is None


def test_the_folder_is_private(uploads: Uploads) -> None:
    assert stat.S_IMODE(uploads.folder.stat().st_mode) == 0o700


def test_the_oldest_uploads_are_deleted_first(uploads: Uploads) -> None:
    first, second, third = add(uploads, 40), add(uploads, 40), add(uploads, 40)
    assert not first.parent.exists()
    assert uploads.find("ada", str(first)) is None
    assert uploads.find("ada", str(second)) == second
    assert uploads.find("ada", str(third)) == third


def test_an_old_upload_is_deleted_by_a_sweep(temporary: Path) -> None:
    with closing(Uploads(lifetime=0)) as uploads:
        path = add(uploads, 7)
        uploads.sweep()
        assert not path.parent.exists()
        assert uploads.find("ada", str(path)) is None


def test_the_page_deletes_old_uploads_periodically(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SWEEP_SECONDS", 0.1)
    monkeypatch.setattr("helpers.page.Uploads", lambda: Uploads(lifetime=1))
    with (
        serve_page(PredictorPool(PROJECT / "checkpoints" / "sketchpad")) as address,
        httpx.Client(base_url=address) as client,
    ):
        path = Path(upload(client, "7.png", encode_image(draw_number("7"))).json()[0])
        assert path.is_file()
        wait_until(lambda: not path.parent.exists(), "the upload is still there")


def test_uploads_are_deleted_within_an_hour() -> None:
    assert module.LIFETIME_SECONDS + module.SWEEP_SECONDS < 3600


def test_closing_deletes_all_uploads(temporary: Path) -> None:
    with closing(Uploads()) as uploads:
        add(uploads, 7)
    assert list(temporary.iterdir()) == []


def test_folders_of_killed_pages_are_deleted_but_not_those_in_use(
    uploads: Uploads, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STARTING_SECONDS", 0)
    path = add(uploads, 7)
    abandoned = temporary / f"{module.PREFIX}abandoned" / "token"
    abandoned.mkdir(parents=True)
    (abandoned / "7.png").touch()
    with closing(Uploads()):
        assert not abandoned.parent.exists()
        assert path.is_file()
