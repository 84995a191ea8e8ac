"""The page, and a visitor of it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
from PIL import Image, ImageDraw

from demo.app import build_page
from demo.predictors import PredictorPool
from demo.server import Server, open_socket
from demo.strokes import strokes_of
from demo.uploads import Uploads


@dataclass
class Page:
    """The demo, served from a folder with two runs: the one that ships, and a twin of it.

    Attributes:
        temporary: its temporary folder.
        pid: of its process.
    """

    address: str
    folder: Path
    temporary: Path
    pid: int

    @property
    def log(self) -> str:
        """What it has written to stderr."""
        return (self.folder / "log.txt").read_text(encoding="utf-8")


def number(text: str, size: tuple[int, int] = (600, 260)) -> Image.Image:
    """Return a number drawn with a pen, black on white."""
    image = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(image)
    for stroke in strokes_of(text):
        pen.line([(40 + 14 * x, 50 + 16 * y) for x, y in stroke], "black", 14, joint="curve")
    return image


def saved(image: Image.Image, kind: str = "png", **options: Any) -> bytes:
    """Return an image as a file."""
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@contextmanager
def served(pool: PredictorPool, auth: str | None = None, corrections: Path | None = None) -> Iterator[str]:
    """Serve a page in this process; yield its address."""
    run, listener = pool.first.folder.name, open_socket("127.0.0.1", 0)
    with (
        closing(Uploads()) as uploads,
        closing(Server(listener, build_page(pool, corrections), uploads, run, auth)) as page,
    ):
        yield page.address


def upload(client: httpx.Client, name: str, content: bytes) -> httpx.Response:
    return client.post("/gradio_api/upload", files={"files": (name, content)})
