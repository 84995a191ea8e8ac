"""The page without a browser: endpoint, refused input and command line."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from helpers.commands import Outcome
from helpers.page import Page, draw_number, encode_image, serve_page, upload
from helpers.paths import PROJECT
from helpers.waiting import wait_until
from PIL import Image

from demo import lean_imports, server, usage
from demo.__main__ import main
from demo.handlers import Handlers, decode_drawing
from demo.predictors import PredictorPool
from pipeline import UserError

FILE = {"_type": "gradio.FileData"}


@pytest.fixture(autouse=True)
def all_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep `main` from leaving modules out of this process, which is that of other tests too."""
    monkeypatch.setattr(lean_imports, "leave_out_unused_modules", lambda: None)


@pytest.fixture(scope="module")
def client(page: Page) -> Iterator[httpx.Client]:
    """Yield a client of the page."""
    with httpx.Client(base_url=page.address, timeout=60) as client:
        yield client


def read(client: httpx.Client, picture: Any) -> httpx.Response:
    return client.post("/gradio_api/run/read", json={"data": [picture]})


def upload_and_read(client: httpx.Client, name: str, content: bytes) -> httpx.Response:
    """Upload a file and read it."""
    return read(client, {"path": upload(client, name, content).json()[0], "meta": FILE})


# The endpoint


def outcome(example: str, address: str, folder: Path) -> str:
    """Run a code example on a picture of 2025; return what it prints."""
    draw_number("2025").save(folder / "number.png")
    shell = [sys.executable, "-c"] if "import" in example else ["bash", "-c"]
    code = example.replace("ADDRESS", address).replace("USER", "ada").replace("PASSWORD", "lovelace")
    return subprocess.run([*shell, code], cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("example", [usage.PYTHON, usage.CURL], ids=["python", "curl"])
def test_the_pages_examples_read_a_number(page: Page, tmp_path: Path, example: str) -> None:
    printed = outcome(example, page.address, tmp_path)
    assert "2025" in printed
    assert "odd" in printed


def test_with_auth_the_examples_sign_in(pool: PredictorPool, tmp_path: Path) -> None:
    with serve_page(pool, "ada:lovelace") as address:
        for example in (usage.PYTHON_WITH_LOGIN, usage.CURL_WITH_LOGIN):
            assert "2025" in outcome(example, address, tmp_path)


@pytest.mark.parametrize("example", [usage.PYTHON, usage.CURL], ids=["python", "curl"])
def test_the_documentation_has_the_same_examples(example: str) -> None:
    text = (PROJECT / "docs" / "library.md").read_text(encoding="utf-8")
    assert example.replace("ADDRESS", "http://127.0.0.1:7860") in text


def test_the_endpoint_returns_the_number_and_each_glyph(client: httpx.Client) -> None:
    (reading,) = upload_and_read(client, "42.png", encode_image(draw_number("42"))).json()["data"]
    assert (reading["text"], reading["parity"]) == ("42", "even")
    assert 0.5 < reading["confidence"] <= 1
    for glyph, digit in zip(reading["glyphs"], (4, 2), strict=True):
        assert (glyph["digit"], glyph["row"]) == (digit, 0)
        assert glyph["is_digit"]
        assert glyph["confidence"] == max(glyph["probabilities"])
        assert sum(glyph["probabilities"]) == pytest.approx(1, abs=1e-5)
        left, top, right, bottom = glyph["box"]
        assert 0 <= left < right <= 600
        assert 0 <= top < bottom <= 260


def test_only_the_endpoint_is_public(client: httpx.Client) -> None:
    assert list(client.get("/gradio_api/info").json()["named_endpoints"]) == ["/read"]


def test_healthz_reports_status_and_run(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok", "run": "sketchpad"}


# Refused input


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("huge.png", lambda: encode_image(Image.new("1", (20_000, 20_000))), "huge.png: over the limit"),
        ("text.png", lambda: b"a shopping list", "text.png is not a picture"),
        ("cut.jpg", lambda: encode_image(draw_number("7"), "jpeg")[:3000], "cut.jpg is damaged"),
        ("drawing.svg", lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "drawing.svg is not a picture"),
        ("../../empty.png", lambda: b"", "empty.png is empty"),
    ],
    ids=["20,000 x 20,000", "text", "truncated", "svg", "empty"],
)
def test_invalid_pictures_are_refused_with_the_reason(
    client: httpx.Client, name: str, content: Callable[[], bytes], message: str
) -> None:
    answer = upload_and_read(client, name, content())
    assert answer.status_code == 422
    assert answer.json()["error"].startswith(message)


@pytest.mark.parametrize(
    "content",
    [
        encode_image(Image.new("RGB", (1, 1))),
        encode_image(Image.new("L", (60, 40), 255), "gif", save_all=True, append_images=[Image.new("L", (60, 40))]),
    ],
    ids=["1 x 1", "animation that begins blank"],
)
def test_a_picture_without_a_number_gives_an_empty_reading(client: httpx.Client, content: bytes) -> None:
    (reading,) = upload_and_read(client, "picture", content).json()["data"]
    assert reading == {
        "text": "",
        "marked": "",
        "parity": None,
        "confidence": None,
        "glyphs": [],
        "marks": [],
        "left_out": [],
    }


def test_a_file_of_100_mb_is_refused(client: httpx.Client) -> None:
    assert upload(client, "big.png", bytes(100_000_000)).status_code == 413


def test_an_invalid_drawing_is_refused() -> None:
    for nonsense in ("data:image/png;base64,AAAA", "data:text/html,hello", "?"):
        with pytest.raises(UserError, match="Reload the page"):
            decode_drawing(nonsense)


# The command line


@pytest.fixture
def program() -> Callable[[], None]:
    """Run `python -m demo` instead of `python -m pipeline`."""
    return main


def test_a_missing_run_is_one_line(command: Callable[..., Outcome]) -> None:
    ended = command("--run", "nowhere")
    assert ended.status == 2
    assert ended.err.startswith("error: checkpoints/nowhere: no run found")
    assert ended.err.count("\n") == 1


def test_a_broken_run_is_one_line(command: Callable[..., Outcome], tmp_path: Path) -> None:
    source = PROJECT / "checkpoints" / "sketchpad"
    for name in ("recipe.yaml", "card.json"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    (tmp_path / "model.safetensors").write_bytes((source / "model.safetensors").read_bytes()[:1000])
    ended = command("--run", tmp_path)
    assert ended.status == 2
    assert "model.safetensors: missing or damaged" in ended.err
    assert ended.err.count("\n") == 1


def test_a_port_in_use_is_one_line_before_the_run_is_loaded(command: Callable[..., Outcome], page: Page) -> None:
    port = page.address.rpartition(":")[2]
    ended = command("--run", "nowhere", "--port", port)
    assert ended.status == 2
    assert (
        ended.err == f"error: 127.0.0.1:{port} is in use, or is not an address of this machine; choose another --port\n"
    )


@pytest.mark.parametrize("option", ["--auth=ada", "--share-server=example.com"])
def test_an_incomplete_option_is_refused(command: Callable[..., Outcome], option: str) -> None:
    ended = command(option)
    assert ended.status == 2
    assert "use the form" in ended.err


def test_with_auth_a_login_is_required(pool: PredictorPool) -> None:
    with serve_page(pool, "ada:love:lace") as address, httpx.Client(base_url=address) as stranger:
        assert stranger.get("/config").status_code == 401
        assert stranger.post("/gradio_api/run/read", json={"data": [None]}).status_code == 401
        stranger.post("/login", data={"username": "ada", "password": "wrong"})
        assert stranger.get("/config").status_code == 401
        stranger.post("/login", data={"username": "ada", "password": "love:lace"})
        assert stranger.get("/config").status_code == 200


# The public link


class Served:
    """Stub of the server attributes that `public_link` uses."""

    host, port, address, page = "127.0.0.1", 7860, "http://127.0.0.1:7860", SimpleNamespace(share_token="token")


def test_without_a_network_the_message_names_the_alternatives(monkeypatch: pytest.MonkeyPatch) -> None:
    def setup_tunnel(*_: object) -> str:
        raise RuntimeError("Could not get share link from Gradio API Server.")

    monkeypatch.setattr(server.networking, "setup_tunnel", setup_tunnel)
    with pytest.raises(UserError, match="No public link: Gradio's share server") as error:
        server.public_link(Served, None)
    for way in ("--share-server", "ssh -R", "make space", "still running at http://127.0.0.1:7860"):
        assert way in str(error.value)


def test_a_link_after_the_time_out_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []

    class Tunnel:
        def kill(self) -> None:
            closed.append("closed")

    def setup_tunnel(*_: object) -> str:
        time.sleep(0.3)
        return "https://late.gradio.live"

    monkeypatch.setattr(server.networking, "setup_tunnel", setup_tunnel)
    monkeypatch.setattr(server, "CURRENT_TUNNELS", [Tunnel()])
    monkeypatch.setattr(server, "LINK_SECONDS", 0.05)
    with pytest.raises(UserError, match=r"no response within 0.05 s"):
        server.public_link(Served, "example.com:7000")
    wait_until(lambda: closed == ["closed"], "the tunnel stays open")


def test_a_link_is_https_unless_the_share_server_is_your_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.networking, "setup_tunnel", lambda *_: "http://abc.example.com")
    assert server.public_link(Served, None) == "https://abc.example.com"
    assert server.public_link(Served, "example.com:7000") == "http://abc.example.com"


# Runs and corrections


def test_a_missing_run_is_refused(pool: PredictorPool) -> None:
    with pytest.raises(UserError, match="choose another"):
        pool.read(np.zeros((9, 9), dtype=np.uint8), "/etc")


def test_corrections_are_not_saved_by_default(pool: PredictorPool, tmp_path: Path) -> None:
    draw_number("7").save(tmp_path / "7.png")
    note = Handlers(pool, None).correct_upload({"path": str(tmp_path / "7.png")}, "7", "sketchpad")
    assert "nothing to save" in note
