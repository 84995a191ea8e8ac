"""Uploads: the pictures that visitors sent. Each is readable by its own visitor alone, and deleted within the hour."""

import asyncio
import logging
import mimetypes
import secrets
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from threading import Lock
from typing import BinaryIO

from fastapi import APIRouter, HTTPException, Request
from filelock import FileLock, Timeout
from gradio_client.utils import strip_invalid_filename_characters
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import FileResponse

from demo.schema import SEND_THE_PICTURE

logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of every malformed upload

LIFETIME_SECONDS = 50 * 60
MAX_BYTES = 500_000_000
SWEEP_SECONDS = 60
SHOWN = {"image/png", "image/jpeg", "image/gif", "image/bmp", "image/webp", "image/tiff"}
"""Kinds that a browser may open on the page's own address. In others, such as SVG, scripts could run."""
PREFIX = "digit-recognizer-"
LOCK = ".lock"
"""Held while the page runs, so that another page can tell a folder in use from one left by a killed process."""

STARTING_SECONDS = 60
"""How long a page may take from making its folder to locking it."""


@dataclass(frozen=True)
class Upload:
    """A picture on disk.

    Attributes:
        visitor: who sent it.
        size: in bytes.
        received: on the monotonic clock, in seconds.
    """

    path: Path
    visitor: str
    size: int
    received: float


class Uploads:
    """Keeps uploads in a private folder.

    A path that a client sends is only ever looked up among the paths that this class returned. It is never opened.

    Args:
        lifetime: seconds after which `sweep` deletes an upload.
        max_bytes: size of all uploads together. To stay below it, the oldest are deleted first.
    """

    def __init__(self, lifetime: float = LIFETIME_SECONDS, max_bytes: int = MAX_BYTES) -> None:
        self.lifetime = lifetime
        self.max_bytes = max_bytes
        _delete_abandoned()
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()  # only this account may enter it
        self._in_use = FileLock(self.folder / LOCK)
        self._in_use.acquire()
        self._uploads: dict[str, Upload] = {}
        self._lock = Lock()

    def add(self, visitor: str, name: str, content: BinaryIO) -> str:
        """Store a picture of a visitor and return its path.

        Args:
            name: its file name. Folders in it are ignored, and characters that some file systems forbid are dropped.
        """
        name = strip_invalid_filename_characters(PureWindowsPath(name).name)  # "/" and "\\" both separate folders
        folder = self.folder / secrets.token_hex(16)
        folder.mkdir()
        path = folder / (name.strip(" .") or "file")
        with path.open("xb") as file:
            shutil.copyfileobj(content, file)
        with self._lock:
            self._uploads[str(path)] = Upload(path, visitor, path.stat().st_size, time.monotonic())
        self.sweep()
        return str(path)

    def find(self, visitor: str, path: str) -> Path | None:
        """Return an upload of a visitor; None if this visitor has none at that path."""
        upload = self._uploads.get(path)
        if upload is None or upload.visitor != visitor or upload.path.resolve() != upload.path:
            return None
        return upload.path

    def sweep(self) -> None:
        """Delete what is too old, then the oldest uploads until the rest is within the limit."""
        oldest = time.monotonic() - self.lifetime
        with self._lock:
            total = sum(upload.size for upload in self._uploads.values())
            for path, upload in list(self._uploads.items()):  # in the order of their arrival
                if upload.received > oldest and total <= self.max_bytes:
                    break
                del self._uploads[path]
                total -= upload.size
                shutil.rmtree(upload.path.parent, ignore_errors=True)

    async def sweep_for_ever(self) -> None:
        """Sweep every minute."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            await run_in_threadpool(self.sweep)

    def close(self) -> None:
        """Delete the folder and everything in it."""
        self._in_use.release()
        shutil.rmtree(self.folder, ignore_errors=True)


def upload_routes(uploads: Uploads) -> APIRouter:
    """Return the routes by which a visitor sends a picture and sees it again. They stand in the place of Gradio's."""
    routes = APIRouter(prefix="/gradio_api")

    @routes.post("/upload")
    async def upload(request: Request) -> list[str]:
        async with request.form(max_files=1, max_fields=1) as form:
            file = form.get("files")
            if not isinstance(file, UploadFile):
                raise HTTPException(400, SEND_THE_PICTURE)
            visitor, name = request.state.visitor, file.filename or ""
            return [await run_in_threadpool(uploads.add, visitor, name, file.file)]

    @routes.get("/upload_progress", status_code=204)
    async def upload_progress() -> None:
        """Tell Gradio's page that there is none to show."""

    @routes.get("/file={path:path}")
    async def show(path: str, request: Request) -> FileResponse:
        file = uploads.find(request.state.visitor, path)
        if file is None:
            raise HTTPException(404, SEND_THE_PICTURE)
        kind, _ = mimetypes.guess_type(file)
        if kind not in SHOWN:
            kind = "application/octet-stream"
        return FileResponse(file, media_type=kind, headers={"X-Content-Type-Options": "nosniff"})

    return routes


def _delete_abandoned() -> None:
    """Delete the folders of pages that were killed before they could."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            if time.time() - folder.stat().st_mtime < STARTING_SECONDS:
                continue
            with FileLock(folder / LOCK, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
        except (Timeout, OSError):  # in use, or of another account
            continue
