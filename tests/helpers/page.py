"""The demo page for tests: start it, draw numbers, upload files."""

import base64
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
from PIL import Image, ImageDraw

from demo.app import build_page
from demo.listener import open_socket
from demo.predictors import PredictorPool
from demo.schema import PNG_URL
from demo.server import Server
from demo.strokes import strokes_of
from demo.uploads import Uploads


@dataclass
class Page:
    """A running demo page, served from a folder with two runs: the shipped run and a copy of it.

    Attributes:
        address: URL of the page.
        folder: working folder of the process.
        temporary: temporary folder of the process.
        pid: process id.
    """

    address: str
    folder: Path
    temporary: Path
    pid: int

    @property
    def log(self) -> str:
        """The process's output on stderr so far."""
        return (self.folder / "log.txt").read_text(encoding="utf-8")


def draw_number(text: str, size: tuple[int, int] = (600, 260)) -> Image.Image:
    """Return a picture of a number in pen strokes, black on white."""
    image = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(image)
    for stroke in strokes_of(text):
        pen.line([(40 + 14 * x, 50 + 16 * y) for x, y in stroke], "black", 14, joint="curve")
    return image


def encode_image(image: Image.Image, kind: str = "png", **options: Any) -> bytes:
    """Return an image as the content of an image file."""
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def drawn(text: str, size: tuple[int, int] = (480, 240)) -> str:
    """Return a drawing as the pad sends it: a PNG as a data URL."""
    return PNG_URL + base64.b64encode(encode_image(draw_number(text, size))).decode()


@contextmanager
def serve_page(
    pool: PredictorPool, auth: str | None = None, corrections: Path | None = None, port: int = 0
) -> Iterator[str]:
    """Serve a page in this process, at a free port by default, and yield its address."""
    run, listener = pool.first.folder.name, open_socket("127.0.0.1", port)
    with (
        closing(Uploads()) as uploads,
        closing(Server(listener, build_page(pool, corrections, bool(auth)), uploads, run, auth)) as page,
    ):
        yield page.address


def upload(client: httpx.Client, name: str, content: bytes) -> httpx.Response:
    """Upload a file to Gradio's API and return the response."""
    return client.post("/gradio_api/upload", files={"files": (name, content)})
